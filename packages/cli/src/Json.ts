/**
 * A record as one line of JSON, with the names that `kcat -J` uses.
 *
 * @since 0.1.0
 */
import { isUtf8 } from "node:buffer"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { BytesRecord, Printer } from "./Format.ts"

const quote = 0x22
const backslash = 0x5c
const space = 0x20

const quoteBytes = Buffer.from('"')
const nullBytes = Buffer.from("null")
const comma = Buffer.from(",")
const headersName = Buffer.from(',"headers":[')
const closeArray = Buffer.from("]")
const keyName = Buffer.from(',"key":')
const payloadName = Buffer.from(',"payload":')
const end = Buffer.from("}\n")

const needsEscapes = (bytes: Uint8Array): boolean => {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte < space || byte === quote || byte === backslash) return true
  }
  return false
}

/** Text as a string; what is not UTF-8 as `{"base64":"…"}`, so that no byte is lost; null as null. */
const appendLiteral = (out: ByteBuffer, bytes: Uint8Array | null): void => {
  if (bytes === null) out.append(nullBytes)
  else if (!isUtf8(bytes)) out.appendAscii(`{"base64":"${asBuffer(bytes).toString("base64")}"}`)
  else if (needsEscapes(bytes)) out.appendText(JSON.stringify(asBuffer(bytes).toString("utf8")))
  else {
    // Nearly all text is this, and need not become a string first.
    out.append(quoteBytes)
    out.append(bytes)
    out.append(quoteBytes)
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Names and values by turns: a name may occur more than once. Absent where there are none. */
const appendHeaders = (out: ByteBuffer, { headers }: BytesRecord): void => {
  if (headers.length === 0) return
  out.append(headersName)
  for (let index = 0; index < headers.length; index++) {
    const [name, value] = headers[index]
    if (index > 0) out.append(comma)
    out.appendText(JSON.stringify(name))
    out.append(comma)
    appendLiteral(out, value)
  }
  out.append(closeArray)
}

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
export const print: Printer = (out, record) => {
  const { key, offset, partition, topic, value } = record
  // A name of a topic takes nothing that JSON would escape.
  out.appendText(`{"topic":"${topic}","partition":${partition},"offset":${offset}${timestampOf(record)}`)
  appendHeaders(out, record)
  out.append(keyName)
  appendLiteral(out, key)
  out.append(payloadName)
  appendLiteral(out, value)
  out.append(end)
}
