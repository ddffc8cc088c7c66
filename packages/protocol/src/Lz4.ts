/**
 * LZ4 frames as Kafka writes them: independent blocks of 64 KiB, no checksums of blocks or content. The blocks
 * themselves are the library's work; the frame around them is written here, because the header checksum of message sets
 * v0 is one that no library writes (KAFKA-3160), and because reading block by block bounds the memory.
 *
 * @since 0.1.0
 */
import * as lz4 from "lz4-napi"
import { ByteError } from "./ByteReader.ts"
import { asyncBytes, type MaybePromise } from "./MaybePromise.ts"

const magic = 0x184d2204
/** Version 1, independent blocks. */
const flags = 0x60
/** Block size 4: at most 64 KiB. */
const blockDescriptor = 0x40
const blockBytes = 64 * 1024
const headerBytes = 7
const incompressible = 0x80000000
/** How far back a dependent block may refer. */
const windowBytes = 64 * 1024

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** The checksum byte of a frame header; the wrong one covers the magic number too. */
const headerChecksum = (frame: Uint8Array, end: number, isWrong: boolean): number =>
  (xxHash32(frame.subarray(isWrong ? 0 : 4, end)) >>> 8) & 0xff

const frame = (sources: ReadonlyArray<Uint8Array>, blocks: ReadonlyArray<Uint8Array>, isWrong: boolean): Uint8Array => {
  const parts = blocks.map((block, index) => (block.length - 4 < sources[index].length ? block.subarray(4) : undefined))
  const size = parts.reduce((sum, part, index) => sum + 4 + (part ?? sources[index]).length, headerBytes + 4)
  const result = new Uint8Array(size)
  const view = new DataView(result.buffer)
  view.setUint32(0, magic, true)
  result[4] = flags
  result[5] = blockDescriptor
  result[6] = headerChecksum(result, 6, isWrong)
  let offset = headerBytes
  parts.forEach((part, index) => {
    const content = part ?? sources[index]
    view.setUint32(offset, part === undefined ? (content.length | incompressible) >>> 0 : content.length, true)
    result.set(content, offset + 4)
    offset += 4 + content.length
  })
  // The end mark is a block of length 0: already there.
  return result
}

/**
 * Compresses into one frame.
 *
 * @category encoding
 * @since 0.1.0
 */
export const compress = (
  bytes: Uint8Array,
  options: { /** The header checksum of message sets v0. */ readonly wrongChecksum: boolean }
): MaybePromise<Uint8Array> => {
  const sources: Array<Uint8Array> = []
  for (let start = 0; start < bytes.length; start += blockBytes) sources.push(bytes.subarray(start, start + blockBytes))
  if (bytes.length < asyncBytes) {
    return frame(
      sources,
      sources.map((source) => lz4.compressSync(asBuffer(source))),
      options.wrongChecksum
    )
  }
  return Promise.all(sources.map((source) => lz4.compress(source))).then((blocks) =>
    frame(sources, blocks, options.wrongChecksum)
  )
}

interface Block {
  readonly bytes: Uint8Array
  readonly isCompressed: boolean
}

interface Frame {
  readonly blocks: ReadonlyArray<Block>
  readonly maxBlockBytes: number
  readonly areIndependent: boolean
}

const damaged = (detail: string, offset: number): ByteError => new ByteError("Decompression", detail, offset)

const readFrame = (bytes: Uint8Array, anyChecksum: boolean): Frame => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < headerBytes || view.getUint32(0, true) !== magic) throw damaged("not an LZ4 frame", 0)
  const flag = bytes[4]
  if (flag >> 6 !== 1) throw damaged(`LZ4 frames of version ${flag >> 6} are not known`, 4)
  if ((flag & 1) !== 0) throw damaged("LZ4 frames with a dictionary are not supported", 4)
  const sizeCode = (bytes[5] >> 4) & 7
  if (sizeCode < 4) throw damaged(`there is no LZ4 block size ${sizeCode}`, 5)
  let offset = 6 + ((flag & 8) !== 0 ? 8 : 0)
  if (offset >= bytes.length) throw damaged("the LZ4 frame header is cut off", offset)
  const checksum = bytes[offset]
  // Brokers and clients of old took either for message sets v0, so a reader has to.
  if (checksum !== headerChecksum(bytes, offset, false) && !anyChecksum) {
    throw damaged("the checksum of the LZ4 frame header is wrong", offset)
  }
  offset++
  const blocks: Array<Block> = []
  for (;;) {
    if (bytes.length - offset < 4) throw damaged("the LZ4 frame has no end mark", offset)
    const size = view.getUint32(offset, true)
    offset += 4
    if (size === 0) break
    const length = size & ~incompressible
    if (length > bytes.length - offset) throw damaged(`an LZ4 block of ${length} bytes is cut off`, offset)
    blocks.push({ bytes: bytes.subarray(offset, offset + length), isCompressed: (size & incompressible) === 0 })
    // The batch around it has a CRC of its own: the checksum of a block is passed over.
    offset += length + ((flag & 16) !== 0 ? 4 : 0)
  }
  return { blocks, maxBlockBytes: 1 << (8 + 2 * sizeCode), areIndependent: (flag & 32) !== 0 }
}

/** The library wants the size of the output in front of a block; it may be less in the end, never more. */
const sized = (block: Uint8Array, size: number): Buffer => {
  const input = Buffer.allocUnsafe(4 + block.length)
  input.writeUInt32LE(size, 0)
  input.set(block, 4)
  return input
}

/**
 * Restores at most `limit` bytes. Throws or rejects with `ByteError` (`TooLarge`, `Decompression`) or the library's error.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decompress = (
  bytes: Uint8Array,
  limit: number,
  options: { /** Takes a wrong header checksum too: message sets v0. */ readonly anyChecksum: boolean }
): MaybePromise<Uint8Array> => {
  const { areIndependent, blocks, maxBlockBytes } = readFrame(bytes, options.anyChecksum)
  const parts: Array<Uint8Array> = []
  let total = 0
  const add = (part: Uint8Array): void => {
    total += part.length
    if (total > limit) {
      throw new ByteError("TooLarge", `the LZ4 frame decompresses to more than the limit of ${limit} bytes`, -1)
    }
    parts.push(part)
  }
  // Nothing restores more than 255 bytes from one, so a small block gets a small buffer.
  const roomFor = (block: Block): number => Math.min(maxBlockBytes, block.bytes.length * 255)
  const dictionary = (): Uint8Array | undefined => {
    if (areIndependent || parts.length === 0) return undefined
    const before = parts.length === 1 ? parts[0] : Buffer.concat(parts)
    return before.subarray(Math.max(before.length - windowBytes, 0))
  }
  if (bytes.length < asyncBytes) {
    for (const block of blocks) {
      add(block.isCompressed ? lz4.uncompressSync(sized(block.bytes, roomFor(block)), dictionary()) : block.bytes)
    }
    return Buffer.concat(parts)
  }
  const rest = async (): Promise<Uint8Array> => {
    for (const block of blocks) {
      add(block.isCompressed ? await lz4.uncompress(sized(block.bytes, roomFor(block)), dictionary()) : block.bytes)
    }
    return Buffer.concat(parts)
  }
  return rest()
}

const prime1 = 0x9e3779b1
const prime2 = 0x85ebca77
const prime3 = 0xc2b2ae3d
const prime4 = 0x27d4eb2f
const prime5 = 0x165667b1

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

/** xxHash32 with seed 0 of fewer than 16 bytes, which is all that a frame header has: 2 to 10, or 14 with the magic. */
const xxHash32 = (bytes: Uint8Array): number => {
  let hash = (prime5 + bytes.length) | 0
  let offset = 0
  for (; offset + 4 <= bytes.length; offset += 4) {
    const word = bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)
    hash = Math.imul(rotate((hash + Math.imul(word, prime3)) | 0, 17), prime4)
  }
  for (; offset < bytes.length; offset++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[offset], prime5)) | 0, 11), prime1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), prime2)
  hash = Math.imul(hash ^ (hash >>> 13), prime3)
  return (hash ^ (hash >>> 16)) >>> 0
}
