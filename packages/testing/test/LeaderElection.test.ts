import { assert, describe, it } from "@effect/vitest"
import * as Cluster from "../src/internal/Cluster.ts"
import * as LeaderElection from "../src/internal/LeaderElection.ts"

const make = () => {
  const nodes = new Map([0, 1, 2].map((nodeId) => [nodeId, { nodeId, isUp: true }]))
  // Elections look at nothing else of a cluster.
  const cluster = { nodes, topics: new Map(), controllerId: 0, random: () => 0.5 } as unknown as Cluster.Cluster
  const [partition] = Cluster.addTopic(cluster, "orders", { partitions: 1, assignment: [[0, 1]] }).partitions
  const stop = (id: number): void => {
    nodes.get(id)!.isUp = false
    LeaderElection.brokerStopped(cluster, id)
  }
  const start = (id: number): void => {
    nodes.get(id)!.isUp = true
    LeaderElection.brokerStarted(cluster, id)
  }
  const leader = (): ReadonlyArray<number> => [partition.leader, partition.leaderEpoch]
  return { cluster, partition, stop, start, leader }
}

describe("LeaderElection", () => {
  it("elects a live replica, nobody if there is none, and who comes back", () => {
    const { cluster, leader, start, stop } = make()
    stop(2)
    assert.deepStrictEqual(leader(), [0, 0])
    stop(0)
    assert.deepStrictEqual(leader(), [1, 1])
    assert.strictEqual(cluster.controllerId, 1)
    start(0)
    assert.deepStrictEqual(leader(), [1, 1])
    stop(0)
    stop(1)
    assert.deepStrictEqual(leader(), [-1, 2])
    start(2)
    assert.deepStrictEqual(leader(), [-1, 2])
    start(1)
    assert.deepStrictEqual(leader(), [1, 3])
  })

  it("moves leaders in new epochs, and wakes who waits", () => {
    const { cluster, leader, partition } = make()
    let woken = 0
    partition.waiting.add(() => void woken++)
    assert.isTrue(LeaderElection.moveLeader(cluster, "orders", 0, 2))
    assert.deepStrictEqual([leader(), partition.replicas, woken], [[2, 1], [0, 1, 2], 1])
    assert.isTrue(LeaderElection.bumpLeaderEpoch(cluster, "orders", 0))
    assert.deepStrictEqual(leader(), [2, 2])
    assert.isFalse(LeaderElection.moveLeader(cluster, "orders", 1, 0))
    assert.isFalse(LeaderElection.moveLeader(cluster, "orders", 0, 9))
    assert.isFalse(LeaderElection.bumpLeaderEpoch(cluster, "none", 0))
  })
})
