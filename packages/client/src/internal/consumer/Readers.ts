/**
 * The ways to read what this consumer owns: all partitions as one stream, or a stream per partition. One of them at a time.
 *
 * Who reads decides when a partition that is taken away is free. A partition's own reader has to end. The reader of all
 * has to commit what it was given last, or to end; if it never commits, or commits are automatic, to ask for more.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AlreadyRead, ConsumerError } from "../../ConsumerError.ts"
import type { SerdeError } from "../../Serde.ts"
import type { ConsumerMetrics } from "./ConsumerMetrics.ts"
import type { Delivered, Delivery, Policy } from "./Delivery.ts"
import type { Ending, OwnedPartition } from "./OwnedPartition.ts"

/** @internal */
export interface Options {
  readonly all: () => ReadonlyArray<OwnedPartition>
  /** Whether what was asked for after counts as finished. */
  readonly commitsAutomatically: boolean
  /** Whether anything was ever committed by the user. */
  readonly hasCommitted: () => boolean
  /** Up to where a partition was committed under its lease. */
  readonly committedOf: (owned: OwnedPartition) => bigint | undefined
  /** Milliseconds without records after which streams end; infinity for never. */
  readonly idleTimeout: number
  readonly policy: Policy
  /** Says that partitions may be fetched again. */
  readonly wake: () => void
  readonly metrics: Pick<ConsumerMetrics, "asked" | "given" | "left">
}

/** One partition with a stream of its own. @internal */
export interface PartitionReader<A, R> {
  readonly topic: string
  readonly partition: number
  readonly records: Stream.Stream<A, ConsumerError | SerdeError, R>
  readonly revoked: Effect.Effect<Ending>
}

/** @internal */
export interface Readers<A, R> {
  readonly records: Stream.Stream<A, ConsumerError | SerdeError, R>
  readonly partitions: Stream.Stream<PartitionReader<A, R>, ConsumerError>
  /** The partitions that there are, and those that come, for who works on each apart. Taken for as long as the scope. */
  readonly arrivals: (
    policy: Policy
  ) => Effect.Effect<Queue.Queue<OwnedPartition, ConsumerError | Cause.Done>, ConsumerError, Scope.Scope>
  /** A partition may be read from now on. */
  readonly ready: (owned: OwnedPartition) => void
  /** A partition is taken away. */
  readonly ending: (owned: OwnedPartition) => void
  /** Something was committed. */
  readonly committed: () => void
  /** The work on a partition has taken too long. */
  readonly giveUp: (owned: OwnedPartition) => void
  /** All streams end. */
  readonly end: (exit: Exit.Exit<void, ConsumerError>) => void
  /** Since when the reader of all has something to do; undefined while it waits, `none` where there is no such reader. */
  readonly busySince: () => number | undefined | "none"
}

/** How often is looked whether readers are idle, as a part of the time after which they are. */
const idleLooks = 4

/** @internal */
export const make = <A, R>(delivery: Delivery<A, R>, now: () => number, options: Options): Readers<A, R> => {
  let reader: "all" | "each" | undefined
  let ended: Exit.Exit<void, ConsumerError> | undefined
  let pulls = 0
  /** Whether the reader of all waits for more: it is done with what it was given before. */
  let isWaiting = false
  /** Since when the reader of all has something to do; undefined while it waits. */
  let busySince: number | undefined
  let arrivals: Queue.Queue<OwnedPartition, ConsumerError | Cause.Done> | undefined
  /** Taken away while the reader of all may work on their records, with the number of its pulls then. */
  const held = new Map<OwnedPartition, number>()

  /** Whether the reader of all is done with what it was given of a partition. */
  const isDone = (owned: OwnedPartition, pullsThen: number): boolean => {
    if (reader !== "all" || owned.given === undefined) return true
    const committed = options.committedOf(owned)
    if (committed !== undefined && committed >= owned.given) return true
    // Of what was lost nothing can be committed.
    const asks = options.commitsAutomatically || !options.hasCommitted() || !owned.lease.isActive
    return asks && (isWaiting || pulls > pullsThen)
  }

  const check = (): void => {
    for (const [owned, pullsThen] of held) {
      if (!isDone(owned, pullsThen)) continue
      held.delete(owned)
      owned.release()
    }
  }

  const restart = (owned: OwnedPartition): void => {
    owned.restart()
    owned.fetched.recover()
    owned.busySince = now()
    options.wake()
  }

  /** The reader is done with what it was handed. */
  const finish = (owned: OwnedPartition): void => {
    owned.openFrom = undefined
    if (options.commitsAutomatically && owned.handed !== undefined) owned.finished = owned.handed
  }

  /** A reader has ended in the midst of records: if asking is what finishes them, the next is handed them again. */
  const leave = (owned: OwnedPartition): void => {
    const { isEnding, openFrom } = owned
    owned.openFrom = undefined
    if (openFrom !== undefined && options.commitsAutomatically && !isEnding) owned.handAgain(openFrom)
  }

  const begin = (wanted: "all" | "each", policy: Policy) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (reader !== undefined) return Effect.fail(new ConsumerError({ reason: new AlreadyRead({}) }))
        reader = wanted
        delivery.setPolicy(policy)
        busySince = now()
        for (const owned of options.all()) restart(owned)
        return Effect.void
      }),
      () =>
        Effect.sync(() => {
          if (reader === "all") for (const owned of options.all()) leave(owned)
          if (reader === "all") options.metrics.left()
          reader = undefined
          isWaiting = false
          check()
        })
    )

  const orIdle = <B>(next: Effect.Effect<B | undefined, ConsumerError | SerdeError, R>) =>
    options.idleTimeout === Number.POSITIVE_INFINITY
      ? next
      : Effect.timeoutOrElse(next, { duration: options.idleTimeout, orElse: () => Effect.undefined })

  /** When a partition's own reader was last given something, and what ends them all when that is too long ago. */
  let lastGiven = 0
  let idled = Deferred.makeUnsafe<undefined>()

  const untilIdle = <B>(next: Effect.Effect<B | undefined, ConsumerError | SerdeError, R>) =>
    options.idleTimeout === Number.POSITIVE_INFINITY
      ? next
      : Effect.suspend(() => Effect.raceFirst(next, Deferred.await(idled)))

  /** Ends the streams of all partitions when all of them have waited in vain for so long. */
  const watchIdle = (queue: Queue.Queue<OwnedPartition, ConsumerError | Cause.Done>): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (true) {
        const isBusy = options.all().some(({ busySince, isRead }) => isRead && busySince !== undefined)
        if (isBusy) lastGiven = now()
        const rest = lastGiven + options.idleTimeout - now()
        if (rest <= 0) break
        yield* Effect.sleep(Math.min(rest, Math.max(1, options.idleTimeout / idleLooks)))
      }
      Deferred.doneUnsafe(idled, Exit.succeed(undefined))
      Queue.endUnsafe(queue)
    })

  const nextArray = (
    next: Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R>,
    asked: () => void
  ) => {
    const pull: Effect.Effect<
      Arr.NonEmptyReadonlyArray<A>,
      ConsumerError | SerdeError | Cause.Done,
      R
    > = Effect.suspend(() => {
      asked()
      return Effect.flatMap(next, (delivered) => {
        if (delivered === undefined) {
          // The fetcher does not know of defects.
          return ended !== undefined && Exit.isFailure(ended) ? Effect.failCause(ended.cause) : Cause.done()
        }
        return Arr.isReadonlyArrayNonEmpty(delivered.records) ? Effect.succeed(delivered.records) : pull
      })
    })
    return pull
  }

  const finishAll = (): void => {
    pulls++
    isWaiting = true
    busySince = undefined
    options.metrics.asked()
    for (const owned of options.all()) finish(owned)
    if (held.size === 0) return
    for (const owned of held.keys()) finish(owned)
    check()
  }

  const nextOfAll = Effect.map(delivery.next, (delivered) => {
    options.metrics.given()
    busySince = now()
    if (delivered !== undefined && delivered.records.length > 0) {
      isWaiting = false
    }
    return delivered
  })

  const records: Readers<A, R>["records"] = Stream.unwrap(
    Effect.as(begin("all", options.policy), Stream.fromPull(Effect.succeed(nextArray(orIdle(nextOfAll), finishAll))))
  )

  const claim = (owned: OwnedPartition): Effect.Effect<boolean, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        if (owned.isEnding || owned.isRead) return false
        owned.isRead = true
        restart(owned)
        return true
      }),
      (isClaimed) =>
        Effect.sync(() => {
          if (!isClaimed) return
          owned.isRead = false
          leave(owned)
          if (owned.isEnding) owned.release()
        })
    )

  const readerOf = (owned: OwnedPartition): PartitionReader<A, R> => {
    const next = Effect.map(delivery.nextOf(owned), (delivered) => {
      lastGiven = now()
      return delivered
    })
    return {
      topic: owned.topic,
      partition: owned.partition,
      records: Stream.unwrap(
        Effect.map(claim(owned), (isClaimed) =>
          isClaimed ? Stream.fromPull(Effect.succeed(nextArray(untilIdle(next), () => finish(owned)))) : Stream.empty
        )
      ),
      revoked: Deferred.await(owned.ending)
    }
  }

  const endQueue = (
    queue: Queue.Queue<OwnedPartition, ConsumerError | Cause.Done>,
    exit: Exit.Exit<void, ConsumerError>
  ) => (Exit.isSuccess(exit) ? Queue.endUnsafe(queue) : Queue.failCauseUnsafe(queue, exit.cause))

  const openArrivals: Readers<A, R>["arrivals"] = Effect.fnUntraced(function* (policy) {
    yield* begin("each", policy)
    const queue = yield* Queue.unbounded<OwnedPartition, ConsumerError | Cause.Done>()
    for (const owned of options.all()) if (owned.isReady) Queue.offerUnsafe(queue, owned)
    arrivals = queue
    if (ended !== undefined) endQueue(queue, ended)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        arrivals = undefined
      })
    )
    return queue
  })

  return {
    records,
    partitions: Stream.unwrap(
      Effect.gen(function* () {
        const queue = yield* openArrivals(options.policy)
        if (options.idleTimeout !== Number.POSITIVE_INFINITY) {
          lastGiven = now()
          idled = Deferred.makeUnsafe()
          yield* Effect.forkScoped(watchIdle(queue))
        }
        return Stream.map(Stream.fromQueue(queue), readerOf)
      })
    ),
    arrivals: openArrivals,
    ready: (owned) => {
      owned.isReady = true
      if (arrivals !== undefined) Queue.offerUnsafe(arrivals, owned)
    },
    ending: (owned) => {
      if (owned.isRead) return
      if (isDone(owned, pulls)) owned.release()
      else held.set(owned, pulls)
    },
    committed: check,
    giveUp: (owned) => {
      // Work that is under way under a partition's own reader keeps the next lease waiting.
      if (held.delete(owned)) owned.release()
    },
    end: (exit) => {
      // The first reason is the one that counts.
      ended ??= exit
      if (arrivals !== undefined) endQueue(arrivals, exit)
    },
    busySince: () => (reader === "all" ? busySince : "none")
  }
}
