import { assert, describe, it } from "@effect/vitest"
import { WireError } from "@kafka-effect/protocol/WireError"

describe("WireError", () => {
  it("names the message, its version, the field and the offset", () => {
    const error = new WireError({
      reason: "Truncated",
      name: "FetchResponse",
      version: 12,
      field: "responses[2].topic",
      offset: 17,
      detail: "4 bytes wanted, 1 left"
    })
    assert.strictEqual(error.message, "FetchResponse v12 at responses[2].topic: 4 bytes wanted, 1 left (byte 17)")
  })
})
