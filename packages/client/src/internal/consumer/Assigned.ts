/**
 * Chosen partitions as one stream, without a group: from chosen positions to the end, or for ever.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import type { AssignOptions, Position } from "../../Consumer.ts"
import { ConsumerError, InvalidPartition, OffsetOutOfRange, TopicUnavailable } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { SerdeError } from "../../Serde.ts"
import type { AnyTopic, RecordOf, ServicesOf } from "../../Topic.ts"
import { retryUntil } from "../Backoff.ts"
import * as ConsumerSettings from "./ConsumerSettings.ts"
import * as Decoding from "./Decoding.ts"
import { FetchedPartition } from "./FetchedPartition.ts"
import * as Fetcher from "./Fetcher.ts"
import * as Offsets from "./Offsets.ts"
import * as StartPosition from "./StartPosition.ts"

/** @internal */
export const stream = <T extends AnyTopic>(
  cluster: Cluster,
  options: AssignOptions<T>
): Stream.Stream<RecordOf<T>, ConsumerError | SerdeError, ServicesOf<T>> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const parsed = yield* ConsumerSettings.parseAssign(options)
      yield* checkPartitions(cluster, options)
      const partitions = yield* positioned(cluster, options, parsed)
      const topics = new Map<string, T>(options.partitions.map(([topic]) => [topic.name, topic]))
      const fetcher = yield* Fetcher.make(cluster, parsed)
      fetcher.add(partitions)
      return Stream.fromPull(Effect.succeed(pullFrom(fetcher, topics, parsed.checkCrcs)))
    })
  )

/** How long a topic may be unknown, in milliseconds. */
const unknownTopicPatience = 2000

const checkPartitions = Effect.fnUntraced(function* <T extends AnyTopic>(
  cluster: Cluster,
  { partitions }: AssignOptions<T>
): Effect.fn.Return<void, ConsumerError> {
  const { requestTimeout, retryBackoff, retryBackoffMax } = cluster.settings
  for (const name of new Set(partitions.map(([{ name }]) => name))) {
    const unavailable = (cause: KafkaError) =>
      new ConsumerError({ reason: new TopicUnavailable({ topic: name, cause }) })
    const isUnknown = ({ reason }: KafkaError) =>
      reason._tag === "BrokerError" && reason.name === "UNKNOWN_TOPIC_OR_PARTITION"
    // A new topic takes its time to be known by all brokers; most often, though, the name is wrong.
    const timeout = Math.min(requestTimeout, unknownTopicPatience)
    const once = retryUntil(cluster.topic(name), { retryBackoff, retryBackoffMax, timeout, while: isUnknown })
    const found = yield* once.pipe(
      Effect.catch((error) =>
        isUnknown(error)
          ? Effect.fail(error)
          : retryUntil(cluster.topic(name), { retryBackoff, retryBackoffMax, timeout: requestTimeout })
      ),
      Effect.mapError(unavailable)
    )
    const partitionCount = found.partitions.length
    for (const [topic, partition] of partitions) {
      if (topic.name !== name || (Number.isInteger(partition) && partition >= 0 && partition < partitionCount)) continue
      return yield* new ConsumerError({ reason: new InvalidPartition({ topic: name, partition, partitionCount }) })
    }
  }
})

/** The partitions with their first and last offsets. */
const positioned = Effect.fnUntraced(function* <T extends AnyTopic>(
  cluster: Cluster,
  { partitions, until }: AssignOptions<T>,
  { fallback, isolation, maxPartitionFetchBytes }: ConsumerSettings.Assigned
): Effect.fn.Return<ReadonlyArray<FetchedPartition>, ConsumerError> {
  const places = partitions.map(([{ name: topic }, partition]) => ({ topic, partition }))
  const look = (timestampOf: (position: Position) => bigint) => {
    const queries = places.map((place, index) => ({ ...place, timestamp: timestampOf(partitions[index][2]) }))
    return Offsets.list(cluster, queries, isolation)
  }
  const isTime = (position: Position) => typeof position === "object" && "timestamp" in position
  const needsEnds =
    until === "end" || partitions.some(([, , position]) => position !== "earliest" && typeof position !== "bigint")
  const needsStarts =
    until === "end" || partitions.some(([, , position]) => position === "earliest" || typeof position === "object")
  const needsTimes = partitions.some(([, , position]) => isTime(position))
  const latests = needsEnds ? yield* look(() => Offsets.latest) : []
  const starts = needsStarts ? yield* look(() => Offsets.earliest) : []
  const times = needsTimes
    ? yield* look((position) =>
        typeof position === "object" && "timestamp" in position
          ? BigInt(Math.trunc(position.timestamp))
          : Offsets.latest
      )
    : []
  const fetched: Array<FetchedPartition> = []
  for (let index = 0; index < partitions.length; index++) {
    const ends = { earliest: starts[index], latest: latests[index], atTime: times[index] }
    let position = StartPosition.resolve(partitions[index][2], ends)
    // Who reads to the end may never fetch, so no broker would say that there is no such offset.
    if (until === "end" && (position < ends.earliest || position > ends.latest)) {
      if (fallback === "fail") {
        const { partition, topic } = places[index]
        const { earliest, latest } = ends
        const reason = new OffsetOutOfRange({ topic, partition, offset: position, earliest, latest })
        return yield* new ConsumerError({ reason })
      }
      const timestamp = StartPosition.timestampOf(fallback, yield* Clock.currentTimeMillis)
      if (timestamp !== undefined) {
        const [atTime] = yield* Offsets.list(cluster, [{ ...places[index], timestamp }], isolation)
        ends.atTime = atTime
      }
      position = StartPosition.fallBack(fallback, position, ends)
    }
    const end = until === "end" ? ends.latest : undefined
    fetched.push(new FetchedPartition({ ...places[index], start: position, end, maxBytes: maxPartitionFetchBytes }))
  }
  return fetched
})

const pullFrom = <T extends AnyTopic>(
  fetcher: Fetcher.Fetcher,
  topics: ReadonlyMap<string, T>,
  checkCrcs: boolean
): Pull.Pull<Arr.NonEmptyReadonlyArray<RecordOf<T>>, ConsumerError | SerdeError, void, ServicesOf<T>> => {
  const options = { checkCrcs, fetcher, maxRecords: Decoding.fullArray }
  /** What is met behind the records that came before it. */
  let failure: SerdeError | undefined
  const pull: Pull.Pull<
    Arr.NonEmptyReadonlyArray<RecordOf<T>>,
    ConsumerError | SerdeError,
    void,
    ServicesOf<T>
  > = Effect.suspend(() => (failure === undefined ? next : Effect.fail(failure)))
  const next: typeof pull = Effect.flatMap(fetcher.take, (taken) => {
    if (taken === undefined) return Cause.done()
    const topic = topics.get(taken.source.topic)!
    return Effect.flatMap(Decoding.decode(taken, topic, options), (decoded) => {
      taken.source.handedOver()
      failure = decoded.undecoded[0]?.error
      const { records } = failure === undefined ? decoded : Decoding.upToUndecoded(decoded)
      return Arr.isReadonlyArrayNonEmpty(records) ? Effect.succeed(records) : pull
    })
  })
  return pull
}
