/**
 * From fetched batches to the records that users get: decompressed, cut to what is wanted, keys and values decoded.
 *
 * @since 0.1.0
 */
import type { MaybePromise } from "@kafka-effect/protocol/MaybePromise"
import { type Batch, noHeaders, type Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import type { ConsumerError } from "../../ConsumerError.ts"
import * as Serde from "../../Serde.ts"
import type { AnyTopic, RecordOf, ServicesOf } from "../../Topic.ts"
import { DeliveredRecord } from "./DeliveredRecord.ts"
import { damaged, type FetchedBatch, type FetchedPartition } from "./FetchedPartition.ts"
import type { Fetcher, Taken } from "./Fetcher.ts"
import type { Stretch } from "./Lease.ts"

/** A record that could not be decoded. @internal */
export interface Undecoded extends Pick<Batch, "timestampType"> {
  readonly record: Record
  readonly leaderEpoch: number
  readonly error: Serde.SerdeError
}

/** What comes out of a batch, and of those that follow it at once. @internal */
export interface Decoded<A> {
  readonly records: ReadonlyArray<A>
  /** The same records as they were fetched, in the same places. */
  readonly raw: ReadonlyArray<Record>
  /** Records that have no place among the others. */
  readonly undecoded: ReadonlyArray<Undecoded>
  /** The batches behind the one that was taken whose records are here too. */
  readonly more: ReadonlyArray<FetchedBatch>
}

/** What comes before the first record that could not be decoded. @internal */
export const upToUndecoded = <A>({ more, raw, records, undecoded }: Decoded<A>): Decoded<A> => {
  const failed = undecoded[0].record.offset
  const behind = raw.findIndex(({ offset }) => offset > failed)
  const count = behind < 0 ? raw.length : behind
  return { records: records.slice(0, count), raw: raw.slice(0, count), undecoded: [], more }
}

/** @internal */
export interface Options {
  readonly checkCrcs: boolean
  /** What the records belong to. */
  readonly stretch?: Stretch | undefined
  /** Gives batches that are there already. */
  readonly fetcher: Pick<Fetcher, "takeNext">
  /** Most records of several batches together. */
  readonly maxRecords: number
}

/** What an array costs on its way to the user counts no more from here on. @internal */
export const fullArray = 1000

/** Bytes of batches that are decoded at a time, so that timers and sockets have their turns. */
const fullBytes = 256 * 1024

/**
 * The records of a batch. Small ones that wait behind it come along: producers write batches of a hundred records or so.
 *
 * @internal
 */
export const decode = <T extends AnyTopic>(
  taken: Taken,
  topic: T,
  options: Options
): Effect.Effect<Decoded<RecordOf<T>>, ConsumerError | Serde.SerdeError, ServicesOf<T>> =>
  Effect.suspend(() => {
    const { batch, source } = taken
    const failed = (error: unknown) => {
      if (error instanceof WireError) return damaged(source, batch.baseOffset, error)
      throw error
    }
    const single = (records: ReadonlyArray<Record>): Decoded<RecordOf<T>> => {
      const decoded = new Decoder(source, topic, options.stretch)
      decoded.add(taken, records)
      return decoded.result()
    }
    try {
      const records = Records.decode(batch, options)
      if (topic.key.prepare === undefined && topic.value.prepare === undefined) {
        if (records instanceof Promise)
          return Effect.map(Effect.tryPromise({ try: () => records, catch: failed }), single)
        return Effect.succeed(several(taken, records, topic, options))
      }
      const prepared = (raw: ReadonlyArray<Record>) =>
        Effect.map(prepare(wanted(taken, source, raw), source.partition, topic), () => single(raw))
      if (!(records instanceof Promise)) return prepared(records)
      return Effect.flatMap(Effect.tryPromise({ try: () => records, catch: failed }), prepared)
    } catch (error) {
      return Effect.fail(failed(error))
    }
  })

/** A batch with those behind it that are small, need no waiting, and were written under the same leader. */
const several = <T extends AnyTopic>(
  taken: Taken,
  records: ReadonlyArray<Record>,
  topic: T,
  options: Options
): Decoded<RecordOf<T>> => {
  const { fetcher, maxRecords, stretch } = options
  const { batch: first, source } = taken
  const decoded = new Decoder(source, topic, stretch)
  decoded.add(taken, records)
  let count = records.length
  let bytes = first.bytes.length
  const isSmall = (batch: Batch): boolean =>
    batch.compression === "none" &&
    batch.partitionLeaderEpoch === first.partitionLeaderEpoch &&
    count + batch.recordCount <= maxRecords &&
    bytes + batch.bytes.length <= fullBytes
  while (true) {
    const next = fetcher.takeNext(source, isSmall)
    if (next === undefined) return decoded.result()
    let found: MaybePromise<ReadonlyArray<Record>>
    try {
      found = Records.decode(next.batch, options)
    } catch {
      // It is met when its turn comes: what lies before it is good.
      source.putBack(next)
      return decoded.result()
    }
    // What is not compressed is read at once.
    if (found instanceof Promise) throw new Error("an uncompressed batch gave a promise")
    decoded.follow(next, found)
    count += found.length
    bytes += next.batch.bytes.length
  }
}

/** Those of a batch that are asked for. */
const wanted = (
  { batch, from }: FetchedBatch,
  { end }: FetchedPartition,
  records: ReadonlyArray<Record>
): ReadonlyArray<Record> => {
  const isCut = (records.length > 0 && records[0].offset < from) || (end !== undefined && batch.lastOffset >= end)
  return isCut ? records.filter(({ offset }) => offset >= from && (end === undefined || offset < end)) : records
}

const prepare = <T extends AnyTopic>(
  raw: ReadonlyArray<Record>,
  partition: number,
  topic: T
): Effect.Effect<void, Serde.SerdeError, ServicesOf<T>> => {
  const context = { topic: topic.name, partition, headers: [] }
  const prepareOne = (target: "key" | "value") =>
    topic[target].prepare?.(
      raw.map((record) => record[target]),
      { ...context, target }
    ) ?? Effect.void
  return Effect.andThen(prepareOne("key"), prepareOne("value"))
}

/** Gathers the records of batches of one partition. */
class Decoder<T extends AnyTopic> {
  private readonly source: FetchedPartition
  private readonly topic: T
  private readonly stretch: Stretch | undefined
  /** What serdes are told about records without headers: nearly all. */
  private readonly keyContext: Serde.RecordContext
  private readonly valueContext: Serde.RecordContext
  private readonly records: Array<DeliveredRecord> = []
  private readonly undecoded: Array<Undecoded> = []
  private readonly more: Array<FetchedBatch> = []
  private readonly raw: Array<ReadonlyArray<Record>> = []

  constructor(source: FetchedPartition, topic: T, stretch: Stretch | undefined) {
    this.source = source
    this.topic = topic
    this.stretch = stretch
    const context = { topic: topic.name, partition: source.partition, headers: noHeaders }
    this.keyContext = { ...context, target: "key" }
    this.valueContext = { ...context, target: "value" }
  }

  /** Adds the batch that was taken. */
  add(fetched: FetchedBatch, records: ReadonlyArray<Record>): void {
    const raw = wanted(fetched, this.source, records)
    this.raw.push(raw)
    this.decodeAll(fetched.batch, raw)
  }

  /** Adds a batch behind it. */
  follow(fetched: FetchedBatch, records: ReadonlyArray<Record>): void {
    this.more.push(fetched)
    this.add(fetched, records)
  }

  private decodeAll({ partitionLeaderEpoch, timestampType }: Batch, raw: ReadonlyArray<Record>): void {
    const { keyContext, records, stretch, valueContext } = this
    const { partition } = this.source
    const { key: keySerde, name, value: valueSerde } = this.topic
    for (let index = 0; index < raw.length; index++) {
      const { headers, key, offset, timestamp, value } = raw[index]
      const isPlain = headers === noHeaders
      let context = isPlain ? keyContext : { ...keyContext, headers }
      try {
        const decodedKey = keySerde.decode(key, context)
        context = isPlain ? valueContext : { ...valueContext, headers }
        const decodedValue = valueSerde.decode(value, context)
        records.push(
          new DeliveredRecord(
            name,
            partition,
            offset,
            partitionLeaderEpoch,
            timestamp,
            timestampType,
            decodedKey,
            decodedValue,
            headers,
            stretch
          )
        )
      } catch (cause) {
        const error = Serde.failed("decode", context, cause, offset)
        this.undecoded.push({ record: raw[index], leaderEpoch: partitionLeaderEpoch, timestampType, error })
      }
    }
  }

  result(): Decoded<RecordOf<T>> {
    const { more, undecoded } = this
    const [first, ...others] = this.raw
    const raw = others.length === 0 ? first : first.concat(...others)
    // The serdes are the topic's own, so their values are of its types.
    const records = this.records as unknown as ReadonlyArray<RecordOf<T>>
    if (undecoded.length === 0) return { records, raw, undecoded, more }
    const without = new Set(undecoded.map(({ record }) => record))
    return { records, raw: raw.filter((record) => !without.has(record)), undecoded, more }
  }
}
