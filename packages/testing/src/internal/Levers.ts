import * as Records from "@kafka-effect/protocol/Records"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Service } from "../TestBroker.ts"
import type { BrokerNodes } from "./BrokerNodes.ts"
import type { BrokerNode, Cluster, Partition } from "./Cluster.ts"
import * as Compaction from "./Compaction.ts"
import * as Groups from "./groups/Groups.ts"
import * as LeaderElection from "./LeaderElection.ts"
import * as Replication from "./Replication.ts"
import * as Retention from "./Retention.ts"

/** What a test sees of the cluster, but for its network and its scripts. @internal */
export type Levers = Omit<Service, "bootstrapServers" | "transport" | "on" | "requests">

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

  /** Stops a broker; first, something happens to what it leads. */
  const stop = (nodeId: number, parting: (partition: Partition) => void): Effect.Effect<void> =>
    Effect.flatMap(
      inLoop(() => {
        const node = nodeOf(nodeId)
        for (const { partitions } of cluster.topics.values()) {
          for (const partition of partitions) if (partition.leader === nodeId) parting(partition)
        }
        // From here on nothing is appended.
        LeaderElection.brokerStopped(cluster, nodeId)
        return node
      }),
      nodes.stop
    )

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
    stopBroker: (nodeId) => stop(nodeId, Replication.catchUp),
    crashBroker: (nodeId) => stop(nodeId, (partition) => Replication.lose(cluster, partition)),
    delayReplication: (delay) =>
      inLoop(() => {
        cluster.replicationDelay = Duration.toMillis(Duration.fromInputUnsafe(delay))
      }),
    addBroker: Effect.suspend(() => {
      const nodeId = Math.max(-1, ...cluster.nodes.keys()) + 1
      return Effect.as(nodes.add(nodeId, {}), nodeId)
    }),
    removeBroker: (nodeId) =>
      Effect.andThen(
        stop(nodeId, Replication.catchUp),
        inLoop(() => LeaderElection.brokerRemoved(cluster, nodeId))
      ),
    throttle: (api, duration, { node } = {}) => {
      const milliseconds = Duration.toMillis(Duration.fromInputUnsafe(duration))
      const throttle = { key: api === "all" ? undefined : api.key, node, milliseconds }
      return Effect.acquireRelease(
        inLoop(() => void cluster.throttles.add(throttle)),
        () => Effect.sync(() => void cluster.throttles.delete(throttle))
      )
    },
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
        Groups.remove(cluster, group)
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
