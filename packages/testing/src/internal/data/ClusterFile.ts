/**
 * `cluster.json` of a data directory: all that outlives a cluster, except its records.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Cluster, Partition, Topic } from "../Cluster.ts"
import { PartitionLog } from "../PartitionLog.ts"

/** The name within the directory. @internal */
export const fileName = "cluster.json"

/** The way in which this version writes it. */
const format = 1

const Offset = Schema.BigIntFromString

const Committed = Schema.Struct({
  partition: Schema.Int,
  offset: Offset,
  leaderEpoch: Schema.Int,
  metadata: Schema.String
})

/** @internal */
export const ClusterState = Schema.Struct({
  format: Schema.Literal(format),
  nextProducerId: Offset,
  topics: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      id: Schema.String,
      isInternal: Schema.Boolean,
      configs: Schema.Record(Schema.String, Schema.String),
      partitions: Schema.Array(
        Schema.Struct({
          replicas: Schema.Array(Schema.Int),
          leaderEpoch: Schema.Int,
          startOffset: Offset,
          endOffset: Offset
        })
      )
    })
  ),
  offsets: Schema.Array(
    Schema.Struct({
      group: Schema.String,
      topics: Schema.Array(Schema.Struct({ topic: Schema.String, partitions: Schema.Array(Committed) }))
    })
  )
})

/** @internal */
export type ClusterState = typeof ClusterState.Type

const Text = Schema.fromJsonString(ClusterState)

/** Fails with a `SchemaError` that names the place. @internal */
export const decode = Schema.decodeUnknownEffect(Text)

const encode = Schema.encodeSync(Text)

/** What a cluster has, as text. @internal */
export const text = (cluster: Cluster): string =>
  encode({
    format,
    nextProducerId: cluster.nextProducerId,
    topics: [...cluster.topics.values()].map(({ configs, id, isInternal, name, partitions }) => ({
      name,
      id,
      isInternal,
      configs: Object.fromEntries(configs),
      partitions: partitions.map(({ leaderEpoch, log: { endOffset, startOffset }, replicas }) => ({
        replicas,
        leaderEpoch,
        startOffset,
        endOffset
      }))
    })),
    offsets: [...cluster.groups].map(([group, { offsets }]) => ({
      group,
      topics: offsets.all().map(([topic, partitions]) => ({
        topic,
        partitions: [...partitions].map(([partition, committed]) => ({ partition, ...committed }))
      }))
    }))
  })

const restorePartition = (
  topic: Topic,
  index: number,
  stored: ClusterState["topics"][number]["partitions"][number],
  nodeIds: ReadonlyArray<number>
): Partition => {
  // The cluster may have fewer brokers than it had.
  const known = stored.replicas.filter((id) => nodeIds.includes(id))
  const replicas = known.length > 0 ? known : [nodeIds[index % nodeIds.length]]
  const log = new PartitionLog()
  log.startOffset = stored.startOffset
  log.endOffset = stored.endOffset
  log.highWatermark = stored.endOffset
  // Who leads after a restart leads under a new epoch.
  return { topic, index, replicas, leader: replicas[0], leaderEpoch: stored.leaderEpoch + 1, log, waiting: new Set() }
}

/** Topics as they were, whose logs have no records yet. @internal */
export const restoreTopics = (cluster: Cluster, state: ClusterState, nodeIds: ReadonlyArray<number>): void => {
  for (const { configs, id, isInternal, name, partitions } of state.topics) {
    const topic: Topic = { name, id, isInternal, configs: new Map(Object.entries(configs)), partitions: [] }
    topic.partitions.push(...partitions.map((stored, index) => restorePartition(topic, index, stored, nodeIds)))
    cluster.topics.set(name, topic)
  }
}
