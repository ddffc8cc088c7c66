/**
 * The records of one array as bytes: all of them are encoded before the first one is placed, so that an array with a
 * record that cannot be encoded leaves nothing behind.
 *
 * @since 0.1.0
 */
import { type Headers, noHeaders } from "@kafka-effect/protocol/Record"
import * as Serde from "../../Serde.ts"
import type { AnyTopic, ProducerRecord, Topic } from "../../Topic.ts"

/** @internal */
export interface Encoded {
  readonly keys: ReadonlyArray<Uint8Array | null>
  readonly values: ReadonlyArray<Uint8Array | null>
  /** What was given, for partitions, timestamps and headers. */
  readonly records: ReadonlyArray<ProducerRecord<unknown, unknown>>
  /** Of records without a timestamp: milliseconds since 1970. */
  readonly time: number
  /** For the headers of records that bring none. */
  readonly ownHeaders: Headers
}

/** Throws a `SerdeError`. @internal */
export const encode = <K, V, R>(
  topic: Topic<string, K, V, R>,
  records: ReadonlyArray<ProducerRecord<K, V>>,
  time: number,
  ownHeaders: Headers
): Encoded => {
  const { length } = records
  const keys = new Array<Uint8Array | null>(length)
  const values = new Array<Uint8Array | null>(length)
  const known = contextsOf(topic)
  for (let index = 0; index < length; index++) {
    const { headers, key, value } = records[index]
    keys[index] = encodePart(topic.key, key, known.key, headers)
    values[index] = encodePart(topic.value, value, known.value, headers)
  }
  return { keys, values, records, time, ownHeaders }
}

/** A key or a value as bytes. Throws a `SerdeError`. @internal */
export const encodePart = <A, R>(
  serde: Serde.Serde<A, R>,
  value: A,
  known: Serde.RecordContext,
  headers: Headers | undefined
): Uint8Array | null => {
  const context = headers === undefined ? known : { ...known, headers }
  try {
    const bytes = serde.encode(value, context)
    if (bytes === null || bytes instanceof Uint8Array) return bytes
  } catch (cause) {
    throw Serde.failed("encode", context, cause)
  }
  // Serdes are the users': what is no bytes would become a broken record.
  throw Serde.failed("encode", context, new Error("the serde gave neither bytes nor null"))
}

interface Contexts {
  readonly key: Serde.RecordContext
  readonly value: Serde.RecordContext
}

const contexts = new WeakMap<AnyTopic, Contexts>()

/** What serdes of a topic are told of records without headers: the same each time. @internal */
export const contextsOf = (topic: AnyTopic): Contexts => {
  let known = contexts.get(topic)
  if (known === undefined) {
    const place = { topic: topic.name, partition: -1, headers: noHeaders }
    known = { key: { ...place, target: "key" }, value: { ...place, target: "value" } }
    contexts.set(topic, known)
  }
  return known
}

/** The headers of a record of an array. @internal */
export const headersOf = ({ ownHeaders, records }: Encoded, index: number): Headers =>
  withOwn(records[index].headers, ownHeaders)

/** A record's headers, and behind them the producer's own. @internal */
export const withOwn = (headers: Headers | undefined, ownHeaders: Headers): Headers => {
  if (headers === undefined) return ownHeaders
  return ownHeaders.length === 0 ? headers : [...headers, ...ownHeaders]
}
