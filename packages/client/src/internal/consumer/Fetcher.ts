/**
 * Keeps fetches under way for a set of partitions, ahead of the reader, under one budget of bytes.
 *
 * One fetch is in flight per broker, on a connection of its own, since the broker holds it back until there is data. A
 * partition whose records nobody takes stops being fetched; the others go on: the budget is shared, but a partition with
 * an empty queue may always fetch. A fetch that leaves a full partition out waits at the broker only briefly at first,
 * then longer and longer: were it held back for lack of data, the full one would stand still once it has been drained.
 *
 * Partitions come and go while it runs. Their owner pauses and seeks them directly, and then wakes the fetcher.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import { monotonicMillis } from "../Backoff.ts"
import * as ConsumerSpans from "./ConsumerSpans.ts"
import * as EpochValidation from "./EpochValidation.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import * as FetchLane from "./FetchLane.ts"
import * as FetchOutcomes from "./FetchOutcomes.ts"
import * as FetchReaders from "./FetchReaders.ts"
import type * as FetchRequests from "./FetchRequests.ts"
import * as FetchSurvey from "./FetchSurvey.ts"
import * as PositionLookup from "./PositionLookup.ts"

/** @internal */
export interface Options extends FetchRequests.Options, FetchOutcomes.Options {
  /** Bytes that may wait for the reader or be on their way. */
  readonly prefetchBytes: number
  /** Whether partitions may still be added: then `take` does not end when all were read to their ends. */
  readonly staysOpen?: boolean | undefined
  /** Hears of each fetch that was answered: how many bytes of records came, and how long that took. */
  readonly onFetched?: ((bytes: number, milliseconds: number) => void) | undefined
}

/** @internal */
export type Taken = FetchReaders.Taken

/** @internal */
export interface Fetcher {
  /** Begins to fetch; where to begin is looked up, as long as it takes. */
  readonly add: (partitions: Iterable<FetchedPartition>) => void
  /** Fetches no more, and drops what was fetched. */
  readonly remove: (partitions: Iterable<FetchedPartition>) => void
  /**
   * The next batch of any partition: waits for it; undefined when all partitions were read to their ends. Partitions take
   * turns. The failure of one is the failure of all.
   */
  readonly take: Effect.Effect<Taken | undefined, ConsumerError>
  /** The next batch of one partition: waits for it; undefined when it was read to its end, or was removed. */
  readonly takeFrom: (partition: FetchedPartition) => Effect.Effect<Taken | undefined, ConsumerError>
  /** The batch behind the one that was taken of a partition, if it is there already and wanted. */
  readonly takeNext: FetchReaders.FetchReaders["takeNext"]
  /** Looks again at partitions that were paused, resumed or sought. */
  readonly wake: () => void
  /** Readers come to their end, or fail. */
  readonly end: (error?: ConsumerError) => void
}

/** How many fetchers there have been. */
let serial = 0

/** How long the broker may hold back the first fetch that leaves a full partition out, in milliseconds; then twice as long. */
const firstPartialWait = 10

/**
 * Fetches for as long as the scope.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  options: Options
): Effect.fn.Return<Fetcher, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = (): number => monotonicMillis(clock)
  const times = { now, today: () => clock.currentTimeMillisUnsafe(), random: () => random.nextDoubleUnsafe() }
  // A connection of its own: a broker answers one after the other, and another's long poll would hold this one up.
  const purpose = `fetch-${++serial}`
  const laneOptions = { ...options, purpose, metadataMaxAge: cluster.settings.metadataMaxAge }
  const outcomes = FetchOutcomes.make(cluster, options, times)
  const lookup = PositionLookup.make(cluster, options, outcomes, times)
  const lanes = new Map<number, FetchLane.FetchLane>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach(lanes.values(), FetchLane.close, { concurrency: "unbounded", discard: true }).pipe(
      Effect.andThen(cluster.release(purpose))
    )
  )
  const requests = yield* FiberSet.make<void>()
  /** In the order in which brokers are asked for them: those that have got something go behind the others. */
  const partitions = new Set<FetchedPartition>()
  /** Opened for the fetching fiber when a request has ended, a reader has taken something, or leaders have changed. */
  const wanted = Latch.makeUnsafe(true)
  const readers = FetchReaders.make({
    partitions,
    staysOpen: options.staysOpen === true,
    onTaken: ({ partition, replica, topic }) => {
      const nodeId = replica?.nodeId ?? cluster.leaderFor(topic, partition)?.nodeId ?? -1
      // The end of a fetch that is under way wakes the fiber anyhow.
      if (lanes.get(nodeId)?.isBusy !== true) wanted.openUnsafe()
    },
    now
  })

  const laneOf = (nodeId: number): FetchLane.FetchLane => {
    let lane = lanes.get(nodeId)
    if (lane === undefined) {
      lane = FetchLane.make(nodeId)
      lanes.set(nodeId, lane)
    }
    return lane
  }

  /** Asks a broker about partitions, of which nobody else asks meanwhile. */
  const run = (asked: ReadonlyArray<FetchedPartition>, request: Effect.Effect<void>, ended: () => void) => {
    for (const partition of asked) partition.isInFlight = true
    return request.pipe(
      Effect.ensuring(
        Effect.sync(() => {
          for (const partition of asked) partition.isInFlight = false
          ended()
          readers.turned()
          readers.notify(asked)
          wanted.openUnsafe()
        })
      ),
      // A mistake of this program must not leave the reader waiting.
      Effect.tapCause((cause) => Effect.sync(() => readers.die(cause))),
      FiberSet.run(requests),
      Effect.asVoid
    )
  }

  const moveBehind = (served: ReadonlyArray<FetchedPartition>): void => {
    for (const partition of served) if (partitions.delete(partition)) partitions.add(partition)
  }

  const fetch = (lane: FetchLane.FetchLane, fetched: ReadonlyArray<FetchedPartition>, limits: FetchLane.Limits) => {
    lane.isBusy = true
    const request = FetchLane.fetch(lane, cluster, fetched, limits, laneOptions, outcomes, times).pipe(
      ConsumerSpans.receive(cluster, lane.nodeId, fetched),
      Effect.tap((filled) => Effect.sync(() => moveBehind(filled))),
      Effect.catch((error) => outcomes.failed(fetched, error)),
      Effect.asVoid
    )
    return run(fetched, request, () => {
      lane.isBusy = false
    })
  }

  /** Finds out, of partitions that a broker leads, where to fetch from. */
  const ask = (lane: FetchLane.FetchLane, { unsettled, unvalidated }: FetchSurvey.Work) => {
    lane.isAsked = true
    const settling = unsettled.length === 0 ? Effect.void : lookup.run(lane.nodeId, unsettled)
    const validating =
      unvalidated.size === 0 ? Effect.void : EpochValidation.run(cluster, outcomes, lane.nodeId, unvalidated)
    return run([...unsettled, ...unvalidated.keys()], Effect.andThen(settling, validating), () => {
      lane.isAsked = false
    })
  }

  /** Bytes that may still be asked for. */
  const room = (): number => {
    let bytes = options.prefetchBytes
    for (const { queuedBytes } of partitions) bytes -= queuedBytes
    for (const { isBusy, lastBytes } of lanes.values()) if (isBusy) bytes -= lastBytes
    return bytes
  }

  /** `lanes`: how many brokers share the budget. */
  const fetchFrom = (
    lane: FetchLane.FetchLane,
    { full, hungry, open }: FetchSurvey.Work,
    lanes: number
  ): Effect.Effect<void> => {
    const bytes = room()
    // Beyond the budget only for who waits: the others have something to go on with, or nobody takes from them.
    const fetched = bytes > 0 ? [...hungry, ...open] : hungry.filter(({ isAwaited }) => isAwaited)
    if (fetched.length === 0) return Effect.void
    const isPartial = full > 0 || fetched.length < hungry.length + open.length
    const doubled = Math.max(firstPartialWait, lane.partialWait * 2)
    const maxWait = isPartial ? Math.min(options.fetchMaxWait, doubled) : options.fetchMaxWait
    lane.partialWait = isPartial ? maxWait : 0
    // One partition's worth comes in any case.
    const least = fetched.reduce((most, { maxBytes }) => Math.max(most, maxBytes), 0)
    return fetch(lane, fetched, {
      maxWait,
      maxBytes: Math.min(options.fetchMaxBytes, Math.max(least, Math.ceil(bytes / lanes)))
    })
  }

  /** Starts what can be started; gives the time of the next look, in milliseconds of the clock. */
  const round = Effect.fnUntraced(function* () {
    const { ended, leaderless, nextLook, work } = FetchSurvey.make(partitions, cluster, outcomes, now())
    readers.notify(ended)
    for (const topic of leaderless) yield* cluster.invalidate(topic)
    for (const [nodeId, one] of work) {
      const lane = laneOf(nodeId)
      if (!lane.isAsked && one.unsettled.length + one.unvalidated.size > 0) yield* ask(lane, one)
      if (!lane.isBusy) yield* fetchFrom(lane, one, work.size)
    }
    return nextLook
  })

  yield* cluster.changes.pipe(
    Stream.runForEach(() => Effect.sync(() => wanted.openUnsafe())),
    Effect.forkScoped
  )
  yield* Effect.gen(function* () {
    wanted.closeUnsafe()
    const nextLook = yield* round()
    if (nextLook === Number.POSITIVE_INFINITY) yield* wanted.await
    else yield* Effect.raceFirst(wanted.await, Effect.sleep(Math.max(1, nextLook - now())))
  }).pipe(
    Effect.forever,
    Effect.tapCause((cause) => Effect.sync(() => readers.die(cause))),
    Effect.forkScoped
  )

  const wake = (): void => {
    readers.notify([...partitions])
    wanted.openUnsafe()
  }
  return {
    add: (added) => {
      for (const partition of added) if (!partition.isRemoved) partitions.add(partition)
      wake()
    },
    remove: (removed) => {
      const gone = [...removed]
      for (const partition of gone) {
        partition.remove()
        partitions.delete(partition)
      }
      readers.notify(gone)
      wanted.openUnsafe()
    },
    take: readers.take,
    takeFrom: readers.takeFrom,
    takeNext: readers.takeNext,
    end: readers.end,
    wake
  }
})
