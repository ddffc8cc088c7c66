/**
 * The records of one array as bytes: all of them are encoded before the first one is placed, so that an array with a
 * record that cannot be encoded leaves nothing behind.
 *
 * @since 0.1.0
 */
import { type Headers, noHeaders } from "@kafka-effect/protocol/Record"
import * as Serde from "../../Serde.ts"
import type { ProducerRecord, Topic } from "../../Topic.ts"

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
  const place = { topic: topic.name, partition: -1, headers: noHeaders }
  const keyPlace: Serde.RecordContext = { ...place, target: "key" }
  const valuePlace: Serde.RecordContext = { ...place, target: "value" }
  for (let index = 0; index < length; index++) {
    const { headers, key, value } = records[index]
    let context = headers === undefined ? keyPlace : { ...keyPlace, headers }
    try {
      keys[index] = bytesOrNull(topic.key.encode(key, context))
      context = headers === undefined ? valuePlace : { ...valuePlace, headers }
      values[index] = bytesOrNull(topic.value.encode(value, context))
    } catch (cause) {
      throw Serde.failed("encode", context, cause)
    }
  }
  return { keys, values, records, time, ownHeaders }
}

/** Serdes are the users': what is no bytes would become a broken record. */
const bytesOrNull = (bytes: Uint8Array | null): Uint8Array | null => {
  if (bytes === null || bytes instanceof Uint8Array) return bytes
  throw new Error(`the serde gave ${bytes === undefined ? "undefined" : typeof bytes} instead of bytes or null`)
}

/** The headers of a record. @internal */
export const headersOf = ({ ownHeaders, records }: Encoded, index: number): Headers => {
  const { headers } = records[index]
  if (headers === undefined) return ownHeaders
  return ownHeaders.length === 0 ? headers : [...headers, ...ownHeaders]
}
