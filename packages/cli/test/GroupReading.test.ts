import { assert, describe, it } from "@effect/vitest"
import { isSharedOut } from "../src/GroupReading.ts"

const places = [0, 1].map((partition) => ({ topic: "t", partition }))

const member = (...partitions: ReadonlyArray<number>) => ({
  memberId: "m",
  clientId: "c",
  host: "h",
  instanceId: null,
  partitions: partitions.map((partition) => ({ topic: "t", partition }))
})

describe("a group has nothing for a member", () => {
  for (const [name, state, members, expected] of [
    ["when others have everything", "Stable", [member(0), member(1), member()], true],
    ["not while it rebalances", "PreparingRebalance", [member(0), member(1), member()], false],
    ["not while a partition changes hands", "Stable", [member(0), member()], false],
    ["not when everybody has something", "Stable", [member(0), member(1)], false]
  ] as const) {
    it(name, () => assert.strictEqual(isSharedOut({ state, members }, places), expected))
  }
})
