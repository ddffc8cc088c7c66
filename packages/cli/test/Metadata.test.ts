import { assert, describe, it } from "@effect/vitest"
import * as Metadata from "../src/Metadata.ts"

const overview: Metadata.Overview = {
  clusterId: "c",
  controllerId: 2,
  brokers: [
    { nodeId: 1, host: "a", port: 1, rack: "r" },
    { nodeId: 2, host: "::1", port: 2, rack: null }
  ],
  topics: [
    {
      name: "t",
      id: "",
      isInternal: true,
      errorCode: 0,
      unknownAnswers: 0,
      partitions: [
        { partition: 0, leader: 1, leaderEpoch: 0, replicas: [1, 2], isr: [1], offlineReplicas: [2], errorCode: 0 },
        { partition: 1, leader: -1, leaderEpoch: 0, replicas: [2], isr: [], offlineReplicas: [], errorCode: 5 }
      ]
    }
  ]
}

describe("Metadata", () => {
  it("prints text for people", () =>
    assert.strictEqual(
      Metadata.toText(overview),
      [
        "cluster c, 2 brokers, 1 topic",
        "  broker 1 at a:1, rack r",
        "  broker 2 at [::1]:2 (controller)",
        "  topic t, 2 partitions (internal)",
        "    partition 0: leader 1, replicas: 1,2, in sync: 1, offline: 2",
        "    partition 1: no leader, replicas: 2, in sync: none",
        ""
      ].join("\n")
    ))

  it("prints one line of JSON", () => {
    const text = Metadata.toJson(overview)
    assert.strictEqual(text.indexOf("\n"), text.length - 1)
    const { brokers, cluster, controller, topics } = JSON.parse(text)
    assert.deepStrictEqual([cluster, controller, brokers.length], ["c", 2, 2])
    assert.deepStrictEqual(topics[0].partitions[0], {
      partition: 0,
      leader: 1,
      replicas: [1, 2],
      isrs: [1],
      offline: [2]
    })
  })
})
