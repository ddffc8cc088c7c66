/**
 * Keeps fetches under way for a set of partitions, ahead of the reader, under one budget of bytes.
 *
 * One fetch is in flight per broker, on a connection of its own, since the broker holds it back until there is data. A
 * partition whose records nobody takes stops being fetched; the others go on: the budget is shared, but a partition with
 * an empty queue may always fetch. A fetch that leaves a full partition out waits at the broker only briefly at first,
 * then longer and longer: were it held back for lack of data, the full one would stand still once it has been drained.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError } from "../../ConsumerError.ts"
import { monotonicMillis } from "../Backoff.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { FetchedBatch, FetchedPartition } from "./FetchedPartition.ts"
import * as FetchOutcomes from "./FetchOutcomes.ts"
import * as FetchRequests from "./FetchRequests.ts"

/** @internal */
export interface Options extends FetchRequests.Options, FetchOutcomes.Options {
  /** Bytes that may wait for the reader. */
  readonly prefetchBytes: number
}

/** A batch for the reader, with where it is from. @internal */
export interface Taken extends FetchedBatch {
  readonly source: FetchedPartition
}

/** @internal */
export interface Fetcher {
  /**
   * The next batch of any partition: waits for it; undefined when all partitions were read to their ends. Partitions take
   * turns.
   */
  readonly take: Effect.Effect<Taken | undefined, ConsumerError>
}

/** How many fetchers there have been. */
let serial = 0

/** How long the broker may hold back the first fetch that leaves a full partition out, in milliseconds; then twice as long. */
const firstPartialWait = 10

/**
 * Starts to fetch, for as long as the scope.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  partitions: ReadonlyArray<FetchedPartition>,
  options: Options
): Effect.fn.Return<Fetcher, never, Scope.Scope> {
  // A connection of its own: a broker answers one after the other, and another's long poll would hold this one up.
  const purpose = `fetch-${++serial}`
  yield* Effect.addFinalizer(() => cluster.release(purpose))
  const requests = yield* FiberSet.make<void>()
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = (): number => monotonicMillis(clock)
  /** Opened for the fetching fiber when a fetch has ended, a reader has taken something, or leaders have changed. */
  const wanted = Latch.makeUnsafe(true)
  /** Opened for the reader when something has come. */
  const arrived = Latch.makeUnsafe()
  const busy = new Set<number>()
  /** By node: how long its last fetch was held back at most, when that left full partitions out. */
  const partialWaits = new Map<number, number>()
  let turn = 0
  let defect: Cause.Cause<never> | undefined
  const outcomes = FetchOutcomes.make(cluster, options, { now, random: () => random.nextDoubleUnsafe() })

  const fetch = Effect.fnUntraced(function* (nodeId: number, wanted: ReadonlyArray<FetchedPartition>, maxWait: number) {
    const connection = yield* cluster.connection(nodeId, purpose)
    const fetched: Array<FetchedPartition> = []
    for (const partition of wanted) if (yield* outcomes.isSameTopic(partition)) fetched.push(partition)
    if (fetched.length === 0) return
    const { topics } = cluster.metadata()
    const haveIds = fetched.every(({ topic }) => (topics.get(topic)?.id ?? zeroUuid) !== zeroUuid)
    const version = yield* connection.version(Fetch, haveIds ? {} : { maxVersion: FetchRequests.topicIdVersion - 1 })
    const unanswered = new Set(fetched)
    const message = FetchRequests.request(cluster, fetched, version, options, maxWait)
    const response = yield* connection.request(Fetch, message, { version })
    if (response.errorCode !== ErrorCode.codes.NONE) {
      const { broker } = connection
      return yield* brokerError({ nodeId, broker, api: "Fetch", code: response.errorCode })
    }
    const { topicNames } = cluster.metadata()
    for (const { partitions: answers, topic: name, topicId } of response.responses) {
      const topic = name === "" ? topicNames.get(topicId) : name
      for (const data of answers) {
        const partition = fetched.find((one) => one.topic === topic && one.partition === data.partitionIndex)
        // Not asked for, or said twice.
        if (partition === undefined || !unanswered.delete(partition)) continue
        if (data.errorCode !== ErrorCode.codes.NONE) {
          yield* outcomes.failedPartition(partition, data, nodeId, response)
          continue
        }
        partition.failures = 0
        const aborted = options.isolation === "committed" ? (data.abortedTransactions ?? []) : []
        if (data.records !== null) partition.accept(data.records, aborted)
      }
    }
    for (const partition of unanswered) outcomes.backOff(partition)
  })

  /** A mistake of this program must not leave the reader waiting. */
  const die = (cause: Cause.Cause<never>): Effect.Effect<void> =>
    Effect.sync(() => {
      if (Cause.hasInterruptsOnly(cause)) return
      defect = cause
      arrived.openUnsafe()
    })

  const start = (nodeId: number, fetched: ReadonlyArray<FetchedPartition>, isPartial: boolean): Effect.Effect<void> => {
    busy.add(nodeId)
    for (const partition of fetched) partition.isInFlight = true
    let maxWait = options.fetchMaxWait
    if (isPartial) {
      maxWait = Math.min(maxWait, (partialWaits.get(nodeId) ?? firstPartialWait / 2) * 2)
      partialWaits.set(nodeId, maxWait)
    } else partialWaits.delete(nodeId)
    return fetch(nodeId, fetched, maxWait).pipe(
      Effect.catch((error) => outcomes.failed(fetched, error)),
      Effect.ensuring(
        Effect.sync(() => {
          busy.delete(nodeId)
          for (const partition of fetched) partition.isInFlight = false
          arrived.openUnsafe()
          wanted.openUnsafe()
        })
      ),
      Effect.tapCause(die),
      FiberSet.run(requests),
      Effect.asVoid
    )
  }

  /** Starts what can be started; gives the time of the next look, in milliseconds of the clock. */
  const round = Effect.fnUntraced(function* () {
    const time = now()
    const queued = partitions.reduce((sum, partition) => sum + partition.queuedBytes, 0)
    const hasBudget = queued < options.prefetchBytes
    const byNode = new Map<number, Array<FetchedPartition>>()
    /** Nodes with partitions that are not fetched because nobody takes their records. */
    const withFull = new Set<number>()
    const leaderless = new Set<string>()
    let nextLook = Number.POSITIVE_INFINITY
    for (const partition of partitions) {
      if (partition.notBefore > time) nextLook = Math.min(nextLook, partition.notBefore)
      if (!partition.wantsMore(time)) continue
      const leader = cluster.leaderFor(partition.topic, partition.partition)
      if (partition.queuedBytes >= partition.maxBytes || (!hasBudget && partition.queue.length > 0)) {
        if (leader !== undefined) withFull.add(leader.nodeId)
      } else if (leader === undefined || leader.nodeId < 0) {
        leaderless.add(partition.topic)
        outcomes.backOff(partition)
        nextLook = Math.min(nextLook, partition.notBefore)
      } else if (!busy.has(leader.nodeId)) {
        const list = byNode.get(leader.nodeId)
        if (list === undefined) byNode.set(leader.nodeId, [partition])
        else list.push(partition)
      }
    }
    for (const topic of leaderless) yield* cluster.invalidate(topic)
    for (const [nodeId, list] of byNode) yield* start(nodeId, list, withFull.has(nodeId))
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
  }).pipe(Effect.forever, Effect.tapCause(die), Effect.forkScoped)

  /** A batch, an error, `undefined` at the end of all partitions, or "nothing" yet. */
  const poll = (): Taken | ConsumerError | undefined | "nothing" => {
    let isComplete = true
    for (let step = 0; step < partitions.length; step++) {
      const source = partitions[(turn + step) % partitions.length]
      const taken = source.take()
      if (taken !== undefined) {
        turn = (turn + step + 1) % partitions.length
        wanted.openUnsafe()
        return { ...taken, source }
      }
      if (source.error !== undefined) return source.error
      if (!source.isComplete) isComplete = false
    }
    return isComplete ? undefined : "nothing"
  }

  const take: Fetcher["take"] = Effect.suspend(() => {
    arrived.closeUnsafe()
    if (defect !== undefined) return Effect.failCause(defect)
    const found = poll()
    if (found === "nothing") return Effect.andThen(arrived.await, take)
    return found instanceof ConsumerError ? Effect.fail(found) : Effect.succeed(found)
  })

  return { take }
})
