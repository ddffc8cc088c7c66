import { assert, describe, it } from "@effect/vitest"
import { unescape } from "../src/Escapes.ts"

const cases: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["", []],
  ["ab", [0x61, 0x62]],
  ["\\n\\r\\t", [10, 13, 9]],
  ["\\x41\\x7\\xffz", [0x41, 7, 0xff, 0x7a]],
  ["\\065\\0101\\101\\0", [0o65, 0o101, 101, 0]],
  ["\\\\\\q\\%", [0x5c, 0x71, 0x25]],
  ["\\", [0x5c]],
  ["é\\é", [0xc3, 0xa9, 0xc3, 0xa9]],
  ["\\x", [0x78]],
  ["\\300", [300 & 0xff]]
]

describe("Escapes", () => {
  for (const [text, expected] of cases) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepStrictEqual([...unescape(text)], expected))
  }
})
