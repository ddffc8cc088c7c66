/**
 * Reads topics as a member of a group: prints, and commits what was printed and nothing else.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CommitError } from "kafka-effect/CommitError"
import * as Consumer from "kafka-effect/Consumer"
import type { ConsumerError } from "kafka-effect/ConsumerError"
import * as Kafka from "kafka-effect/Kafka"
import type { KafkaError } from "kafka-effect/KafkaError"
import * as Offsets from "kafka-effect/Offsets"
import type { SerdeError } from "kafka-effect/Serde"
import type { TopicPartition } from "kafka-effect/Topic"
import type { BytesRecord } from "./Format.ts"
import * as GroupRequests from "./GroupRequests.ts"
import type { BytesTopic } from "./TopicChoice.ts"

/**
 * What is read, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<E, R> {
  readonly groupId: string
  readonly topics: Consumer.Topics<BytesTopic>
  /** Where a partition begins of which the group has committed nothing. */
  readonly fallback: Consumer.FetchOptions["fallback"]
  /** Ends when each partition that this member was given was read to the end that it had then. */
  readonly exitAtEnd: boolean
  /** How many records at most. */
  readonly max: number
  /** Made with what tells how many records are still to come; prints an array, and calls `onPrinted` when it is. */
  readonly printer: (
    lag: Effect.Effect<bigint | undefined>
  ) => Effect.Effect<
    (records: ReadonlyArray<BytesRecord>, onPrinted: () => void) => Effect.Effect<void, E>,
    never,
    R | Scope.Scope
  >
}

const keyOf = ({ partition, topic }: TopicPartition): string => `${partition} ${topic}`

/** The sum of all lags that are known; undefined where none is. */
const totalOf = (lags: ReadonlyArray<Consumer.Lag>): bigint | undefined => {
  const known = lags.flatMap(({ lag }) => lag ?? [])
  return known.length === 0 ? undefined : known.reduce((sum, lag) => sum + lag)
}

const poll = "100 millis"

/** So long a group must stay shared out without anything for this member. */
const settled = "1 second"

/**
 * Whether the group has given all partitions of the subscription to others: while partitions change hands they are nobody's.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSharedOut = (
  { members, state }: Pick<GroupRequests.Group, "members" | "state">,
  wanted: ReadonlyArray<TopicPartition>
): boolean => {
  if (state.toLowerCase() !== "stable" || !members.some(({ partitions }) => partitions.length === 0)) return false
  const given = new Set(members.flatMap(({ partitions }) => partitions.map(keyOf)))
  return wanted.every((place) => given.has(keyOf(place)))
}

/** Waits until all that this member was given was read to the end that it had then, or the group has nothing for it. */
const untilEnd = Effect.fnUntraced(function* (
  groupId: string,
  consumer: Consumer.Consumer<BytesTopic>,
  ends: Map<string, bigint>
): Effect.fn.Return<void, ConsumerError | KafkaError, Kafka.Kafka> {
  const { cluster } = yield* Kafka.Kafka

  const isAtEnd = Effect.fnUntraced(function* (places: ReadonlyArray<TopicPartition>) {
    const fresh = places.filter((place) => !ends.has(keyOf(place)))
    const found = yield* consumer.endOffsets(fresh)
    fresh.forEach((place, index) => {
      ends.set(keyOf(place), found[index])
    })
    for (const place of places) {
      const end = ends.get(keyOf(place))
      if (end === undefined || (yield* consumer.position(place)) < end) return false
    }
    return true
  })

  const hasNothing = Effect.gen(function* () {
    const names = yield* consumer.subscription
    const topics = yield* Effect.forEach(names, (name) => cluster.topic(name))
    const wanted = topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partition }) => ({ topic, partition }))
    )
    const group = yield* GroupRequests.describe(groupId)
    return group !== undefined && isSharedOut(group, wanted)
  }).pipe(
    Effect.catchIf(
      (error) => error.isRetriable,
      () => Effect.succeed(false)
    )
  )

  const look = Effect.gen(function* () {
    const places = yield* consumer.assignment
    if (places.length > 0) return yield* isAtEnd(places)
    if (!(yield* hasNothing)) return false
    yield* Effect.sleep(settled)
    return (yield* consumer.assignment).length === 0 && (yield* hasNothing)
  }).pipe(
    // It was taken away meanwhile.
    Effect.catchIf(
      (error) => error._tag === "ConsumerError" && error.reason._tag === "NotAssigned",
      () => Effect.succeed(false)
    )
  )

  while (!(yield* look)) yield* Effect.sleep(poll)
})

/**
 * Reads until `max` or `exitAtEnd` ends it, or it is interrupted; then commits, and leaves the group.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function* <E, R>({
  exitAtEnd,
  fallback,
  groupId,
  max,
  printer,
  topics
}: Options<E, R>): Effect.fn.Return<
  void,
  E | ConsumerError | SerdeError | CommitError | KafkaError,
  R | Kafka.Kafka | Scope.Scope
> {
  /** By partition, as of when this member was given it. */
  const ends = new Map<string, bigint>()
  const forget = (places: ReadonlyArray<TopicPartition>) =>
    Effect.sync(() => {
      for (const place of places) ends.delete(keyOf(place))
    })
  const consumer = yield* Consumer.make({
    groupId,
    topics,
    fallback,
    // An array is printed before the next is asked for.
    enableAutoCommit: true,
    autoCommitInterval: "1 second",
    commitTimeout: "15 seconds",
    // Whoever reads the output may stop for as long as it likes.
    stallTimeout: Number.POSITIVE_INFINITY,
    listener: { onAssigned: forget, onRevoked: forget, onLost: forget }
  })
  const print = yield* printer(Effect.map(consumer.lag, totalOf))

  let printed = Offsets.empty
  const reading = pipe(
    max === Number.POSITIVE_INFINITY ? consumer.records : Stream.take(consumer.records, max),
    Stream.runForEachArray((records) =>
      print(records, () => {
        printed = Offsets.merge(printed, Offsets.of(records))
      })
    )
  )
  /** What automatic commits do not know: they take an array for finished when the next is asked for. */
  const commitPrinted = Effect.gen(function* () {
    const mine = new Set((yield* consumer.assignment).map(keyOf))
    yield* consumer.commit(Offsets.from([...printed].filter((entry) => mine.has(keyOf(entry)))))
  }).pipe(
    // Others have it already, and print it again.
    Effect.catchIf(
      ({ reason }) => reason._tag === "PartitionLost",
      () => Effect.void
    )
  )
  const ending = exitAtEnd
    ? untilEnd(groupId, consumer, ends).pipe(Effect.andThen(consumer.stop), Effect.andThen(Effect.never))
    : Effect.never
  yield* Effect.onExit(Effect.raceFirst(reading, ending), () => commitPrinted)
})
