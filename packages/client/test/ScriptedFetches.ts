/**
 * Logs of topic `t` that scripted brokers give out by Fetch, ListOffsets and OffsetForLeaderEpoch; with fetch sessions as
 * strict as Kafka's.
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch, type FetchRequest, type FetchResponse, type PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, type Scope } from "effect"
import type { Cluster } from "../src/Cluster.ts"
import { FetchedPartition, type Options as PartitionOptions } from "../src/internal/consumer/FetchedPartition.ts"
import * as Fetcher from "../src/internal/consumer/Fetcher.ts"
import type { Settings } from "../src/internal/Settings.ts"
import type { KafkaError } from "../src/KafkaError.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

type Asked = FetchRequest["topics"][number]["partitions"][number]
type FetchAnswer = ScriptedBroker.Answer<FetchResponse>
export type Reply = Wire.Input<PartitionData>
export type FetchReceived = ScriptedBroker.Received<FetchRequest>

export const batch = (
  baseOffset: bigint,
  values: ReadonlyArray<string>,
  options: BuildOptions & { readonly epoch?: number } = {}
): Uint8Array => {
  const builder = new RecordBatchBuilder()
  for (const value of values) builder.append(0, null, Buffer.from(value))
  const bytes = Uint8Array.from(builder.build({ ...options, baseOffset }) as Uint8Array)
  // Outside of what the checksum covers.
  new DataView(bytes.buffer).setInt32(12, options.epoch ?? 1)
  return bytes
}

export interface Log {
  start: bigint
  /** Where transactions are done; the end if undefined. */
  stable?: bigint
  batches: Array<{ readonly base: bigint; readonly end: bigint; readonly bytes: Uint8Array; readonly epoch: number }>
}

export const end = ({ batches, start }: Log): bigint => (batches.length === 0 ? start : batches[batches.length - 1].end)

export const append = (log: Log, values: ReadonlyArray<string>, epoch = 1): void => {
  const base = end(log)
  log.batches.push({ base, end: base + BigInt(values.length), bytes: batch(base, values, { epoch }), epoch })
}

/** Where an epoch ends, as Kafka says: of the newest epoch that is no newer than the one asked for. */
export const endOfEpoch = (log: Log, epoch: number): { readonly leaderEpoch: number; readonly endOffset: bigint } => {
  const found = log.batches.filter((one) => one.epoch <= epoch).pop()
  return found === undefined ? { leaderEpoch: -1, endOffset: -1n } : { leaderEpoch: found.epoch, endOffset: found.end }
}

export interface Session {
  epoch: number
  readonly partitions: Map<number, Asked & { sentWatermark?: bigint }>
}

export interface Scripted {
  readonly scripted: ScriptedCluster.ScriptedCluster
  readonly cluster: Cluster
  readonly logs: ReadonlyArray<Log>
  /** Answers a fetch otherwise; undefined to answer it as usual. */
  intercept: (request: FetchReceived, node: number) => FetchAnswer | undefined
  /** Says something else of a partition. */
  replace: (reply: Reply, asked: Asked, node: number) => Reply
  readonly fetches: (node?: number) => ReadonlyArray<FetchReceived>
  /** Whether brokers remember sessions. */
  hasSessions: boolean
  /** The sessions that node 1 remembers. */
  readonly sessions: Map<number, Session>
}

/** Brokers that lead the partitions in turn. */
export const make = (
  brokers: number,
  partitions: number,
  options: { readonly offered?: ScriptedBroker.Offered; readonly settings?: Partial<Settings> } = {}
): Effect.Effect<Scripted, KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedCluster.make(brokers, { offered: { Fetch: [0, 12], ...options.offered } })
    scripted.topics.set("t", {
      partitions: Array.from({ length: partitions }, (_, index) => ({ leader: (index % brokers) + 1, epoch: 1 }))
    })
    const cluster = yield* ScriptedCluster.connect(scripted, { retryBackoff: 20, ...options.settings })
    const logs = Array.from({ length: partitions }, (): Log => ({ start: 0n, batches: [] }))
    const self: Scripted = {
      scripted,
      cluster,
      logs,
      intercept: () => undefined,
      replace: (reply) => reply,
      fetches: (node = 1) => scripted.brokers[node - 1].of(Fetch),
      hasSessions: true,
      sessions: new Map()
    }
    for (const [index, broker] of scripted.brokers.entries()) serve(self, broker, index + 1)
    return self
  })

const replyTo = (self: Scripted, asked: Asked, maxBytes: number): Reply => {
  const log = self.logs[asked.partition]
  const last = end(log)
  const marks = { partitionIndex: asked.partition, highWatermark: last, lastStableOffset: log.stable ?? last }
  const { epoch } = self.scripted.topics.get("t")!.partitions[asked.partition]
  if (asked.currentLeaderEpoch >= 0 && asked.currentLeaderEpoch !== epoch) {
    const errorCode = asked.currentLeaderEpoch < epoch ? codes.FENCED_LEADER_EPOCH : codes.UNKNOWN_LEADER_EPOCH
    return { partitionIndex: asked.partition, errorCode, records: new Uint8Array(0) }
  }
  if (asked.fetchOffset < log.start || asked.fetchOffset > last) {
    return { partitionIndex: asked.partition, errorCode: codes.OFFSET_OUT_OF_RANGE, records: new Uint8Array(0) }
  }
  const parts: Array<Uint8Array> = []
  let bytes = 0
  for (const one of log.batches) {
    if (one.end <= asked.fetchOffset) continue
    if (parts.length > 0 && bytes + one.bytes.length > Math.min(maxBytes, asked.partitionMaxBytes)) break
    parts.push(one.bytes)
    bytes += one.bytes.length
  }
  return { ...marks, logStartOffset: log.start, records: new Uint8Array(Buffer.concat(parts)) }
}

const serve = (self: Scripted, broker: ScriptedBroker.ScriptedBroker, node: number): void => {
  const sessions = node === 1 ? self.sessions : new Map<number, Session>()
  let nextSession = 100 * node

  const answer = (request: FetchReceived): FetchAnswer => {
    const { message } = request
    const asked = message.topics.flatMap(({ partitions }) => partitions)
    const refuse = (errorCode: number) => ScriptedBroker.respond<FetchResponse>({ errorCode, responses: [] })
    const isFull = message.sessionEpoch <= 0
    let session: Session | undefined
    let sessionId = 0
    if (isFull) {
      sessions.delete(message.sessionId)
      if (message.sessionEpoch === 0 && self.hasSessions && request.version >= 7) {
        sessionId = ++nextSession
        session = { epoch: 1, partitions: new Map(asked.map((one) => [one.partition, one])) }
        sessions.set(sessionId, session)
      }
    } else {
      session = sessions.get(message.sessionId)
      sessionId = message.sessionId
      if (session === undefined) return refuse(codes.FETCH_SESSION_ID_NOT_FOUND)
      if (session.epoch !== message.sessionEpoch) return refuse(codes.INVALID_FETCH_SESSION_EPOCH)
      session.epoch = session.epoch === 0x7fffffff ? 1 : session.epoch + 1
      for (const one of asked) {
        session.partitions.set(one.partition, { ...session.partitions.get(one.partition), ...one })
      }
      // In Kafka's order: what is forgotten goes last.
      for (const { partitions } of message.forgottenTopicsData)
        for (const one of partitions) session.partitions.delete(one)
    }
    const wanted = session === undefined ? asked : [...session.partitions.values()]
    let room = message.maxBytes
    const replies = wanted.flatMap((one) => {
      const plain = room > 0 ? replyTo(self, one, room) : { partitionIndex: one.partition, records: new Uint8Array(0) }
      const reply = self.replace(plain, one, node)
      room -= reply.records?.length ?? 0
      const known = session?.partitions.get(one.partition)
      const isNews =
        isFull ||
        (reply.records?.length ?? 0) > 0 ||
        (reply.errorCode ?? 0) !== 0 ||
        reply.divergingEpoch !== undefined ||
        reply.preferredReadReplica !== undefined ||
        known?.sentWatermark !== reply.highWatermark
      if (known !== undefined && reply.highWatermark !== undefined) known.sentWatermark = reply.highWatermark
      if (known !== undefined && (reply.records?.length ?? 0) > 0) {
        // Kafka looks at it last the next time.
        session?.partitions.delete(one.partition)
        session?.partitions.set(one.partition, known)
      }
      return isNews ? [reply] : []
    })
    const isIdle = replies.every(({ errorCode = 0, records }) => errorCode === 0 && (records?.length ?? 0) === 0)
    return ScriptedBroker.respond<FetchResponse>(
      { sessionId, responses: replies.length === 0 ? [] : [{ topic: "t", partitions: replies }] },
      isIdle && message.sessionEpoch !== -1 && replies.every((one) => one.preferredReadReplica === undefined)
        ? { delay: message.maxWaitMs }
        : {}
    )
  }
  broker.on(Fetch, (request) => self.intercept(request, node) ?? answer(request))
  broker.on(ListOffsets, ({ message }) =>
    ScriptedBroker.respond({
      topics: message.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => {
          const log = self.logs[partitionIndex]
          const last = message.isolationLevel === 1 ? (log.stable ?? end(log)) : end(log)
          // As if each record had its offset as its time.
          const atTime = timestamp < end(log) ? timestamp : -1n
          return { partitionIndex, offset: timestamp === -1n ? last : timestamp === -2n ? log.start : atTime }
        })
      }))
    })
  )
  broker.on(OffsetForLeaderEpoch, ({ message }) =>
    ScriptedBroker.respond({
      topics: message.topics.map(({ partitions, topic }) => ({
        topic,
        partitions: partitions.map(({ leaderEpoch, partition }) => ({
          partition,
          ...endOfEpoch(self.logs[partition], leaderEpoch)
        }))
      }))
    })
  )
}

/** A fetcher that waits at brokers for 50 ms at most. */
export const fetcher = (
  { cluster }: Scripted,
  options: Partial<Fetcher.Options> = {}
): Effect.Effect<Fetcher.Fetcher, never, Scope.Scope> =>
  Fetcher.make(cluster, {
    isolation: "committed",
    fallback: "fail",
    fetchMinBytes: 1,
    fetchMaxBytes: 50 * 1024 * 1024,
    fetchMaxWait: 50,
    prefetchBytes: 64 * 1024 * 1024,
    staysOpen: true,
    ...options
  })

export const partition = (number: number, options: Partial<PartitionOptions> = {}): FetchedPartition =>
  new FetchedPartition({ topic: "t", partition: number, start: 0n, maxBytes: 1024 * 1024, ...options })

/** Where a taken batch is from: partition and first offset. */
export const place = (taken: Fetcher.Taken | undefined): readonly [number, bigint] | undefined =>
  taken === undefined ? undefined : [taken.source.partition, taken.batch.baseOffset]
