import { assert, describe, it } from "@effect/vitest"
import * as Progress from "../src/Progress.ts"

describe("Progress", () => {
  it("says records, bytes, and both per second", () => {
    assert.strictEqual(
      Progress.line("sent", 1_234_567, 123_456_789, 2_000),
      "1,234,567 records sent, 123.5 MB in 2.0 s: 617,284 records/s, 61.7 MB/s"
    )
    assert.strictEqual(Progress.line("read", 0, 0, 0), "0 records read, 0 B in 0.0 s: 0 records/s, 0 B/s")
  })
})
