import { assert, describe, it } from "@effect/vitest"
import * as KeyedLine from "../src/KeyedLine.ts"
import { LineSplitter, LineTooLong } from "../src/Lines.ts"

const split = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const splitter = new LineSplitter()
  const lines = chunks.flatMap((chunk) => splitter.push(chunk))
  const last = splitter.end()
  return [...lines, ...(last === undefined ? [] : [last])].map((line) => Buffer.from(line).toString("latin1"))
}

const text = "one\n\nžluť\r\nbin\u0000\n\n\nlast"
const expected = Buffer.from(text).toString("latin1").split("\n")

describe("Lines", () => {
  it("splits at newlines only, keeps empty lines and the last line without a newline", () =>
    assert.deepStrictEqual(split([Buffer.from(text)]), expected))

  it("gives no line for the end behind a newline, and none for nothing", () => {
    assert.deepStrictEqual(split([Buffer.from("a\n")]), ["a"])
    assert.deepStrictEqual(split([Buffer.from("\n")]), [""])
    assert.deepStrictEqual(split([]), [])
    assert.deepStrictEqual(split([Buffer.of()]), [])
  })

  it("gives the same lines wherever chunks are cut", () => {
    const bytes = Buffer.from(text)
    for (let size = 1; size <= bytes.length; size++) {
      const chunks: Array<Uint8Array> = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      assert.deepStrictEqual(split(chunks), expected, `chunks of ${size}`)
    }
  })

  it("keeps lines valid after later chunks", () => {
    const splitter = new LineSplitter()
    const [first] = splitter.push(Buffer.from("first\nsec"))
    const [second] = splitter.push(Buffer.from("ond\nthird\n"))
    assert.strictEqual(`${Buffer.from(first)} ${Buffer.from(second)}`, "first second")
  })

  it("refuses a line above the limit, and says which", () => {
    const splitter = new LineSplitter(10)
    splitter.push(Buffer.from("a\nb\n0123456789"))
    try {
      splitter.push(Buffer.from("0"))
      assert.fail("was taken")
    } catch (error) {
      assert.instanceOf(error, LineTooLong)
      if (error instanceof LineTooLong) assert.strictEqual(error.line, 3)
    }
  })
})

describe("KeyedLine", () => {
  const parse = (line: string, separator: string): readonly [string | null, string] => {
    // A view within a larger buffer, as lines are.
    const { key, value } = KeyedLine.parse(Buffer.from(`#${line}#`).subarray(1, -1), Buffer.from(separator))
    return [key === null ? null : Buffer.from(key).toString(), Buffer.from(value).toString()]
  }

  it("splits at the first separator", () => assert.deepStrictEqual(parse("a:b:c", ":"), ["a", "b:c"]))
  it("takes a separator of several bytes", () => {
    assert.deepStrictEqual(parse("a=b=>c=>d", "=>"), ["a=b", "c=>d"])
    assert.deepStrictEqual(parse("ažb", "ž"), ["a", "b"])
  })
  it("gives an empty key and an empty value", () => {
    assert.deepStrictEqual(parse(":x", ":"), ["", "x"])
    assert.deepStrictEqual(parse("x:", ":"), ["x", ""])
  })
  it("gives a null key where there is no separator", () => {
    assert.deepStrictEqual(parse("abc", ":"), [null, "abc"])
    assert.deepStrictEqual(parse("", ":"), [null, ""])
    assert.deepStrictEqual(parse("a=", "=>"), [null, "a="])
    // the byte behind the line is not part of it
    assert.deepStrictEqual(parse("abc", "#"), [null, "abc"])
    assert.deepStrictEqual(parse("abc", "c#"), [null, "abc"])
  })
})
