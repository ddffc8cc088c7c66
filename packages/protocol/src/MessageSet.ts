/**
 * The record formats before v2: message sets of magic 0 (to Kafka 0.9) and magic 1 (0.10, KIP-32).
 *
 * A message set is a row of messages, each with an offset and a CRC-32 of its own. Compressed messages lie as one message
 * set inside of the value of a wrapper; inside, offsets are absolute in magic 0 and relative to the first in magic 1
 * (KIP-31). Failures are thrown as `WireError`.
 *
 * @since 0.1.0
 */
import * as zlib from "node:zlib"
import { ByteError } from "./ByteReader.ts"
import * as Compression from "./Compression.ts"
import type * as MaybePromise from "./MaybePromise.ts"
import { type Batch, type DecodeOptions, maxDecompressedBytes, noHeaders, type Record } from "./Record.ts"

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

/** An entry whose head was read. */
interface Entry {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly magic: 0 | 1
  readonly offset: bigint
  readonly attributes: number
  readonly timestamp: number
}

const readEntry = (bytes: Uint8Array, start: number, end: number): Entry => {
  if (end - start < entryBytes + 6) {
    throw new ByteError("Truncated", `a message has more than ${end - start} bytes`, start)
  }
  const size = new DataView(bytes.buffer, bytes.byteOffset + start, entryBytes).getInt32(at.size)
  if (size > end - start - entryBytes) {
    throw new ByteError("Truncated", `a message of ${size} bytes, but ${end - start - entryBytes} are left`, start)
  }
  const magic = bytes[start + at.magic]
  if (magic !== 0 && magic !== 1) throw new ByteError("UnknownMagic", `magic ${magic} in a message set`, start)
  if (size < minimumEntryBytes(magic) - entryBytes) {
    throw new ByteError("InvalidLength", `a message of ${size} bytes`, start + at.size).within("size")
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, entryBytes + size)
  return {
    bytes: new Uint8Array(bytes.buffer, bytes.byteOffset + start, entryBytes + size),
    view,
    magic,
    offset: view.getBigInt64(0),
    attributes: bytes[start + at.attributes],
    timestamp: magic === 0 ? -1 : Number(view.getBigInt64(at.timestamp))
  }
}

const isCompressed = (entry: Entry): boolean => (entry.attributes & compressionMask) !== 0

const makeBatch = (bytes: Uint8Array, first: Entry, last: Entry, count: number, maxTimestamp: number): MessageSet => ({
  magic: first.magic,
  bytes,
  baseOffset: first.offset,
  lastOffset: last.offset,
  partitionLeaderEpoch: -1,
  compression: Compression.typeOf(first.attributes & compressionMask),
  timestampType: (first.attributes & appendTimeFlag) === 0 ? "create" : "append",
  maxTimestamp,
  isTransactional: false,
  isControl: false,
  producerId: -1n,
  producerEpoch: -1,
  baseSequence: -1,
  recordCount: count
})

/**
 * The wrapper or the run of plain messages that begins at `start`: messages of one format that lie behind each other,
 * as far as they are whole. Throws `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const header = (bytes: Uint8Array, start: number, end: number): MessageSet => {
  try {
    const first = readEntry(bytes, start, end)
    let last = first
    let count = 1
    let position = start + first.bytes.length
    let maxTimestamp = first.timestamp
    while (!isCompressed(first) && isPlainEntry(bytes, position, end, first)) {
      last = readEntry(bytes, position, end)
      if (last.timestamp > maxTimestamp) maxTimestamp = last.timestamp
      position += last.bytes.length
      count++
    }
    const run = new Uint8Array(bytes.buffer, bytes.byteOffset + start, position - start)
    return makeBatch(run, first, last, isCompressed(first) ? -1 : count, maxTimestamp)
  } catch (error) {
    throw error instanceof ByteError ? error.toWireError(name, bytes[start + at.magic] ?? -1) : error
  }
}

/** Whether a whole plain message of the same format and kind of timestamps follows. */
const isPlainEntry = (bytes: Uint8Array, start: number, end: number, first: Entry): boolean => {
  if (end - start < minimumEntryBytes(first.magic) || bytes[start + at.magic] !== first.magic) return false
  if (bytes[start + at.attributes] !== first.attributes) return false
  const size = new DataView(bytes.buffer, bytes.byteOffset + start, entryBytes).getInt32(at.size)
  return size >= minimumEntryBytes(first.magic) - entryBytes && size <= end - start - entryBytes
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
    if (batch.compression === "none") return readPlain(batch.bytes, options)
    const wrapper = readEntry(batch.bytes, 0, batch.bytes.length)
    const { value } = readContent(wrapper, options, 0)
    if (value === null) throw new ByteError("InvalidValue", "a wrapper holds no messages", 0).within("value")
    const limit = options.maxDecompressedBytes ?? maxDecompressedBytes
    const restored = Compression.decompress(batch.compression, value, limit, { magic: batch.magic })
    const read = (inner: Uint8Array): ReadonlyArray<Record> => unwrap(wrapper, readInner(inner, options))
    if (restored instanceof Promise) return restored.then(read).catch(fail)
    return read(restored)
  } catch (error) {
    return fail(error)
  }
}

const readPlain = (bytes: Uint8Array, options: DecodeOptions): ReadonlyArray<Record> => {
  const records: Array<Record> = []
  for (let position = 0; position < bytes.length; ) {
    const entry = readEntry(bytes, position, bytes.length)
    records.push(readContent(entry, options, records.length))
    position += entry.bytes.length
  }
  return records
}

/** The messages inside of a wrapper: they are whole, and not compressed again. */
const readInner = (bytes: Uint8Array, options: DecodeOptions): ReadonlyArray<Record> => {
  const records: Array<Record> = []
  for (let position = 0; position < bytes.length; ) {
    const entry = readEntry(bytes, position, bytes.length)
    if (isCompressed(entry)) {
      throw new ByteError("InvalidValue", "a compressed message inside of a compressed one", position).within(
        `records[${records.length}]`
      )
    }
    records.push(readContent(entry, options, records.length))
    position += entry.bytes.length
  }
  if (records.length === 0) throw new ByteError("InvalidValue", "a wrapper holds no messages", 0).within("value")
  return records
}

const readContent = (entry: Entry, options: DecodeOptions, index: number): Record => {
  const { bytes, magic, offset, timestamp, view } = entry
  if (options.checkCrcs !== false) {
    const written = view.getUint32(at.crc)
    const found = zlib.crc32(new Uint8Array(bytes.buffer, bytes.byteOffset + at.magic, bytes.length - at.magic))
    if (written !== found) {
      const detail = `the CRC-32 is ${found.toString(16)}, but ${written.toString(16)} was written`
      throw new ByteError("ChecksumMismatch", detail, at.crc).within("crc").within(`records[${index}]`)
    }
  }
  const key = readBytes(entry, keyAt(magic), `records[${index}].key`)
  const valueAt = keyAt(magic) + 4 + (key === null ? 0 : key.length)
  const value = readBytes(entry, valueAt, `records[${index}].value`)
  if (valueAt + 4 + (value === null ? 0 : value.length) !== bytes.length) {
    throw new ByteError("TrailingBytes", "bytes are left over behind the value", valueAt).within(`records[${index}]`)
  }
  return { offset, timestamp, key, value, headers: noHeaders }
}

const readBytes = ({ bytes, view }: Entry, start: number, field: string): Uint8Array | null => {
  if (bytes.length - start < 4) throw new ByteError("Truncated", "the length is cut off", start).within(field)
  const length = view.getInt32(start)
  if (length === -1) return null
  if (length < 0 || length > bytes.length - start - 4) {
    const detail = `the length is ${length}, but ${bytes.length - start - 4} bytes are left`
    throw new ByteError("InvalidLength", detail, start).within(field)
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start + 4, length)
}

/** Gives the inner records the wrapper's word: the offset in magic 1, and the time where the broker set it. */
const unwrap = (wrapper: Entry, records: ReadonlyArray<Record>): ReadonlyArray<Record> => {
  if (wrapper.magic === 0) return records
  const base = wrapper.offset - records[records.length - 1].offset
  const isAppendTime = (wrapper.attributes & appendTimeFlag) !== 0
  return records.map((record) => ({
    ...record,
    offset: base + record.offset,
    timestamp: isAppendTime ? wrapper.timestamp : record.timestamp
  }))
}

/**
 * A record to be written: as it is read, without its offset where offsets count up.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageSetOptions {
  readonly magic: 0 | 1
  /** Defaults to none. zstd does not exist in these formats. */
  readonly compression?: Compression.CompressionType | undefined
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
    const flag = appendTime === undefined ? 0 : appendTimeFlag
    if (compression === "none" || records.length === 0) {
      return writeEntries(records, magic, flag, (record) => record.offset, appendTime)
    }
    const base = magic === 0 ? 0n : records[0].offset
    const inner = writeEntries(records, magic, 0, (record) => record.offset - base, undefined)
    const compressed = Compression.compress(compression, inner, { magic })
    let timestamp = -1
    for (const record of records) if (record.timestamp > timestamp) timestamp = record.timestamp
    const wrap = (value: Uint8Array): Uint8Array => {
      const offset = records[records.length - 1].offset
      const wrapper: Record = { offset, timestamp: appendTime ?? timestamp, key: null, value, headers: noHeaders }
      return writeEntries([wrapper], magic, Compression.idOf(compression) | flag, () => offset, undefined)
    }
    return compressed instanceof Promise ? compressed.then(wrap).catch(fail) : wrap(compressed)
  } catch (error) {
    return fail(error)
  }
}

const writeEntries = (
  records: ReadonlyArray<Record>,
  magic: 0 | 1,
  attributes: number,
  offsetOf: (record: Record) => bigint,
  appendTime: number | undefined
): Uint8Array => {
  let size = 0
  for (const { key, value } of records) {
    size += minimumEntryBytes(magic) + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
  }
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let start = 0
  records.forEach((record, index) => {
    if (record.headers.length > 0) {
      const detail = "message sets carry no headers: the broker is older than Kafka 0.11"
      throw new ByteError("UnsupportedVersion", detail, -1).within(`records[${index}].headers`)
    }
    view.setBigInt64(start, offsetOf(record))
    bytes[start + at.magic] = magic
    bytes[start + at.attributes] = attributes
    if (magic === 1) view.setBigInt64(start + at.timestamp, BigInt(appendTime ?? record.timestamp))
    let position = writeBytes(view, bytes, start + keyAt(magic), record.key)
    position = writeBytes(view, bytes, position, record.value)
    view.setInt32(start + at.size, position - start - entryBytes)
    view.setUint32(start + at.crc, zlib.crc32(bytes.subarray(start + at.magic, position)))
    start = position
  })
  return bytes
}

const writeBytes = (view: DataView, bytes: Uint8Array, start: number, value: Uint8Array | null): number => {
  view.setInt32(start, value === null ? -1 : value.length)
  if (value === null) return start + 4
  bytes.set(value, start + 4)
  return start + 4 + value.length
}
