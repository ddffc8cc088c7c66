/**
 * The record formats before v2: message sets of magic 0 (to Kafka 0.9) and magic 1 (0.10, KIP-32).
 *
 * A message set is a row of messages, each with an offset and a CRC-32 of its own. Compressed messages lie as one message
 * set inside of the value of a wrapper; inside, offsets are absolute in magic 0 and relative to the first in magic 1
 * (KIP-31). Failures are thrown as `WireError`.
 *
 * @since 0.1.0
 */
import { ByteError } from "./ByteReader.ts"
import * as Compression from "./Compression.ts"
import { crc32 } from "./Crc32.ts"
import type * as MaybePromise from "./MaybePromise.ts"
import {
  type Batch,
  type DecodeOptions,
  maxDecompressedBytes,
  noHeaders,
  type Record,
  recordObjectBytes
} from "./Record.ts"

const name = "MessageSet"

/** Offset and size, in front of each message. */
const entryBytes = 12

const compressionMask = 7
const appendTimeFlag = 8

/** Places in an entry. */
const at = { size: 8, crc: 12, magic: 16, attributes: 17, timestamp: 18 }

/** Place of the key: behind the attributes, and in magic 1 the timestamp. */
const keyAt = (magic: 0 | 1): number => (magic === 0 ? 18 : 26)

/** The least that an entry can have: its head, and the lengths of key and value. */
const minimumEntryBytes = (magic: 0 | 1): number => keyAt(magic) + 8

/**
 * One message, or, while compressed, the wrapper around many; a run of plain messages is read together.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageSet extends Batch {
  readonly magic: 0 | 1
}

const int32 = (bytes: Uint8Array, start: number): number =>
  (bytes[start] << 24) | (bytes[start + 1] << 16) | (bytes[start + 2] << 8) | bytes[start + 3]

/** Where the message ends that begins at `start`; nothing but its head was read. */
const endOf = (bytes: Uint8Array, start: number, end: number): number => {
  if (end - start < entryBytes + 6) {
    throw new ByteError("Truncated", `a message has more than ${end - start} bytes`, start)
  }
  const size = int32(bytes, start + at.size)
  if (size > end - start - entryBytes) {
    throw new ByteError("Truncated", `a message of ${size} bytes, but ${end - start - entryBytes} are left`, start)
  }
  const magic = bytes[start + at.magic]
  if (magic !== 0 && magic !== 1) throw new ByteError("UnknownMagic", `magic ${magic} in a message set`, start)
  if (size < minimumEntryBytes(magic) - entryBytes) {
    throw new ByteError("InvalidLength", `a message of ${size} bytes`, start + at.size).within("size")
  }
  return start + entryBytes + size
}

/** Milliseconds; exact as far as numbers are, and without a bigint on the way. */
const timestampAt = (view: DataView, start: number): number =>
  view.getInt32(start + at.timestamp) * 0x100000000 + view.getUint32(start + at.timestamp + 4)

/** The codec that the attributes name. zstd came with record batches (KIP-110). */
const compressionOf = (attributes: number): Compression.CompressionType => {
  const id = attributes & compressionMask
  if (id <= Compression.idOf("lz4")) return Compression.typeOf(id)
  throw new ByteError("UnknownCompression", `message sets have no compression codec ${id}`, -1).within("attributes")
}

/**
 * The wrapper or the run of plain messages that begins at `start`: messages of one format that lie behind each other,
 * as far as they are whole. Throws `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const header = (bytes: Uint8Array, start: number, end: number): MessageSet => {
  try {
    let position = endOf(bytes, start, end)
    const magic = bytes[start + at.magic] as 0 | 1 // endOf takes no other
    const attributes = bytes[start + at.attributes]
    const isCompressed = (attributes & compressionMask) !== 0
    const view = new DataView(bytes.buffer, bytes.byteOffset, end)
    let last = start
    let count = 1
    let maxTimestamp = magic === 0 ? -1 : timestampAt(view, start)
    while (!isCompressed && isAlike(bytes, position, end, magic, attributes)) {
      last = position
      if (magic === 1) maxTimestamp = Math.max(maxTimestamp, timestampAt(view, last))
      position += entryBytes + int32(bytes, last + at.size)
      count++
    }
    return {
      magic,
      bytes: new Uint8Array(bytes.buffer, bytes.byteOffset + start, position - start),
      baseOffset: view.getBigInt64(start),
      lastOffset: view.getBigInt64(last),
      partitionLeaderEpoch: -1,
      compression: compressionOf(attributes),
      timestampType: magic === 1 && (attributes & appendTimeFlag) !== 0 ? "append" : "create",
      maxTimestamp,
      isTransactional: false,
      isControl: false,
      producerId: -1n,
      producerEpoch: -1,
      baseSequence: -1,
      recordCount: isCompressed ? -1 : count
    }
  } catch (error) {
    throw error instanceof ByteError ? error.toWireError(name, bytes[start + at.magic] ?? -1) : error
  }
}

/** Whether a whole message of the same format, codec and kind of timestamp follows. */
const isAlike = (bytes: Uint8Array, start: number, end: number, magic: 0 | 1, attributes: number): boolean => {
  if (end - start < minimumEntryBytes(magic)) return false
  if (bytes[start + at.magic] !== magic || bytes[start + at.attributes] !== attributes) return false
  const size = int32(bytes, start + at.size)
  return size >= minimumEntryBytes(magic) - entryBytes && size <= end - start - entryBytes
}

/**
 * All records of a message set. Large wrappers are decompressed on the thread pool and give a Promise. Throws, or
 * rejects with, `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  batch: MessageSet,
  options: DecodeOptions = {}
): MaybePromise.MaybePromise<ReadonlyArray<Record>> => {
  const fail = (error: unknown): never => {
    throw error instanceof ByteError ? error.toWireError(name, batch.magic) : error
  }
  try {
    const checkCrcs = options.checkCrcs !== false
    const maxRecords = Number.POSITIVE_INFINITY
    const outer = readMessages(batch.bytes, { checkCrcs, isInner: false, base: 0n, appendTime: undefined, maxRecords })
    if (batch.compression === "none") return outer
    const { value } = outer[0]
    if (value === null) throw new ByteError("InvalidValue", "a wrapper holds no messages", 0).within("value")
    const limit = options.maxDecompressedBytes ?? maxDecompressedBytes
    const restored = restore(batch, value, limit)
    const read = (inner: Uint8Array): ReadonlyArray<Record> =>
      readMessages(inner, {
        checkCrcs,
        isInner: true,
        base: innerBase(batch, inner),
        appendTime: batch.timestampType === "append" ? batch.maxTimestamp : undefined,
        maxRecords: Math.floor((limit - inner.length) / recordObjectBytes)
      })
    if (restored instanceof Promise) return restored.then(read).catch(fail)
    return read(restored)
  } catch (error) {
    return fail(error)
  }
}

/** The messages inside of a wrapper. */
const restore = (batch: MessageSet, value: Uint8Array, limit: number): MaybePromise.MaybePromise<Uint8Array> => {
  const fail = (error: unknown): never => {
    throw error instanceof ByteError ? error.within("value").behind(value.byteOffset - batch.bytes.byteOffset) : error
  }
  try {
    const restored = Compression.decompress(batch.compression, value, limit, { magic: batch.magic })
    return restored instanceof Promise ? restored.catch(fail) : restored
  } catch (error) {
    return fail(error)
  }
}

/**
 * What to add to the offsets inside of a wrapper. In magic 1 they count from 0, with gaps where compaction took messages
 * away, and the wrapper has the offset of the last one; a wrapper at 0 is one that a producer has written and no broker
 * has placed (KIP-31).
 */
const innerBase = ({ lastOffset, magic }: MessageSet, inner: Uint8Array): bigint => {
  const end = inner.length
  if (end === 0) throw new ByteError("InvalidValue", "a wrapper holds no messages", 0).within("value")
  if (magic === 0 || lastOffset === 0n) return 0n
  let last = 0
  try {
    for (let position = 0; position < end; position = endOf(inner, position, end)) last = position
  } catch (error) {
    throw error instanceof ByteError ? error.within("value") : error
  }
  const base = lastOffset - new DataView(inner.buffer, inner.byteOffset + last, 8).getBigInt64(0)
  if (base >= 0n) return base
  const detail = `the wrapper's offset is ${lastOffset}, the last one inside is ${lastOffset - base}`
  throw new ByteError("InvalidValue", detail, 0).within("offset")
}

interface Reading {
  readonly checkCrcs: boolean
  /** Inside of a wrapper nothing is compressed again. */
  readonly isInner: boolean
  readonly base: bigint
  /** A few compressed bytes may restore to very many. */
  readonly maxRecords: number
  /** The one time of all, where the wrapper has it. */
  readonly appendTime: number | undefined
}

const readMessages = (bytes: Uint8Array, reading: Reading): ReadonlyArray<Record> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const records: Array<Record> = []
  const end = bytes.length
  let position = 0
  try {
    while (position < end) {
      if (records.length >= reading.maxRecords) {
        const detail = `the messages in ${end} bytes need more memory than maxDecompressedBytes allows`
        throw new ByteError("TooLarge", detail, position)
      }
      const next = endOf(bytes, position, end)
      records.push(readMessage(bytes, view, position, next, reading))
      position = next
    }
  } catch (error) {
    throw error instanceof ByteError ? error.within(`records[${records.length}]`) : error
  }
  return records
}

const readMessage = (bytes: Uint8Array, view: DataView, start: number, end: number, reading: Reading): Record => {
  const magic = bytes[start + at.magic] as 0 | 1 // endOf takes no other
  if (reading.checkCrcs) checkCrc(bytes, view, start, end)
  if (reading.isInner && (bytes[start + at.attributes] & compressionMask) !== 0) {
    throw new ByteError("InvalidValue", "a compressed message inside of a compressed one", start)
  }
  let position = start + keyAt(magic)
  const keyLength = int32(bytes, position)
  position += 4
  if (keyLength < -1 || keyLength > end - position - 4) throw badLength("key", keyLength, position, end - 4)
  const key = keyLength < 0 ? null : new Uint8Array(bytes.buffer, bytes.byteOffset + position, keyLength)
  if (keyLength > 0) position += keyLength
  const valueLength = int32(bytes, position)
  position += 4
  if (valueLength < -1 || valueLength > end - position) throw badLength("value", valueLength, position, end)
  const value = valueLength < 0 ? null : new Uint8Array(bytes.buffer, bytes.byteOffset + position, valueLength)
  if (valueLength > 0) position += valueLength
  if (position !== end) {
    throw new ByteError("TrailingBytes", `${end - position} bytes are left over behind the value`, position)
  }
  const offset = view.getBigInt64(start)
  return {
    offset: reading.base === 0n ? offset : offset + reading.base,
    timestamp: reading.appendTime ?? (magic === 0 ? -1 : timestampAt(view, start)),
    key,
    value,
    headers: noHeaders
  }
}

const badLength = (field: string, length: number, position: number, end: number): ByteError =>
  new ByteError("InvalidLength", `the length is ${length}, but ${end - position} bytes are left`, position).within(
    field
  )

const checkCrc = (bytes: Uint8Array, view: DataView, start: number, end: number): void => {
  const written = view.getUint32(start + at.crc)
  const found = crc32(bytes, start + at.magic, end)
  if (written === found) return
  const detail = `the CRC-32 is ${found.toString(16)}, but ${written.toString(16)} was written`
  throw new ByteError("ChecksumMismatch", detail, start + at.crc).within("crc")
}

/**
 * How a message set is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageSetOptions {
  readonly magic: 0 | 1
  /** Defaults to none. zstd does not exist in these formats. */
  readonly compression?: Compression.CompressionType | undefined
  /** How hard to compress; see `Compression.CodecOptions`. Defaults to the codec's own. */
  readonly compressionLevel?: number | undefined
  /** The one time of all records, as a broker sets it; by default each record keeps its own. */
  readonly appendTime?: number | undefined
}

/**
 * Writes records as a message set: plain messages, or one wrapper around them. The records' offsets are kept; a producer
 * counts them from 0. Headers cannot be carried. Large sets are compressed on the thread pool and give a Promise. Throws,
 * or rejects with, `WireError`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (
  records: ReadonlyArray<Record>,
  options: MessageSetOptions
): MaybePromise.MaybePromise<Uint8Array> => {
  const { appendTime, magic } = options
  const compression = options.compression ?? "none"
  const fail = (error: unknown): never => {
    throw error instanceof ByteError ? error.toWireError(name, magic) : error
  }
  try {
    if (compression === "zstd") {
      throw new ByteError("UnsupportedVersion", "zstd needs record batches of magic 2", -1).within("compression")
    }
    if (appendTime !== undefined && !Number.isSafeInteger(appendTime)) {
      throw new ByteError("InvalidValue", `${appendTime} is not whole`, -1).within("appendTime")
    }
    const flag = appendTime === undefined ? 0 : appendTimeFlag
    if (compression === "none" || records.length === 0) {
      return writeEntries(records, magic, flag, 0n, appendTime)
    }
    const base = magic === 0 ? 0n : records[0].offset
    const inner = writeEntries(records, magic, 0, base, undefined)
    const compressed = Compression.compress(compression, inner, { magic, level: options.compressionLevel })
    let timestamp = -1
    for (const record of records) if (record.timestamp > timestamp) timestamp = record.timestamp
    const wrap = (value: Uint8Array): Uint8Array => {
      const offset = records[records.length - 1].offset
      const wrapper: Record = { offset, timestamp: appendTime ?? timestamp, key: null, value, headers: noHeaders }
      return writeEntries([wrapper], magic, Compression.idOf(compression) | flag, 0n, undefined)
    }
    return compressed instanceof Promise ? compressed.then(wrap).catch(fail) : wrap(compressed)
  } catch (error) {
    return fail(error)
  }
}

const isInt64 = (value: bigint): boolean => typeof value === "bigint" && BigInt.asIntN(64, value) === value

const writeEntries = (
  records: ReadonlyArray<Record>,
  magic: 0 | 1,
  attributes: number,
  base: bigint,
  appendTime: number | undefined
): Uint8Array => {
  let size = 0
  for (const { key, value } of records) {
    size += minimumEntryBytes(magic) + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
  }
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let start = 0
  for (let index = 0; index < records.length; index++) {
    const { headers, key, offset, timestamp, value } = records[index]
    if (headers.length > 0) {
      const detail = "message sets carry no headers: the broker is older than Kafka 0.11"
      throw new ByteError("UnsupportedVersion", detail, -1).within("headers").within(`records[${index}]`)
    }
    if (!isInt64(offset) || (base !== 0n && !isInt64(offset - base))) {
      throw new ByteError("InvalidValue", `${offset} is no int64`, -1).within("offset").within(`records[${index}]`)
    }
    view.setBigInt64(start, base === 0n ? offset : offset - base)
    bytes[start + at.magic] = magic
    bytes[start + at.attributes] = attributes
    if (magic === 1) {
      const time = appendTime ?? timestamp
      if (!Number.isSafeInteger(time)) {
        throw new ByteError("InvalidValue", `${time} is not whole`, -1).within("timestamp").within(`records[${index}]`)
      }
      view.setInt32(start + at.timestamp, Math.floor(time / 0x100000000))
      view.setUint32(start + at.timestamp + 4, time >>> 0)
    }
    let position = writeBytes(view, bytes, start + keyAt(magic), key)
    position = writeBytes(view, bytes, position, value)
    view.setInt32(start + at.size, position - start - entryBytes)
    view.setUint32(start + at.crc, crc32(bytes, start + at.magic, position))
    start = position
  }
  return bytes
}

const writeBytes = (view: DataView, bytes: Uint8Array, start: number, value: Uint8Array | null): number => {
  view.setInt32(start, value === null ? -1 : value.length)
  if (value === null) return start + 4
  bytes.set(value, start + 4)
  return start + 4 + value.length
}
