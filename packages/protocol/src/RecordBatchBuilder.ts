/**
 * Writing of record batches v2: each record goes into one slab as it comes; compression, producer id and sequence are
 * decided when the batch is built. See `RecordBatch` for the format and for reading.
 *
 * @since 0.1.0
 */
import { crc32c } from "@node-rs/crc32"
import { ByteError } from "./ByteReader.ts"
import * as Compression from "./Compression.ts"
import type * as MaybePromise from "./MaybePromise.ts"
import { type Headers, noHeaders } from "./Record.ts"
import {
  appendTimeFlag,
  at,
  controlFlag,
  headerBytes,
  magic,
  transactionalFlag,
  uncountedBytes
} from "./RecordBatchLayout.ts"
import { WireError, type WireErrorReason } from "./WireError.ts"

/**
 * What is decided about a batch when it is built.
 *
 * @category models
 * @since 0.1.0
 */
export interface BuildOptions {
  /** Defaults to none. */
  readonly compression?: Compression.CompressionType | undefined
  /** How hard to compress; see `Compression.CodecOptions`. Defaults to the codec's own. */
  readonly compressionLevel?: number | undefined
  /** Offset of the first record. Defaults to 0: the broker sets it. */
  readonly baseOffset?: bigint | undefined
  /** Defaults to -1: the broker sets it. */
  readonly partitionLeaderEpoch?: number | undefined
  /** Defaults to -1: not idempotent. */
  readonly producerId?: bigint | undefined
  /** Defaults to -1. */
  readonly producerEpoch?: number | undefined
  /** Defaults to -1. */
  readonly baseSequence?: number | undefined
  /** Defaults to false. */
  readonly isTransactional?: boolean | undefined
  /** Defaults to false. */
  readonly isControl?: boolean | undefined
  /** The one time of all records, as a broker sets it; by default each record keeps its own. */
  readonly appendTime?: number | undefined
}

const encoder = new TextEncoder()

const sizeOfVarint = (value: number): number => {
  const bits = ((value << 1) ^ (value >> 31)) >>> 0
  return bits < 0x80 ? 1 : bits < 0x4000 ? 2 : bits < 0x200000 ? 3 : bits < 0x10000000 ? 4 : 5
}

const zigZagLong = (value: number): bigint => {
  const long = BigInt(value)
  return BigInt.asUintN(64, (long << 1n) ^ (long >> 63n))
}

const isSmall = (value: number): boolean => value >= -0x40000000 && value < 0x40000000

/** Writes a zigzag varint and gives the place behind it. */
const writeVarint = (slab: Uint8Array, start: number, value: number): number => {
  let position = start
  let bits = ((value << 1) ^ (value >> 31)) >>> 0
  while (bits >= 0x80) {
    slab[position++] = (bits & 0x7f) | 0x80
    bits >>>= 7
  }
  slab[position++] = bits
  return position
}

const writeVarlong = (slab: Uint8Array, start: number, value: number): number => {
  if (isSmall(value)) return writeVarint(slab, start, value)
  let position = start
  let bits = zigZagLong(value)
  while (bits >= 0x80n) {
    slab[position++] = Number(bits & 0x7fn) | 0x80
    bits >>= 7n
  }
  slab[position++] = Number(bits)
  return position
}

const sizeOfSlab = (slab: Uint8Array | number): number => Math.max(typeof slab === "number" ? slab : 0, headerBytes)

/** Bytes of the length of a record that has 64 to 8191. */
const usualLengthBytes = 2

/**
 * The most that a record has besides its key, value and headers: four varints of at most 5 bytes, the time's of 10, the
 * attributes, the number of headers.
 */
const fixedRecordBytes = 36

/** Below this length a loop beats the call of `set`. */
const shortCopy = 24

const copy = (slab: Uint8Array, position: number, bytes: Uint8Array): number => {
  const length = bytes.length
  if (length <= shortCopy) for (let index = 0; index < length; index++) slab[position + index] = bytes[index]
  else slab.set(bytes, position)
  return position + length
}

type EncodedHeaders = ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array | null]>

/**
 * Writes records into one slab as they come; the batch around them is made by `build`, as often as wanted.
 *
 * @category encoding
 * @since 0.1.0
 */
export class RecordBatchBuilder {
  /** Number of records. */
  count = 0
  /** The largest timestamp so far; -1 without records. */
  maxTimestamp = -1
  private slab: Uint8Array
  private position = headerBytes
  private baseTimestamp = 0
  private lastOffsetDelta = -1

  /**
   * `slab`: memory to write into, or bytes of it to begin with, the header included; it is replaced by a larger one when
   * it is full.
   */
  constructor(slab: Uint8Array | number = 1024) {
    this.slab = typeof slab === "number" || slab.length < headerBytes ? new Uint8Array(sizeOfSlab(slab)) : slab
  }

  /** Gives the memory away for another builder: neither this one nor views of its batches may be used any more. */
  detach(): Uint8Array {
    const slab = this.slab
    this.slab = new Uint8Array(0)
    return slab
  }

  /** Bytes of the batch as it would be built without compression. */
  get sizeInBytes(): number {
    return this.position
  }

  /**
   * An upper bound of the bytes that a record adds, however far its offset and its timestamp are from the first.
   */
  static maximumRecordBytes(key: Uint8Array | null, value: Uint8Array | null, headers: Headers): number {
    let size = fixedRecordBytes + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
    if (headers.length === 0) return size
    for (const [name, content] of headers) size += 10 + name.length * 3 + (content === null ? 0 : content.length)
    return size
  }

  /**
   * Writes one record behind the others. `timestamp` in whole milliseconds; `offsetDelta` is its distance from the first
   * record's offset, an int32, by default without gaps. Throws `WireError` for a timestamp, an offset or a header that the
   * wire cannot carry; the records so far stay as they are.
   */
  append(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Headers = noHeaders,
    offsetDelta = this.lastOffsetDelta + 1
  ): void {
    if (!Number.isSafeInteger(timestamp)) throw notCarried("InvalidValue", "timestamp", `${timestamp} is not whole`)
    if ((offsetDelta | 0) !== offsetDelta) throw notCarried("InvalidValue", "offsetDelta", `${offsetDelta} is no int32`)
    const keyLength = key === null ? 0 : key.length
    const valueLength = value === null ? 0 : value.length
    const encoded = headers.length === 0 ? undefined : encodeHeaders(headers)
    this.reserve(fixedRecordBytes + keyLength + valueLength + (encoded === undefined ? 0 : sizeOfHeaders(encoded)))
    if (this.count === 0) {
      this.baseTimestamp = timestamp
      this.maxTimestamp = timestamp
    } else if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
    const slab = this.slab
    // The length in front of a record is known behind it. Most take two bytes: others are moved into place.
    const start = this.position
    const body = start + usualLengthBytes
    let position = body
    slab[position++] = 0
    position = writeVarlong(slab, position, timestamp - this.baseTimestamp)
    position = writeVarint(slab, position, offsetDelta)
    position = writeVarint(slab, position, key === null ? -1 : keyLength)
    if (key !== null) position = copy(slab, position, key)
    position = writeVarint(slab, position, value === null ? -1 : valueLength)
    if (value !== null) position = copy(slab, position, value)
    if (encoded === undefined) slab[position++] = 0
    else position = writeHeaders(slab, position, encoded)
    const size = position - body
    if (size >= 64 && size < 8192) {
      slab[start] = ((size << 1) & 0x7f) | 0x80
      slab[start + 1] = size >> 6
    } else {
      const moved = sizeOfVarint(size) - usualLengthBytes
      slab.copyWithin(body + moved, body, position)
      writeVarint(slab, start, size)
      position += moved
    }
    this.position = position
    this.lastOffsetDelta = offsetDelta
    this.count++
  }

  /**
   * The batch. Without compression it is a view of the slab, good until the next `append` or `build`; large batches are
   * compressed on the thread pool and give a Promise. Throws, or rejects with, `WireError` where the codec fails or the wire
   * cannot carry an option.
   */
  build(options: BuildOptions = {}): MaybePromise.MaybePromise<Uint8Array> {
    const compression = options.compression ?? "none"
    checkOptions(options)
    this.writeHeader(options)
    if (compression === "none") return seal(this.slab, this.position)
    // While the thread pool works, more records may come.
    const header = this.slab.slice(0, headerBytes)
    const complete = (compressed: Uint8Array): Uint8Array => {
      const batch = new Uint8Array(headerBytes + compressed.length)
      batch.set(header)
      batch.set(compressed, headerBytes)
      return seal(batch, batch.length)
    }
    const fail = (error: unknown): never => {
      throw error instanceof ByteError ? error.within("records").toWireError("RecordBatch", magic) : error
    }
    try {
      const compressed = Compression.compress(compression, this.slab.subarray(headerBytes, this.position), {
        magic,
        level: options.compressionLevel
      })
      return compressed instanceof Promise ? compressed.then(complete, fail) : complete(compressed)
    } catch (error) {
      return fail(error)
    }
  }

  /** All but the length and the checksum. */
  private writeHeader(options: BuildOptions): void {
    const view = new DataView(this.slab.buffer, this.slab.byteOffset, headerBytes)
    const { appendTime } = options
    const attributes =
      Compression.idOf(options.compression ?? "none") |
      (appendTime === undefined ? 0 : appendTimeFlag) |
      (options.isTransactional === true ? transactionalFlag : 0) |
      (options.isControl === true ? controlFlag : 0)
    view.setBigInt64(0, options.baseOffset ?? 0n)
    view.setInt32(at.partitionLeaderEpoch, options.partitionLeaderEpoch ?? -1)
    view.setInt8(at.magic, magic)
    view.setInt16(at.attributes, attributes)
    view.setInt32(at.lastOffsetDelta, this.lastOffsetDelta)
    view.setBigInt64(at.baseTimestamp, BigInt(this.baseTimestamp))
    view.setBigInt64(at.maxTimestamp, BigInt(appendTime ?? this.maxTimestamp))
    view.setBigInt64(at.producerId, options.producerId ?? -1n)
    view.setInt16(at.producerEpoch, options.producerEpoch ?? -1)
    view.setInt32(at.baseSequence, options.baseSequence ?? -1)
    view.setInt32(at.recordCount, this.count)
  }

  private reserve(size: number): void {
    const wanted = this.position + size
    if (wanted <= this.slab.length) return
    const grown = new Uint8Array(Math.max(wanted, this.slab.length * 2))
    grown.set(this.slab.subarray(0, this.position))
    this.slab = grown
  }
}

const longOptions = ["baseOffset", "producerId"] as const
const integerOptions = [
  ["partitionLeaderEpoch", 32],
  ["producerEpoch", 16],
  ["baseSequence", 32]
] as const

/** A DataView would cut numbers that are too large without a word. */
const checkOptions = (options: BuildOptions): void => {
  for (const field of longOptions) {
    const value = options[field]
    if (value === undefined || (typeof value === "bigint" && BigInt.asIntN(64, value) === value)) continue
    throw notCarried("InvalidValue", field, `${value} is no int64 (a bigint)`)
  }
  for (const [field, bits] of integerOptions) {
    const value = options[field]
    const unused = 32 - bits
    if (value === undefined || (value << unused) >> unused === value) continue
    throw notCarried("InvalidValue", field, `${value} is no int${bits}`)
  }
  const { appendTime } = options
  if (appendTime === undefined || Number.isSafeInteger(appendTime)) return
  throw notCarried("InvalidValue", "appendTime", `${appendTime} is not whole`)
}

/** Writes what is known only at the end, and gives the batch. */
const seal = (slab: Uint8Array, size: number): Uint8Array => {
  const view = new DataView(slab.buffer, slab.byteOffset, size)
  view.setInt32(at.batchLength, size - uncountedBytes)
  view.setUint32(at.crc, crc32c(new Uint8Array(slab.buffer, slab.byteOffset + at.attributes, size - at.attributes)))
  return new Uint8Array(slab.buffer, slab.byteOffset, size)
}

const encodeHeaders = (headers: Headers): EncodedHeaders =>
  headers.map(([key, value], index) => {
    if (key.isWellFormed()) return [encoder.encode(key), value]
    throw notCarried("InvalidUtf8", `headers[${index}].key`, "the key holds half of a surrogate pair")
  })

const notCarried = (reason: WireErrorReason, field: string, detail: string): WireError =>
  new WireError({ reason, name: "RecordBatch", version: magic, field, offset: -1, detail })

const sizeOfHeaders = (headers: EncodedHeaders): number => {
  let size = sizeOfVarint(headers.length)
  for (const [key, value] of headers) {
    size += sizeOfVarint(key.length) + key.length
    size += value === null ? 1 : sizeOfVarint(value.length) + value.length
  }
  return size
}

const writeHeaders = (slab: Uint8Array, start: number, headers: EncodedHeaders): number => {
  let position = writeVarint(slab, start, headers.length)
  for (const [key, value] of headers) {
    position = copy(slab, writeVarint(slab, position, key.length), key)
    position = writeVarint(slab, position, value === null ? -1 : value.length)
    if (value !== null) position = copy(slab, position, value)
  }
  return position
}
