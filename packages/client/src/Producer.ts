/**
 * Writes records to topics: one by one, by arrays, or as the end of a stream.
 *
 * Records are written into one open batch per partition and sent a batch at a time, one request per broker for many
 * partitions. Within a partition records keep their order, through retries too. Every record ends in one of three ways:
 * acknowledged, failed with a `ProducerError`, or, with `acks: 0`, handed to the network. Leaving the scope sends what is
 * still there, within `closeTimeout`.
 *
 * A retry after a lost connection may write a record twice.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { noHeaders } from "@kafka-effect/protocol/Record"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { Cluster } from "./Cluster.ts"
import type * as ClusterMetadata from "./ClusterMetadata.ts"
import { monotonicMillis, retryUntil } from "./internal/Backoff.ts"
import { Accumulator } from "./internal/producer/Accumulator.ts"
import type { Batch, Written } from "./internal/producer/Batch.ts"
import * as Partitioner from "./internal/producer/Partitioner.ts"
import * as Sender from "./internal/producer/Sender.ts"
import * as Settings from "./internal/Settings.ts"
import { Kafka } from "./Kafka.ts"
import { KafkaError } from "./KafkaError.ts"
import {
  BufferExhausted,
  Closed,
  InvalidOption,
  InvalidPartition,
  InvalidRecord,
  ProducerError,
  RecordTooLarge,
  TopicUnavailable
} from "./ProducerError.ts"
import * as Serde from "./Serde.ts"
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
  /** Defaults to none. Java: `compression.type`. */
  readonly compression?: CompressionType | undefined
  /** Bytes at which a batch is full; a larger record is a batch of its own. Defaults to 16384. Java: `batch.size`. */
  readonly batchSize?: number | undefined
  /** How long a batch waits for more records. Defaults to 5 ms. Java: `linger.ms`. */
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
    /** Writes one record and waits for the acknowledgement. */
    readonly send: <K, V, R>(
      topic: Topic<string, K, V, R>,
      record: ProducerRecord<K, V>
    ) => Effect.Effect<RecordMetadata, ProducerError | Serde.SerdeError, R>
    /** The outer Effect waits until the record is in the buffer, the inner one for the acknowledgement. */
    readonly enqueue: <K, V, R>(
      topic: Topic<string, K, V, R>,
      record: ProducerRecord<K, V>
    ) => Effect.Effect<Effect.Effect<RecordMetadata, ProducerError>, ProducerError | Serde.SerdeError, R>
    /** Writes many records and waits for all acknowledgements: an outcome per record, in their order. */
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

interface Parsed extends Sender.Options {
  readonly bufferMemory: number
  readonly maxBlock: number
  readonly closeTimeout: number
}

const maxInt32 = 0x7fffffff

const parse = (options: Options, requestTimeout: number): Parsed => {
  const linger = Settings.duration("linger", options.linger, "5 millis")
  const deliveryTimeout = Settings.duration("deliveryTimeout", options.deliveryTimeout, "2 minutes")
  if (deliveryTimeout < linger + requestTimeout) {
    const detail = `is ${deliveryTimeout} ms, less than linger and requestTimeout together (${linger + requestTimeout} ms)`
    Settings.invalid("deliveryTimeout", detail)
  }
  return {
    acks: options.acks === "all" || options.acks === undefined ? -1 : options.acks,
    compression: options.compression ?? "none",
    batchSize: Settings.integer("batchSize", options.batchSize, 16_384, { min: 0, max: maxInt32 }),
    linger,
    bufferMemory: Settings.integer("bufferMemory", options.bufferMemory, 32 * 1024 * 1024, {
      min: 1,
      max: Number.MAX_SAFE_INTEGER
    }),
    maxBlock: Settings.duration("maxBlock", options.maxBlock, "1 minute", { infinite: true }),
    maxRequestSize: Settings.integer("maxRequestSize", options.maxRequestSize, 1024 * 1024, { min: 1, max: maxInt32 }),
    deliveryTimeout,
    closeTimeout: Settings.duration("closeTimeout", options.closeTimeout, "30 seconds", { infinite: true })
  }
}

/** A record whose key and value are bytes. */
interface Encoded {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly record: ProducerRecord<unknown, unknown>
}

/** Where a record is: its batch and its place in it. */
interface Placed {
  readonly batch: Batch
  readonly index: number
  readonly timestamp: number
}

const metadataOf = ({ batch, index, timestamp }: Placed, { appendTime, baseOffset }: Written): RecordMetadata => ({
  topic: batch.topic,
  partition: batch.partition,
  offset: baseOffset < 0 ? Option.none() : Option.some(baseOffset + BigInt(index)),
  timestamp: appendTime < 0 ? timestamp : appendTime
})

const awaitPlaced = (placed: Placed): Effect.Effect<RecordMetadata, ProducerError> =>
  Effect.map(Deferred.await(placed.batch.done), (written) => metadataOf(placed, written))

/** The outcome of a record whose batch is done. */
const outcomeOf = (placed: Placed): Exit.Exit<RecordMetadata, ProducerError> =>
  Exit.map(placed.batch.exit!, (written) => metadataOf(placed, written))

const awaitBatches = (batches: Iterable<Batch>): Effect.Effect<void> =>
  Effect.forEach(
    batches,
    (batch) => (batch.exit === undefined ? Effect.exit(Deferred.await(batch.done)) : Effect.void),
    {
      discard: true
    }
  )

const encode = <K, V, R>(topic: Topic<string, K, V, R>, record: ProducerRecord<K, V>): Encoded => {
  const headers = record.headers ?? noHeaders
  const context = { topic: topic.name, partition: -1, headers }
  const run = <A>(target: "key" | "value", serde: Serde.Serde<A, R>, value: A): Uint8Array | null => {
    const place: Serde.RecordContext = { ...context, target }
    try {
      return serde.encode(value, place)
    } catch (cause) {
      throw Serde.failed("encode", place, cause)
    }
  }
  return { key: run("key", topic.key, record.key), value: run("value", topic.value, record.value), record }
}

const encodeAll = <K, V, R>(
  topic: Topic<string, K, V, R>,
  records: ReadonlyArray<ProducerRecord<K, V>>
): Effect.Effect<ReadonlyArray<Encoded>, Serde.SerdeError> =>
  Effect.try({
    try: () => records.map((record) => encode(topic, record)),
    catch: (error) => {
      if (error instanceof Serde.SerdeError) return error
      throw error
    }
  })

/** Finds room and partition for records: what all ways to send share. */
interface Entrance {
  /** Appends the records from `start` on, in order; waits for the topic and for room. The places of those that failed are errors. */
  readonly append: (
    topic: string,
    records: ReadonlyArray<Encoded>
  ) => Effect.Effect<ReadonlyArray<Placed | ProducerError>>
  readonly topic: (name: string) => Effect.Effect<ClusterMetadata.Topic, ProducerError>
}

const makeEntrance = (
  cluster: Cluster,
  accumulator: Accumulator,
  partitioner: Partitioner.Partitioner,
  clock: Clock.Clock,
  options: Parsed,
  isClosed: () => boolean
): Entrance => {
  const closed = (topic: string) => new ProducerError({ reason: new Closed({ topic, maybeWritten: false }) })
  const { maxBlock } = options
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const topic: Entrance["topic"] = (name) =>
    retryUntil(cluster.topic(name, { allowAutoTopicCreation: true }), {
      retryBackoff,
      retryBackoffMax,
      timeout: maxBlock
    }).pipe(Effect.mapError((cause) => new ProducerError({ reason: new TopicUnavailable({ topic: name, cause }) })))

  const exhausted = (topic: string) =>
    Effect.fail(
      new ProducerError({ reason: new BufferExhausted({ topic, bufferMemory: options.bufferMemory, maxBlock }) })
    )

  const tooLarge = (topic: string, size: number): ProducerError | undefined => {
    const limit =
      size > options.maxRequestSize
        ? `maxRequestSize (${options.maxRequestSize})`
        : size > options.bufferMemory
          ? `bufferMemory (${options.bufferMemory})`
          : undefined
    return limit === undefined ? undefined : new ProducerError({ reason: new RecordTooLarge({ topic, size, limit }) })
  }

  /** The place of a record, an error, or undefined where there is no room now. */
  const place = (
    found: ClusterMetadata.Topic,
    { key, record, value }: Encoded,
    size: number,
    hasRoom: boolean
  ): Placed | ProducerError | undefined => {
    const { name: topic } = found
    const partitionCount = found.partitions.length
    const refused = isClosed() ? closed(topic) : tooLarge(topic, size)
    if (refused !== undefined) return refused
    if (!hasRoom && !accumulator.hasRoom(size)) return undefined
    const partition = record.partition ?? partitioner.partition(topic, key, size, partitionCount)
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) {
      return new ProducerError({ reason: new InvalidPartition({ topic, partition, partitionCount }) })
    }
    const timestamp = record.timestamp ?? clock.currentTimeMillisUnsafe()
    try {
      const batch = accumulator.append(topic, partition, timestamp, key, value, record.headers ?? noHeaders)
      return { batch, index: batch.builder.count - 1, timestamp }
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return new ProducerError({ reason: new InvalidRecord({ topic, detail: error.message }) })
    }
  }

  /** Waits for room. Whoever got room has to use it or give it back, so nothing may come between. */
  const appendWithRoom = (
    found: ClusterMetadata.Topic,
    record: Encoded,
    size: number
  ): Effect.Effect<Placed | ProducerError> =>
    Effect.uninterruptibleMask((restore) =>
      restore(
        Effect.timeoutOrElse(accumulator.room(size), { duration: maxBlock, orElse: () => exhausted(found.name) })
      ).pipe(
        Effect.map(() => {
          const placed = place(found, record, size, true)!
          accumulator.giveBack(size)
          return placed
        }),
        Effect.catch(Effect.succeed)
      )
    )

  const append: Entrance["append"] = Effect.fnUntraced(function* (name, records) {
    const places: Array<Placed | ProducerError> = []
    /** One wait that was in vain is enough for all: the others do not wait again. */
    let full: ProducerError | undefined
    let index = 0
    while (index < records.length) {
      const known = cluster.metadata().topics.get(name)
      const isUsable = known !== undefined && known.errorCode === 0 && known.partitions.length > 0
      const found = isUsable ? known : yield* Effect.catch(topic(name), Effect.succeed)
      if (found instanceof ProducerError) {
        while (places.length < records.length) places.push(found)
        return places
      }
      for (; index < records.length; index++) {
        const { key, record, value } = records[index]
        const size = RecordBatchBuilder.maximumRecordBytes(key, value, record.headers ?? noHeaders)
        const placed = place(found, records[index], size, false)
        if (placed !== undefined) {
          places.push(placed)
          continue
        }
        if (full === undefined) {
          const waited = yield* appendWithRoom(found, records[index], size)
          places.push(waited)
          if (waited instanceof ProducerError && waited.reason._tag === "BufferExhausted") full = waited
        } else places.push(full)
        index++
        break
      }
    }
    return places
  })

  return { append, topic }
}

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
  const parsed = yield* Effect.try({
    try: () => parse(options, cluster.settings.requestTimeout),
    catch: (error) => {
      if (!(error instanceof KafkaError) || error.reason._tag !== "InvalidOption") throw error
      const { detail, option } = error.reason
      return new ProducerError({ reason: new InvalidOption({ option, detail }) })
    }
  })
  const latch = Latch.makeUnsafe()
  const now = (): number => monotonicMillis(clock)
  const accumulator = new Accumulator({
    batchSize: parsed.batchSize,
    bufferMemory: parsed.bufferMemory,
    now,
    wake: () => latch.openUnsafe()
  })
  const partitioner = Partitioner.make({ batchSize: parsed.batchSize, random: () => random.nextDoubleUnsafe() })
  let isClosed = false
  const entrance = makeEntrance(cluster, accumulator, partitioner, clock, parsed, () => isClosed)
  yield* Sender.start(cluster, accumulator, latch, parsed)

  const flush = Effect.suspend(() => {
    const batches = [...accumulator.incomplete]
    accumulator.flushBefore = now()
    latch.openUnsafe()
    return awaitBatches(batches)
  })
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return Effect.timeoutOption(flush, parsed.closeTimeout)
    }).pipe(
      Effect.andThen(
        Effect.sync(() => {
          for (const batch of [...accumulator.incomplete]) {
            const reason = new Closed({ topic: batch.topic, maybeWritten: batch.attempts > 0 })
            accumulator.complete(batch, Exit.fail(new ProducerError({ reason })))
          }
        })
      )
    )
  )
  return Producer.of({
    flush,
    partitionsFor: (topic) => Effect.map(entrance.topic(topic), ({ partitions }) => partitions),
    ...senders(entrance)
  })
})

/** How many arrays of a `through` stream may wait for their acknowledgements. */
const arraysInFlight = 64

const senders = (
  entrance: Entrance
): Pick<Producer["Service"], "send" | "enqueue" | "sendAll" | "sink" | "through"> => {
  const enqueueAll = <K, V, R>(topic: Topic<string, K, V, R>, records: ReadonlyArray<ProducerRecord<K, V>>) =>
    Effect.flatMap(encodeAll(topic, records), (encoded) => entrance.append(topic.name, encoded))

  const enqueue: Producer["Service"]["enqueue"] = (topic, record) =>
    Effect.flatMap(enqueueAll(topic, [record]), ([placed]) =>
      placed instanceof ProducerError ? Effect.fail(placed) : Effect.succeed(awaitPlaced(placed))
    )

  const sendAll: Producer["Service"]["sendAll"] = (topic, records) =>
    Effect.flatMap(enqueueAll(topic, records), (places) => {
      const batches = new Set<Batch>()
      for (const placed of places) if (!(placed instanceof ProducerError)) batches.add(placed.batch)
      return Effect.map(awaitBatches(batches), () =>
        places.map((placed) => (placed instanceof ProducerError ? Exit.fail(placed) : outcomeOf(placed)))
      )
    })

  const sink = <K, V, R>(
    topic: Topic<string, K, V, R>
  ): Sink.Sink<void, ProducerRecord<K, V>, never, ProducerError | Serde.SerdeError, R> =>
    Sink.unwrap(
      Effect.sync(() => {
        let batches = new Set<Batch>()
        /** Forgets what is done; gives the first failure. */
        const settle = (): ProducerError | undefined => {
          const open = new Set<Batch>()
          for (const batch of batches) {
            if (batch.exit === undefined) open.add(batch)
            else if (Exit.isFailure(batch.exit)) return Option.getOrUndefined(Exit.findErrorOption(batch.exit))
          }
          batches = open
          return undefined
        }
        const check = Effect.suspend(() => {
          const error = settle()
          return error === undefined ? Effect.void : Effect.fail(error)
        })
        return Sink.forEachArray((records: ReadonlyArray<ProducerRecord<K, V>>) =>
          Effect.flatMap(enqueueAll(topic, records), (places) => {
            for (const placed of places) {
              if (placed instanceof ProducerError) return Effect.fail(placed)
              batches.add(placed.batch)
            }
            return check
          })
        ).pipe(
          Sink.mapEffect(() =>
            Effect.andThen(
              Effect.suspend(() => awaitBatches(batches)),
              check
            )
          )
        )
      })
    )

  const through: Producer["Service"]["through"] = (topic, f) => (self) =>
    self.pipe(
      Stream.mapArrayEffect((elements) =>
        Effect.map(enqueueAll(topic, elements.map(f)), (places) => [{ elements, places }] as const)
      ),
      // Acknowledgements are waited for behind this buffer, while further arrays are sent.
      Stream.bufferArray({ capacity: arraysInFlight }),
      Stream.mapEffect(({ elements, places }) =>
        Effect.forEach(places, (placed, index) =>
          placed instanceof ProducerError
            ? Effect.fail(placed)
            : Effect.map(awaitPlaced(placed), (metadata) => [elements[index], metadata] as const)
        )
      ),
      Stream.flattenIterable
    )

  return {
    enqueue,
    sendAll,
    sink,
    through,
    send: (topic, record) => Effect.flatten(enqueue(topic, record))
  }
}

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
