/**
 * What the frames of zstd (RFC 8878) say about themselves. The work is Node's; but it restores no more than the first of
 * several frames and takes one that is cut off for a whole one, so the frames are found here first.
 *
 * @since 0.1.0
 */
import { ByteError } from "./ByteReader.ts"

const magic = 0xfd2fb528
/** Frames of these sixteen magic numbers hold what is of no use to a reader. */
const skippableMagic = 0x184d2a50
const maxBlockBytes = 128 * 1024

/**
 * One frame, what it says that it restores to, and the most that it can.
 *
 * @category models
 * @since 0.1.0
 */
export interface Frame {
  readonly bytes: Uint8Array
  readonly size: number | undefined
  readonly maxSize: number
}

const cutOff = (offset: number): ByteError => new ByteError("Decompression", "the zstd frame is cut off", offset)

/** A little-endian number of up to 8 bytes. */
const readNumber = (bytes: Uint8Array, offset: number, size: number): number => {
  if (offset + size > bytes.length) throw cutOff(offset)
  let value = 0
  for (let index = size - 1; index >= 0; index--) value = value * 256 + bytes[offset + index]
  return value
}

/**
 * The frames that the bytes consist of. Throws `ByteError` when they are not whole.
 *
 * @category decoding
 * @since 0.1.0
 */
export const frames = (bytes: Uint8Array): ReadonlyArray<Frame> => {
  const found: Array<Frame> = []
  let position = 0
  while (position < bytes.length) {
    const start = position
    const word = readNumber(bytes, start, 4)
    if ((word & ~15) >>> 0 === skippableMagic) {
      position += 8 + readNumber(bytes, start + 4, 4)
      if (position > bytes.length) throw cutOff(start)
      continue
    }
    if (word !== magic) throw new ByteError("Decompression", "not a zstd frame", start)
    const frame = readFrame(bytes, start)
    position += frame.bytes.length
    found.push(frame)
  }
  if (found.length === 0) throw cutOff(position)
  return found
}

const dictionaryIdBytes = [0, 1, 2, 4]

const readFrame = (bytes: Uint8Array, start: number): Frame => {
  const descriptor = readNumber(bytes, start + 4, 1)
  const isSingleSegment = (descriptor & 32) !== 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag
  let position = start + 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes[descriptor & 3]
  // Of two bytes, the size counts from 256.
  const size = sizeBytes === 0 ? undefined : readNumber(bytes, position, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  position += sizeBytes
  let maxSize = 0
  let isLast = false
  while (!isLast) {
    const header = readNumber(bytes, position, 3)
    isLast = (header & 1) !== 0
    const isRepeated = (header & 6) === 2
    const isCompressed = (header & 6) === 4
    const blockSize = header >>> 3
    maxSize += isCompressed ? maxBlockBytes : blockSize
    position += 3 + (isRepeated ? 1 : blockSize)
  }
  if ((descriptor & 4) !== 0) position += 4
  if (position > bytes.length) throw cutOff(start)
  return {
    bytes: new Uint8Array(bytes.buffer, bytes.byteOffset + start, position - start),
    size,
    maxSize: Math.min(maxSize, size ?? maxSize)
  }
}
