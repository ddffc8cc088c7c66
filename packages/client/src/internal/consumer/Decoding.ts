/**
 * From a fetched batch to the records that users get: decompressed, cut to what is wanted, keys and values decoded.
 *
 * @since 0.1.0
 */
import type { Batch, Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import type { ConsumerError } from "../../ConsumerError.ts"
import * as Serde from "../../Serde.ts"
import type { AnyTopic, RecordOf, ServicesOf } from "../../Topic.ts"
import { DeliveredRecord } from "./DeliveredRecord.ts"
import { damaged } from "./FetchedPartition.ts"
import type { Taken } from "./Fetcher.ts"
import type { Lease } from "./Lease.ts"

/** A record that could not be decoded. @internal */
export interface Undecoded {
  readonly record: Record
  readonly error: Serde.SerdeError
}

/** What comes out of a batch. @internal */
export interface Decoded<A> {
  readonly records: ReadonlyArray<A>
  /** The same records as they were fetched, in the same places. */
  readonly raw: ReadonlyArray<Record>
  /** Records that have no place among the others. */
  readonly undecoded: ReadonlyArray<Undecoded>
}

/** @internal */
export interface Options {
  readonly checkCrcs: boolean
  /** What the records belong to. */
  readonly lease?: Lease | undefined
}

/** @internal */
export const decode = <T extends AnyTopic>(
  taken: Taken,
  topic: T,
  options: Options
): Effect.Effect<Decoded<RecordOf<T>>, ConsumerError | Serde.SerdeError, ServicesOf<T>> =>
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
    const read = (records: ReadonlyArray<Record>) =>
      decodeRecords(batch, source.partition, topic, wanted(records), options.lease)
    try {
      const records = Records.decode(batch, options)
      if (!(records instanceof Promise)) return read(records)
      return Effect.flatMap(Effect.tryPromise({ try: () => records, catch: failed }), read)
    } catch (error) {
      return Effect.fail(failed(error))
    }
  })

const decodeRecords = <T extends AnyTopic>(
  batch: Batch,
  partition: number,
  topic: T,
  raw: ReadonlyArray<Record>,
  lease: Lease | undefined
): Effect.Effect<Decoded<RecordOf<T>>, Serde.SerdeError, ServicesOf<T>> => {
  const all = Effect.sync(() => decodeAll(batch, partition, topic, raw, lease))
  if (topic.key.prepare === undefined && topic.value.prepare === undefined) return all
  const context = { topic: topic.name, partition, headers: [] }
  const prepare = (target: "key" | "value") =>
    topic[target].prepare?.(
      raw.map((record) => record[target]),
      { ...context, target }
    ) ?? Effect.void
  return Effect.andThen(Effect.andThen(prepare("key"), prepare("value")), all)
}

const decodeAll = <T extends AnyTopic>(
  { partitionLeaderEpoch, timestampType }: Batch,
  partition: number,
  { key: keySerde, name, value: valueSerde }: T,
  raw: ReadonlyArray<Record>,
  lease: Lease | undefined
): Decoded<RecordOf<T>> => {
  const records: Array<DeliveredRecord> = []
  let undecoded: Array<Undecoded> | undefined
  for (let index = 0; index < raw.length; index++) {
    const { headers, key, offset, timestamp, value } = raw[index]
    let target: "key" | "value" = "key"
    try {
      const decodedKey = keySerde.decode(key, { topic: name, partition, headers, target })
      target = "value"
      const decodedValue = valueSerde.decode(value, { topic: name, partition, headers, target })
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
          lease
        )
      )
    } catch (cause) {
      const error = Serde.failed("decode", { topic: name, partition, headers, target }, cause, offset)
      undecoded ??= []
      undecoded.push({ record: raw[index], error })
    }
  }
  const failed = undecoded
  // The serdes are the topic's own, so their values are of its types.
  const typed = records as unknown as ReadonlyArray<RecordOf<T>>
  if (failed === undefined) return { records: typed, raw, undecoded: [] }
  const without = new Set(failed.map(({ record }) => record))
  return { records: typed, raw: raw.filter((record) => !without.has(record)), undecoded: failed }
}
