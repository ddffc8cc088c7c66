import { assert, describe, it } from "@effect/vitest"
import * as GroupOffsets from "../src/GroupOffsets.ts"
import type { Group } from "../src/GroupRequests.ts"
import * as Groups from "../src/Groups.ts"

const place = (topic: string, partition: number) => ({ topic, partition })

const member = {
  memberId: "m",
  clientId: "c",
  host: "/10.0.0.1",
  instanceId: "i",
  partitions: [place("b", 1), place("a", 10), place("a", 2)]
}

const group: Group = {
  groupId: "g",
  state: "Stable",
  type: "classic",
  protocolType: "consumer",
  assignor: "range",
  coordinator: { nodeId: 3, address: "h:1" },
  members: [member]
}

const rows = GroupOffsets.rows(
  [member],
  [
    { ...place("b", 0), offset: 5n },
    { ...place("a", 2), offset: 90n },
    { ...place("gone", 0), offset: 1n }
  ],
  [
    { ...place("a", 2), offset: 100n },
    { ...place("a", 10), offset: 7n },
    { ...place("b", 0), offset: 4n },
    { ...place("b", 1), offset: 0n }
  ]
)

describe("GroupOffsets", () => {
  it("has a row for what was committed and for what members have, with the lag where both offsets are known", () =>
    assert.deepStrictEqual(
      rows.map(({ lag, member, partition, topic }) => [topic, partition, lag, member?.memberId]),
      [
        ["a", 2, 10n, "m"],
        ["a", 10, undefined, "m"],
        // The log was cut back behind what was committed.
        ["b", 0, 0n, undefined],
        ["b", 1, undefined, "m"],
        ["gone", 0, undefined, undefined]
      ]
    ))

  it("prints lags with their total", () =>
    assert.strictEqual(
      GroupOffsets.lagToText(rows),
      [
        "topic  partition  committed  end  lag",
        "a              2         90  100   10",
        "a             10          -    7    -",
        "b              0          5    4    0",
        "b              1          -    0    -",
        "gone           0          1    -    -",
        "total                              10",
        ""
      ].join("\n")
    ))

  it("prints a group with its members, and leaves out what an old broker does not say", () => {
    assert.match(
      GroupOffsets.groupToText(group, rows),
      /^group g, Stable, classic protocol, assignor range, coordinator 3 at h:1, 1 member\n {2}member m, client c at 10\.0\.0\.1, instance i: a 2,10; b 1\ntopic /
    )
    const old = { ...group, state: "", type: "", assignor: "", members: [] }
    assert.strictEqual(GroupOffsets.groupToText(old, []), "group g, coordinator 3 at h:1, 0 members\n")
  })

  it("lists groups, without columns for which no broker says anything", () => {
    const listed = { groupId: "g", state: "", type: "", protocolType: "consumer" }
    assert.strictEqual(Groups.listToText([listed]), "group  protocol type\ng      consumer\n")
    assert.strictEqual(
      Groups.listToText([listed, { ...listed, groupId: "h", state: "Empty" }]),
      "group  state  protocol type\ng      -      consumer\nh      Empty  consumer\n"
    )
  })
})
