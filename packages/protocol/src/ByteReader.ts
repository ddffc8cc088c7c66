/**
 * A bounds-checked cursor over the bytes of one message.
 *
 * It reads Kafka's primitive types and nothing else: what a message looks like is `WireCodec`'s business. Strings are
 * copied into JavaScript strings; `bytes` and `records` come back as views of the input, so the caller must never write
 * into a buffer again once it was handed to a reader. Every failure is a thrown `ByteError`, which the codec completes
 * with the message and the field and turns into a `WireError`.
 *
 * @since 0.1.0
 */
import { WireError, type WireErrorReason } from "./WireError.ts"

/**
 * Why reading or writing stopped, before the message and the field around it are known.
 *
 * Not an `Error`: it has no stack, so throwing it costs little; it never leaves this package.
 *
 * @category errors
 * @since 0.1.0
 */
export class ByteError {
  readonly reason: WireErrorReason
  readonly detail: string
  offset: number
  /** The error of another library underneath. */
  readonly cause: unknown
  /** Path of the field, completed by each structure on the way out. */
  field = ""

  constructor(reason: WireErrorReason, detail: string, offset: number, cause?: unknown) {
    this.reason = reason
    this.detail = detail
    this.offset = offset
    this.cause = cause
  }

  /** Puts the name of an enclosing field, or the `[index]` of an array, in front of the path. */
  within(name: string): this {
    this.field = this.field === "" ? name : this.field.startsWith("[") ? name + this.field : `${name}.${this.field}`
    return this
  }

  /** Counts the offset, if it is known, from so many bytes before: from where what encloses these bytes begins. */
  behind(size: number): this {
    if (this.offset >= 0) this.offset += size
    return this
  }

  /** The error that users meet, with the message or structure that was being read or written. */
  toWireError(name: string, version: number): WireError {
    const { cause, detail, field, offset, reason } = this
    return new WireError({ reason, name, version, field, offset, detail, ...(cause === undefined ? {} : { cause }) })
  }
}

// Node's own slice reads the bytes where they are; a TextDecoder would need a view per string. It works on any
// Uint8Array, its type says Buffer only.
const utf8Slice = (
  Buffer.prototype as unknown as { utf8Slice: (this: Uint8Array, start: number, end: number) => string }
).utf8Slice
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const replacement = "\ufffd"

// Below this length a loop over characters beats the call into native code.
const shortString = 10

/**
 * Reads Kafka's primitive types from a `Uint8Array`.
 *
 * @category decoding
 * @since 0.1.0
 */
export class ByteReader {
  readonly bytes: Uint8Array
  offset: number
  /** Where this reader ends: reading past it is `Truncated`. */
  end: number
  private view: DataView | undefined = undefined

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.end - this.offset
  }

  /** Moves over `size` bytes and gives the offset at which they start. */
  take(size: number): number {
    const offset = this.offset
    if (size > this.end - offset) {
      throw new ByteError("Truncated", `${size} bytes wanted, ${this.end - offset} left`, offset)
    }
    this.offset = offset + size
    return offset
  }

  readInt8(): number {
    return (this.bytes[this.take(1)] << 24) >> 24
  }

  readUint8(): number {
    return this.bytes[this.take(1)]
  }

  readInt16(): number {
    const offset = this.take(2)
    const bytes = this.bytes
    return (((bytes[offset] << 8) | bytes[offset + 1]) << 16) >> 16
  }

  readUint16(): number {
    const offset = this.take(2)
    const bytes = this.bytes
    return (bytes[offset] << 8) | bytes[offset + 1]
  }

  readInt32(): number {
    const offset = this.take(4)
    const bytes = this.bytes
    return (bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]
  }

  readUint32(): number {
    return this.readInt32() >>> 0
  }

  readInt64(): bigint {
    return this.dataView().getBigInt64(this.take(8))
  }

  readFloat64(): number {
    return this.dataView().getFloat64(this.take(8))
  }

  /** One byte; anything but 0 is true, as in Kafka. */
  readBoolean(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  /** An unsigned varint of at most 5 bytes. */
  readUnsignedVarint(): number {
    const start = this.offset
    const bytes = this.bytes
    const end = this.end
    let offset = start
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (offset >= end) throw new ByteError("Truncated", "the bytes end inside of a varint", start)
      const byte = bytes[offset++]
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.offset = offset
        return value >>> 0
      }
    }
    throw new ByteError("InvalidLength", "a varint is longer than 5 bytes", start)
  }

  /** A uuid as Kafka prints it: 22 characters of URL-safe base64 without padding. */
  readUuid(): string {
    const offset = this.take(16)
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + offset, 16).toString("base64url")
  }

  /** `length` bytes of UTF-8. */
  readUtf8(length: number): string {
    const start = this.take(length)
    const end = start + length
    const bytes = this.bytes
    if (length <= shortString) {
      let text = ""
      let index = start
      while (index < end && bytes[index] < 0x80) text += String.fromCharCode(bytes[index++])
      if (index === end) return text
    }
    const text = utf8Slice.call(bytes, start, end)
    // The lenient decoder marks damage with U+FFFD, which may also be in the text itself: only then decide strictly.
    if (text.includes(replacement)) {
      try {
        return strictUtf8.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length))
      } catch {
        throw new ByteError("InvalidUtf8", `${length} bytes are not valid UTF-8`, start)
      }
    }
    return text
  }

  /** The next `length` bytes as a view of the input. */
  readView(length: number): Uint8Array {
    const start = this.take(length)
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, length)
  }

  private dataView(): DataView {
    // Made once and only for messages with 64-bit fields.
    this.view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
    return this.view
  }
}
