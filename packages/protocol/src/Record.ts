/**
 * A record as it lies in a batch or a message set, and the header of a batch as far as all formats have one.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "./Compression.ts"

/**
 * The headers of a record, in their order; a key may occur more than once, a value may be null (KIP-82).
 *
 * @category models
 * @since 0.1.0
 */
export type Headers = ReadonlyArray<readonly [key: string, value: Uint8Array | null]>

/**
 * One record. Key, value and header values are views of the bytes that were decoded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Record {
  readonly offset: bigint
  /** Milliseconds since 1970; -1 where the format (magic 0) has none. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
}

/** What records without headers share. */
export const noHeaders: Headers = Object.freeze([])

/**
 * Records that lie together: a batch of format v2, a compressed message with its wrapper, or a run of plain messages.
 * Only what can be read without touching the records is here.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch {
  /** The format: 2 since Kafka 0.11, 1 since 0.10, 0 before. */
  readonly magic: 0 | 1 | 2
  /** All bytes of the batch, its header included. */
  readonly bytes: Uint8Array
  /** Offset of the first record; of a compressed message of magic 0 or 1 it is not known before decoding: the last. */
  readonly baseOffset: bigint
  readonly lastOffset: bigint
  /** -1 before magic 2. */
  readonly partitionLeaderEpoch: number
  readonly compression: CompressionType
  /** `append`: the broker set one time for all records when it appended them. */
  readonly timestampType: "create" | "append"
  /** Milliseconds since 1970; -1 where the format has none. */
  readonly maxTimestamp: number
  readonly isTransactional: boolean
  /** The records are markers for clients, not for users. */
  readonly isControl: boolean
  /** -1 where there is none, always before magic 2. */
  readonly producerId: bigint
  /** -1 where there is none. */
  readonly producerEpoch: number
  /** -1 where there is none. */
  readonly baseSequence: number
  /** Number of records; -1 for a compressed message of magic 0 or 1. */
  readonly recordCount: number
}

/**
 * How records are read.
 *
 * @category models
 * @since 0.1.0
 */
export interface DecodeOptions {
  /** Checks the CRC over the batch (Java's `check.crcs`). Defaults to true. */
  readonly checkCrcs?: boolean | undefined
  /**
   * The most memory that one batch may need once it is read, in bytes: what it decompresses to, and 128 bytes for each
   * record and each header, since a record may have as few as seven bytes and a header two. Defaults to 128 MiB. Plain
   * messages of magic 0 and 1 are not counted: what was fetched is limit enough.
   */
  readonly maxDecompressedBytes?: number | undefined
}

/** What counts for a record or a header: a record takes 112 bytes, and each view of a key or a value about as much. */
export const recordObjectBytes = 128

/** The default of `maxDecompressedBytes`. */
export const maxDecompressedBytes = 128 * 1024 * 1024
