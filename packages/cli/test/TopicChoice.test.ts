import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parse } from "../src/TopicChoice.ts"

describe("TopicChoice", () => {
  it("reads names, each once, and patterns between slashes", () =>
    assert.deepStrictEqual(
      parse(["a", "b.c", "/^x-/", "a", "/^x-/", "/a|b/"]),
      Result.succeed({ names: ["a", "b.c"], patterns: [/^x-/, /a|b/] })
    ))

  for (const word of ["/", "//", "/a", "/a(/"]) {
    it(`refuses ${word}`, () => assert.deepStrictEqual(parse(["a", word]), Result.fail(word)))
  }
})
