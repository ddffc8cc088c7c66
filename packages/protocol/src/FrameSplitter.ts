/**
 * Cuts a stream of bytes into Kafka's frames: an int32 of the size, then that many bytes.
 *
 * Incremental: bytes may come in pieces of any size. A frame that lies within one piece is a view of it; a frame that
 * spans pieces is put together in a buffer of its own; that of a very large one grows with what has come, not with what
 * was announced.
 * Pieces are never written to and buffers never used again: views stay valid after later pushes. A splitter that has
 * thrown is dead.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A size that no frame can have: nothing behind it can be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class FrameError extends Data.TaggedError("FrameError")<{
  /** The announced size in bytes. */
  readonly size: number
  /** Nothing has been understood on this connection yet: the peer may not be Kafka at all. */
  readonly isFirst: boolean
}> {}

/**
 * Takes the bytes of one connection, in their order.
 *
 * @category models
 * @since 0.1.0
 */
export interface FrameSplitter {
  /** Takes the next piece; calls `onFrame` for each frame that is whole now. Throws `FrameError`. */
  readonly push: (chunk: Uint8Array) => void
}

const headerSize = 4

// The smallest response is its correlation id.
const minimumFrameSize = 4

// What is allocated for a frame of any size before any of it has come.
const firstBuffer = 64 * 1024

// A frame up to this size is allocated at once: it is copied once, and memory that nothing was written to costs little.
const wholeBuffer = 64 * 1024 * 1024

const noBytes = new Uint8Array(0)

/**
 * A splitter for one connection.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  /** Largest frame in bytes, without its size. */
  readonly maxFrameSize: number
  readonly onFrame: (frame: Uint8Array) => void
}): FrameSplitter => {
  const { maxFrameSize, onFrame } = options
  let header = 0
  let headerBytes = 0
  // Size of the frame that is being read; -1 while its header is.
  let size = -1
  let buffer: Uint8Array = noBytes
  let filled = 0
  let isFirst = true

  const fill = (piece: Uint8Array): void => {
    const wanted = filled + piece.length
    if (wanted > buffer.length) {
      // Not filled with zeros: each byte is written before the frame is given out.
      const grown = Buffer.allocUnsafeSlow(
        size <= wholeBuffer ? size : Math.min(size, Math.max(wanted, buffer.length * 2, firstBuffer))
      )
      grown.set(buffer.subarray(0, filled))
      buffer = grown
    }
    buffer.set(piece, filled)
    filled = wanted
  }

  const takeBuffer = (): Uint8Array => {
    const frame = buffer
    buffer = noBytes
    filled = 0
    return frame
  }

  const push = (chunk: Uint8Array): void => {
    const length = chunk.length
    let offset = 0
    while (offset < length) {
      if (size < 0) {
        if (headerBytes === 0 && length - offset >= headerSize) {
          size = (chunk[offset] << 24) | (chunk[offset + 1] << 16) | (chunk[offset + 2] << 8) | chunk[offset + 3]
          offset += headerSize
        } else {
          header = (header << 8) | chunk[offset++]
          if (++headerBytes < headerSize) continue
          size = header
          header = 0
          headerBytes = 0
        }
        if (size < minimumFrameSize || size > maxFrameSize) throw new FrameError({ size, isFirst })
        isFirst = false
      }
      const end = offset + size - filled
      if (end > length) {
        if (offset < length) fill(chunk.subarray(offset))
        return
      }
      const rest = chunk.subarray(offset, end)
      offset = end
      if (filled > 0) fill(rest)
      const frame = filled > 0 ? takeBuffer() : rest
      size = -1
      onFrame(frame)
    }
  }

  return { push }
}
