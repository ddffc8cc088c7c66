import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { forms, parse } from "../src/From.ts"

describe("From", () => {
  for (const [text, expected] of [
    ["earliest", "earliest"],
    ["latest", "latest"],
    ["0", 0n],
    ["9223372036854775807", 2n ** 63n - 1n],
    ["-10", { beforeEnd: 10 }],
    ["-0", { beforeEnd: 0 }],
    ["@1970-01-01T00:00:01.5Z", { timestamp: 1500 }],
    ["@2026-01-31T12:00:00+01:00", { timestamp: Date.UTC(2026, 0, 31, 11) }],
    ["@2026-01-31T12:00", { timestamp: new Date(2026, 0, 31, 12).getTime() }],
    ["@2026-01-31", { timestamp: new Date(2026, 0, 31).getTime() }]
  ] as const) {
    it(`reads ${text}`, () => assert.deepStrictEqual(parse(text), Result.succeed(expected)))
  }

  for (const text of [
    "",
    "beginning",
    "1.5",
    "--1",
    "+1",
    "9223372036854775808",
    "@",
    "@yesterday",
    "@12",
    "@2026-13-01",
    "@2026-01-31 12:00",
    "1e3"
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.deepStrictEqual(parse(text), Result.fail(forms)))
  }
})
