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
  for (let index = 0; index < length; index++) {
    keys[index] = encodePart("key", topic.key, topic, records[index].key, records[index].headers)
    values[index] = encodePart("value", topic.value, topic, records[index].value, records[index].headers)
  }
  return { keys, values, records, time, ownHeaders }
}

/** A key or a value as bytes. Throws a `SerdeError`. @internal */
export const encodePart = <A, R>(
  target: "key" | "value",
  serde: Serde.Serde<A, R>,
  topic: AnyTopic,
  value: A,
  headers: Headers | undefined
): Uint8Array | null => {
  const known = contextsOf(topic)[target]
  const context = headers === undefined ? known : { ...known, headers }
  try {
    return bytesOrNull(serde.encode(value, context))
  } catch (cause) {
    throw Serde.failed("encode", context, cause)
  }
}

interface Contexts {
  readonly key: Serde.RecordContext
  readonly value: Serde.RecordContext
}

const contexts = new WeakMap<AnyTopic, Contexts>()

/** What serdes of a topic are told of records without headers: the same each time. */
const contextsOf = (topic: AnyTopic): Contexts => {
  let known = contexts.get(topic)
  if (known === undefined) {
    const place = { topic: topic.name, partition: -1, headers: noHeaders }
    known = { key: { ...place, target: "key" }, value: { ...place, target: "value" } }
    contexts.set(topic, known)
  }
  return known
}

/** Serdes are the users': what is no bytes would become a broken record. */
const bytesOrNull = (bytes: Uint8Array | null): Uint8Array | null => {
  if (bytes === null || bytes instanceof Uint8Array) return bytes
  throw new Error(`the serde gave ${bytes === undefined ? "undefined" : typeof bytes} instead of bytes or null`)
}

/** The headers of a record of an array. @internal */
export const headersOf = ({ ownHeaders, records }: Encoded, index: number): Headers =>
  withOwn(records[index].headers, ownHeaders)

/** A record's headers, and behind them the producer's own. @internal */
export const withOwn = (headers: Headers | undefined, ownHeaders: Headers): Headers => {
  if (headers === undefined) return ownHeaders
  return ownHeaders.length === 0 ? headers : [...headers, ...ownHeaders]
}
