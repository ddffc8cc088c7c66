import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Format from "../src/Format.ts"
import { print, record } from "./records.ts"

const formatted = (format: string, fields: Parameters<typeof record>[0] = {}): string =>
  print(Result.getOrThrow(Format.parse(format)), record(fields)).toString("utf8")

describe("Format", () => {
  it("prints every escape", () =>
    assert.strictEqual(
      formatted("%t|%p|%o|%k|%K|%s|%S|%T|%h|%%\\n\\t\\x41"),
      "žluť|3|1152921504606846976|k|1|value ž|8|1700000000000||%\n\tA"
    ))

  it("prints nothing and the length -1 for a null key and value", () =>
    assert.strictEqual(formatted("[%k,%K,%s,%S]", { key: null, value: null }), "[,-1,,-1]"))

  it("prints the length 0 for an empty key and value", () =>
    assert.strictEqual(formatted("[%k,%K,%s,%S]", { key: Buffer.of(), value: Buffer.of() }), "[,0,,0]"))

  it("prints headers in order, with repeated names, and NULL for a null value", () =>
    assert.strictEqual(
      formatted("%h;", {
        headers: [
          ["a", Buffer.from("1")],
          ["b", Buffer.of()],
          ["c", null],
          ["a", Buffer.from("2")]
        ]
      }),
      "a=1,b=,c=NULL,a=2;"
    ))

  it("prints binary values as they are", () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    assert.deepStrictEqual(print(Result.getOrThrow(Format.parse("%s")), record({ value })), value)
  })

  it("takes text without escapes, and the empty format", () => {
    assert.strictEqual(formatted("plain"), "plain")
    assert.strictEqual(formatted(""), "")
  })

  it("takes a backslash before a percent sign for nothing special", () =>
    assert.strictEqual(formatted("%p\\%%x"), "3\\%x"))

  for (const [format, found] of [
    ["a%z", "not %z"],
    ["a%", "a lone %"],
    ["%%%", "a lone %"]
  ] as const) {
    it(`refuses ${format}`, () => {
      const parsed = Format.parse(format)
      assert.isTrue(Result.isFailure(parsed))
      if (Result.isFailure(parsed)) assert.include(parsed.failure, found)
    })
  }

  it("prints lines, with keys where a separator is given", () => {
    const records = [record(), record({ key: null, value: null })]
    assert.strictEqual(print(Format.lines(undefined), ...records).toString(), "value ž\n\n")
    assert.strictEqual(print(Format.lines(Buffer.from("=>")), ...records).toString(), "k=>value ž\n=>\n")
  })

  it("grows its buffer for large records, and keeps what was there", () => {
    const large = Buffer.alloc(1_000_000, "x")
    const printed = print(Format.lines(undefined), record(), record({ value: large }), record())
    assert.strictEqual(printed.length, 2 * 9 + large.length + 1)
    assert.strictEqual(printed.toString().replaceAll("x", ""), "value ž\n\nvalue ž\n")
  })
})
