import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as GroupReset from "../src/GroupReset.ts"

const log = { earliest: 10n, end: 100n, atTime: 42n }

describe("GroupReset", () => {
  for (const [text, topic, partitions] of [
    ["orders", "orders", []],
    ["orders:0", "orders", [0]],
    ["a.b_c-d:3,1,3", "a.b_c-d", [3, 1]]
  ] as const) {
    it(`reads ${text}`, () =>
      assert.deepStrictEqual(GroupReset.parseTarget(text), Result.succeed({ topic, partitions: [...partitions] })))
  }

  for (const text of ["", ":1", "a:", "a:x", "a:1,", "a:-1", "a:1:2"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.isTrue(Result.isFailure(GroupReset.parseTarget(text))))
  }

  it("finds offsets within what the log has", () => {
    assert.deepStrictEqual(
      (["earliest", "latest", 50n, 5n, 500n, { beforeEnd: 3 }, { beforeEnd: 300 }, { timestamp: 1 }] as const).map(
        (position) => GroupReset.resolve(position, log)
      ),
      [10n, 100n, 50n, 10n, 100n, 97n, 10n, 42n]
    )
    // Nothing is as new as that.
    assert.strictEqual(GroupReset.resolve({ timestamp: 1 }, { ...log, atTime: undefined }), 100n)
  })

  it("prints the plan", () => {
    const places = [
      { topic: "a", partition: 0 },
      { topic: "a", partition: 11 }
    ]
    const plan = GroupReset.moves([{ topic: "a", partition: 11, offset: 1000n }], places, [7n, 8n])
    assert.strictEqual(
      GroupReset.toText(plan),
      "topic  partition  current  new\na              0        -    7\na             11     1000    8\n"
    )
    assert.deepStrictEqual(JSON.parse(GroupReset.toJson("g", true, plan)), {
      group: "g",
      dryRun: true,
      partitions: [
        { topic: "a", partition: 0, current: null, new: 7 },
        { topic: "a", partition: 11, current: 1000, new: 8 }
      ]
    })
  })

  it("names who has to be stopped, three of them", () => {
    const members = ["m1", "m2", "m3", "m4"].map((memberId) => ({
      memberId,
      clientId: "c",
      host: "/10.0.0.1",
      instanceId: null,
      partitions: []
    }))
    const { message } = new GroupReset.GroupInUse({ groupId: "g", members })
    assert.match(message, /^group g has members: m1 \(client c at 10\.0\.0\.1\), .*, m3 \([^)]*\) and 1 more; stop/)
  })
})
