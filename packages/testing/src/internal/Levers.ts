/**
 * What tests do to a cluster: each lever is pulled in the loop, between two requests.
 *
 * @since 0.1.0
 */
import type { Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import * as Effect from "effect/Effect"
import type { ListenError } from "../ListenError.ts"
import type { BrokerNodes } from "./BrokerNodes.ts"
import type { BrokerNode, Cluster, Partition } from "./Cluster.ts"
import * as Compaction from "./Compaction.ts"
import * as LeaderElection from "./LeaderElection.ts"
import * as Retention from "./Retention.ts"

/** @internal */
export interface Levers {
  readonly moveLeader: (topic: string, partition: number, nodeId: number) => Effect.Effect<void>
  readonly bumpLeaderEpoch: (topic: string, partition: number) => Effect.Effect<void>
  readonly moveCoordinator: (kind: "group" | "transaction", key: string, nodeId: number) => Effect.Effect<void>
  readonly stopBroker: (nodeId: number) => Effect.Effect<void>
  readonly startBroker: (nodeId: number) => Effect.Effect<void, ListenError>
  readonly expireSession: (groupId: string, memberId: string) => Effect.Effect<void>
  readonly rebalance: (groupId: string) => Effect.Effect<void>
  readonly applyRetention: Effect.Effect<void>
  readonly expireOffsets: (groupId: string) => Effect.Effect<void>
  readonly compact: (topic: string) => Effect.Effect<void>
  readonly records: (topic: string, partition: number) => Effect.Effect<ReadonlyArray<Record>>
  readonly committed: (
    groupId: string
  ) => Effect.Effect<ReadonlyArray<{ readonly topic: string; readonly partition: number; readonly offset: bigint }>>
}

/** @internal */
export const make = (cluster: Cluster, nodes: BrokerNodes): Levers => {
  /** What is asked for and is not there is a mistake of the test. */
  const inLoop = <A>(task: () => A): Effect.Effect<A> =>
    Effect.callback((resume) => cluster.loop.post(() => resume(Effect.sync(task))))

  const nodeOf = (nodeId: number): BrokerNode => {
    const node = cluster.nodes.get(nodeId)
    if (node === undefined) throw new Error(`there is no broker ${nodeId}: there are ${[...cluster.nodes.keys()]}`)
    return node
  }

  const partitionOf = (topic: string, partition: number): Partition => {
    const found = cluster.topics.get(topic)?.partitions[partition]
    if (found === undefined) throw new Error(`there is no topic ${topic} with a partition ${partition}`)
    return found
  }

  return {
    moveLeader: (topic, partition, nodeId) =>
      inLoop(() => {
        partitionOf(topic, partition)
        if (!nodeOf(nodeId).isUp) throw new Error(`broker ${nodeId} is stopped: it can lead nothing`)
        LeaderElection.moveLeader(cluster, topic, partition, nodeId)
      }),
    bumpLeaderEpoch: (topic, partition) =>
      inLoop(() => {
        partitionOf(topic, partition)
        LeaderElection.bumpLeaderEpoch(cluster, topic, partition)
      }),
    moveCoordinator: (kind, key, nodeId) =>
      inLoop(() => {
        nodeOf(nodeId)
        cluster.movedCoordinators.set(`${kind} ${key}`, nodeId)
      }),
    stopBroker: (nodeId) =>
      Effect.flatMap(
        inLoop(() => nodeOf(nodeId)),
        (node) =>
          Effect.andThen(
            nodes.stop(node),
            inLoop(() => LeaderElection.brokerStopped(cluster, nodeId))
          )
      ),
    startBroker: (nodeId) =>
      Effect.flatMap(
        inLoop(() => nodeOf(nodeId)),
        (node) =>
          Effect.andThen(
            nodes.start(node),
            inLoop(() => LeaderElection.brokerStarted(cluster, nodeId))
          )
      ),
    expireSession: (groupId, memberId) =>
      inLoop(() => {
        const group = cluster.groups.get(groupId)
        if (group?.members.has(memberId) !== true) throw new Error(`group ${groupId} has no member ${memberId}`)
        group.leave(memberId, group.members.get(memberId)!.groupInstanceId)
      }),
    rebalance: (groupId) =>
      inLoop(() => {
        const group = cluster.groups.get(groupId)
        if (group === undefined) throw new Error(`there is no group ${groupId}`)
        group.rebalance()
      }),
    expireOffsets: (groupId) =>
      inLoop(() => {
        const group = cluster.groups.get(groupId)
        if (group === undefined) throw new Error(`there is no group ${groupId}`)
        if (group.members.size > 0) throw new Error(`group ${groupId} has members: its offsets do not expire`)
        if (group.type === "classic") group.state = "Dead"
        cluster.groups.delete(groupId)
      }),
    applyRetention: inLoop(() => Retention.apply(cluster)),
    compact: (topic) =>
      Effect.flatMap(
        inLoop(() => partitionOf(topic, 0).topic.partitions),
        (partitions) =>
          Effect.forEach(partitions, (partition) => Effect.promise(() => Compaction.compact(cluster, partition)), {
            discard: true
          })
      ),
    committed: (groupId) =>
      inLoop(() =>
        (cluster.groups.get(groupId)?.offsets.all() ?? []).flatMap(([topic, partitions]) =>
          [...partitions].map(([partition, { offset }]) => ({ topic, partition, offset }))
        )
      ),
    records: (topic, partition) =>
      Effect.flatMap(
        inLoop(() => [...partitionOf(topic, partition).log.batches]),
        (batches) =>
          Effect.map(
            Effect.forEach(
              batches.filter(({ header }) => !header.isControl),
              ({ header }) => Effect.promise(() => Promise.resolve(Records.decode(header)))
            ),
            (all) => all.flat()
          )
      )
  }
}
