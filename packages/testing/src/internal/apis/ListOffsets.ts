/**
 * ListOffsets: the first offset, the last, or that of a time (KIP-79, KIP-734).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ListOffsets,
  type ListOffsetsPartition,
  type ListOffsetsPartitionResponse,
  type ListOffsetsRequest,
  type ListOffsetsResponse
} from "@kafka-effect/protocol/messages/ListOffsets"
import * as Records from "@kafka-effect/protocol/Records"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type * as Cluster from "../Cluster.ts"
import type { BrokerNode } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"
import type { LogBatch, PartitionLog } from "../PartitionLog.ts"
import { atLeast } from "../Release.ts"

type Found = { readonly offset: bigint; readonly timestamp: bigint }

const none = BigInt(-1)
const latest = BigInt(-1)
const earliest = BigInt(-2)
const greatestTime = BigInt(-3)
const earliestLocal = BigInt(-4)
/** The versions from which on a time that is none is known: of tiered storage, nothing is found (KIP-1005, KIP-1023). */
const firstVersions = new Map([
  [latest, 0],
  [earliest, 0],
  [greatestTime, 7],
  [earliestLocal, 8],
  [BigInt(-5), 9],
  [BigInt(-6), 11]
])
const nothing: Found = { offset: none, timestamp: none }

/** The first record of a batch with at least that time, or exactly the greatest. */
const within = async (batch: LogBatch, time: number): Promise<Found | undefined> => {
  const records = await Records.decode(batch.header, { checkCrcs: false })
  const record = records.find(({ timestamp }) => timestamp >= time)
  return record === undefined ? undefined : { offset: record.offset, timestamp: BigInt(record.timestamp) }
}

const byTime = async (log: PartitionLog, limit: bigint, time: number): Promise<Found> => {
  for (const batch of log.batches) {
    if (batch.baseOffset >= limit) break
    if (batch.header.isControl || batch.maxTimestamp < time) continue
    const found = await within(batch, time)
    if (found !== undefined && found.offset >= log.startOffset) return found
  }
  return nothing
}

const byGreatestTime = async (log: PartitionLog): Promise<Found> => {
  let greatest: LogBatch | undefined
  for (const batch of log.batches) {
    if (batch.header.recordCount === 0) continue
    if (!batch.header.isControl && (greatest === undefined || batch.maxTimestamp > greatest.maxTimestamp))
      greatest = batch
  }
  return (greatest === undefined ? undefined : await within(greatest, greatest.maxTimestamp)) ?? nothing
}

/** Brokers since 3.9 refuse what a version does not know; those before took it for a time, if they did not know it. */
const isRefused = ({ release }: Cluster.Cluster, timestamp: bigint, version: number): boolean =>
  timestamp < 0 && version < (firstVersions.get(timestamp) ?? Number.POSITIVE_INFINITY) && atLeast(release, "3.9")

const find = (log: PartitionLog, timestamp: bigint, isolationLevel: number): Found | Promise<Found> => {
  const limit = isolationLevel === 1 ? log.lastStableOffset : log.highWatermark
  if (timestamp === latest) return { offset: limit, timestamp: none }
  if (timestamp === earliest || timestamp === earliestLocal) return { offset: log.startOffset, timestamp: none }
  if (timestamp === greatestTime) return byGreatestTime(log)
  if (firstVersions.has(timestamp)) return nothing
  return byTime(log, limit, Number(timestamp))
}

/** Version 0 gives the beginnings of segments and the end, each with the time of its last change; this log has one segment. */
const oldStyle = (
  log: PartitionLog,
  { maxNumOffsets, timestamp }: ListOffsetsPartition,
  now: number
): ReadonlyArray<bigint> => {
  const { batches, highWatermark, startOffset } = log
  const times = [{ offset: startOffset, changedAt: batches.at(-1)?.appendedAt ?? now }]
  if (batches.length > 0) times.unshift({ offset: highWatermark, changedAt: now })
  const found =
    timestamp === latest
      ? times
      : times.filter(({ changedAt }, index) =>
          timestamp === earliest ? index === times.length - 1 : changedAt <= Number(timestamp)
        )
  return found.map(({ offset }) => offset).slice(0, Math.max(0, maxNumOffsets))
}

const answerFor = async (
  cluster: Cluster.Cluster,
  node: BrokerNode,
  name: string,
  asked: ListOffsetsPartition,
  isolationLevel: number,
  version: number
): Promise<Wire.Input<ListOffsetsPartitionResponse>> => {
  const { currentLeaderEpoch, partitionIndex, timestamp } = asked
  const partition = cluster.topics.get(name)?.partitions[partitionIndex]
  const errorCode = Leadership.check(partition, node, currentLeaderEpoch)
  if (partition === undefined || errorCode !== codes.NONE) return { partitionIndex, errorCode }
  if (version === 0)
    return { partitionIndex, errorCode, oldStyleOffsets: oldStyle(partition.log, asked, cluster.loop.wallTime()) }
  if (isRefused(cluster, timestamp, version)) return { partitionIndex, errorCode: codes.UNSUPPORTED_VERSION }
  const found = await find(partition.log, timestamp, isolationLevel)
  // A log without records is in the epoch of its leader.
  const isEmpty = partition.log.batches.length === 0
  const epoch = isEmpty ? partition.leaderEpoch : Leadership.epochAt(partition.log, found.offset)
  const leaderEpoch = found.offset < 0 ? -1 : epoch
  return { partitionIndex, errorCode, ...found, ...(version < 4 ? {} : { leaderEpoch }) }
}

/** @internal */
export const handler: Handler<ListOffsetsRequest, ListOffsetsResponse> = {
  api: ListOffsets,
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode }))
    }))
  }),
  handle: (cluster, { answer, message, node, version }) => {
    const { isolationLevel, topics } = message
    const answers = topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map((asked) => answerFor(cluster, node, name, asked, isolationLevel, version))
      )
    }))
    // Compressed batches are read on other threads.
    void Promise.all(answers).then((found) => cluster.loop.post(() => answer({ topics: found })))
  }
}
