/**
 * How a record is printed: a format with kcat's escapes, compiled once into a function.
 *
 * @since 0.1.0
 */

import * as Result from "effect/Result"
import type { ConsumerRecord } from "kafka-effect/Topic"
import type { ByteBuffer } from "./ByteBuffer.ts"
import { unescape } from "./Escapes.ts"

/**
 * A record whose key and value are bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type BytesRecord = ConsumerRecord<string, Uint8Array | null, Uint8Array | null>

/**
 * Appends what is printed for a record.
 *
 * @category models
 * @since 0.1.0
 */
export type Printer = (out: ByteBuffer, record: BytesRecord) => void

const equals = Buffer.from("=")
const comma = Buffer.from(",")
const nullHeader = Buffer.from("NULL")

const appendBytes = (out: ByteBuffer, bytes: Uint8Array | null): void => {
  if (bytes !== null) out.append(bytes)
}

const lengthOf = (bytes: Uint8Array | null): string => (bytes === null ? "-1" : String(bytes.length))

const printHeaders: Printer = (out, { headers }) => {
  for (let index = 0; index < headers.length; index++) {
    const [name, value] = headers[index]
    if (index > 0) out.append(comma)
    out.appendText(name)
    out.append(equals)
    out.append(value === null ? nullHeader : value)
  }
}

const printLiteral =
  (bytes: Uint8Array): Printer =>
  (out) =>
    out.append(bytes)

const printers: ReadonlyMap<string, Printer> = new Map<string, Printer>([
  ["t", (out, { topic }) => out.appendText(topic)],
  ["p", (out, { partition }) => out.appendAscii(String(partition))],
  ["o", (out, { offset }) => out.appendAscii(String(offset))],
  ["k", (out, { key }) => appendBytes(out, key)],
  ["K", (out, { key }) => out.appendAscii(lengthOf(key))],
  ["s", (out, { value }) => appendBytes(out, value)],
  ["S", (out, { value }) => out.appendAscii(lengthOf(value))],
  ["T", (out, { timestamp }) => out.appendAscii(String(timestamp))],
  ["h", printHeaders],
  ["%", printLiteral(Buffer.from("%"))]
])

/**
 * What may follow `%` in a format.
 *
 * @category constants
 * @since 0.1.0
 */
export const escapes =
  "%t topic, %p partition, %o offset, %k key, %s value, %h headers, %T timestamp in ms, %S and %K lengths"

/**
 * Compiles a format: `%t` topic, `%p` partition, `%o` offset, `%k` key, `%s` value, `%h` headers as `name=value,…`
 * (`NULL` for a null value), `%T` timestamp in milliseconds, `%S` and `%K` lengths of value and key (-1 for null), `%%`
 * a percent sign, and backslash escapes. A null key or value prints nothing. Fails with what it expected.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (format: string): Result.Result<Printer, string> => {
  const parts: Array<Printer> = []
  let start = 0
  for (let at = format.indexOf("%"); at !== -1; at = format.indexOf("%", start)) {
    const letter = format.charAt(at + 1)
    const printer = printers.get(letter)
    if (printer === undefined) {
      const found = letter === "" ? "a lone % at its end (write %% for a percent sign)" : `%${letter}`
      return Result.fail(`${escapes}, not ${found}`)
    }
    if (at > start) parts.push(printLiteral(unescape(format.slice(start, at))))
    parts.push(printer)
    start = at + 2
  }
  if (start < format.length) parts.push(printLiteral(unescape(format.slice(start))))
  return Result.succeed((out, record) => {
    for (let index = 0; index < parts.length; index++) parts[index](out, record)
  })
}

const newline = Buffer.from("\n")

/**
 * Prints the value, or the key, the separator and the value where a separator is given, each record with a newline.
 *
 * @category constructors
 * @since 0.1.0
 */
export const lines =
  (keySeparator: Uint8Array | undefined): Printer =>
  (out, { key, value }) => {
    if (keySeparator !== undefined) {
      appendBytes(out, key)
      out.append(keySeparator)
    }
    appendBytes(out, value)
    out.append(newline)
  }
