import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { forms, parse, toFallback, toPosition } from "../src/From.ts"

describe("From", () => {
  for (const [text, expected] of [
    ["earliest", "earliest"],
    ["latest", "latest"],
    ["0", 0n],
    ["9223372036854775807", 2n ** 63n - 1n],
    ["-10", { beforeEnd: 10 }],
    ["-0", { beforeEnd: 0 }],
    ["-90s", { duration: 90_000 }],
    ["-30m", { duration: 1_800_000 }],
    ["-1h", { duration: 3_600_000 }],
    ["-7d", { duration: 604_800_000 }],
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
    "1e3",
    "1h",
    "-1w",
    "-1.5h",
    "-h"
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.deepStrictEqual(parse(text), Result.fail(forms)))
  }

  it("becomes a position at a time, and a group's fallback where it is one of every partition at any time", () => {
    assert.deepStrictEqual(toPosition({ duration: 1000 }, 5000), { timestamp: 4000 })
    assert.deepStrictEqual(toPosition({ duration: 9000 }, 5000), { timestamp: 0 })
    assert.deepStrictEqual(toPosition({ beforeEnd: 3 }, 5000), { beforeEnd: 3 })
    for (const fallback of ["earliest", "latest", { timestamp: 1 }, { duration: 1 }] as const) {
      assert.deepStrictEqual(toFallback(fallback), fallback)
    }
    for (const none of [5n, { beforeEnd: 3 }]) assert.isUndefined(toFallback(none))
  })
})
