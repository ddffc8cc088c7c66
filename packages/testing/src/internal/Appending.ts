/**
 * What a broker checks about batches that come, and how they get into the log.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type * as MaybePromise from "@kafka-effect/protocol/MaybePromise"
import type { Record } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import { type Cluster, notify, type Partition, topicSetting } from "./Cluster.ts"
import type { LogBatch } from "./PartitionLog.ts"

/** Why nothing is appended. @internal */
export interface Refused {
  readonly code: number
  readonly message?: string
  /** The records that are at fault, by their places (KIP-467). */
  readonly records?: ReadonlyArray<readonly [index: number, message: string]>
}

/** A batch that may be appended. @internal */
export interface Accepted {
  readonly batch: RecordBatch.RecordBatch
}

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

/** Whether the batch may be appended, as far as it alone is concerned. @internal */
export const check = (
  cluster: Cluster,
  { topic }: Partition,
  bytes: Uint8Array | null,
  { version }: { readonly version: number }
): MaybePromise.MaybePromise<Checked> => {
  if (bytes === null || bytes.length === 0) return { code: codes.INVALID_RECORD, message: "there are no records" }
  try {
    const { batches, partialBytes } = Records.split(bytes)
    const [batch] = batches
    if (batch === undefined || partialBytes > 0) return { code: codes.CORRUPT_MESSAGE, message: "a batch is cut off" }
    if (batches.length > 1) return { code: codes.INVALID_RECORD, message: "more than one batch for a partition" }
    if (batch.magic !== 2 || version < 3) {
      return { code: codes.UNSUPPORTED_FOR_MESSAGE_FORMAT, message: "record batches of format v2 are wanted" }
    }
    const limit = Number(topicSetting(cluster, topic, "max.message.bytes", "message.max.bytes") ?? defaultMaxBytes)
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
  { batch }: Accepted,
  _acks: number
): Refused | Appended => {
  const { leaderEpoch, log, topic } = partition
  const verdict = log.producers.check(batch)
  if (verdict._tag === "Refused") return verdict
  if (verdict._tag === "Duplicate") return verdict
  const time = cluster.loop.wallTime()
  const isAppendTime =
    topicSetting(cluster, topic, "message.timestamp.type", "log.message.timestamp.type") === "LogAppendTime"
  const bytes = RecordBatch.appended(batch, {
    baseOffset: log.endOffset,
    partitionLeaderEpoch: leaderEpoch,
    ...(isAppendTime ? { appendTime: time } : {})
  })
  const logAppendTime = isAppendTime ? time : -1
  return { baseOffset: write(cluster, partition, bytes, logAppendTime).baseOffset, logAppendTime }
}

/** Puts a batch that has its offsets at the end of the log. @internal */
export const write = ({ loop }: Cluster, partition: Partition, bytes: Uint8Array, logAppendTime: number): LogBatch => {
  const { log } = partition
  const header = RecordBatch.header(bytes)
  const { baseOffset, lastOffset, maxTimestamp } = header
  const entry: LogBatch = { bytes, header, baseOffset, lastOffset, maxTimestamp, appendedAt: loop.wallTime() }
  log.append(entry)
  log.highWatermark = log.endOffset
  log.producers.append(header, baseOffset, logAppendTime)
  notify(partition)
  return entry
}
