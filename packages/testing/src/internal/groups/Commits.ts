/**
 * What OffsetCommit and TxnOffsetCommit have in common: offsets that are kept one by one, each with an error code.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as Cluster from "../Cluster.ts"
import type { CommittedOffset } from "./GroupOffsets.ts"

/** A topic of a request. @internal */
export interface Committing {
  readonly name: string
  readonly topicId: string
  readonly partitions: ReadonlyArray<{
    readonly partitionIndex: number
    readonly committedOffset: bigint
    readonly committedLeaderEpoch: number
    readonly committedMetadata: string | null
  }>
}

/** Kafka's default. */
const maxMetadataBytes = 4096

/** The topics of an answer, with an error code for each partition. @internal */
export const answerAll = (
  topics: ReadonlyArray<Committing>,
  codeOf: (topic: Committing, partition: number) => number
) => ({
  topics: topics.map((topic) => ({
    name: topic.name,
    topicId: topic.topicId,
    partitions: topic.partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: codeOf(topic, partitionIndex)
    }))
  }))
})

/** Keeps what can be kept, and answers. @internal */
export const commit = (
  cluster: Cluster.Cluster,
  topics: ReadonlyArray<Committing>,
  byId: boolean,
  keep: (topic: string, partition: number, committed: CommittedOffset) => void
) => {
  const longest = Cluster.numberSetting(cluster, "offset.metadata.max.bytes", maxMetadataBytes)
  const errors = new Map<Committing, Map<number, number>>()
  for (const asked of topics) {
    const topic = Cluster.topicOf(cluster, byId ? { topicId: asked.topicId } : { name: asked.name })
    const ofTopic = new Map<number, number>()
    errors.set(asked, ofTopic)
    for (const { committedLeaderEpoch: leaderEpoch, committedMetadata, ...committed } of asked.partitions) {
      const { committedOffset: offset, partitionIndex } = committed
      const metadata = committedMetadata ?? ""
      if (topic === undefined && byId) ofTopic.set(partitionIndex, codes.UNKNOWN_TOPIC_ID)
      else if (topic?.partitions[partitionIndex] === undefined) {
        ofTopic.set(partitionIndex, codes.UNKNOWN_TOPIC_OR_PARTITION)
      } else if (Buffer.byteLength(metadata) > longest) {
        ofTopic.set(partitionIndex, codes.OFFSET_METADATA_TOO_LARGE)
      } else keep(topic.name, partitionIndex, { offset, leaderEpoch, metadata })
    }
  }
  return answerAll(topics, (topic, partition) => errors.get(topic)?.get(partition) ?? codes.NONE)
}
