/**
 * A record as one line of JSON, with the names that `kcat -J` uses.
 *
 * @since 0.1.0
 */
import { isUtf8 } from "node:buffer"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { BytesRecord } from "./Format.ts"

/** Text as a string; what is not UTF-8 as `{"base64":"…"}`, so that no byte is lost; null as null. */
const literal = (bytes: Uint8Array | null): string => {
  if (bytes === null) return "null"
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? JSON.stringify(buffer.toString("utf8")) : `{"base64":"${buffer.toString("base64")}"}`
}

/** Names and values by turns: a name may occur more than once. Absent where there are none. */
const headersOf = ({ headers }: BytesRecord): string =>
  headers.length === 0
    ? ""
    : `,"headers":[${headers.map(([name, value]) => `${JSON.stringify(name)},${literal(value)}`).join(",")}]`

/** Absent where the broker is too old to keep a timestamp. */
const timestampOf = ({ timestamp, timestampType }: BytesRecord): string =>
  timestamp < 0 ? "" : `,"tstype":"${timestampType === "append" ? "logappend" : "create"}","ts":${timestamp}`

/**
 * Prints `{"topic","partition","offset","tstype","ts","headers","key","payload"}` and a newline. Keys, values and header
 * values are strings where they are UTF-8, else `{"base64":"…"}`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const print = (out: ByteBuffer, record: BytesRecord): void => {
  const { key, offset, partition, topic, value } = record
  out.appendText(
    `{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":${offset}${timestampOf(record)}${headersOf(record)},"key":${literal(key)},"payload":${literal(value)}}\n`
  )
}
