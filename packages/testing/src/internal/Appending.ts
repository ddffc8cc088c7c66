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
import type { Cluster, Partition, Topic } from "./Cluster.ts"
import * as Configs from "./Configs.ts"
import * as OldFormats from "./OldFormats.ts"
import type { LogBatch } from "./PartitionLog.ts"
import * as RecordChecks from "./RecordChecks.ts"
import * as Replication from "./Replication.ts"

/** Why nothing is appended. @internal */
export interface Refused {
  readonly code: number
  readonly message?: string
  /** The records that are at fault, by their places (KIP-467). */
  readonly records?: ReadonlyArray<readonly [index: number, message: string]>
  /** Told where the log, and not who received the request, refuses. */
  readonly logStartOffset?: bigint
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

const one = BigInt(1)

const isRefused = (error: unknown): Refused => {
  if (error instanceof WireError) {
    const isCodec = error.reason === "UnknownCompression" || error.reason === "Decompression"
    return { code: isCodec ? codes.UNKNOWN_SERVER_ERROR : codes.CORRUPT_MESSAGE, message: error.message }
  }
  throw error
}

const maxBytesOf = (cluster: Cluster, topic: Topic): number => Configs.topicNumber(cluster, topic, "max.message.bytes")

const isAppendTimeOf = (cluster: Cluster, topic: Topic): boolean =>
  Configs.topicText(cluster, topic, "message.timestamp.type") === "LogAppendTime"

/** Whether records may be appended, as far as they alone are concerned. @internal */
export const check = (
  cluster: Cluster,
  partition: Partition,
  bytes: Uint8Array | null,
  { acks, version }: { readonly acks: number; readonly version: number }
): MaybePromise.MaybePromise<Checked> => {
  const sent = bytes ?? new Uint8Array(0)
  try {
    if (version >= 3) {
      const refused = misfit(cluster, sent, version) ?? RecordChecks.inSync(cluster, partition, acks)
      return refused ?? checkBatch(cluster, partition, sent)
    }
    const outOfSync = RecordChecks.inSync(cluster, partition, acks)
    if (outOfSync !== undefined) return outOfSync
    const [first] = Records.split(sent).batches
    // Some clients send what only later versions have; brokers have always taken it.
    if (first?.magic === 2 && cluster.release.magic === 2) return checkBatch(cluster, partition, sent)
    const checked = OldFormats.check(cluster.release, sent, maxBytesOf(cluster, partition.topic))
    const accept = (result: Checked) => checkConverted(cluster, partition, result)
    return checked instanceof Promise ? checked.then(accept).catch(isRefused) : accept(checked)
  } catch (error) {
    return isRefused(error)
  }
}

/** What a version of Produce does not take, whatever the topic. */
const misfit = ({ release }: Cluster, bytes: Uint8Array, version: number): Refused | undefined => {
  const [batch, ...more] = Records.split(bytes).batches
  if (batch?.magic !== 2 || more.length > 0) {
    return OldFormats.invalid(release, `Produce requests with version ${version} have one record batch per partition`)
  }
  return batch.compression === "zstd" && version < 7 ? { code: codes.UNSUPPORTED_COMPRESSION_TYPE } : undefined
}

/** What was in a format of old and is now in that of the log. */
const checkConverted = (
  cluster: Cluster,
  partition: Partition,
  checked: Checked
): MaybePromise.MaybePromise<Checked> => {
  if ("code" in checked) return checked
  if ("records" in checked) return RecordChecks.check(cluster, partition, checked.records) ?? checked
  return MaybePromise.map(
    Records.decode(checked.batch, { checkCrcs: false }),
    (records) => RecordChecks.check(cluster, partition, records) ?? checked
  )
}

/** What is wrong with the header of a batch; undefined for nothing. */
const headerProblem = (batch: RecordBatch.RecordBatch): string | undefined => {
  const { baseSequence, isControl, lastOffset, producerId, recordCount } = batch
  if (recordCount < 1 || lastOffset + one !== BigInt(recordCount))
    return "the range of offsets is not that of the records"
  if (isControl) return "clients may not write control records"
  return producerId >= 0 && baseSequence < 0 ? "an idempotent batch has a sequence" : undefined
}

const checkBatch = (cluster: Cluster, partition: Partition, bytes: Uint8Array): MaybePromise.MaybePromise<Checked> => {
  const invalid = (message: string) => ({
    ...OldFormats.invalid(cluster.release, message),
    logStartOffset: partition.log.startOffset
  })
  // Format v2 is that of record batches, and there is one.
  const batch = Records.split(bytes).batches[0] as RecordBatch.RecordBatch
  if (batch.baseOffset !== BigInt(0)) return invalid("the offset of the first record is not 0")
  const limit = maxBytesOf(cluster, partition.topic)
  if (batch.bytes.length > limit) return { code: codes.MESSAGE_TOO_LARGE }
  const finish = (kept: RecordBatch.RecordBatch): Checked =>
    kept.bytes.length > limit ? { code: codes.MESSAGE_TOO_LARGE } : { batch: kept }
  const accept = (records: ReadonlyArray<Record>): MaybePromise.MaybePromise<Checked> => {
    const problem = headerProblem(batch)
    if (problem !== undefined) return invalid(problem)
    if (!records.every(({ offset }, at) => offset === BigInt(at))) return invalid("offsets within the batch have gaps")
    const refused = RecordChecks.check(cluster, partition, records, batch.timestampType)
    if (refused !== undefined) return { ...refused, logStartOffset: partition.log.startOffset }
    return MaybePromise.map(RecordChecks.recompress(cluster, partition, batch, records), finish)
  }
  const refuse = (error: unknown): Refused => {
    const isContent = error instanceof WireError && !["ChecksumMismatch", "Decompression"].includes(error.reason)
    return isContent ? invalid(error.message) : isRefused(error)
  }
  try {
    const records = Records.decode(batch)
    return records instanceof Promise ? records.then(accept).catch(refuse) : accept(records)
  } catch (error) {
    return refuse(error)
  }
}

/** Appends what was checked, with the offsets that it gets here. @internal */
export const append = (
  cluster: Cluster,
  partition: Partition,
  accepted: Accepted
): MaybePromise.MaybePromise<Refused | Appended> => {
  if ("records" in accepted) return appendMessages(cluster, partition, accepted)
  const { batch } = accepted
  const { leaderEpoch, log, topic } = partition
  const verdict = log.producers.check(batch)
  if (verdict._tag === "Refused") return { ...verdict, logStartOffset: log.startOffset }
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
  log.producers.append(header)
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
