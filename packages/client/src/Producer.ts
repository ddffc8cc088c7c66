/**
 * Writes records to topics: one by one, by arrays, or as the end of a stream.
 *
 * Records are written into one open batch per partition and sent a batch at a time, one request per broker for many
 * partitions. Within a partition records keep their order, through retries too, and are written once: the producer is
 * idempotent unless it is told otherwise, or the brokers are older than Kafka 0.11. Every record ends in one of three
 * ways: acknowledged, failed with a `ProducerError` that says whether it may have been written, or interrupted by its
 * caller. Leaving the scope sends what is still there, within `closeTimeout`.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type * as ClusterMetadata from "./ClusterMetadata.ts"
import { monotonicMillis } from "./internal/Backoff.ts"
import { Accumulator } from "./internal/producer/Accumulator.ts"
import * as Acknowledgement from "./internal/producer/Acknowledgement.ts"
import * as Entrance from "./internal/producer/Entrance.ts"
import * as Partitioning from "./internal/producer/Partitioning.ts"
import * as ProducerMetrics from "./internal/producer/ProducerMetrics.ts"
import * as ProducerSettings from "./internal/producer/ProducerSettings.ts"
import * as Sender from "./internal/producer/Sender.ts"
import * as Senders from "./internal/producer/Senders.ts"
import { Kafka } from "./Kafka.ts"
import type * as Partitioner from "./Partitioner.ts"
import { Closed, ProducerError } from "./ProducerError.ts"
import type * as Serde from "./Serde.ts"
import type { ProducerRecord, RecordMetadata, Topic } from "./Topic.ts"

/**
 * How records are sent. Names and defaults are those of Kafka's Java client, unless a comment says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Who must have a record before it counts as written: `all` in-sync replicas, the leader alone (1), or nobody (0).
   * Defaults to `all`. Java: `acks`.
   */
  readonly acks?: "all" | 1 | 0 | undefined
  /**
   * Whether brokers recognise what they have written already, so that no retry writes a record twice, and up to five
   * batches of a partition are in flight without one passing another (KIP-98). Needs `acks: "all"`, and Kafka 0.11.
   * Defaults to true with `acks: "all"` where the brokers know it, else to false; given as true, it is an error where it
   * cannot be. Without it one batch per partition is in flight, and a retry may write records twice. Java:
   * `enable.idempotence`.
   */
  readonly enableIdempotence?: boolean | undefined
  /** Which partition a record goes to that names none. Defaults to `default`, as in Java. Java: `partitioner.class`. */
  readonly partitioner?: Partitioner.Partitioner | undefined
  /** Defaults to none. Java: `compression.type`. */
  readonly compression?: CompressionType | undefined
  /**
   * How hard to compress: gzip 1 to 9, zstd -131072 to 22. Defaults to the codec's own, 6 and 3. Java:
   * `compression.gzip.level`, `compression.zstd.level` (KIP-390).
   */
  readonly compressionLevel?: number | undefined
  /** Bytes at which a batch is full; a larger record is a batch of its own. Defaults to 16384. Java: `batch.size`. */
  readonly batchSize?: number | undefined
  /**
   * How long a batch waits for more records. Defaults to 5 ms. With 0 what waits behind requests in flight still travels
   * together. Java: `linger.ms`.
   */
  readonly linger?: Duration.Input | undefined
  /** Bytes of records that may wait for acknowledgement; more hold their senders back. Defaults to 32 MiB. Java: `buffer.memory`. */
  readonly bufferMemory?: number | undefined
  /** How long a sender waits for room, and for a topic to be there. Defaults to 1 minute. Java: `max.block.ms`. */
  readonly maxBlock?: Duration.Input | undefined
  /** Largest request, and so the largest record, in bytes before compression. Defaults to 1 MiB. Java: `max.request.size`. */
  readonly maxRequestSize?: number | undefined
  /**
   * The one bound from `send` to the outcome, over all retries; at least `linger` and `requestTimeout` together. Defaults
   * to 2 minutes. Java: `delivery.timeout.ms`.
   */
  readonly deliveryTimeout?: Duration.Input | undefined
  /** How long leaving the scope waits for what is still unsent. Defaults to 30 seconds. Java: the argument of `close`. */
  readonly closeTimeout?: Duration.Input | undefined
  /**
   * Adds the caller's span to each record, as header `traceparent` (W3C Trace Context), so that whoever reads it can link
   * to it. Defaults to false. Java has none.
   */
  readonly traceContext?: boolean | undefined
}

/**
 * A producer.
 *
 * @category services
 * @since 0.1.0
 */
export class Producer extends Context.Service<
  Producer,
  {
    /**
     * Writes one record and waits for the acknowledgement. Interrupted, it takes the record back as long as that is not
     * in a request.
     */
    readonly send: <K, V, R>(
      topic: Topic<string, K, V, R>,
      record: ProducerRecord<K, V>
    ) => Effect.Effect<RecordMetadata, ProducerError | Serde.SerdeError, R>
    /**
     * The outer Effect waits until the record is in the buffer, the inner one for the acknowledgement. What is in the
     * buffer is sent, whether the inner one is run, interrupted, or neither.
     */
    readonly enqueue: <K, V, R>(
      topic: Topic<string, K, V, R>,
      record: ProducerRecord<K, V>
    ) => Effect.Effect<Effect.Effect<RecordMetadata, ProducerError>, ProducerError | Serde.SerdeError, R>
    /**
     * Writes many records and waits for all acknowledgements: an outcome per record, in their order. A record that cannot
     * be encoded fails the call, and none is sent. Interrupted, it takes back what is not in a request.
     */
    readonly sendAll: <K, V, R>(
      topic: Topic<string, K, V, R>,
      records: ReadonlyArray<ProducerRecord<K, V>>
    ) => Effect.Effect<ReadonlyArray<Exit.Exit<RecordMetadata, ProducerError>>, Serde.SerdeError, R>
    /** Writes every record of a stream; ends when all are acknowledged, fails with the first that was not. */
    readonly sink: <K, V, R>(
      topic: Topic<string, K, V, R>
    ) => Sink.Sink<void, ProducerRecord<K, V>, never, ProducerError | Serde.SerdeError, R>
    /** Writes a record for each element, and passes the element on with its acknowledgement, in order. */
    readonly through: <K, V, R, A>(
      topic: Topic<string, K, V, R>,
      f: (element: A) => ProducerRecord<K, V>
    ) => <E, R2>(
      self: Stream.Stream<A, E, R2>
    ) => Stream.Stream<readonly [A, RecordMetadata], E | ProducerError | Serde.SerdeError, R | R2>
    /** Sends what is in the buffer without waiting for more, and waits until all of it has its outcome. */
    readonly flush: Effect.Effect<void>
    /** The partitions of a topic. */
    readonly partitionsFor: (topic: string) => Effect.Effect<ReadonlyArray<ClusterMetadata.Partition>, ProducerError>
  }
>()("kafka-effect/Producer") {}

/**
 * A producer, for as long as the scope: leaving it sends what is still in the buffer within `closeTimeout`, and fails the
 * rest. Fails with `InvalidOption`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Producer["Service"], ProducerError, Kafka | Scope.Scope> {
  const { cluster } = yield* Kafka
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const settings = yield* ProducerSettings.parse(options, cluster.settings)
  const latch = Latch.makeUnsafe()
  const now = (): number => monotonicMillis(clock)
  const { batchSize, bufferMemory, closeTimeout, partitioner } = settings
  const accumulator = new Accumulator({ batchSize, bufferMemory, now, wake: () => latch.openUnsafe() })
  const metrics = ProducerMetrics.make(yield* Effect.context<never>(), cluster.settings.clientId, batchSize)
  const choose = Partitioning.make({ partitioner, batchSize, random: () => random.nextDoubleUnsafe() })
  let isClosed = false
  const entrance = Entrance.make(cluster, accumulator, choose, { ...settings, isClosed: () => isClosed })
  yield* Sender.start(cluster, accumulator, metrics, latch, settings)

  const flush = Effect.suspend(() => {
    accumulator.flushBefore = now()
    latch.openUnsafe()
    return Acknowledgement.all([...accumulator.incomplete])
  })
  const failRest = Effect.suspend(() => {
    const left = [...accumulator.incomplete]
    let count = 0
    for (const batch of left) {
      count += batch.builder.count
      // One that is in a request and was not sent yet will not be: that is looked at before.
      const reason = new Closed({ topic: batch.topic, maybeWritten: batch.maybeWritten || batch.attempts > 0 })
      accumulator.complete(batch, Exit.fail(new ProducerError({ reason })))
    }
    if (count === 0) return Effect.void
    return Effect.logWarning(`the producer was closed with ${count} records unacknowledged after closeTimeout`)
  })
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return Effect.timeoutOption(flush, closeTimeout)
    }).pipe(Effect.andThen(failRest))
  )
  return Producer.of({
    flush,
    partitionsFor: (topic) => Effect.map(entrance.topic(topic), ({ partitions }) => partitions),
    ...Senders.make(entrance, metrics, () => clock.currentTimeMillisUnsafe(), settings.traceContext)
  })
})

/**
 * A producer, as a layer. Fails with `InvalidOption`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Producer, ProducerError, Kafka> =>
  Layer.effect(Producer, make(options))

/**
 * A producer whose options come from the configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Producer, ProducerError | Config.ConfigError, Kafka> =>
  Layer.effect(Producer, Effect.flatMap(Config.unwrap(options), make))
