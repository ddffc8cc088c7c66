import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import * as Report from "../src/Report.ts"

describe("Report", () => {
  it("makes one line of anything, and calls what it does not know a defect", () =>
    assert.strictEqual(
      Report.lineOf(Cause.die(new Error("first\n  second"))),
      "kafka-effect: this is a defect of kafka-effect, please report it: first second"
    ))
})
