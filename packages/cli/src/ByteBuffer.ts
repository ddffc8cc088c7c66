/**
 * A buffer that grows: what is printed for many records becomes one big write.
 *
 * @since 0.1.0
 */

const initialBytes = 64 * 1024
// Below this a loop is faster than the call of a native copy.
const loopBytes = 16

/**
 * Bytes that are gathered before they are written. `bytes` gives a view, which `clear` and further writes make invalid.
 *
 * @category models
 * @since 0.1.0
 */
export class ByteBuffer {
  private buffer = Buffer.allocUnsafe(initialBytes)
  private end = 0

  /** How many bytes have been gathered. */
  get length(): number {
    return this.end
  }

  /** What has been gathered, as a view. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end)
  }

  /** Forgets what has been gathered; keeps the memory. */
  clear(): void {
    this.end = 0
  }

  /** Appends bytes as they are. */
  append(bytes: Uint8Array): void {
    const { length } = bytes
    const start = this.reserve(length)
    const { buffer } = this
    if (length <= loopBytes) for (let index = 0; index < length; index++) buffer[start + index] = bytes[index]
    else buffer.set(bytes, start)
    this.end = start + length
  }

  /** Appends text that is known to be ASCII, such as a number. */
  appendAscii(text: string): void {
    const start = this.reserve(text.length)
    this.end = start + this.buffer.write(text, start, "latin1")
  }

  /** Appends text in UTF-8. */
  appendText(text: string): void {
    const start = this.reserve(text.length * 3)
    this.end = start + this.buffer.write(text, start, "utf8")
  }

  private reserve(length: number): number {
    const { buffer, end } = this
    if (end + length > buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(buffer.length * 2, end + length))
      grown.set(buffer.subarray(0, end))
      this.buffer = grown
    }
    return end
  }
}
