/**
 * Compaction of a log, when a test asks for it: the last record of each key stays, with the offset that it has. Tombstones
 * stay for `delete.retention.ms` after the first compaction that meets them. Batches that lose all their records go, but for
 * the last of each producer, by which its sequence is known, and the last of all, by which the end of the log is.
 *
 * Kafka compacts segments that are full; here it is all that is decided (up to the last stable offset). Transaction markers
 * stay for good.
 *
 * @since 0.1.0
 */

import type { Record } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { at } from "@kafka-effect/protocol/RecordBatchLayout"
import * as Records from "@kafka-effect/protocol/Records"
import { crc32c } from "@node-rs/crc32"
import { type Cluster, notify, type Partition } from "./Cluster.ts"
import * as Configs from "./Configs.ts"
import type { LogBatch, PartitionLog } from "./PartitionLog.ts"

/** A batch and what it holds. */
interface Read {
  readonly batch: LogBatch
  readonly records: ReadonlyArray<Record>
}

/** The batches that may be compacted. */
const cleanable = (cluster: Cluster, { log, topic }: Partition): ReadonlyArray<LogBatch> => {
  const lag = Configs.topicNumber(cluster, topic, "min.compaction.lag.ms")
  const now = cluster.loop.wallTime()
  const { batches, lastStableOffset } = log
  const stays = batches.findIndex(
    ({ header, lastOffset, maxTimestamp }) =>
      lastOffset >= lastStableOffset || header.magic < 2 || (lag > 0 && maxTimestamp > now - lag)
  )
  return stays < 0 ? [...batches] : batches.slice(0, stays)
}

const isAborted = ({ aborted }: PartitionLog, { baseOffset, header, lastOffset }: LogBatch): boolean =>
  header.isTransactional &&
  !header.isControl &&
  aborted.some(
    (transaction) =>
      transaction.producerId === header.producerId &&
      transaction.firstOffset <= baseOffset &&
      transaction.lastOffset >= lastOffset
  )

const nameOf = (key: Uint8Array): string => Buffer.from(key).toString("latin1")

/** The offset of the last record of each key. */
const lastOffsets = (read: ReadonlyArray<Read>): ReadonlyMap<string, bigint> => {
  const last = new Map<string, bigint>()
  for (const { records } of read) for (const { key, offset } of records) if (key !== null) last.set(nameOf(key), offset)
  return last
}

/** The last batch with data of each producer. */
const lastOfProducers = ({ batches }: PartitionLog): ReadonlySet<LogBatch> => {
  const last = new Map<bigint, LogBatch>()
  for (const batch of batches) {
    const { isControl, producerId } = batch.header
    if (producerId >= 0 && !isControl) last.set(producerId, batch)
  }
  return new Set(last.values())
}

/** The batch with fewer records, or none: offsets, producer and compression stay. */
const rebuilt = async (
  { appendedAt, baseOffset, header, lastOffset, maxTimestamp }: LogBatch,
  records: ReadonlyArray<Record>,
  deleteHorizon: number | undefined
): Promise<LogBatch> => {
  const { baseSequence, isTransactional, partitionLeaderEpoch, producerEpoch, producerId, timestampType } = header
  const builder = new RecordBatchBuilder()
  for (const { headers, key, offset, timestamp, value } of records) {
    builder.append(timestamp, key, value, headers, Number(offset - baseOffset))
  }
  const built = await builder.build({
    compression: records.length === 0 ? "none" : header.compression,
    baseOffset,
    partitionLeaderEpoch,
    producerId,
    producerEpoch,
    baseSequence,
    isTransactional,
    ...(timestampType === "append" ? { appendTime: maxTimestamp } : {})
  })
  const bytes = Uint8Array.from(built)
  const view = new DataView(bytes.buffer)
  view.setInt32(at.lastOffsetDelta, Number(lastOffset - baseOffset))
  if (records.length === 0) view.setBigInt64(at.maxTimestamp, BigInt(maxTimestamp))
  view.setUint32(at.crc, crc32c(bytes.subarray(at.attributes)))
  const kept = RecordBatch.header(bytes)
  return {
    bytes,
    header: kept,
    baseOffset,
    lastOffset,
    maxTimestamp: kept.maxTimestamp,
    appendedAt,
    ...(deleteHorizon === undefined ? {} : { deleteHorizon })
  }
}

/** What becomes of each batch: itself, another in its place, or nothing. */
const cleaned = async (
  cluster: Cluster,
  partition: Partition,
  batches: ReadonlyArray<LogBatch>
): Promise<ReadonlyMap<LogBatch, LogBatch | undefined>> => {
  const { log, topic } = partition
  const now = cluster.loop.wallTime()
  const retention = Configs.topicNumber(cluster, topic, "delete.retention.ms")
  const needed = lastOfProducers(log)
  const aborted = new Set(batches.filter((batch) => isAborted(log, batch)))
  const read = await Promise.all(
    batches.map(async (batch): Promise<Read> => {
      const isData = !batch.header.isControl && !aborted.has(batch)
      return { batch, records: isData ? await Records.decode(batch.header, { checkCrcs: false }) : [] }
    })
  )
  const last = lastOffsets(read)
  const outcome = new Map<LogBatch, LogBatch | undefined>()
  for (const { batch, records } of read) {
    if (batch.header.isControl) continue
    const { deleteHorizon } = batch
    const isGone = deleteHorizon !== undefined && now >= deleteHorizon
    const kept = records.filter(
      ({ key, offset, value }) => key !== null && last.get(nameOf(key)) === offset && !(value === null && isGone)
    )
    const isNeeded = needed.has(batch) || batch === batches.at(-1)
    const meetsTombstone = deleteHorizon === undefined && kept.some(({ value }) => value === null)
    const horizon = meetsTombstone ? now + retention : deleteHorizon
    if (kept.length === 0 && !isNeeded) outcome.set(batch, undefined)
    else if (kept.length < batch.header.recordCount) outcome.set(batch, await rebuilt(batch, kept, horizon))
    else if (meetsTombstone) outcome.set(batch, { ...batch, deleteHorizon: now + retention })
  }
  return outcome
}

/** Compacts a partition's log; its records are read on other threads where they are compressed. @internal */
export const compact = async (cluster: Cluster, partition: Partition): Promise<void> => {
  const { log } = partition
  const outcome = await cleaned(cluster, partition, cleanable(cluster, partition))
  if (outcome.size === 0) return
  await new Promise<void>((resolve) =>
    cluster.loop.post(() => {
      // New entries throughout: files know by the first and the last whether they have all.
      const left = log.batches.flatMap((batch) => {
        const entry = outcome.has(batch) ? outcome.get(batch) : batch
        return entry === undefined ? [] : [{ ...entry }]
      })
      log.batches.splice(0, log.batches.length, ...left)
      notify(partition)
      resolve()
    })
  )
}
