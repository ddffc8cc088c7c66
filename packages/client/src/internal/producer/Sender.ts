/**
 * Takes batches out of the accumulator and brings them to the leaders of their partitions.
 *
 * One fiber decides what is sent: it groups what is ready by leader, one request per broker for many partitions, and
 * hands each request to a fiber of its own. A partition has one batch in flight at a time, which keeps its order through
 * retries; a retry is per batch, and goes to whoever leads the partition then. `deliveryTimeout` bounds all of it.
 *
 * @since 0.1.0
 */
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import { DeliveryTimeout, ProducerError } from "../../ProducerError.ts"
import { monotonicMillis } from "../Backoff.ts"
import type { Accumulator, PartitionQueue } from "./Accumulator.ts"
import type { Batch } from "./Batch.ts"
import * as BatchOutcomes from "./BatchOutcomes.ts"
import * as ProduceRequests from "./ProduceRequests.ts"

/** @internal */
export interface Options extends ProduceRequests.Options {
  readonly linger: number
  readonly batchSize: number
  readonly maxRequestSize: number
  readonly deliveryTimeout: number
}

/** Requests in flight per broker: more than the connection takes would only wait there. */
type InFlight = Map<number, number>

/** What a request says of a partition besides its records and its topic's name, rounded up. */
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
  const { retryBackoff } = cluster.settings

  const outcomes = BatchOutcomes.make(cluster, accumulator, { now, random: () => random.nextDoubleUnsafe() })

  const request = Effect.fnUntraced(function* (nodeId: number, batches: ReadonlyArray<Batch>) {
    const connection = yield* cluster.connection(nodeId, "main")
    const prepared = yield* ProduceRequests.prepare(cluster, connection, batches, options)
    for (const { batch, reason } of prepared.refused) outcomes.finish(batch, Exit.fail(new ProducerError({ reason })))
    if (prepared.batches.length === 0) return
    for (const batch of prepared.batches) batch.attempts++
    const requestOptions = { version: prepared.version, timeout: cluster.settings.requestTimeout }
    if (options.acks === 0) {
      yield* connection.send(Produce, prepared.message, requestOptions)
      const exit = Exit.succeed({ baseOffset: BigInt(-1), appendTime: -1 })
      for (const batch of prepared.batches) outcomes.finish(batch, exit)
      return
    }
    const response = yield* connection.request(Produce, prepared.message, requestOptions)
    const answers = ProduceRequests.byPartition(response, cluster)
    for (const batch of prepared.batches) {
      yield* outcomes.answered(batch, answers.get(batch.topic)?.get(batch.partition), nodeId, response)
    }
  })

  const send = (nodeId: number, batches: ReadonlyArray<Batch>): Effect.Effect<void> => {
    inFlight.set(nodeId, (inFlight.get(nodeId) ?? 0) + 1)
    return request(nodeId, batches).pipe(
      Effect.catch((error) => outcomes.failed(batches, error)),
      Effect.ensuring(
        Effect.sync(() => {
          inFlight.set(nodeId, inFlight.get(nodeId)! - 1)
          latch.openUnsafe()
        })
      ),
      Effect.tapCause((cause) => outcomes.died(batches, cause)),
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
          const bytes = queue.batches[0].builder.sizeInBytes + partitionOverhead + queue.topic.length
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
    Effect.tapCause((cause) => outcomes.died(accumulator.incomplete, cause)),
    Effect.forkScoped
  )
})
