/**
 * The `records` field of Produce and Fetch: batches of any format behind each other.
 *
 * `split` finds the batches and reads their headers, `decode` reads the records of one. A broker cuts a fetch response
 * where its limit is, so the last batch may be partial: that is normal, and not an error.
 *
 * @since 0.1.0
 */
import type { MaybePromise } from "./MaybePromise.ts"
import * as MessageSet from "./MessageSet.ts"
import type { Batch, DecodeOptions, Record } from "./Record.ts"
import * as RecordBatch from "./RecordBatch.ts"
import { WireError } from "./WireError.ts"

/** Base offset and length, which all formats have in front. */
const prefixBytes = 12
const magicAt = 16
/** The least that a batch of any format has behind its length: what is behind the length of a message of magic 0. */
const minimumBytes = 14

/**
 * What lies in a `records` field.
 *
 * @category models
 * @since 0.1.0
 */
export interface Split {
  /** The whole batches, in their order. */
  readonly batches: ReadonlyArray<RecordBatch.RecordBatch | MessageSet.MessageSet>
  /**
   * Bytes behind the last whole batch: the beginning of a batch that the broker cut off, or of one whose header is
   * damaged while whole ones lie before it. With no batches at all and more than 0, the limit of the fetch was too small.
   */
  readonly partialBytes: number
  /** Bytes that the first partial batch needs in all, when its length can be read; 0 otherwise. */
  readonly partialBatchBytes: number
}

/**
 * Finds the batches. Throws `WireError` when the first batch is damaged; damage further behind ends the list before it,
 * so that what is good is read first and the damage is met by the next fetch.
 *
 * @category decoding
 * @since 0.1.0
 */
export const split = (bytes: Uint8Array): Split => {
  const batches: Array<RecordBatch.RecordBatch | MessageSet.MessageSet> = []
  const end = bytes.length
  let position = 0
  let partialBatchBytes = 0
  try {
    while (end - position > magicAt) {
      const size = new DataView(bytes.buffer, bytes.byteOffset + position, prefixBytes).getInt32(8)
      const magic = bytes[position + magicAt]
      if (magic > 2) fail("UnknownMagic", magic, "magic", position + magicAt, `there is no record format ${magic}`)
      if (size < minimumBytes) fail("InvalidLength", magic, "batchLength", position + 8, `the batch says ${size} bytes`)
      if (size > end - position - prefixBytes) {
        partialBatchBytes = size + prefixBytes
        break
      }
      const batch = header(bytes, position, magic, size)
      batches.push(batch)
      position += batch.bytes.length
    }
  } catch (error) {
    if (batches.length === 0 || !(error instanceof WireError)) throw error
  }
  return { batches, partialBytes: end - position, partialBatchBytes }
}

const header = (bytes: Uint8Array, position: number, magic: number, size: number) =>
  magic === 2
    ? RecordBatch.header(new Uint8Array(bytes.buffer, bytes.byteOffset + position, prefixBytes + size))
    : MessageSet.header(bytes, position, bytes.length)

const fail = (
  reason: "UnknownMagic" | "InvalidLength",
  magic: number,
  field: string,
  offset: number,
  detail: string
) => {
  throw new WireError({ reason, name: "Records", version: magic, field, offset, detail })
}

/**
 * All records of a batch of any format, in the order of their offsets: at once, or as a Promise where a large batch is
 * decompressed on the thread pool. Throws, or rejects with, `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (batch: Batch, options?: DecodeOptions): MaybePromise<ReadonlyArray<Record>> =>
  // The magic byte says which of the two a batch is.
  batch.magic === 2
    ? RecordBatch.decode(batch as RecordBatch.RecordBatch, options)
    : MessageSet.decode(batch as MessageSet.MessageSet, options)
