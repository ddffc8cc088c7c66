/**
 * Lines out of a stream of bytes: split at `\n`, byte by byte, without decoding.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A line is longer than anything that a broker takes.
 *
 * @category errors
 * @since 0.1.0
 */
export class LineTooLong extends Data.TaggedError("LineTooLong")<{
  /** Number of the line, from 1. */
  readonly line: number
  /** The most that is accepted, in bytes. */
  readonly limit: number
}> {
  override get message(): string {
    return `line ${this.line} of standard input is longer than ${this.limit} bytes; records are separated by newlines`
  }
}

/**
 * The longest line that is accepted unless said otherwise, in bytes: what a broker takes in one request
 * (`socket.request.max.bytes`).
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultLimit = 100 * 1024 * 1024

const newline = 0x0a

/**
 * Splits chunks into lines. A line within one chunk is a view of it; one across chunks is a copy.
 *
 * @category models
 * @since 0.1.0
 */
export class LineSplitter {
  private readonly limit: number
  private pending: Array<Uint8Array> = []
  private pendingBytes = 0
  private count = 0

  constructor(limit = defaultLimit) {
    this.limit = limit
  }

  /** The lines that this chunk ends, without their newlines. Throws `LineTooLong`. */
  push(chunk: Uint8Array): Array<Uint8Array> {
    const lines: Array<Uint8Array> = []
    const { buffer, byteOffset, length } = chunk
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      const line = new Uint8Array(buffer, byteOffset + start, end - start)
      lines.push(this.pendingBytes === 0 ? line : this.join(line))
      start = end + 1
    }
    this.count += lines.length
    if (start < length) this.keep(chunk.subarray(start))
    return lines
  }

  /** The last line, where no newline ends it. */
  end(): Uint8Array | undefined {
    return this.pendingBytes === 0 ? undefined : this.join(new Uint8Array())
  }

  private keep(rest: Uint8Array): void {
    this.pending.push(rest)
    this.pendingBytes += rest.length
    if (this.pendingBytes > this.limit) throw new LineTooLong({ line: this.count + 1, limit: this.limit })
  }

  private join(last: Uint8Array): Uint8Array {
    const line = Buffer.concat([...this.pending, last], this.pendingBytes + last.length)
    this.pending = []
    this.pendingBytes = 0
    return line
  }
}
