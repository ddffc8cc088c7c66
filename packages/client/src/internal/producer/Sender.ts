/**
 * Takes batches out of the accumulator and brings them to the leaders of their partitions.
 *
 * One fiber decides what is sent: it groups what is ready by leader, one request per broker for many partitions, and
 * hands each request to a fiber of its own. Requests to one broker are handed to the connection one after the other, so
 * that a partition's batches leave in their order; several are in flight. A retry is per batch, and goes to whoever leads
 * the partition then. `deliveryTimeout` bounds all of it.
 *
 * @since 0.1.0
 */
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import { ProducerError } from "../../ProducerError.ts"
import { monotonicMillis } from "../Backoff.ts"
import type { Accumulator } from "./Accumulator.ts"
import type { Batch } from "./Batch.ts"
import * as BatchOutcomes from "./BatchOutcomes.ts"
import * as BrokerLane from "./BrokerLane.ts"
import type { PartitionQueue } from "./PartitionQueue.ts"
import * as ProduceRequests from "./ProduceRequests.ts"
import * as ProducerIdentity from "./ProducerIdentity.ts"
import type { ProducerMetrics } from "./ProducerMetrics.ts"

/** @internal */
export interface Options extends ProduceRequests.Options, ProducerIdentity.Options {
  readonly linger: number
  readonly batchSize: number
  readonly maxRequestSize: number
  readonly deliveryTimeout: number
}

/** Of one partition: brokers remember as many of a producer's batches (KIP-98). */
const maxInFlightPerPartition = 5

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
  metrics: ProducerMetrics,
  latch: Latch.Latch,
  options: Options
): Effect.fn.Return<void, never, Scope.Scope> {
  // Its own end comes last: what the scope's other finalizers still flush is sent through it.
  const fibers = yield* FiberSet.make<void>()
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = (): number => monotonicMillis(clock)
  const { deliveryTimeout } = options
  const outcomes = BatchOutcomes.make(cluster, accumulator, {
    now,
    random: () => random.nextDoubleUnsafe(),
    deliveryTimeout,
    metrics
  })
  const identity = ProducerIdentity.make(cluster, options)
  const lanes = BrokerLane.make(cluster)
  const run = (effect: Effect.Effect<void>): Effect.Effect<void> => Effect.asVoid(FiberSet.run(fibers, effect))

  const request = Effect.fnUntraced(function* (
    lane: BrokerLane.BrokerLane,
    turn: BrokerLane.Turn,
    batches: ReadonlyArray<Batch>
  ) {
    const connection = yield* lane.connection
    const wanted = batches.filter(outcomes.isWanted)
    const prepared = yield* ProduceRequests.prepare(cluster, connection, wanted, options)
    for (const { batch, reason } of prepared.refused) outcomes.finish(batch, new ProducerError({ reason }))
    if (prepared.sent.length === 0) return
    const started = now()
    for (const { batch, size } of prepared.sent) {
      batch.attempts++
      metrics.sent(batch, size, started)
    }
    const requestOptions = { version: prepared.version, timeout: cluster.settings.requestTimeout }
    if (options.acks === 0) {
      yield* connection.send(Produce, prepared.message, requestOptions)
      for (const { batch } of prepared.sent) outcomes.finish(batch, "unknown")
      return
    }
    // A fiber that starts at once has queued its request when `forkChild` returns: the next one comes behind it.
    const exchange = connection.request(Produce, prepared.message, requestOptions)
    const answer = yield* Effect.forkChild(exchange, { startImmediately: true })
    turn.submitted()
    latch.openUnsafe()
    const response = yield* Fiber.join(answer)
    metrics.answered(now() - started, accumulator.memory.used)
    const answers = ProduceRequests.byPartition(response, cluster)
    for (const { batch } of prepared.sent) {
      yield* outcomes.answered(batch, answers.get(batch.topic)?.get(batch.partition), lane.nodeId, response)
    }
  })

  const send = (lane: BrokerLane.BrokerLane, batches: ReadonlyArray<Batch>): Effect.Effect<void> => {
    const turn = lane.begin()
    return request(lane, turn, batches).pipe(
      Effect.catch((error) => outcomes.failed(batches, error)),
      Effect.ensuring(
        Effect.sync(() => {
          turn.end()
          latch.openUnsafe()
        })
      ),
      Effect.tapCause((cause) => outcomes.died(batches, cause)),
      ProduceRequests.span(cluster, lane.nodeId, batches),
      run
    )
  }

  let isAsking = false
  /** Asks for a producer id, in the background; without one what waits for it fails. */
  const ask: Effect.Effect<void> = Effect.suspend(() => {
    isAsking = true
    const refuse = (error: ProducerError): void => {
      for (const batch of [...accumulator.incomplete]) {
        const queue = accumulator.queueOf(batch)
        if (queue.identity === undefined && !queue.inFlight.includes(batch)) outcomes.refuse(batch, error)
      }
    }
    return identity.ask.pipe(
      Effect.catch((error) => Effect.sync(() => refuse(error))),
      Effect.ensuring(
        Effect.sync(() => {
          isAsking = false
          latch.openUnsafe()
        })
      ),
      Effect.tapCause((cause) => outcomes.died(accumulator.incomplete, cause)),
      run
    )
  })

  /** When the oldest batch of a partition may go. */
  const readyAt = (queue: PartitionQueue): number => {
    const [batch] = queue.waiting
    const isFull = queue.waiting.length > 1 || batch.builder.sizeInBytes >= options.batchSize
    const lingers =
      !isFull && !batch.isTaken && !accumulator.memory.isExhausted && batch.createdAt > accumulator.flushBefore
    return Math.max(batch.notBefore, lingers ? batch.createdAt + options.linger : 0)
  }

  /** Ends what has waited too long; gives the time of the next such batch. */
  const expire = (time: number): number => {
    for (const batch of accumulator.incomplete) {
      if (time < batch.createdAt + deliveryTimeout) return batch.createdAt + deliveryTimeout
      outcomes.expire(batch, identity.trouble())
    }
    return Number.POSITIVE_INFINITY
  }

  /** The partitions with something to send, by the lane of their leader; when to look again; topics without leader. */
  const survey = (time: number) => {
    let nextLook = Number.POSITIVE_INFINITY
    const ready = new Map<BrokerLane.BrokerLane, Array<PartitionQueue>>()
    const leaderless = new Set<string>()
    for (const queue of accumulator.pending) {
      const exhausted = queue.renew()
      if (exhausted !== undefined) identity.exhausted(exhausted)
      if (identity.isOn() && queue.identity === undefined && identity.current() === undefined) {
        if (!isAsking) nextLook = time
        continue
      }
      const at = readyAt(queue)
      if (at > time) {
        nextLook = Math.min(nextLook, at)
        continue
      }
      const leader = cluster.leaderFor(queue.topic, queue.partition)
      if (leader === undefined || leader.nodeId < 0) {
        leaderless.add(queue.topic)
        nextLook = Math.min(nextLook, time + cluster.settings.retryBackoff)
        continue
      }
      const lane = lanes.get(leader.nodeId)
      // A broker that cannot take more now is looked at again when one of its requests goes on.
      if (!lane.canBegin() || !queue.canSend(leader.nodeId, maxInFlightPerPartition)) continue
      const queues = ready.get(lane)
      if (queues === undefined) ready.set(lane, [queue])
      else queues.push(queue)
    }
    return { nextLook, ready, leaderless }
  }

  /** The batches of one request. */
  const collect = (queues: ReadonlyArray<PartitionQueue>, nodeId: number): ReadonlyArray<Batch> => {
    const batches: Array<Batch> = []
    let size = 0
    for (const queue of queues) {
      const batch = accumulator.withoutCancelled(queue)
      if (batch === undefined) continue
      const bytes = batch.builder.sizeInBytes + partitionOverhead + queue.topic.length
      if (batches.length > 0 && size + bytes > options.maxRequestSize) break
      const current = identity.isOn() ? (queue.identity ?? identity.current()) : undefined
      batches.push(queue.take(nodeId, current))
      accumulator.settle(queue)
      size += bytes
    }
    return batches
  }

  /** Sends what is ready; gives the time of the next look, in milliseconds of the clock. */
  const round = Effect.fnUntraced(function* () {
    const time = now()
    const expiry = expire(time)
    if (accumulator.pending.size === 0) return expiry
    if (identity.isOn() && identity.current() === undefined && !isAsking) yield* ask
    const { leaderless, nextLook, ready } = survey(time)
    for (const topic of leaderless) yield* cluster.invalidate(topic)
    for (const [lane, queues] of ready) {
      const batches = collect(queues, lane.nodeId)
      if (batches.length > 0) yield* send(lane, batches)
    }
    return Math.min(expiry, nextLook)
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
