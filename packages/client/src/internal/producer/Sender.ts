/**
 * Takes batches out of the accumulator and brings them to the leaders of their partitions.
 *
 * One fiber decides what is sent: it groups what is ready by leader, one request per broker for many partitions, and
 * hands each request to a fiber of its own. A partition has one batch in flight at a time, which keeps its order through
 * retries; a retry is per batch, and goes to whoever leads the partition then. `deliveryTimeout` bounds all of it.
 *
 * @since 0.1.0
 */
import { maxStringBytes } from "@kafka-effect/protocol/ByteWriter"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import {
  type PartitionProduceResponse,
  Produce,
  type ProduceRequest,
  type ProduceResponse
} from "@kafka-effect/protocol/messages/Produce"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import type * as Connection from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { DeliveryTimeout, ProducerError, RecordTooLarge, Rejected, Unsupported } from "../../ProducerError.ts"
import { monotonicMillis } from "../Backoff.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { Accumulator, PartitionQueue } from "./Accumulator.ts"
import type { Batch, Written } from "./Batch.ts"

/** @internal */
export interface Options {
  readonly acks: -1 | 0 | 1
  readonly compression: CompressionType
  readonly linger: number
  readonly batchSize: number
  readonly maxRequestSize: number
  readonly deliveryTimeout: number
}

/** Requests in flight per broker: more than the connection takes would only wait there. */
type InFlight = Map<number, number>

/** What the batch says before the topic's name and the records: counted once per partition of a request. */
const partitionOverhead = 64

/**
 * Starts the fibers that send, for as long as the scope. `latch` is opened by whoever has something new.
 *
 * @internal
 */
export const start = Effect.fnUntraced(function* (
  cluster: Cluster,
  accumulator: Accumulator,
  latch: Latch.Latch,
  options: Options
): Effect.fn.Return<void, never, Scope.Scope> {
  // Its own end comes last: what the scope's other finalizers still flush is sent through it.
  const requests = yield* FiberSet.make<void>()
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = (): number => monotonicMillis(clock)
  const inFlight: InFlight = new Map()
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const retryAt = (batch: Batch): number => {
    const wait = Math.min(retryBackoffMax, retryBackoff * 2 ** Math.max(0, batch.attempts - 1))
    return now() + wait * (0.8 + 0.4 * random.nextDoubleUnsafe())
  }

  const finish = (batch: Batch, exit: Exit.Exit<Written, ProducerError>): void => {
    accumulator.release(batch, false)
    accumulator.complete(batch, exit)
  }

  /** A mistake of this program must not leave callers waiting. */
  const died = (batches: Iterable<Batch>, cause: Cause.Cause<never>) =>
    Effect.sync(() => {
      if (Cause.hasInterruptsOnly(cause)) return
      for (const batch of [...batches]) if (batch.exit === undefined) finish(batch, Exit.failCause(cause))
    })

  const tryAgain = (batch: Batch, why: string): void => {
    batch.lastError = why
    batch.notBefore = retryAt(batch)
    accumulator.release(batch, true)
  }

  /** A request, or a connection, failed as a whole. */
  const failed = (batches: ReadonlyArray<Batch>, error: KafkaError): void => {
    for (const batch of batches) {
      const { partition, topic } = batch
      if (error.isRetriable) tryAgain(batch, error.message)
      else finish(batch, Exit.fail(new ProducerError({ reason: new Rejected({ topic, partition, cause: error }) })))
    }
  }

  const answered = (
    batch: Batch,
    answer: PartitionProduceResponse | undefined,
    nodeId: number,
    response: ProduceResponse
  ) => {
    const { partition, topic } = batch
    if (answer?.errorCode === ErrorCode.codes.NONE) {
      finish(batch, Exit.succeed({ baseOffset: answer.baseOffset, appendTime: Number(answer.logAppendTimeMs) }))
      return Effect.void
    }
    const code = answer === undefined ? ErrorCode.codes.UNKNOWN_SERVER_ERROR : answer.errorCode
    const detail = answer === undefined ? "the response does not name the partition" : answer.errorMessage
    const broker = describeBroker(cluster, nodeId)
    const cause = brokerError({ nodeId, broker, api: "Produce", code, topic, partition, detail })
    const known = ErrorCode.of(code)
    const leader = answer?.currentLeader
    if (known.isRetriable) tryAgain(batch, cause.message)
    else if (code === ErrorCode.codes.MESSAGE_TOO_LARGE || code === ErrorCode.codes.RECORD_LIST_TOO_LARGE) {
      const limit = "the topic's max.message.bytes (lower batchSize if single records are small)"
      const reason = new RecordTooLarge({ topic, size: batch.builder.sizeInBytes, limit })
      finish(batch, Exit.fail(new ProducerError({ reason })))
    } else finish(batch, Exit.fail(new ProducerError({ reason: new Rejected({ topic, partition, cause }) })))
    if (!known.invalidates.includes("leader") && !known.invalidates.includes("topicId")) return Effect.void
    if (leader === undefined || leader.leaderId < 0) return cluster.invalidate(topic)
    return cluster.updateLeader(
      topic,
      partition,
      { nodeId: leader.leaderId, leaderEpoch: leader.leaderEpoch },
      response.nodeEndpoints
    )
  }

  const request = Effect.fnUntraced(function* (nodeId: number, batches: ReadonlyArray<Batch>) {
    const connection = yield* cluster.connection(nodeId, "main")
    const prepared = yield* prepare(cluster, connection, batches, options)
    for (const { batch, reason } of prepared.refused) finish(batch, Exit.fail(new ProducerError({ reason })))
    if (prepared.batches.length === 0) return
    for (const batch of prepared.batches) batch.attempts++
    const requestOptions = { version: prepared.version, timeout: cluster.settings.requestTimeout }
    if (options.acks === 0) {
      yield* connection.send(Produce, prepared.message, requestOptions)
      const exit = Exit.succeed({ baseOffset: BigInt(-1), appendTime: -1 })
      for (const batch of prepared.batches) finish(batch, exit)
      return
    }
    const response = yield* connection.request(Produce, prepared.message, requestOptions)
    const answers = byPartition(response, cluster)
    for (const batch of prepared.batches) {
      yield* answered(batch, answers.get(batch.topic)?.get(batch.partition), nodeId, response)
    }
  })

  const send = (nodeId: number, batches: ReadonlyArray<Batch>): Effect.Effect<void> => {
    inFlight.set(nodeId, (inFlight.get(nodeId) ?? 0) + 1)
    return request(nodeId, batches).pipe(
      // What was answered or refused already is not released twice: `left` are those still held.
      Effect.catch((error) => {
        const left = batches.filter((batch) => batch.exit === undefined)
        // A connection that could not be had is no attempt of the batch, but nothing may be appended to it any more.
        for (const batch of left) batch.attempts = Math.max(batch.attempts, 1)
        failed(left, error)
        return Effect.forEach(new Set(left.map((batch) => batch.topic)), (topic) => cluster.invalidate(topic))
      }),
      Effect.ensuring(
        Effect.sync(() => {
          inFlight.set(nodeId, inFlight.get(nodeId)! - 1)
          latch.openUnsafe()
        })
      ),
      Effect.tapCause((cause) => died(batches, cause)),
      FiberSet.run(requests),
      Effect.asVoid
    )
  }

  const expire = (queue: PartitionQueue, time: number): void => {
    for (const batch of [...queue.batches]) {
      if (time < batch.createdAt + options.deliveryTimeout) return
      const { partition, topic } = batch
      const reason = new DeliveryTimeout({
        topic,
        partition,
        deliveryTimeout: options.deliveryTimeout,
        maybeWritten: batch.attempts > 0,
        detail: batch.lastError ?? "the partition had no leader that could be reached"
      })
      accumulator.abandon(queue, batch, Exit.fail(new ProducerError({ reason })))
    }
  }

  /** When the oldest batch of a partition may go. */
  const readyAt = (queue: PartitionQueue): number => {
    const batch = queue.batches[0]
    const isFull = queue.batches.length > 1 || batch.builder.sizeInBytes >= options.batchSize
    const lingers =
      !isFull && !accumulator.isExhausted && batch.attempts === 0 && batch.createdAt > accumulator.flushBefore
    return Math.max(batch.notBefore, lingers ? batch.createdAt + options.linger : 0)
  }

  /** Sends what is ready; gives the time of the next look, in milliseconds of the clock. */
  const round = Effect.fnUntraced(function* () {
    const time = now()
    let nextLook = Number.POSITIVE_INFINITY
    const byLeader = new Map<number, Array<PartitionQueue>>()
    const leaderless = new Set<string>()
    for (const queue of [...accumulator.pending()]) {
      expire(queue, time)
      if (queue.batches.length === 0 || queue.inFlight !== undefined) continue
      const ready = readyAt(queue)
      nextLook = Math.min(nextLook, queue.batches[0].createdAt + options.deliveryTimeout)
      if (ready > time) {
        nextLook = Math.min(nextLook, ready)
        continue
      }
      const leader = cluster.leaderFor(queue.topic, queue.partition)
      if (leader === undefined || leader.nodeId < 0) {
        leaderless.add(queue.topic)
        nextLook = Math.min(nextLook, time + retryBackoff)
        continue
      }
      const queues = byLeader.get(leader.nodeId)
      if (queues === undefined) byLeader.set(leader.nodeId, [queue])
      else queues.push(queue)
    }
    for (const topic of leaderless) yield* cluster.invalidate(topic)
    for (const [nodeId, queues] of byLeader) {
      let rest = queues
      // A broker whose connection is full is looked at again when one of its requests ends.
      while (rest.length > 0 && (inFlight.get(nodeId) ?? 0) < cluster.settings.maxInFlight) {
        const batches: Array<Batch> = []
        let size = 0
        let count = 0
        for (const queue of rest) {
          const bytes =
            queue.batches[0].builder.sizeInBytes + partitionOverhead + Math.min(queue.topic.length, maxStringBytes)
          if (count > 0 && size + bytes > options.maxRequestSize) break
          batches.push(accumulator.take(queue))
          size += bytes
          count++
        }
        rest = rest.slice(count)
        yield* send(nodeId, batches)
      }
    }
    return nextLook
  })

  // A new leader may be what a batch waits for.
  yield* cluster.changes.pipe(
    Stream.runForEach(() => Effect.sync(() => latch.openUnsafe())),
    Effect.forkScoped
  )
  yield* Effect.gen(function* () {
    latch.closeUnsafe()
    const nextLook = yield* round()
    if (nextLook === Number.POSITIVE_INFINITY) yield* latch.await
    else yield* Effect.raceFirst(latch.await, Effect.sleep(Math.max(1, nextLook - now())))
  }).pipe(
    Effect.forever,
    Effect.tapCause((cause) => died(accumulator.incomplete, cause)),
    Effect.forkScoped
  )
})

interface Prepared {
  readonly version: number
  readonly message: Wire.Input<ProduceRequest>
  readonly batches: ReadonlyArray<Batch>
  readonly refused: ReadonlyArray<{ readonly batch: Batch; readonly reason: Unsupported }>
}

/** The record format that belongs to a version of Produce. */
const magicOf = (version: number): 0 | 1 | 2 => (version >= 3 ? 2 : version === 2 ? 1 : 0)

/** The first version of Produce whose brokers know zstd (KIP-110). */
const zstdVersion = 7

/** The first version that names topics by their ids (KIP-516). */
const topicIdVersion = 13

const prepare = Effect.fnUntraced(function* (
  cluster: Cluster,
  connection: Connection.Connection,
  batches: ReadonlyArray<Batch>,
  options: Options
): Effect.fn.Return<Prepared, KafkaError> {
  const ids = new Map<string, string>()
  for (const { topic } of batches) ids.set(topic, cluster.metadata().topics.get(topic)?.id ?? zeroUuid)
  const haveIds = ![...ids.values()].includes(zeroUuid)
  const version = yield* connection.version(Produce, haveIds ? {} : { maxVersion: topicIdVersion - 1 })
  const magic = magicOf(version)
  const topics = new Map<string, Array<{ readonly index: number; readonly records: Uint8Array }>>()
  const sent: Array<Batch> = []
  const refused: Array<{ readonly batch: Batch; readonly reason: Unsupported }> = []
  for (const batch of batches) {
    const { partition, topic } = batch
    const refuse = (detail: string): void => {
      refused.push({ batch, reason: new Unsupported({ topic, partition, detail }) })
    }
    if (options.compression === "zstd" && version < zstdVersion) {
      refuse("compression zstd needs Kafka 2.1 or newer; choose another compression")
      continue
    }
    const records = yield* encode(batch, magic, options.compression)
    if (records instanceof WireError) {
      refuse(records.message)
      continue
    }
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, [{ index: partition, records }])
    else partitions.push({ index: partition, records })
    sent.push(batch)
  }
  const topicData = [...topics].map(([name, partitionData]) =>
    version >= topicIdVersion ? { topicId: ids.get(name)!, partitionData } : { name, partitionData }
  )
  const timeoutMs = cluster.settings.requestTimeout
  return { version, batches: sent, refused, message: { acks: options.acks, timeoutMs, topicData } }
})

const encode = (batch: Batch, magic: 0 | 1 | 2, compression: CompressionType): Effect.Effect<Uint8Array | WireError> =>
  Effect.suspend(() => {
    const wireError = (error: unknown): WireError => {
      if (error instanceof WireError) return error
      throw error
    }
    try {
      const bytes = batch.encode(magic, compression)
      return bytes instanceof Promise ? Effect.promise(() => bytes.catch(wireError)) : Effect.succeed(bytes)
    } catch (error) {
      return Effect.succeed(wireError(error))
    }
  })

const byPartition = (
  response: ProduceResponse,
  cluster: Cluster
): ReadonlyMap<string, ReadonlyMap<number, PartitionProduceResponse>> => {
  const { topicNames } = cluster.metadata()
  const found = new Map<string, ReadonlyMap<number, PartitionProduceResponse>>()
  for (const { name, partitionResponses, topicId } of response.responses) {
    const topic = name === "" ? topicNames.get(topicId) : name
    if (topic !== undefined) found.set(topic, new Map(partitionResponses.map((answer) => [answer.index, answer])))
  }
  return found
}
