/**
 * The one error of this package: bytes that are not what the protocol says, or a value that the wire cannot carry.
 *
 * It is thrown inside (cheap control flow on plain functions) and turned into a typed failure at the edges: by
 * `WireCodec` for messages, by the readers of record batches for records. It names the message, its version and the
 * field, and the offset into the bytes where reading stopped.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * What is wrong.
 *
 * - `Truncated`: the bytes end before the value does
 * - `InvalidLength`: a length or count is negative where it may not be, or larger than the bytes that are left
 * - `InvalidValue`: the value is outside of its wire type, null where null is not allowed, or not known
 * - `InvalidUtf8`: text is not valid UTF-8
 * - `TrailingBytes`: bytes are left over behind the message
 * - `ChecksumMismatch`: the CRC over the bytes is not the one written in them
 * - `UnknownMagic`: a record batch of a format that does not exist
 * - `UnknownCompression`: a compression codec that is not registered
 * - `Decompression`: the compressed bytes are damaged
 * - `TooLarge`: more than the limit that the caller gave (a decompression bomb, an oversized frame)
 * - `UnsupportedVersion`: the message does not exist at this version, or a field of it cannot be carried by this version
 *
 * @category models
 * @since 0.1.0
 */
export type WireErrorReason =
  | "Truncated"
  | "InvalidLength"
  | "InvalidValue"
  | "InvalidUtf8"
  | "TrailingBytes"
  | "ChecksumMismatch"
  | "UnknownMagic"
  | "UnknownCompression"
  | "Decompression"
  | "TooLarge"
  | "UnsupportedVersion"

/**
 * Bytes or values that do not fit the protocol.
 *
 * @category errors
 * @since 0.1.0
 */
export class WireError extends Data.TaggedError("WireError")<{
  /** What is wrong. */
  readonly reason: WireErrorReason
  /** Name of the message or structure, for example `FetchResponse` or `RecordBatch`. */
  readonly name: string
  /** Version of the message (the magic byte of a record batch); -1 where it is not known. */
  readonly version: number
  /** Path of the field, for example `responses[2].partitions[0].records`; empty for the message as a whole. */
  readonly field: string
  /**
   * Offset into the bytes where reading stopped: of the message, of the batch, or, inside of compressed records, of the
   * decompressed ones. -1 when writing, and where it is not known.
   */
  readonly offset: number
  /** What was found and what was expected. */
  readonly detail: string
  /** The error underneath, where another library reported it. */
  readonly cause?: unknown
}> {
  override get message(): string {
    const version = this.version >= 0 ? ` v${this.version}` : ""
    const field = this.field === "" ? "" : ` at ${this.field}`
    const offset = this.offset >= 0 ? ` (byte ${this.offset})` : ""
    return `${this.name}${version}${field}: ${this.detail}${offset}`
  }
}
