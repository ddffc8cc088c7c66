/**
 * Fetch: batches from an offset on, at once or when there are enough bytes of them (KIP-74, KIP-227, KIP-320, KIP-516).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch, type FetchRequest, type FetchResponse, type PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Cluster from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import type { Exchange, Handler } from "../Exchange.ts"
import type { Plan, Wanted } from "../FetchSessions.ts"
import * as Leadership from "../Leadership.ts"
import * as OldFormats from "../OldFormats.ts"
import type { LogBatch, PartitionLog } from "../PartitionLog.ts"
import { atLeast } from "../Release.ts"

type Answer = Wire.Input<PartitionData>

const none = BigInt(-1)
const noRecords = new Uint8Array(0)

const refused = (partitionIndex: number, errorCode: number): Answer => ({
  partitionIndex,
  errorCode,
  highWatermark: none,
  abortedTransactions: null,
  records: noRecords
})

const together = (batches: ReadonlyArray<LogBatch>): Uint8Array =>
  batches.length === 1 ? batches[0].bytes : new Uint8Array(Buffer.concat(batches.map(({ bytes }) => bytes)))

/** Aborted transactions that have records among the batches. */
const abortedIn = (log: PartitionLog, batches: ReadonlyArray<LogBatch>) => {
  if (batches.length === 0) return []
  const from = batches[0].baseOffset
  const to = batches[batches.length - 1].lastOffset
  return log.aborted
    .filter(({ firstOffset, lastOffset }) => firstOffset <= to && lastOffset >= from)
    .map(({ firstOffset, producerId }) => ({ producerId, firstOffset }))
}

interface Read {
  readonly wanted: Wanted
  readonly answer: Answer
  readonly batches: ReadonlyArray<LogBatch>
  readonly bytes: number
  /** What is answered of it besides records, as far as it changes. */
  readonly state: string
}

const read = (
  cluster: Cluster.Cluster,
  { message, node, version }: Exchange<FetchRequest, FetchResponse>,
  wanted: Wanted,
  room: number,
  isFirst: boolean
): Read => {
  const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch, partition: index, partitionMaxBytes } = wanted
  const topic = Cluster.topicOf(cluster, version >= 13 ? { topicId: wanted.topicId } : { name: wanted.topic })
  const partition = topic?.partitions[index]
  const refuse = (code: number, more: Partial<Answer> = {}): Read => {
    // Errors are always told.
    return {
      wanted,
      answer: { ...refused(index, code), ...more },
      batches: [],
      bytes: 0,
      state: `${code} ${cluster.random()}`
    }
  }
  if (topic === undefined && version >= 13) return refuse(codes.UNKNOWN_TOPIC_ID, { abortedTransactions: [] })
  const code = Leadership.check(partition, node, currentLeaderEpoch)
  if (partition === undefined) return refuse(code, atLeast(cluster.release, "3.0") ? { abortedTransactions: [] } : {})
  const { leader, leaderEpoch, log } = partition
  if (code !== codes.NONE) {
    const isElsewhere = code === codes.NOT_LEADER_OR_FOLLOWER || code === codes.FENCED_LEADER_EPOCH
    return refuse(code, version >= 16 && isElsewhere ? { currentLeader: { leaderId: leader, leaderEpoch } } : {})
  }
  // Later brokers leave it to clients what they can read (KIP-110).
  const knowsZstd = version >= 10 || atLeast(cluster.release, "4.0")
  if (!knowsZstd && Configs.topicText(cluster, partition.topic, "compression.type") === "zstd") {
    return refuse(codes.UNSUPPORTED_COMPRESSION_TYPE)
  }
  const { highWatermark, lastStableOffset, startOffset } = log
  const limits = { highWatermark, lastStableOffset, logStartOffset: startOffset }
  if (lastFetchedEpoch >= 0) {
    const end = Leadership.endOf(log, leaderEpoch, lastFetchedEpoch)
    if (end.endOffset < 0) return refuse(codes.OFFSET_OUT_OF_RANGE)
    if (end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset) {
      return { ...refuse(codes.NONE, { ...limits, divergingEpoch: end }), bytes: 1 }
    }
  }
  if (fetchOffset < startOffset || fetchOffset > log.endOffset) {
    return refuse(codes.OFFSET_OUT_OF_RANGE)
  }
  const isCommitted = message.isolationLevel === 1
  const limit = isCommitted ? lastStableOffset : highWatermark
  const batches = log.read(fetchOffset, limit, Math.min(room, partitionMaxBytes), isFirst)
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
  const answer: Answer = {
    partitionIndex: index,
    errorCode: codes.NONE,
    ...limits,
    abortedTransactions: isCommitted ? abortedIn(log, batches) : null,
    records: batches.length === 0 ? noRecords : together(batches)
  }
  return { wanted, answer, batches, bytes, state: `0 ${highWatermark} ${startOffset}` }
}

const readAll = (
  cluster: Cluster.Cluster,
  exchange: Exchange<FetchRequest, FetchResponse>,
  { wanted }: Plan
): ReadonlyArray<Read> => {
  let room = exchange.version < 3 ? Number.POSITIVE_INFINITY : exchange.message.maxBytes
  let isFirst = true
  return wanted.map((one) => {
    const found = read(cluster, exchange, one, room, isFirst)
    // Before version 3, records are cut off where a partition's limit is.
    if (found.bytes > 0) isFirst = exchange.version < 3
    room = Math.max(0, room - found.bytes)
    return found
  })
}

const byTopic = (reads: ReadonlyArray<Read>): Wire.Input<FetchResponse>["responses"] => {
  const topics = new Map<string, { topic: string; topicId: string; partitions: Array<Answer> }>()
  for (const { answer, wanted } of reads) {
    const { topic, topicId } = wanted
    const key = `${topic} ${topicId}`
    const known = topics.get(key)
    if (known === undefined) topics.set(key, { topic, topicId, partitions: [answer] })
    else known.partitions.push(answer)
  }
  return [...topics.values()]
}

const respond = (exchange: Exchange<FetchRequest, FetchResponse>, plan: Plan, reads: ReadonlyArray<Read>): void => {
  const told = reads.filter(({ bytes, state, wanted }) => plan.isNews(wanted, state) || bytes > 0)
  plan.answered(reads.filter(({ bytes }) => bytes > 0).map(({ wanted }) => wanted))
  exchange.answer({ sessionId: plan.sessionId, responses: byTopic(plan.isIncremental ? told : reads) })
}

/** The answer for who can read only formats of old. */
const respondOld = async (
  cluster: Cluster.Cluster,
  exchange: Exchange<FetchRequest, FetchResponse>,
  plan: Plan,
  reads: ReadonlyArray<Read>,
  magic: 0 | 1
): Promise<void> => {
  const converted = reads.map(async (read): Promise<Read> => {
    const { answer, batches, wanted } = read
    try {
      const records = await OldFormats.downConvert(batches, magic, wanted.fetchOffset)
      const limit = exchange.version < 3 ? wanted.partitionMaxBytes : records.length
      return { ...read, answer: { ...answer, records: records.subarray(0, limit) } }
    } catch (error) {
      // Message sets have no zstd.
      if (!(error instanceof WireError)) throw error
      return { ...read, answer: refused(wanted.partition, codes.UNSUPPORTED_COMPRESSION_TYPE) }
    }
  })
  const all = await Promise.all(converted)
  cluster.loop.post(() => respond(exchange, plan, all))
}

/** @internal */
export const handler: Handler<FetchRequest, FetchResponse> = {
  api: Fetch,
  refuse: ({ topics }, errorCode, version) => ({
    ...(version >= 7 ? { errorCode } : {}),
    responses: topics.map(({ partitions, topic, topicId }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => refused(partition, errorCode))
    }))
  }),
  handle: (cluster, exchange) => {
    const { answer, isGone, message, node, onGone, version } = exchange
    const { loop } = cluster
    const plan = node.sessions.plan(message, version, loop.now())
    if (plan.errorCode !== codes.NONE) return answer({ errorCode: plan.errorCode })
    const start = loop.now()
    let cancel: (() => void) | undefined
    const partitions = plan.wanted.flatMap((one) => {
      const topic = Cluster.topicOf(cluster, version >= 13 ? { topicId: one.topicId } : { name: one.topic })
      return topic?.partitions[one.partition] ?? []
    })
    const stop = (): void => {
      cancel?.()
      for (const { waiting } of partitions) waiting.delete(look)
    }
    const look = (): void => {
      stop()
      if (isGone()) return
      const reads = readAll(cluster, exchange, plan)
      const bytes = reads.reduce((sum, one) => sum + one.bytes, 0)
      const isFailed = reads.some(
        ({ answer: { divergingEpoch, errorCode } }) => errorCode !== 0 || divergingEpoch !== undefined
      )
      const rest = message.maxWaitMs - (loop.now() - start)
      if (rest <= 0 || bytes >= message.minBytes || isFailed || plan.wanted.length === 0) {
        if (version >= 4) return void respond(exchange, plan, reads)
        return void respondOld(cluster, exchange, plan, reads, version < 2 ? 0 : 1)
      }
      cancel = loop.after(rest, look)
      for (const { waiting } of partitions) waiting.add(look)
    }
    onGone(stop)
    look()
  }
}
