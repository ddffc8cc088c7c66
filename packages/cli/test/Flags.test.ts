import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Flags from "../src/Flags.ts"

const failure = <A>(parsed: Result.Result<A, string>): string | undefined =>
  Result.isFailure(parsed) ? parsed.failure : undefined

describe("Flags", () => {
  it("reads brokers, with 9092 where no port is given", () => {
    assert.deepStrictEqual(
      Flags.parseBrokers(" a:1, b ,,[::1]:5,[::1]"),
      Result.succeed(["a:1", "b:9092", "[::1]:5", "[::1]:9092"])
    )
    assert.include(failure(Flags.parseBrokers(" , ")), "host:port")
  })

  it("reads whole numbers from a minimum", () => {
    const parse = Flags.parseInteger(1, 100)
    assert.deepStrictEqual(parse("100"), Result.succeed(100))
    for (const text of ["0", "101", "-1", "1.5", "1e1", "", "x", "99999999999999999999"])
      assert.isDefined(failure(parse(text)), text)
  })

  it("reads separators with escapes, not empty ones", () => {
    assert.deepStrictEqual(Flags.parseSeparator("\\t"), Result.succeed(Buffer.of(9)))
    assert.isDefined(failure(Flags.parseSeparator("")))
  })

  it("reads headers: the name ends at the first =", () => {
    assert.deepStrictEqual(Flags.parseHeader("a=b=c"), Result.succeed(["a", Buffer.from("b=c")] as const))
    assert.deepStrictEqual(Flags.parseHeader("a="), Result.succeed(["a", Buffer.of()] as const))
    assert.deepStrictEqual(Flags.parseHeader("a"), Result.succeed(["a", null] as const))
    assert.isDefined(failure(Flags.parseHeader("=b")))
  })

  it("reads acks and compression by their names", () => {
    assert.deepStrictEqual(
      ["all", "-1", "1", "0"].map(Flags.parseAcks),
      (["all", "all", 1, 0] as const).map(Result.succeed)
    )
    assert.isDefined(failure(Flags.parseAcks("2")))
    assert.deepStrictEqual(Flags.parseCompression("zstd"), Result.succeed("zstd"))
    assert.isDefined(failure(Flags.parseCompression("ZSTD")))
  })
})
