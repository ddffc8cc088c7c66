/**
 * A growing slab that Kafka's primitive types are written into.
 *
 * One writer may be used again for many messages: `finish` copies the result out, `view` borrows it until the next
 * write. Values are checked for their range by the codec, not here, except for lengths of strings.
 *
 * @since 0.1.0
 */
import { ByteError } from "./ByteReader.ts"

// See ByteReader: typed for Buffer, works on any Uint8Array.
const utf8Write = (
  Buffer.prototype as unknown as {
    utf8Write: (this: Uint8Array, text: string, offset: number, length: number) => number
  }
).utf8Write

/** Java's `Short.MAX_VALUE`: the longest string that Kafka's classes read or write, in bytes of UTF-8. */
export const maxStringBytes = 32767

// Below this length a loop over ASCII characters beats the call into native code.
const shortString = 48

/**
 * Writes Kafka's primitive types into one slab.
 *
 * @category encoding
 * @since 0.1.0
 */
export class ByteWriter {
  bytes: Uint8Array
  offset = 0
  /** Byte arrays that were left where they are instead of being copied: `takePieces` gives them. */
  readonly external: Array<{ readonly at: number; readonly bytes: Uint8Array }> = []
  /** How many bytes `external` holds. */
  externalBytes = 0
  private readonly minExternal: number
  private view: DataView

  /** `minExternal`: byte arrays from this length on are left where they are. By default all are copied. */
  constructor(capacity = 512, minExternal = Number.POSITIVE_INFINITY) {
    this.minExternal = minExternal
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Makes room for `size` more bytes. */
  reserve(size: number): void {
    const wanted = this.offset + size
    if (wanted <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(wanted, this.bytes.length * 2))
    grown.set(new Uint8Array(this.bytes.buffer, 0, this.offset))
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }

  /**
   * What was written from an offset on, in pieces: views of the slab with the external byte arrays in between, which are
   * then forgotten.
   */
  takePieces(from: number): Array<Uint8Array> {
    const pieces: Array<Uint8Array> = []
    let start = from
    for (const { at, bytes } of this.external) {
      if (at > start) pieces.push(this.bytes.subarray(start, at))
      pieces.push(bytes)
      start = at
    }
    if (this.offset > start) pieces.push(this.bytes.subarray(start, this.offset))
    this.external.length = 0
    this.externalBytes = 0
    return pieces
  }

  /** Forgets what was written behind an offset and behind so many external byte arrays. */
  rewind(offset: number, external: number): void {
    this.offset = offset
    while (this.external.length > external) this.externalBytes -= this.external.pop()!.bytes.length
  }

  /** A copy of what was written; the writer starts over. */
  finish(): Uint8Array {
    const result = new Uint8Array(this.offset)
    result.set(new Uint8Array(this.bytes.buffer, 0, this.offset))
    this.offset = 0
    return result
  }

  writeInt8(value: number): void {
    this.reserve(1)
    this.bytes[this.offset++] = value
  }

  writeInt16(value: number): void {
    this.reserve(2)
    const bytes = this.bytes
    bytes[this.offset++] = value >> 8
    bytes[this.offset++] = value
  }

  writeInt32(value: number): void {
    this.reserve(4)
    const bytes = this.bytes
    const offset = this.offset
    bytes[offset] = value >> 24
    bytes[offset + 1] = value >> 16
    bytes[offset + 2] = value >> 8
    bytes[offset + 3] = value
    this.offset = offset + 4
  }

  /** Overwrites four bytes that were written before, for lengths that are known only afterwards. */
  setInt32(offset: number, value: number): void {
    this.view.setInt32(offset, value)
  }

  writeInt64(value: bigint): void {
    this.reserve(8)
    this.view.setBigInt64(this.offset, value)
    this.offset += 8
  }

  writeFloat64(value: number): void {
    this.reserve(8)
    this.view.setFloat64(this.offset, value)
    this.offset += 8
  }

  writeUnsignedVarint(value: number): void {
    this.reserve(5)
    const bytes = this.bytes
    let rest = value >>> 0
    while (rest >= 0x80) {
      bytes[this.offset++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[this.offset++] = rest
  }

  writeBytes(value: Uint8Array): void {
    if (value.length >= this.minExternal) {
      this.external.push({ at: this.offset, bytes: value })
      this.externalBytes += value.length
      return
    }
    this.reserve(value.length)
    this.bytes.set(value, this.offset)
    this.offset += value.length
  }

  /** A uuid in Kafka's own print: 22 characters of URL-safe base64. */
  writeUuid(value: string): void {
    const bytes = Buffer.from(value, "base64url")
    if (value.length !== 22 || bytes.length !== 16 || bytes.toString("base64url") !== value) {
      throw new ByteError("InvalidValue", `${JSON.stringify(value)} is not a uuid of 22 base64url characters`, -1)
    }
    this.writeBytes(bytes)
  }

  /** A string with its length in front: an int16, or, compact, an unsigned varint of the length plus one. */
  writeString(value: string, compact: boolean): void {
    const length = value.length
    if (length <= shortString) {
      const prefix = compact ? 1 : 2
      this.reserve(length + prefix)
      const bytes = this.bytes
      const start = this.offset + prefix
      let index = 0
      for (; index < length; index++) {
        const code = value.charCodeAt(index)
        if (code >= 0x80) break
        bytes[start + index] = code
      }
      if (index === length) {
        if (compact) bytes[start - 1] = length + 1
        else {
          bytes[start - 2] = 0
          bytes[start - 1] = length
        }
        this.offset = start + length
        return
      }
    }
    if (!value.isWellFormed()) throw new ByteError("InvalidUtf8", "the string holds half of a surrogate pair", -1)
    const size = Buffer.byteLength(value, "utf8")
    if (size > maxStringBytes) {
      throw new ByteError("InvalidLength", `a string of ${size} bytes is longer than ${maxStringBytes}`, -1)
    }
    if (compact) this.writeUnsignedVarint(size + 1)
    else this.writeInt16(size)
    this.reserve(size)
    utf8Write.call(this.bytes, value, this.offset, size)
    this.offset += size
  }
}
