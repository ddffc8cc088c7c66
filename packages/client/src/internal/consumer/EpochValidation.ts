/**
 * Asks a new leader whether the records that were read are in its log (KIP-320): where the epoch of the last one ends
 * there. When it ends before the position, the log was cut back meanwhile.
 *
 * A leader that does not know the epoch (an answer of -1, as after a change of the record format) proves nothing: reading
 * goes on. Brokers that can only be asked by who may see the whole cluster (before version 3) are not asked.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import type { Leader } from "../../ClusterMetadata.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import type { FetchOutcomes } from "./FetchOutcomes.ts"

const minVersion = 3

/** Whether the leader has to be asked before the next fetch. @internal */
export const isNeeded = (partition: FetchedPartition, leader: Leader): boolean =>
  partition.epoch >= 0 && leader.leaderEpoch > partition.leaderEpoch

/** One try for partitions that a node leads, under these epochs; those that fail are backed off, or end. @internal */
export const run = Effect.fnUntraced(function* (
  cluster: Cluster,
  outcomes: FetchOutcomes,
  nodeId: number,
  wanted: ReadonlyMap<FetchedPartition, Leader>
): Effect.fn.Return<void> {
  const versions = new Map([...wanted.keys()].map((partition) => [partition, partition.version]))
  const byTopic = new Map<string, Map<number, FetchedPartition>>()
  for (const partition of wanted.keys()) {
    const partitions = byTopic.get(partition.topic)
    if (partitions === undefined) byTopic.set(partition.topic, new Map([[partition.partition, partition]]))
    else partitions.set(partition.partition, partition)
  }
  const asking = Effect.gen(function* () {
    const connection = yield* cluster.connection(nodeId, "main")
    const range = connection.apiVersions.ranges.get(OffsetForLeaderEpoch.key)
    if (range === undefined || range.max < minVersion) {
      for (const [partition, { leaderEpoch }] of wanted) partition.leaderEpoch = leaderEpoch
      return
    }
    const { topics } = yield* connection.request(OffsetForLeaderEpoch, {
      replicaId: -1,
      topics: [...byTopic].map(([topic, partitions]) => ({
        topic,
        partitions: [...partitions].map(([number, partition]) => ({
          partition: number,
          currentLeaderEpoch: wanted.get(partition)!.leaderEpoch,
          leaderEpoch: partition.epoch
        }))
      }))
    })
    const broker = describeBroker(cluster, nodeId)
    for (const { partitions, topic } of topics) {
      for (const { endOffset, errorCode, leaderEpoch, partition: number } of partitions) {
        const partition = byTopic.get(topic)?.get(number)
        const version = partition === undefined ? undefined : versions.get(partition)
        // Not asked for, said twice, or not true any more.
        if (partition === undefined || !versions.delete(partition)) continue
        if (partition.version !== version || partition.isRemoved) continue
        if (errorCode !== ErrorCode.codes.NONE) {
          const api = "OffsetForLeaderEpoch"
          outcomes.refused(partition, brokerError({ nodeId, broker, api, code: errorCode, topic, partition: number }))
          if (ErrorCode.of(errorCode).invalidates.includes("leader")) yield* cluster.invalidate(topic)
          continue
        }
        partition.failures = 0
        outcomes.isInLog(partition, leaderEpoch, endOffset)
        partition.leaderEpoch = wanted.get(partition)!.leaderEpoch
      }
    }
    for (const partition of versions.keys()) outcomes.backOff(partition)
  })
  yield* Effect.catch(asking, (error) => {
    const current = [...versions].filter(([partition, version]) => partition.version === version)
    return outcomes.failed(
      current.map(([partition]) => partition),
      error
    )
  })
})
