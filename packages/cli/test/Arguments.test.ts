import { assert, describe, it } from "@effect/vitest"
import { normalise } from "../src/Arguments.ts"

const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
  ["a value in the next word", ["consume", "-o", "earliest", "t"], ["consume", "--from=earliest", "t"]],
  ["a negative number in the next word", ["-o", "-10"], ["--from=-10"]],
  ["a negative number behind =", ["--from=-10"], ["--from=-10"]],
  ["a negative number behind a long name", ["--from", "-10"], ["--from=-10"]],
  ["a value without a space", ["-K:", "-o-10", "-zlz4"], ["--key-separator=:", "--from=-10", "--compression=lz4"]],
  ["a value behind = after a letter", ["-K=:"], ["--key-separator=:"]],
  ["a format that begins with a dash", ["-f", "-%s-"], ["--format=-%s-"]],
  ["a value with = in it", ["-H", "a=b=c"], ["--header=a=b=c"]],
  ["switches before a value in one word", ["-en5"], ["-e", "--max=5"]],
  ["switches before a value in the next word", ["-en", "5", "t"], ["-e", "--max=5", "t"]],
  ["a lone dash as a value", ["-K", "-"], ["--key-separator=-"]],
  ["a missing value before an option", ["-f", "-e"], ["--format", "-e"]],
  ["a missing value before a long option", ["--max", "--json"], ["--max", "--json"]],
  ["a missing value at the end", ["consume", "-f"], ["consume", "--format"]],
  ["unknown letters", ["-eX", "-X5", "--nothing", "5"], ["-eX", "-X5", "--nothing", "5"]],
  ["words behind --", ["-e", "--", "-o", "5"], ["-e", "--", "-o", "5"]],
  ["a value of -- is none", ["-K", "--", "x"], ["--key-separator", "--", "x"]]
]

describe("Arguments", () => {
  for (const [name, words, expected] of cases) {
    it(`normalises ${name}`, () => assert.deepStrictEqual(normalise(words), expected))
  }
})
