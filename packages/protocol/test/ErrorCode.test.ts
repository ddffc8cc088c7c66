import { assert, describe, it } from "@effect/vitest"
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"

describe("ErrorCode", () => {
  it("finds every code by its number, without a gap from -1 to 136", () => {
    assert.deepStrictEqual(
      ErrorCode.all.map((error) => error.code),
      Array.from({ length: 138 }, (_, index) => index - 1)
    )
    for (const error of ErrorCode.all) {
      assert.strictEqual(ErrorCode.of(error.code), error)
      assert.strictEqual(ErrorCode.codes[error.name as ErrorCode.Name], error.code)
    }
  })

  it("says whether to send again and what to find out anew", () => {
    assert.deepStrictEqual(ErrorCode.of(6), {
      code: 6,
      name: "NOT_LEADER_OR_FOLLOWER",
      text: "the broker is not the leader of the partition, or not one of its replicas",
      isRetriable: true,
      invalidates: ["leader"]
    })
    assert.deepStrictEqual(ErrorCode.of(ErrorCode.codes.UNKNOWN_TOPIC_ID).invalidates, ["leader", "topicId"])
    assert.deepStrictEqual(ErrorCode.of(ErrorCode.codes.FENCED_INSTANCE_ID).invalidates, ["member"])
    // Loading does not make it another broker: ask the same again.
    assert.deepStrictEqual(ErrorCode.of(ErrorCode.codes.COORDINATOR_LOAD_IN_PROGRESS).invalidates, [])
  })

  it("keeps a code it does not know, as final", () => {
    for (const code of [137, 4711, -2]) {
      const error = ErrorCode.of(code)
      assert.strictEqual(error.code, code)
      assert.strictEqual(error.name, `UNKNOWN_${code}`)
      assert.isFalse(error.isRetriable)
    }
  })

  it("describes every code in words of its own", () => {
    const texts = new Set(ErrorCode.all.map((error) => error.text))
    assert.strictEqual(texts.size, ErrorCode.all.length)
    for (const text of texts) assert.match(text, /^[\w].*[^.]$/)
  })
})
