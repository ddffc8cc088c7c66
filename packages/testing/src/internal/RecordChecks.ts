/**
 * What a topic's settings ask of records that come: their keys, their times, and how they are compressed in the log.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as MaybePromise from "@kafka-effect/protocol/MaybePromise"
import type { Record } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import type { Refused } from "./Appending.ts"
import { type Cluster, type Partition, upNodes } from "./Cluster.ts"
import * as Configs from "./Configs.ts"
import { atLeast } from "./Release.ts"

/** Whether there are as many replicas in sync as records need that are to be on all of them. @internal */
export const inSync = (cluster: Cluster, { replicas, topic }: Partition, acks: number): Refused | undefined => {
  if (acks !== -1) return undefined
  // More than there are replicas cannot be asked for.
  const wanted = Math.min(Configs.topicNumber(cluster, topic, "min.insync.replicas"), replicas.length)
  const up = upNodes(cluster).map(({ nodeId }) => nodeId)
  const isr = replicas.filter((id) => up.includes(id))
  return isr.length >= wanted ? undefined : { code: codes.NOT_ENOUGH_REPLICAS }
}

/** What is wrong with the times of records; undefined for nothing. */
const timeProblem = (cluster: Cluster, { topic }: Partition): ((record: Record) => string | undefined) => {
  if (Configs.topicText(cluster, topic, "message.timestamp.type") === "LogAppendTime") return () => undefined
  const now = cluster.loop.wallTime()
  const before = Configs.topicNumber(cluster, topic, "message.timestamp.before.max.ms")
  // Kafka has had a bound in the future since 4.0 (KIP-1030).
  const after =
    atLeast(cluster.release, "4.0") || topic.configs.has("message.timestamp.after.max.ms")
      ? Configs.topicNumber(cluster, topic, "message.timestamp.after.max.ms")
      : Number.POSITIVE_INFINITY
  return ({ offset, timestamp }) => {
    if (timestamp === -1 || (now - timestamp <= before && timestamp - now <= after)) return undefined
    return `Timestamp ${timestamp} of message with offset ${offset} is out of range. The timestamp should be within [${now - before}, ${now + after}]`
  }
}

/** Whether a topic takes these records. @internal */
export const check = (
  cluster: Cluster,
  partition: Partition,
  records: ReadonlyArray<Record>,
  timestampType: "create" | "append" = "create"
): Refused | undefined => {
  const { index: place, topic } = partition
  if (timestampType === "append") {
    const detail = "Producer should not set timestamp type to LogAppendTime."
    const all = records.map((_, index) => [index, detail] as const)
    const message = "One or more records have been rejected due to invalid timestamp"
    return { code: codes.INVALID_TIMESTAMP, message, records: all }
  }
  const needsKey = Configs.topicList(cluster, topic, "cleanup.policy").includes("compact")
  const problemOfTime = timeProblem(cluster, partition)
  const found: Array<readonly [number, string]> = []
  let isTime = false
  for (const [index, record] of records.entries()) {
    if (needsKey && record.key === null) {
      found.push([index, `Compacted topic cannot accept message without key in topic partition ${topic.name}-${place}`])
      continue
    }
    const problem = problemOfTime(record)
    if (problem === undefined) continue
    isTime = true
    found.push([index, problem])
  }
  if (found.length === 0) return undefined
  if (isTime) {
    const message = "One or more records have been rejected due to invalid timestamp"
    return { code: codes.INVALID_TIMESTAMP, message, records: found }
  }
  const shown = found.slice(0, 3).map(([index, detail]) => `RecordError(batchIndex=${index}, message='${detail}')`)
  const message = `One or more records have been rejected due to ${found.length} record errors in total, and only showing the first three errors at most: [${shown.join(", ")}]`
  return { code: codes.INVALID_RECORD, message, records: found }
}

/** How a topic's log is compressed that does not leave it to producers. */
const compressionOf = (cluster: Cluster, { topic }: Partition, sent: CompressionType): CompressionType => {
  const text = Configs.topicText(cluster, topic, "compression.type")
  if (text === "producer") return sent
  // The names that the setting may have are those of the codecs.
  return text === "uncompressed" ? "none" : (text as CompressionType)
}

/** The batch as the topic's log keeps it. @internal */
export const recompress = (
  cluster: Cluster,
  partition: Partition,
  batch: RecordBatch.RecordBatch,
  records: ReadonlyArray<Record>
): MaybePromise.MaybePromise<RecordBatch.RecordBatch> => {
  const compression = compressionOf(cluster, partition, batch.compression)
  if (compression === batch.compression) return batch
  const builder = new RecordBatchBuilder()
  for (const { headers, key, timestamp, value } of records) builder.append(timestamp, key, value, headers)
  const { isTransactional, producerEpoch, producerId, baseSequence } = batch
  const level = Configs.topicNumber(cluster, partition.topic, `compression.${compression}.level`)
  const hasLevel = (compression === "gzip" && level >= 0) || compression === "zstd"
  const built = builder.build({
    compression,
    ...(hasLevel ? { compressionLevel: level } : {}),
    isTransactional,
    producerEpoch,
    producerId,
    baseSequence
  })
  return MaybePromise.map(built, RecordBatch.header)
}
