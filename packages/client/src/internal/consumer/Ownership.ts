/**
 * The partitions that this consumer owns now: takes them over, finds out where each begins, and gives them back when
 * nobody works on their records any more and what has been finished was committed.
 *
 * A partition that comes back is another lease: it begins at what was committed, and not before those who still work on
 * its former records have ended.
 *
 * @since 0.1.0
 */
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ConsumerError, NoCommittedOffset } from "../../ConsumerError.ts"
import type { TopicPartition } from "../../Topic.ts"
import type { Fetcher } from "./Fetcher.ts"
import { type Ending, OwnedPartition } from "./OwnedPartition.ts"
import type { Fallback, StartPosition } from "./StartPosition.ts"

/** What was committed for a partition, as far as reading has to know it. @internal */
export interface CommittedPlace {
  readonly offset: bigint
  readonly leaderEpoch: number
}

/** Effects of users', of which the rebalance waits for `revoked`. @internal */
export interface Listener {
  readonly assigned: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  readonly revoked: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  readonly lost: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
}

/** @internal */
export interface Options {
  readonly groupId: string | undefined
  /** Of the topic that has the name now; the zero one where that is not known. */
  readonly topicId: (topic: string) => string
  readonly maxPartitionFetchBytes: number
  readonly startAt: "committed" | StartPosition
  readonly fallback: Fallback
  /** Milliseconds for giving partitions back: the work on their records, the listener, and the commits. */
  readonly drainTimeout: number
  readonly now: () => number
  readonly fetcher: Fetcher
  readonly listener: Listener
  /** In the order of the partitions; undefined where nothing was committed. */
  readonly committed: (
    partitions: ReadonlyArray<OwnedPartition>
  ) => Effect.Effect<ReadonlyArray<CommittedPlace | undefined>, ConsumerError>
  /** Commits what has been finished of these partitions, and waits for all commits that are on their way. */
  readonly commitFinished: (partitions: ReadonlyArray<OwnedPartition>) => Effect.Effect<void>
  /** Nothing more of it is handed over: releases it once nobody works on what was. */
  readonly onEnding: (owned: OwnedPartition) => void
  /** It may be read from now on. */
  readonly onReady: (owned: OwnedPartition) => void
  readonly onDrainTimeout: (owned: OwnedPartition) => Effect.Effect<void>
  /** Nothing can be read any more. */
  readonly onFailure: (error: ConsumerError) => void
}

/** @internal */
export interface Ownership {
  readonly all: () => ReadonlyArray<OwnedPartition>
  readonly find: (place: TopicPartition) => OwnedPartition | undefined
  readonly take: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /** Gives partitions back in order: waits for the work on them, and commits. */
  readonly giveBack: (partitions: ReadonlyArray<TopicPartition>, reason: Ending) => Effect.Effect<void>
  /** Partitions belong to somebody else already. */
  readonly lose: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
}

/** Where a partition that this consumer had before was left, and of which topic. */
interface Known {
  readonly reached: bigint | undefined
  readonly topicId: string
}

const nowhere: Known = { reached: undefined, topicId: zeroUuid }

/** Until when each part of giving partitions back may last, as a share of `drainTimeout`: those behind it need time too. */
const workShare = 2 / 3
const listenerShare = 5 / 6

const placeOf = ({ partition, topic }: TopicPartition): TopicPartition => ({ topic, partition })

/** @internal */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Ownership, never, Scope.Scope> {
  const { fetcher, listener } = options
  const scope = yield* Effect.scope
  const topics = new Map<string, Map<number, OwnedPartition>>()
  /** Those that were taken away while somebody worked on their records, and still does. */
  const lingering = new Map<string, Map<number, OwnedPartition>>()
  /**
   * Partitions that this consumer has had before: where to begin is what was committed then. If nothing was, it is where
   * the consumer stood when they were taken away, as far as it had come to know that.
   */
  const known = new Map<string, Map<number, Known>>()

  const find: Ownership["find"] = ({ partition, topic }) => topics.get(topic)?.get(partition)
  const all: Ownership["all"] = () => [...topics.values()].flatMap((partitions) => [...partitions.values()])

  const remember = (topic: string, partition: number, place: Known): void => {
    const partitions = known.get(topic)
    if (partitions === undefined) known.set(topic, new Map([[partition, place]]))
    else partitions.set(partition, place)
  }

  const isNew = ({ partition, topic }: OwnedPartition): boolean => {
    const partitions = known.get(topic)
    if (partitions?.has(partition)) return false
    remember(topic, partition, nowhere)
    return true
  }

  /** Where a partition begins of which nothing was committed. */
  const withoutCommit = ({ partition, topic }: OwnedPartition): StartPosition | ConsumerError => {
    const { fallback, groupId = "", startAt } = options
    const { reached, topicId } = known.get(topic)?.get(partition) ?? nowhere
    // Offsets of a topic that had the name before say nothing.
    if (reached !== undefined && topicId === options.topicId(topic)) return reached
    if (startAt !== "committed") return startAt
    if (fallback === "fail") {
      return new ConsumerError({ reason: new NoCommittedOffset({ topic, partition, groupId }) })
    }
    return fallback === "nearest" ? "earliest" : fallback
  }

  const position = (owned: OwnedPartition, committed: CommittedPlace | undefined): void => {
    // A seek, or the end of the lease, may have come first.
    if (owned.isSought || owned.isEnding) return
    const start = committed ?? withoutCommit(owned)
    if (start instanceof ConsumerError) owned.fetched.error = start
    else owned.fetched.seek(start)
  }

  /** Runs an effect of the user's, for which the group waits. */
  const listen = (
    name: string,
    run: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>,
    partitions: ReadonlyArray<OwnedPartition>,
    duration = options.drainTimeout
  ): Effect.Effect<void> =>
    // Interruptible, though what calls it may not be: else it could not be bounded.
    Effect.interruptible(Effect.suspend(() => run(partitions.map(placeOf)))).pipe(
      Effect.timeoutOrElse({
        duration,
        orElse: () =>
          Effect.logWarning(
            `${name} has not ended in time for drainTimeout (${options.drainTimeout} ms): it is given up`
          )
      })
    )

  /** Who worked on the records of a former lease of the partition, and still does. */
  const formerOf = ({ partition, topic }: TopicPartition): OwnedPartition | undefined => {
    const former = lingering.get(topic)?.get(partition)
    if (former?.isReleased !== true) return former
    lingering.get(topic)?.delete(partition)
    return undefined
  }

  const begin = Effect.fnUntraced(function* (fresh: ReadonlyArray<OwnedPartition>) {
    const { startAt } = options
    const chosen = startAt === "committed" ? [] : fresh.filter(isNew)
    for (const owned of chosen) if (!owned.isSought && startAt !== "committed") owned.fetched.seek(startAt)
    const others = fresh.filter((owned) => !chosen.includes(owned) && !owned.isSought)
    if (others.length > 0) {
      const areWanted = (): boolean => others.some(({ isEnding }) => !isEnding)
      // Brokers that do not answer are waited for.
      const asked = Effect.retry(options.committed(others), {
        while: (error) => error.isRetriable && areWanted()
      }).pipe(Effect.catch((error) => (areWanted() ? Effect.fail(error) : Effect.succeed([]))))
      const places = options.groupId === undefined ? [] : yield* asked
      others.forEach((owned, index) => {
        position(owned, places[index])
      })
    }
    const there = fresh.filter((owned) => !owned.isEnding)
    fetcher.add(there.map(({ fetched }) => fetched))
    there.forEach(options.onReady)
  })

  const take: Ownership["take"] = Effect.fnUntraced(function* (partitions) {
    const fresh = partitions
      .filter((place) => find(place) === undefined)
      .map(({ partition, topic }) => {
        const { maxPartitionFetchBytes: maxBytes, now } = options
        const owned = new OwnedPartition(topic, partition, { maxBytes, now: now() })
        const others = topics.get(topic)
        if (others === undefined) topics.set(topic, new Map([[partition, owned]]))
        else others.set(partition, owned)
        return owned
      })
    if (fresh.length === 0) return
    yield* listen("onAssigned", listener.assigned, fresh)
    // The group does not wait for this: it may take long, and what is taken away meanwhile is not begun.
    const start = (some: ReadonlyArray<OwnedPartition>, after: Effect.Effect<void> = Effect.void) =>
      Effect.andThen(after, begin(some)).pipe(
        Effect.catch((error) => Effect.sync(() => options.onFailure(error))),
        Effect.forkIn(scope)
      )
    const free = fresh.filter((owned) => formerOf(owned) === undefined)
    if (free.length > 0) yield* start(free)
    for (const owned of fresh) {
      const former = formerOf(owned)
      if (former !== undefined) yield* start([owned], Deferred.await(former.released))
    }
  })

  const leave = (owned: OwnedPartition, reason: Ending): void => {
    owned.end(reason)
    options.onEnding(owned)
  }

  const forget = (leaving: ReadonlyArray<OwnedPartition>): void => {
    for (const owned of leaving) {
      const { partition, topic } = owned
      owned.lease.end()
      const { fetched, reached } = owned
      if (reached !== undefined) remember(topic, partition, { reached, topicId: fetched.topicId })
      if (find(owned) === owned) topics.get(topic)?.delete(partition)
      if (owned.isReleased) continue
      const others = lingering.get(topic)
      if (others === undefined) lingering.set(topic, new Map([[partition, owned]]))
      else others.set(partition, owned)
    }
  }

  const ownedOf = (partitions: ReadonlyArray<TopicPartition>): ReadonlyArray<OwnedPartition> =>
    partitions.flatMap((place) => find(place) ?? [])

  const giveBack: Ownership["giveBack"] = Effect.fnUntraced(function* (partitions, reason) {
    const leaving = ownedOf(partitions)
    if (leaving.length === 0) return
    const { drainTimeout, now } = options
    const began = now()
    const leftOf = (share: number): number => Math.max(0, began + drainTimeout * share - now())
    fetcher.remove(leaving.map(({ fetched }) => fetched))
    for (const owned of leaving) leave(owned, reason)
    const drained = Effect.forEach(leaving, ({ released }) => Deferred.await(released), { discard: true })
    yield* Effect.timeoutOption(drained, leftOf(workShare))
    for (const owned of leaving) {
      if (owned.isReleased) continue
      owned.interrupt()
      yield* options.onDrainTimeout(owned)
    }
    const listened = yield* Effect.exit(listen("onRevoked", listener.revoked, leaving, leftOf(listenerShare)))
    // Longer the others in the group do not wait.
    yield* Effect.timeoutOption(Effect.interruptible(options.commitFinished(leaving)), leftOf(1))
    forget(leaving)
    yield* listened
  })

  const lose: Ownership["lose"] = Effect.fnUntraced(function* (partitions) {
    const leaving = ownedOf(partitions)
    if (leaving.length === 0) return
    // First: nothing of them may be committed from now on.
    for (const owned of leaving) owned.lease.end()
    fetcher.remove(leaving.map(({ fetched }) => fetched))
    for (const owned of leaving) {
      leave(owned, "lost")
      owned.interrupt()
    }
    forget(leaving)
    yield* listen("onLost", listener.lost, leaving)
  })

  return { all, find, take, giveBack, lose }
})
