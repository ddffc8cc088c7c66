/**
 * Reads records of topics as streams.
 *
 * `make` is one consumer: a member of a group, or the reader of chosen partitions, for as long as its scope. Its records
 * come as one stream, as a stream per partition, or to a function (`run`); what has been finished is committed. `assign`
 * reads chosen partitions from chosen positions, without a group: to the end, or for ever.
 *
 * The streams' arrays are Kafka's batches; small ones of a partition come together. Fetches run ahead of the reader, under
 * a budget of bytes; lost connections, moved leaders and coordinators, and rebalances of the group are waited out.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { Assignor } from "./Assignor.ts"
import type * as ClusterMetadata from "./ClusterMetadata.ts"
import type { CommitError } from "./CommitError.ts"
import type { ConsumerError } from "./ConsumerError.ts"
import * as Assigned from "./internal/consumer/Assigned.ts"
import * as ConsumerService from "./internal/consumer/ConsumerService.ts"
import { Kafka } from "./Kafka.ts"
import type { Offsets } from "./Offsets.ts"
import type { Producer } from "./Producer.ts"
import type { ProducerError } from "./ProducerError.ts"
import type { Serde, SerdeError } from "./Serde.ts"
import type { AnyTopic, ConsumerRecord, RecordOf, ServicesOf, Topic, TopicPartition } from "./Topic.ts"

/**
 * Where to begin: an offset, the first record that there is, behind the last, the first at or after a time (milliseconds
 * since 1970), or a number of records before the end.
 *
 * @category models
 * @since 0.1.0
 */
export type Position = bigint | "earliest" | "latest" | { readonly timestamp: number } | { readonly beforeEnd: number }

/**
 * How records are fetched. Names and defaults are those of Kafka's Java client, unless a comment says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface FetchOptions {
  /** Whether records of transactions wait until these are committed. Defaults to `committed` (Java's default of `isolation.level` is the other). */
  readonly isolation?: "committed" | "uncommitted" | undefined
  /**
   * Where to go on when a position does not exist (any more), and where to begin when a group has committed none:
   * `nearest` is the end of the log that it has fallen off, a duration the first record that is no older (KIP-1106), a
   * timestamp (milliseconds since 1970; Java has none) the first record that is not from before. When a log was cut back
   * behind what was read (KIP-320), all but `fail` go on where it parted. Defaults to `fail`. Java: `auto.offset.reset`.
   */
  readonly fallback?:
    | "earliest"
    | "latest"
    | "nearest"
    | { readonly duration: Duration.Input }
    | { readonly timestamp: number }
    | "fail"
    | undefined
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
  /** Whether the checksums of records are checked. Defaults to true. Java: `check.crcs`. */
  readonly checkCrcs?: boolean | undefined
  /** Bytes of fetched batches that may wait for the reader, over all partitions. Defaults to 64 MiB. Java has no such bound. */
  readonly prefetchBytes?: number | undefined
}

/**
 * What `assign` reads, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssignOptions<T extends AnyTopic> extends FetchOptions {
  /** The partitions, each with its topic and where to begin. */
  readonly partitions: ReadonlyArray<readonly [topic: T, partition: number, position: Position]>
  /**
   * `end`: the stream ends when each partition was read to the end that it had when the stream began. By default it goes
   * on for ever.
   */
  readonly until?: "end" | undefined
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
): Stream.Stream<RecordOf<T>, ConsumerError | SerdeError, Kafka | ServicesOf<T>> =>
  Stream.unwrap(Effect.map(Effect.service(Kafka), ({ cluster }) => Assigned.stream(cluster, options)))

/**
 * All topics whose names match, those that are created later too: looked for every `metadataMaxAge`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicPattern<T extends AnyTopic> {
  readonly matches: RegExp
  readonly key: T["key"]
  readonly value: T["value"]
  /** Whether Kafka's own topics are read too. Defaults to false. Java: `exclude.internal.topics`. */
  readonly includeInternal?: boolean | undefined
}

/**
 * What a consumer subscribes to.
 *
 * @category models
 * @since 0.1.0
 */
export type Topics<T extends AnyTopic> = ReadonlyArray<T> | TopicPattern<T>

/**
 * A pattern of topic names, with the serdes of all that match.
 *
 * @example
 * ```ts
 * Consumer.make({ groupId: "audit", topics: Consumer.pattern(/^orders-/, { key: Serde.string, value: Serde.json(Order) }) })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pattern = <K, V, R = never>(
  matches: RegExp,
  options: {
    readonly key: Serde<K, R>
    readonly value: Serde<V, R>
    readonly includeInternal?: boolean | undefined
  }
): TopicPattern<Topic<string, K, V, R>> => ({ matches, ...options })

/**
 * Effects that are run when partitions come and go. The group waits for `onRevoked`, as long as `drainTimeout`
 * lets it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listener {
  /** Partitions are new to this consumer; none of their records was handed over yet. */
  readonly onAssigned?: ((partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>) | undefined
  /** Partitions are taken away: the work on their records has ended, and offsets can still be committed. */
  readonly onRevoked?: ((partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>) | undefined
  /** Partitions belong to others already: nothing can be committed for them. */
  readonly onLost?: ((partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>) | undefined
}

/**
 * What a consumer reads, and how. Names and defaults are those of Kafka's Java client, unless a comment says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<T extends AnyTopic> extends FetchOptions {
  /** The consumer group. Without one (only with `partitions`) nothing can be committed. Java: `group.id`. */
  readonly groupId?: string | undefined
  /** The topics, or a pattern of their names: the group shares out their partitions. */
  readonly topics?: Topics<T> | undefined
  /**
   * Chosen partitions instead of `topics`, and where each begins (defaults to what was committed): no other member of a
   * group shares them.
   */
  readonly partitions?:
    | ReadonlyArray<readonly [topic: T, partition: number, position?: Position | undefined]>
    | undefined
  /** Makes the member a static one, which may come back within `sessionTimeout` (KIP-345). Defaults to none. Java: `group.instance.id`. */
  readonly groupInstanceId?: string | undefined
  /**
   * Who shares out the partitions, in order of preference: all members of a group need one in common. Defaults to
   * `Assignor.cooperativeSticky` alone (Java: range, then cooperative-sticky). Java: `partition.assignment.strategy`.
   */
  readonly assignors?: ReadonlyArray<Assignor> | undefined
  /** The group takes the member for dead when it has heard nothing for so long. Defaults to 45 s. Java: `session.timeout.ms`. */
  readonly sessionTimeout?: Duration.Input | undefined
  /** Defaults to 3 s. Java: `heartbeat.interval.ms`. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /**
   * How long members may take to give partitions back in a rebalance, and the default of `stallTimeout`. Defaults to 5
   * minutes. Java: `max.poll.interval.ms`.
   */
  readonly maxPollInterval?: Duration.Input | undefined
  /**
   * Where a partition begins when this consumer gets it for the first time. Later it is what was committed; if nothing was,
   * where this consumer stood. Defaults to `committed`: what was committed, else `fallback`.
   */
  readonly startAt?: "committed" | "earliest" | "latest" | { readonly timestamp: number } | undefined
  /**
   * Whether streams commit by themselves, each `autoCommitInterval`, what was handed over before the last array that was
   * asked for: right for readers that finish an array before they ask for the next. `run` always commits what has been
   * finished. Defaults to false (Java: true). Java: `enable.auto.commit`.
   */
  readonly enableAutoCommit?: boolean | undefined
  /** How often what has been finished is committed. Defaults to 5 s. Java: `auto.commit.interval.ms`. */
  readonly autoCommitInterval?: Duration.Input | undefined
  /** For one commit, with all its tries. Defaults to 60 s. Java: `default.api.timeout.ms`. */
  readonly commitTimeout?: Duration.Input | undefined
  /**
   * How long it may take to give partitions back, all in all: the work on their records (two thirds of it at most, then it
   * is interrupted), `onRevoked` (until five sixths are over), and their commits. Defaults to 60 % of `maxPollInterval`,
   * 30 s at most. Java has no such bound.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /**
   * How long a reader may not ask for records of a partition that has some: then its stream, or `run`, fails with
   * `Stalled`; the member stays in the group, and may be read again. May be infinite. Defaults to `maxPollInterval`.
   */
  readonly stallTimeout?: Duration.Input | undefined
  /** Most records of an array. Defaults to all of a batch, or 1,000 of small ones together. Java: `max.poll.records`. */
  readonly maxPollRecords?: number | undefined
  /** Streams end when nothing came for so long. Defaults to never. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * What becomes of records that cannot be decoded: `fail` ends the stream with a `SerdeError` when the reader comes to
   * them, `skip` leaves them out and says so in the log. `Serde.attempt` hands them over; `run` may put them aside
   * (`deadLetter`). Defaults to `fail`.
   */
  readonly onSerdeError?: "fail" | "skip" | undefined
  readonly listener?: Listener | undefined
}

/**
 * A partition with a stream of its own, which ends when the partition is taken away.
 *
 * @category models
 * @since 0.1.0
 */
export interface Partition<Record, R> extends TopicPartition {
  /** To be run once. The partition is given back when its run has ended. */
  readonly records: Stream.Stream<Record, ConsumerError | SerdeError, R>
  /** Waits until the partition is taken away; says why. */
  readonly revoked: Effect.Effect<"revoked" | "lost" | "stopped">
}

/**
 * What happens to a consumer.
 *
 * @category models
 * @since 0.1.0
 */
export type ConsumerEvent =
  | { readonly _tag: "Assigned" | "Revoked" | "Lost"; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "DrainTimeout" | "Stalled"; readonly partition: TopicPartition }
  | { readonly _tag: "Committed"; readonly offsets: Offsets }
  /** What has been finished of these could not be committed; it is tried again with the next automatic commit. */
  | {
      readonly _tag: "CommitFailed"
      readonly partitions: ReadonlyArray<TopicPartition>
      readonly error: CommitError
    }
  | {
      readonly _tag: "OffsetReset"
      readonly partition: TopicPartition
      readonly from: bigint
      readonly to: bigint
      readonly cause: "out-of-range" | "truncation" | "recreated"
    }

/**
 * A record for which the work has failed for good.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedRecord<E> {
  /** As it was fetched. */
  readonly record: ConsumerRecord<string, Uint8Array | null, Uint8Array | null>
  readonly cause: Cause.Cause<E | SerdeError>
}

/**
 * Where records go for which the work has failed for good: to a function, or to a topic, with their own headers and
 * `x-original-topic`, `x-original-partition`, `x-original-offset`, `x-original-timestamp`, `x-group-id`, `x-error-name`,
 * `x-error-message`.
 *
 * @category models
 * @since 0.1.0
 */
export type DeadLetter<E, E2 = never, R2 = never> =
  | ((failed: FailedRecord<E>) => Effect.Effect<void, E2, R2>)
  | { readonly producer: Producer["Service"]; readonly topic: string }

/**
 * How `run` works.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<E, E2 = never, R2 = never> {
  /**
   * `partition`: the arrays of a partition one after the other, those of several at a time. `perKey`: up to so many keys
   * of each partition at a time, the records of a key in their order. Defaults to `partition`.
   */
  readonly concurrency?: "partition" | { readonly perKey: number } | undefined
  /** When the function is tried again with the same records. Defaults to never. */
  readonly retry?: Schedule.Schedule<unknown, E, never, R2> | undefined
  /**
   * What becomes of records that still fail: they are tried one by one, and those that fail go there. Records that cannot
   * be decoded do too. By default `run` ends with the failure.
   */
  readonly deadLetter?: DeadLetter<E, E2, R2> | undefined
}

/**
 * How far a partition is behind.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lag extends TopicPartition {
  /** Offsets between what is handed over next and the end, as of the last fetch; undefined before the first. */
  readonly lag: bigint | undefined
}

/**
 * A consumer. Only one of `records`, `partitions` and `run` can be run at a time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Consumer<T extends AnyTopic> {
  /**
   * The records of all partitions, in order per partition. When a partition is taken away, the group waits until what
   * was handed over of it is committed; from a reader that never commits, until it asks for more.
   */
  readonly records: Stream.Stream<RecordOf<T>, ConsumerError | SerdeError, ServicesOf<T>>
  /** A stream per partition, each for as long as the partition belongs to this consumer. */
  readonly partitions: Stream.Stream<Partition<RecordOf<T>, ServicesOf<T>>, ConsumerError>
  /**
   * Works on all records, at least once: what has been finished is committed, each `autoCommitInterval` and when
   * partitions are given back. Ends with the first failure, or after `stop`.
   */
  readonly run: <E, R, E2 = never, R2 = never>(
    f: (records: ReadonlyArray<RecordOf<T>>) => Effect.Effect<void, E, R>,
    options?: RunOptions<E, E2, R2>
  ) => Effect.Effect<void, E | E2 | ConsumerError | SerdeError | ProducerError, R | R2 | ServicesOf<T>>
  /**
   * Commits; waits until it is done. What is no longer this consumer's is not committed: `PartitionLost`. Records that were
   * handed over before a seek, or before an `OffsetReset`, say nothing of what is read since: they are left out, without an
   * error. Offsets that are named (`Offsets.from`) are committed all the same.
   */
  readonly commit: (offsets: Offsets) => Effect.Effect<void, CommitError>
  /** Commits the records that come, which have been finished: after so many, after so long, and at the end. */
  readonly committing: (options?: {
    /** Defaults to no bound. */
    readonly records?: number | undefined
    /** Defaults to 1 second. */
    readonly every?: Duration.Input | undefined
    // biome-ignore lint/suspicious/noExplicitAny: keys and values do not matter for commits, whatever their types
  }) => Sink.Sink<void, ConsumerRecord<string, any, any>, never, CommitError>
  /**
   * Ends all streams behind what was handed over, waits for the work on it, commits, and leaves the group. From within the
   * function of `run` it has to be forked: it waits for that very function.
   */
  readonly stop: Effect.Effect<void>
  /** Hands nothing over of these partitions until `resume`; those that this consumer does not have are left out. */
  readonly pause: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly resume: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly paused: Effect.Effect<ReadonlyArray<TopicPartition>>
  /** Goes on elsewhere. Fails with `NotAssigned`, and moves nothing, if one of them is not this consumer's. */
  readonly seek: (positions: Iterable<readonly [TopicPartition, Position]>) => Effect.Effect<void, ConsumerError>
  /** What happens from now on; a slow reader misses events. */
  readonly events: Stream.Stream<ConsumerEvent>
  /** The partitions that are this consumer's now. */
  readonly assignment: Effect.Effect<ReadonlyArray<TopicPartition>>
  /** The offset that is handed over next. Fails with `NotAssigned`. */
  readonly position: (partition: TopicPartition) => Effect.Effect<bigint, ConsumerError>
  /** What the group has committed; partitions without a commit are left out. */
  readonly committed: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<Offsets, ConsumerError>
  readonly lag: Effect.Effect<ReadonlyArray<Lag>>
  /** The first offsets that there are, in the order of the partitions. */
  readonly beginningOffsets: (
    partitions: ReadonlyArray<TopicPartition>
  ) => Effect.Effect<ReadonlyArray<bigint>, ConsumerError>
  /** The offsets behind the last records; with isolation `committed` behind the last that is decided. */
  readonly endOffsets: (
    partitions: ReadonlyArray<TopicPartition>
  ) => Effect.Effect<ReadonlyArray<bigint>, ConsumerError>
  /**
   * The first offsets at or after a time (milliseconds since 1970); undefined where there is none. Fails with `Rejected`,
   * for `UnsupportedVersion`, where brokers are older than Kafka 0.10.1: they only know where segments begin.
   */
  readonly offsetsForTimes: (
    partitions: ReadonlyArray<TopicPartition & { readonly timestamp: number }>
  ) => Effect.Effect<ReadonlyArray<bigint | undefined>, ConsumerError>
  /** The names of the topics that it subscribes to now. */
  readonly subscription: Effect.Effect<ReadonlyArray<string>>
  /** Subscribes to other topics from now on. */
  readonly subscribe: (topics: Topics<T>) => Effect.Effect<void, ConsumerError>
  /** All topics of the cluster that the client may see. */
  readonly topics: Effect.Effect<ReadonlyArray<ClusterMetadata.Topic>, ConsumerError>
  readonly partitionsFor: (topic: string) => Effect.Effect<ReadonlyArray<ClusterMetadata.Partition>, ConsumerError>
}

/**
 * Makes a consumer, for as long as the scope: joins its group, and leaves it when the scope ends, after the work in hand
 * and its commits. Fails with `InvalidOption`.
 *
 * @example
 * ```ts
 * const consumer = yield* Consumer.make({ groupId: "billing", topics: [Orders], fallback: "earliest" })
 * yield* consumer.run((orders) => bill(orders), { concurrency: { perKey: 16 } })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <T extends AnyTopic>(
  options: Options<T>
): Effect.Effect<Consumer<T>, ConsumerError, Kafka | Scope.Scope> =>
  Effect.flatMap(Effect.service(Kafka), ({ cluster }) => ConsumerService.make(cluster, options))
