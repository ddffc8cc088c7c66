import { assert, describe, it } from "@effect/vitest"
import * as Json from "../src/Json.ts"
import { print, record } from "./records.ts"

describe("Json", () => {
  it("prints one line per record, in kcat's order of names", () =>
    assert.strictEqual(
      print(Json.print, record()).toString(),
      '{"topic":"žluť","partition":3,"offset":1152921504606846976,"tstype":"create","ts":1700000000000,"key":"k","payload":"value ž"}\n'
    ))

  it("prints null, empty and binary keys and values so that they can be told apart", () => {
    const parsed = (key: Uint8Array | null) => JSON.parse(print(Json.print, record({ key, value: key })).toString())
    assert.deepStrictEqual(parsed(null).key, null)
    assert.deepStrictEqual(parsed(Buffer.of()).payload, "")
    assert.deepStrictEqual(parsed(Buffer.of(0, 255)).payload, { base64: "AP8=" })
    for (const text of ['"', "\\", "\n", "\u0000", "\u001f", "\u007f", "ž", "\u2028", "🦜"]) {
      assert.strictEqual(parsed(Buffer.from(`<${text}>`)).key, `<${text}>`)
    }
  })

  it("encodes all of a view and nothing beside it", () => {
    const value = Buffer.from("abcdef").subarray(2, 4)
    assert.strictEqual(JSON.parse(print(Json.print, record({ value })).toString()).payload, "cd")
  })

  it("prints headers as names and values by turns", () => {
    const headers = [
      ["a", Buffer.from("1")],
      ["a", null],
      ["b", Buffer.of(0xff)]
    ] as const
    assert.deepStrictEqual(JSON.parse(print(Json.print, record({ headers })).toString()).headers, [
      "a",
      "1",
      "a",
      null,
      "b",
      { base64: "/w==" }
    ])
  })

  it("names the broker's time, and leaves out a time that there is not", () => {
    const of = (fields: Parameters<typeof record>[0]) => JSON.parse(print(Json.print, record(fields)).toString())
    assert.strictEqual(of({ timestampType: "append" }).tstype, "logappend")
    assert.notProperty(of({ timestamp: -1 }), "ts")
  })
})
