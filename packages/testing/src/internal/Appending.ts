/**
 * What a broker checks about batches that come, and how they get into the log.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as MaybePromise from "@kafka-effect/protocol/MaybePromise"
import type { Record } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import { type Cluster, type Partition, type Topic, topicSetting } from "./Cluster.ts"
import * as OldFormats from "./OldFormats.ts"
import type { LogBatch } from "./PartitionLog.ts"
import * as Replication from "./Replication.ts"

/** Why nothing is appended. @internal */
export interface Refused {
  readonly code: number
  readonly message?: string
  /** The records that are at fault, by their places (KIP-467). */
  readonly records?: ReadonlyArray<readonly [index: number, message: string]>
}

/** What may be appended: a batch, or records for a log in the format of old. @internal */
export type Accepted = { readonly batch: RecordBatch.RecordBatch } | OldFormats.Messages

/** @internal */
export type Checked = Refused | Accepted

/** Where something was appended. @internal */
export interface Appended {
  readonly baseOffset: bigint
  /** -1 where records keep their own time. */
  readonly logAppendTime: number
}

const defaultMaxBytes = 1024 * 1024 + 12

const one = BigInt(1)

const isRefused = (error: unknown): Refused => {
  if (error instanceof WireError) {
    const code = error.reason === "TooLarge" ? codes.MESSAGE_TOO_LARGE : codes.CORRUPT_MESSAGE
    return { code, message: error.message }
  }
  throw error
}

const maxBytesOf = (cluster: Cluster, topic: Topic): number =>
  Number(topicSetting(cluster, topic, "max.message.bytes", "message.max.bytes") ?? defaultMaxBytes)

const isAppendTimeOf = (cluster: Cluster, topic: Topic): boolean =>
  topicSetting(cluster, topic, "message.timestamp.type", "log.message.timestamp.type") === "LogAppendTime"

/** Whether records may be appended, as far as they alone are concerned. @internal */
export const check = (
  cluster: Cluster,
  partition: Partition,
  bytes: Uint8Array | null,
  { version }: { readonly version: number }
): MaybePromise.MaybePromise<Checked> => {
  if (version >= 3) return checkBatch(cluster, partition, bytes, version)
  try {
    const sent = bytes ?? new Uint8Array(0)
    const [first] = Records.split(sent).batches
    // Some clients send what only later versions have; brokers have always taken it.
    if (first?.magic === 2 && cluster.release.magic === 2) return checkBatch(cluster, partition, sent, version)
    const checked = OldFormats.check(cluster.release, sent, maxBytesOf(cluster, partition.topic))
    return checked instanceof Promise ? checked.catch(isRefused) : checked
  } catch (error) {
    return isRefused(error)
  }
}

const checkBatch = (
  cluster: Cluster,
  { topic }: Partition,
  bytes: Uint8Array | null,
  version: number
): MaybePromise.MaybePromise<Checked> => {
  if (bytes === null || bytes.length === 0) return { code: codes.INVALID_RECORD, message: "there are no records" }
  try {
    const { batches, partialBytes } = Records.split(bytes)
    const [batch] = batches
    if (batch === undefined || partialBytes > 0) return { code: codes.CORRUPT_MESSAGE, message: "a batch is cut off" }
    if (batches.length > 1) return { code: codes.INVALID_RECORD, message: "more than one batch for a partition" }
    if (batch.magic !== 2) {
      const message = `Produce requests with version ${version} are only allowed to contain record batches with magic version 2`
      return OldFormats.invalid(cluster.release, message)
    }
    if (batch.compression === "zstd" && version < 7) {
      const message = `Produce requests with version ${version} are not allowed to use ZStandard compression`
      return { code: codes.UNSUPPORTED_COMPRESSION_TYPE, message }
    }
    const limit = maxBytesOf(cluster, topic)
    if (batch.bytes.length > limit) {
      const message = `The record batch size in the append to ${topic.name} is ${batch.bytes.length} bytes which exceeds the maximum configured value of ${limit}.`
      return { code: codes.MESSAGE_TOO_LARGE, message }
    }
    // Format v2 is that of record batches.
    const v2 = batch as RecordBatch.RecordBatch
    if (v2.isControl) return { code: codes.INVALID_RECORD, message: "clients may not write control records" }
    if (v2.producerId >= 0 && (v2.producerEpoch < 0 || v2.baseSequence < 0)) {
      return { code: codes.INVALID_RECORD, message: "an idempotent batch has an epoch and a sequence" }
    }
    const isCounted = v2.lastOffset - v2.baseOffset + one === BigInt(v2.recordCount)
    if (!isCounted || v2.recordCount < 1) return { code: codes.INVALID_RECORD, message: "the record count is wrong" }
    const accept = (records: ReadonlyArray<Record>): Checked => {
      const isDense = records.every(({ offset }, index) => offset === v2.baseOffset + BigInt(index))
      return isDense ? { batch: v2 } : { code: codes.INVALID_RECORD, message: "offsets within the batch have gaps" }
    }
    const records = Records.decode(v2)
    return records instanceof Promise ? records.then(accept, isRefused) : accept(records)
  } catch (error) {
    return isRefused(error)
  }
}

/** Appends what was checked, with the offsets that it gets here. @internal */
export const append = (
  cluster: Cluster,
  partition: Partition,
  accepted: Accepted,
  _acks: number
): MaybePromise.MaybePromise<Refused | Appended> => {
  if ("records" in accepted) return appendMessages(cluster, partition, accepted)
  const { batch } = accepted
  const { leaderEpoch, log, topic } = partition
  const verdict = log.producers.check(batch)
  if (verdict._tag === "Refused") return verdict
  if (verdict._tag === "Duplicate") return verdict
  const time = cluster.loop.wallTime()
  const isAppendTime = isAppendTimeOf(cluster, topic)
  const bytes = RecordBatch.appended(batch, {
    baseOffset: log.endOffset,
    partitionLeaderEpoch: leaderEpoch,
    ...(isAppendTime ? { appendTime: time } : {})
  })
  const logAppendTime = isAppendTime ? time : -1
  return write(cluster, partition, bytes, logAppendTime)
}

/** Puts a batch that has its offsets at the end of the log. @internal */
export const write = (cluster: Cluster, partition: Partition, bytes: Uint8Array, logAppendTime: number): Appended => {
  const { log } = partition
  const header = RecordBatch.header(bytes)
  const { baseOffset, lastOffset, maxTimestamp } = header
  log.producers.append(header, baseOffset, logAppendTime)
  const entry = { bytes, header, baseOffset, lastOffset, maxTimestamp, appendedAt: cluster.loop.wallTime() }
  return enter(cluster, partition, [entry], logAppendTime)
}

const enter = (
  cluster: Cluster,
  partition: Partition,
  entries: ReadonlyArray<LogBatch>,
  logAppendTime: number
): Appended => {
  const { log } = partition
  for (const entry of entries) log.append(entry)
  Replication.appended(cluster, partition)
  return { baseOffset: entries[0].baseOffset, logAppendTime }
}

/** Compressed messages of magic 0 have their offsets inside: others may append while they are compressed again. */
const appendMessages = (
  cluster: Cluster,
  partition: Partition,
  messages: OldFormats.Messages
): MaybePromise.MaybePromise<Refused | Appended> => {
  const { leaderEpoch, log, topic } = partition
  const { magic } = cluster.release
  if (messages.records.length === 0) return { baseOffset: BigInt(-1), logAppendTime: -1 }
  if (magic === 2) throw new Error("a log of record batches takes no messages")
  const baseOffset = log.endOffset
  const now = cluster.loop.wallTime()
  const isAppendTime = magic === 1 && isAppendTimeOf(cluster, topic)
  return MaybePromise.map(OldFormats.place(messages, { magic, baseOffset, now, isAppendTime }), (entries) => {
    if (partition.leaderEpoch !== leaderEpoch) return { code: codes.NOT_LEADER_OR_FOLLOWER }
    if (log.endOffset !== baseOffset) return appendMessages(cluster, partition, messages)
    const limit = maxBytesOf(cluster, topic)
    if (entries.some(({ bytes }) => bytes.length > limit)) return { code: codes.MESSAGE_TOO_LARGE }
    return enter(cluster, partition, entries, isAppendTime ? now : -1)
  })
}
