/**
 * The record format v2 (KIP-98): batches with one header, and records with varints inside.
 *
 * Written by hand for speed: this is the one place that handles every record. `header` reads a batch without touching
 * its records, `decode` gives all of them as an array; keys and values are views. Failures are thrown as `WireError`.
 * Writing is in `RecordBatchBuilder`.
 *
 * @since 0.1.0
 */
import { crc32c } from "@node-rs/crc32"
import { ByteError, ByteReader } from "./ByteReader.ts"
import * as Compression from "./Compression.ts"
import type * as MaybePromise from "./MaybePromise.ts"
import {
  type Batch,
  type DecodeOptions,
  type Headers,
  maxDecompressedBytes,
  noHeaders,
  type Record,
  recordObjectBytes
} from "./Record.ts"
import {
  appendTimeFlag,
  at,
  compressionMask,
  controlFlag,
  headerBytes,
  magic,
  transactionalFlag,
  uncountedBytes
} from "./RecordBatchLayout.ts"

const name = "RecordBatch"

/** The least that a record can have: one byte for each of its seven parts. */
const minimumRecordBytes = 7

const fail = (error: unknown): never => {
  throw error instanceof ByteError ? error.toWireError(name, magic) : error
}

/**
 * A batch whose header was read.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordBatch extends Batch {
  readonly magic: 2
  readonly baseTimestamp: number
}

/**
 * Reads the header of the batch that these bytes are. Throws `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const header = (bytes: Uint8Array): RecordBatch => {
  if (bytes.length < headerBytes) {
    return fail(new ByteError("Truncated", `a header has ${headerBytes} bytes, found ${bytes.length}`, 0))
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = view.getInt32(at.batchLength)
  if (length !== bytes.length - uncountedBytes) {
    return fail(
      new ByteError(
        "InvalidLength",
        `the batch says ${length} bytes, found ${bytes.length - uncountedBytes}`,
        8
      ).within("batchLength")
    )
  }
  const attributes = view.getInt16(at.attributes)
  const baseOffset = view.getBigInt64(0)
  try {
    return {
      magic,
      bytes,
      baseOffset,
      lastOffset: baseOffset + BigInt(view.getInt32(at.lastOffsetDelta)),
      partitionLeaderEpoch: view.getInt32(at.partitionLeaderEpoch),
      compression: Compression.typeOf(attributes & compressionMask),
      timestampType: (attributes & appendTimeFlag) === 0 ? "create" : "append",
      baseTimestamp: Number(view.getBigInt64(at.baseTimestamp)),
      maxTimestamp: Number(view.getBigInt64(at.maxTimestamp)),
      isTransactional: (attributes & transactionalFlag) !== 0,
      isControl: (attributes & controlFlag) !== 0,
      producerId: view.getBigInt64(at.producerId),
      producerEpoch: view.getInt16(at.producerEpoch),
      baseSequence: view.getInt32(at.baseSequence),
      recordCount: view.getInt32(at.recordCount)
    }
  } catch (error) {
    throw error instanceof ByteError ? error.within("attributes").toWireError(name, magic) : error
  }
}

/**
 * All records of a batch. Large compressed batches are decompressed on the thread pool and give a Promise. Throws, or
 * rejects with, `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  batch: RecordBatch,
  options: DecodeOptions = {}
): MaybePromise.MaybePromise<ReadonlyArray<Record>> => {
  const { bytes, compression } = batch
  if (options.checkCrcs !== false) checkCrc(bytes)
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + headerBytes, bytes.length - headerBytes)
  const limit = options.maxDecompressedBytes ?? maxDecompressedBytes
  // What lies there uncompressed needs no more memory than it has already, but for its records.
  if (compression === "none") return decodeRecords(batch, payload, limit)
  try {
    const restored = Compression.decompress(compression, payload, limit, { magic })
    const read = (data: Uint8Array): ReadonlyArray<Record> => decodeRecords(batch, data, limit - data.length)
    return restored instanceof Promise ? restored.then(read, failRecords) : read(restored)
  } catch (error) {
    return failRecords(error)
  }
}

/** For what fails before there are records. */
const failRecords = (error: unknown): never =>
  fail(error instanceof ByteError ? error.within("records").behind(headerBytes) : error)

const checkCrc = (bytes: Uint8Array): void => {
  const written = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(at.crc)
  const found = crc32c(new Uint8Array(bytes.buffer, bytes.byteOffset + at.attributes, bytes.length - at.attributes))
  if (written === found) return
  const detail = `the CRC-32C is ${found.toString(16)}, but ${written.toString(16)} was written`
  fail(new ByteError("ChecksumMismatch", detail, at.crc).within("crc"))
}

/** Where the last slow varint ended: a second result without an object. */
let next = 0

/** The record that is being read. */
let reading = 0

/** Bytes of memory that the headers of the batch may still take. */
let memory = 0

/**
 * A varint of any length as a number, in two parts of which the lower has 28 bits; reading past the end gives zeros, and
 * the record's length then disagrees.
 */
const slowVarlong = (data: Uint8Array, start: number): number => {
  let low = 0
  let position = start
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = data[position++]
    low |= (byte & 0x7f) << shift
    if (!(byte >= 0x80)) {
      next = position
      return (low >>> 1) ^ -(low & 1)
    }
  }
  let high = 0
  let scale = 1
  for (let index = 4; index < 10; index++) {
    const byte = data[position++]
    // The tenth byte has one bit of the 64.
    high += (byte & (index === 9 ? 1 : 0x7f)) * scale
    scale *= 128
    if (!(byte >= 0x80)) {
      next = position
      // Halved before the parts meet: exact as far as the result is.
      const half = high * 0x8000000 + (low >>> 1)
      return (low & 1) === 0 ? half : -half - 1
    }
  }
  throw new ByteError("InvalidLength", "a varint is longer than 10 bytes", start)
}

/** A varint of up to 5 bytes as a signed number. */
const slowVarint = (data: Uint8Array, start: number): number => {
  let value = 0
  let position = start
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = data[position++]
    value |= (byte & 0x7f) << shift
    if (!(byte >= 0x80)) {
      next = position
      return (value >>> 1) ^ -(value & 1)
    }
  }
  throw new ByteError("InvalidLength", "a varint is longer than 5 bytes", start)
}

/** Which part of which record went wrong, told after the fact, so that the loop need not keep a path. */
const damagedRecord = (
  index: number,
  field: string,
  reason: "InvalidLength" | "InvalidValue" | "TooLarge",
  position: number,
  detail: string
) => new ByteError(reason, detail, position).within(field).within(`records[${index}]`)

/** `limit`: bytes of memory that records and headers may take. A few bytes may be very many of them. */
const decodeRecords = (batch: RecordBatch, data: Uint8Array, limit: number): ReadonlyArray<Record> => {
  const count = batch.recordCount
  if (count < 0 || count * minimumRecordBytes > data.length) {
    const detail = `${count} records do not fit into ${data.length} bytes`
    return fail(new ByteError("InvalidLength", detail, at.recordCount).within("recordCount"))
  }
  memory = limit - count * recordObjectBytes
  if (memory < 0) {
    const detail = `${count} records in ${data.length} bytes need more memory than maxDecompressedBytes allows`
    return fail(new ByteError("TooLarge", detail, at.recordCount).within("records"))
  }
  const records: Array<Record> = new Array(count)
  try {
    readRecords(batch, data, records)
    return records
  } catch (error) {
    if (!(error instanceof ByteError)) throw error
    if (batch.compression === "none") error.behind(headerBytes)
    // A varint does not know where it stands.
    return fail(error.field === "" ? error.within(`records[${reading}]`) : error)
  }
}

/** Fills the array, which has a place for each record. */
const readRecords = (batch: RecordBatch, data: Uint8Array, records: Array<Record>): void => {
  const { baseOffset, baseTimestamp } = batch
  const appendTime = batch.timestampType === "append" ? batch.maxTimestamp : undefined
  const buffer = data.buffer
  const base = data.byteOffset
  const end = data.length
  const count = records.length
  let position = 0
  let expectedDelta = 0
  let offset = baseOffset
  // Varints of one byte are read in place: that is nearly all of them.
  for (let index = 0; index < count; index++) {
    reading = index
    let byte = data[position]
    let length: number
    if (byte < 0x80) {
      length = (byte >>> 1) ^ -(byte & 1)
      position++
    } else {
      length = slowVarint(data, position)
      position = next
    }
    const recordEnd = position + length
    if (length < 0 || recordEnd > end) {
      throw damagedRecord(
        index,
        "length",
        "InvalidLength",
        position,
        `${length} bytes, but only ${end - position} are left`
      )
    }
    position++ // attributes: none are defined

    byte = data[position]
    let timestampDelta: number
    if (byte < 0x80) {
      timestampDelta = (byte >>> 1) ^ -(byte & 1)
      position++
    } else {
      const second = data[position + 1]
      if (second < 0x80) {
        const bits = (byte & 0x7f) | (second << 7)
        timestampDelta = (bits >>> 1) ^ -(bits & 1)
        position += 2
      } else {
        timestampDelta = slowVarlong(data, position)
        position = next
      }
    }

    byte = data[position]
    let offsetDelta: number
    if (byte < 0x80) {
      offsetDelta = (byte >>> 1) ^ -(byte & 1)
      position++
    } else {
      const second = data[position + 1]
      if (second < 0x80) {
        const bits = (byte & 0x7f) | (second << 7)
        offsetDelta = (bits >>> 1) ^ -(bits & 1)
        position += 2
      } else {
        offsetDelta = slowVarint(data, position)
        position = next
      }
    }
    // One bigint per record instead of two, as long as offsets have no gaps.
    if (offsetDelta !== expectedDelta) offset = baseOffset + BigInt(offsetDelta)
    expectedDelta = offsetDelta + 1

    byte = data[position]
    let keyLength: number
    if (byte < 0x80) {
      keyLength = (byte >>> 1) ^ -(byte & 1)
      position++
    } else {
      keyLength = slowVarint(data, position)
      position = next
    }
    let key: Uint8Array | null = null
    if (keyLength >= 0) {
      if (keyLength > recordEnd - position) {
        throw damagedRecord(index, "key", "InvalidLength", position, `${keyLength} bytes are more than the record has`)
      }
      key = new Uint8Array(buffer, base + position, keyLength)
      position += keyLength
    } else if (keyLength !== -1) {
      throw damagedRecord(index, "key", "InvalidLength", position, `the length is ${keyLength}`)
    }

    byte = data[position]
    let valueLength: number
    if (byte < 0x80) {
      valueLength = (byte >>> 1) ^ -(byte & 1)
      position++
    } else {
      const second = data[position + 1]
      if (second < 0x80) {
        const bits = (byte & 0x7f) | (second << 7)
        valueLength = (bits >>> 1) ^ -(bits & 1)
        position += 2
      } else {
        valueLength = slowVarint(data, position)
        position = next
      }
    }
    let value: Uint8Array | null = null
    if (valueLength >= 0) {
      if (valueLength > recordEnd - position) {
        throw damagedRecord(
          index,
          "value",
          "InvalidLength",
          position,
          `${valueLength} bytes are more than the record has`
        )
      }
      value = new Uint8Array(buffer, base + position, valueLength)
      position += valueLength
    } else if (valueLength !== -1) {
      throw damagedRecord(index, "value", "InvalidLength", position, `the length is ${valueLength}`)
    }

    let headers = noHeaders
    if (data[position] === 0) position++
    else {
      headers = readHeaders(data, position, recordEnd, index)
      position = next
    }
    if (position !== recordEnd) {
      const detail = `the record ends at ${position}, its length says ${recordEnd}`
      throw damagedRecord(index, "length", "InvalidLength", position, detail)
    }
    const timestamp = appendTime === undefined ? baseTimestamp + timestampDelta : appendTime
    records[index] = { offset, timestamp, key, value, headers }
    offset += 1n
  }
  if (position !== end) {
    const detail = `${end - position} bytes are left over behind the records`
    throw new ByteError("TrailingBytes", detail, position).within("records")
  }
}

/** Leaves the place behind the headers in `next`. */
const readHeaders = (data: Uint8Array, start: number, end: number, index: number): Headers => {
  const count = slowVarint(data, start)
  let position = next
  // A header has at least one byte for each of its two lengths.
  if (count < 0 || count * 2 > end - position) {
    throw damagedRecord(index, "headers", "InvalidLength", start, `${count} headers do not fit`)
  }
  memory -= count * recordObjectBytes
  if (memory < 0) {
    const detail = `with these ${count} headers the batch needs more memory than maxDecompressedBytes allows`
    throw damagedRecord(index, "headers", "TooLarge", start, detail)
  }
  const headers: Array<readonly [string, Uint8Array | null]> = []
  for (let header = 0; header < count; header++) {
    const keyLength = slowVarint(data, position)
    position = next
    if (keyLength < 0 || keyLength > end - position) {
      const detail = `the length is ${keyLength}, but ${end - position} bytes are left`
      throw damagedRecord(index, `headers[${header}].key`, "InvalidLength", position, detail)
    }
    let key: string
    try {
      key = new ByteReader(data, position, end).readUtf8(keyLength)
    } catch (error) {
      throw error instanceof ByteError ? error.within(`records[${index}].headers[${header}].key`) : error
    }
    position += keyLength
    const valueLength = slowVarint(data, position)
    position = next
    if (valueLength < -1 || valueLength > end - position) {
      const detail = `the length is ${valueLength}, but ${end - position} bytes are left`
      throw damagedRecord(index, `headers[${header}].value`, "InvalidLength", position, detail)
    }
    if (valueLength === -1) headers.push([key, null])
    else {
      headers.push([key, new Uint8Array(data.buffer, data.byteOffset + position, valueLength)])
      position += valueLength
    }
  }
  next = position
  return headers
}

/**
 * A copy of a batch as a broker puts it into its log: with its offset there, the leader's epoch, and, where the log keeps
 * the times of appending, that time for all records.
 *
 * @category encoding
 * @since 0.1.0
 */
export const appended = (
  batch: RecordBatch,
  options: {
    readonly baseOffset: bigint
    readonly partitionLeaderEpoch: number
    /** Milliseconds since 1970. */
    readonly appendTime?: number | undefined
  }
): Uint8Array => {
  const bytes = Uint8Array.from(batch.bytes)
  const view = new DataView(bytes.buffer)
  view.setBigInt64(0, options.baseOffset)
  view.setInt32(at.partitionLeaderEpoch, options.partitionLeaderEpoch)
  if (options.appendTime !== undefined) {
    view.setInt16(at.attributes, view.getInt16(at.attributes) | appendTimeFlag)
    view.setBigInt64(at.maxTimestamp, BigInt(options.appendTime))
    // The offset and the epoch are in front of what the checksum is of.
    view.setUint32(at.crc, crc32c(new Uint8Array(bytes.buffer, at.attributes)))
  }
  return bytes
}
