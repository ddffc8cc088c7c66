/**
 * Reads records of topics as a stream.
 *
 * `assign` reads chosen partitions from chosen positions, without a group: to the end, or for ever. The stream's arrays
 * are Kafka's batches. Fetches run ahead of the reader, under a budget of bytes; lost connections and moved leaders are
 * waited out.
 *
 * @since 0.1.0
 */
import type { Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Cluster } from "./Cluster.ts"
import { ConsumerError, InvalidOption, InvalidPartition, OffsetOutOfRange, TopicUnavailable } from "./ConsumerError.ts"
import { retryUntil } from "./internal/Backoff.ts"
import { damaged, FetchedPartition } from "./internal/consumer/FetchedPartition.ts"
import * as Fetcher from "./internal/consumer/Fetcher.ts"
import * as Offsets from "./internal/consumer/Offsets.ts"
import * as StartPosition from "./internal/consumer/StartPosition.ts"
import * as Settings from "./internal/Settings.ts"
import { Kafka } from "./Kafka.ts"
import { KafkaError } from "./KafkaError.ts"
import * as Serde from "./Serde.ts"
import type { AnyTopic, ConsumerRecord, RecordOf, ServicesOf } from "./Topic.ts"

/**
 * Where to begin: an offset, the first record that there is, behind the last, the first at or after a time (milliseconds
 * since 1970), or a number of records before the end.
 *
 * @category models
 * @since 0.1.0
 */
export type Position = bigint | "earliest" | "latest" | { readonly timestamp: number } | { readonly beforeEnd: number }

/**
 * What is read, and how. Names and defaults are those of Kafka's Java client, unless a comment says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssignOptions<T extends AnyTopic> {
  /** The partitions, each with its topic and where to begin. */
  readonly partitions: ReadonlyArray<readonly [topic: T, partition: number, position: Position]>
  /**
   * `end`: the stream ends when each partition was read to the end that it had when the stream began. By default it goes
   * on for ever.
   */
  readonly until?: "end" | undefined
  /** Whether records of transactions wait until these are committed. Defaults to `committed` (Java's default of `isolation.level` is the other). */
  readonly isolation?: "committed" | "uncommitted" | undefined
  /**
   * Where to go on when a position does not exist (any more): `nearest` is the end of the log that it has fallen off, a
   * duration the first record that is no older (KIP-1106). When a log was cut back behind what was read (KIP-320), all but
   * `fail` go on where it parted. Defaults to `fail`. Java: `auto.offset.reset`.
   */
  readonly fallback?: "earliest" | "latest" | "nearest" | { readonly duration: Duration.Input } | "fail" | undefined
  /**
   * Where this client is, as `broker.rack` names it: brokers that know how send it to the closest replica (KIP-392).
   * Defaults to none: records come from leaders. Java: `client.rack`.
   */
  readonly clientRack?: string | undefined
  /** Bytes for which a broker waits, up to `fetchMaxWait`. Defaults to 1. Java: `fetch.min.bytes`. */
  readonly fetchMinBytes?: number | undefined
  /** Most bytes in one response; a larger single batch comes all the same. Defaults to 50 MiB. Java: `fetch.max.bytes`. */
  readonly fetchMaxBytes?: number | undefined
  /** How long a broker may wait for `fetchMinBytes`. Defaults to 500 ms. Java: `fetch.max.wait.ms`. */
  readonly fetchMaxWait?: Duration.Input | undefined
  /** Most bytes of one partition in one response. Defaults to 1 MiB. Java: `max.partition.fetch.bytes`. */
  readonly maxPartitionFetchBytes?: number | undefined
  /** Bytes of fetched batches that may wait for the reader, over all partitions. Defaults to 64 MiB. Java has no such bound. */
  readonly prefetchBytes?: number | undefined
}

const maxInt32 = 0x7fffffff

interface Parsed extends Fetcher.Options {
  readonly maxPartitionFetchBytes: number
}

const parseFallback = (fallback: AssignOptions<AnyTopic>["fallback"]): StartPosition.Fallback =>
  typeof fallback === "object"
    ? { duration: Settings.duration("fallback", fallback.duration, fallback.duration) }
    : (fallback ?? "fail")

const parse = <T extends AnyTopic>(options: AssignOptions<T>): Parsed => {
  const bytes = (option: keyof AssignOptions<T> & string, input: number | undefined, byDefault: number): number =>
    Settings.integer(option, input, byDefault, { min: 1, max: maxInt32 })
  const names = new Set<string>()
  for (const [topic, partition] of options.partitions) {
    const name = `${topic.name} partition ${partition}`
    if (names.has(name)) Settings.invalid("partitions", `names topic ${name} twice`)
    names.add(name)
  }
  return {
    isolation: options.isolation ?? "committed",
    fallback: parseFallback(options.fallback),
    clientRack: options.clientRack,
    fetchMinBytes: bytes("fetchMinBytes", options.fetchMinBytes, 1),
    fetchMaxBytes: bytes("fetchMaxBytes", options.fetchMaxBytes, 50 * 1024 * 1024),
    fetchMaxWait: Settings.duration("fetchMaxWait", options.fetchMaxWait, "500 millis"),
    maxPartitionFetchBytes: bytes("maxPartitionFetchBytes", options.maxPartitionFetchBytes, 1024 * 1024),
    prefetchBytes: bytes("prefetchBytes", options.prefetchBytes, 64 * 1024 * 1024)
  }
}

/**
 * Reads chosen partitions. Fails with a `ConsumerError` when a topic, a partition or a position does not exist, or a
 * broker refuses; with a `SerdeError`, naming topic, partition and offset, when a record cannot be decoded.
 *
 * @example
 * ```ts
 * Consumer.assign({ partitions: [[Orders, 0, "earliest"]], until: "end" }).pipe(Stream.runForEachArray(bill))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const assign = <T extends AnyTopic>(
  options: AssignOptions<T>
): Stream.Stream<RecordOf<T>, ConsumerError | Serde.SerdeError, Kafka | ServicesOf<T>> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { cluster } = yield* Kafka
      const parsed = yield* Effect.try({
        try: () => parse(options),
        catch: (error) => {
          if (!(error instanceof KafkaError) || error.reason._tag !== "InvalidOption") throw error
          const { detail, option } = error.reason
          return new ConsumerError({ reason: new InvalidOption({ option, detail }) })
        }
      })
      yield* checkPartitions(cluster, options)
      const partitions = yield* positioned(cluster, options, parsed)
      const topics = new Map<string, T>(options.partitions.map(([topic]) => [topic.name, topic]))
      const fetcher = yield* Fetcher.make(cluster, parsed)
      fetcher.add(partitions)
      return Stream.fromPull(Effect.succeed(pullFrom(fetcher, topics)))
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
  { fallback, isolation, maxPartitionFetchBytes }: Parsed
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
  topics: ReadonlyMap<string, T>
): Pull.Pull<Arr.NonEmptyReadonlyArray<RecordOf<T>>, ConsumerError | Serde.SerdeError, void, ServicesOf<T>> => {
  const pull: Pull.Pull<
    Arr.NonEmptyReadonlyArray<RecordOf<T>>,
    ConsumerError | Serde.SerdeError,
    void,
    ServicesOf<T>
  > = Effect.flatMap(fetcher.take, (taken) => {
    if (taken === undefined) return Cause.done()
    const topic = topics.get(taken.source.topic)!
    return Effect.flatMap(decode(taken, topic), (records) =>
      Arr.isReadonlyArrayNonEmpty(records) ? Effect.succeed(records) : pull
    )
  })
  return pull
}

const decode = <T extends AnyTopic>(
  taken: Fetcher.Taken,
  topic: T
): Effect.Effect<ReadonlyArray<RecordOf<T>>, ConsumerError | Serde.SerdeError, ServicesOf<T>> =>
  Effect.suspend(() => {
    const { batch, from, source } = taken
    const failed = (error: unknown) => {
      if (error instanceof WireError) return damaged(source, batch.baseOffset, error)
      throw error
    }
    const wanted = (records: ReadonlyArray<Record>): ReadonlyArray<Record> => {
      const { end } = source
      const isCut = (records.length > 0 && records[0].offset < from) || (end !== undefined && batch.lastOffset >= end)
      return isCut ? records.filter(({ offset }) => offset >= from && (end === undefined || offset < end)) : records
    }
    const read = (records: ReadonlyArray<Record>) => decodeRecords(taken, topic, wanted(records))
    try {
      const records = Records.decode(batch)
      if (!(records instanceof Promise)) return read(records)
      return Effect.flatMap(Effect.tryPromise({ try: () => records, catch: failed }), read)
    } catch (error) {
      return Effect.fail(failed(error))
    }
  })

const decodeRecords = <T extends AnyTopic>(
  { batch, source }: Fetcher.Taken,
  topic: T,
  records: ReadonlyArray<Record>
): Effect.Effect<ReadonlyArray<RecordOf<T>>, Serde.SerdeError, ServicesOf<T>> => {
  const { partition } = source
  const { partitionLeaderEpoch: leaderEpoch, timestampType } = batch
  const decodeAll = Effect.suspend(() => {
    const decoded: Array<ConsumerRecord<string, unknown, unknown>> = new Array(records.length)
    for (let index = 0; index < records.length; index++) {
      const { headers, key, offset, timestamp, value } = records[index]
      let target: "key" | "value" = "key"
      try {
        const decodedKey = topic.key.decode(key, { topic: topic.name, partition, headers, target })
        target = "value"
        const decodedValue = topic.value.decode(value, { topic: topic.name, partition, headers, target })
        decoded[index] = {
          topic: topic.name,
          partition,
          offset,
          leaderEpoch,
          timestamp,
          timestampType,
          key: decodedKey,
          value: decodedValue,
          headers
        }
      } catch (cause) {
        return Effect.fail(Serde.failed("decode", { topic: topic.name, partition, headers, target }, cause, offset))
      }
    }
    // The serdes are the topic's own, so their values are of its types.
    return Effect.succeed(decoded as unknown as ReadonlyArray<RecordOf<T>>)
  })
  if (topic.key.prepare === undefined && topic.value.prepare === undefined) return decodeAll
  const context = { topic: topic.name, partition, headers: [] }
  const prepare = (target: "key" | "value") =>
    topic[target].prepare?.(
      records.map((record) => record[target]),
      { ...context, target }
    ) ?? Effect.void
  return Effect.andThen(Effect.andThen(prepare("key"), prepare("value")), decodeAll)
}
