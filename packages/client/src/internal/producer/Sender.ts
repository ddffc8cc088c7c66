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
import * as Cause from "effect/Cause"
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
import type * as BrokerLane from "./BrokerLane.ts"
import * as ProduceRequests from "./ProduceRequests.ts"
import * as ProducerIdentity from "./ProducerIdentity.ts"
import type { ProducerMetrics } from "./ProducerMetrics.ts"
import * as ReadyPartitions from "./ReadyPartitions.ts"

/** @internal */
export interface Options extends ProduceRequests.Options, ProducerIdentity.Options, ReadyPartitions.Options {
  readonly deliveryTimeout: number
}

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
  const partitions = ReadyPartitions.make(cluster, accumulator, identity, options)
  const run = (effect: Effect.Effect<void>): Effect.Effect<void> => Effect.asVoid(FiberSet.run(fibers, effect))

  const request = Effect.fnUntraced(function* (
    lane: BrokerLane.BrokerLane,
    turn: BrokerLane.Turn,
    batches: ReadonlyArray<Batch>
  ) {
    const connection = yield* lane.connection
    let wanted = batches.filter(outcomes.isWanted)
    let prepared = yield* ProduceRequests.prepare(cluster, connection, wanted, options)
    for (const { batch, reason } of prepared.refused) outcomes.finish(batch, new ProducerError({ reason }))
    // Compression takes time, in which a batch's may be over: what has failed as "not written" must not be sent.
    while (prepared.sent.some(({ batch }) => batch.exit !== undefined)) {
      wanted = prepared.sent.map(({ batch }) => batch).filter(outcomes.isWanted)
      prepared = yield* ProduceRequests.prepare(cluster, connection, wanted, options)
    }
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
    const answers = ProduceRequests.byPartition(response, prepared.topicNames)
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

  /** Ends what has waited too long; gives the time of the next such batch. */
  const expire = (time: number): number => {
    let next = Number.POSITIVE_INFINITY
    for (const batch of accumulator.incomplete) {
      const end = batch.createdAt + deliveryTimeout
      if (time >= end) outcomes.expire(batch, identity.trouble())
      else {
        next = Math.min(next, end)
        if (accumulator.parts.size === 0) break
      }
    }
    return next
  }

  /** Sends what is ready; gives the time of the next look, in milliseconds of the clock. */
  const round = Effect.fnUntraced(function* () {
    const time = now()
    const expiry = expire(time)
    if (accumulator.pending.size === 0) return expiry
    if (identity.isOn() && identity.current() === undefined && !isAsking) yield* ask
    const { leaderless, nextLook, ready } = partitions.survey(time, isAsking)
    for (const topic of leaderless) yield* cluster.invalidate(topic)
    for (const [lane, queues] of ready) {
      const batches = partitions.collect(queues, lane.nodeId)
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
    // What was there has failed then; what comes later is sent.
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : outcomes.died(accumulator.incomplete, cause)
    ),
    Effect.forever,
    Effect.forkScoped
  )
})
