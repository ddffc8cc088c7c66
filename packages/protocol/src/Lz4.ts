/**
 * LZ4 frames as Kafka writes them: independent blocks of 64 KiB, no checksums of blocks or content. The blocks
 * themselves are the library's work; the frame around them is written here, because the header checksum of message sets
 * v0 is one that no library writes (KAFKA-3160), and because reading block by block bounds the memory.
 *
 * @since 0.1.0
 */
import * as lz4 from "lz4-napi"
import { ByteError } from "./ByteReader.ts"
import { asyncBytes, asyncRestoredBytes, blocksPerTurn, type MaybePromise, smallBlock } from "./MaybePromise.ts"

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
/** What the length of a match begins to count at. */
const minimumMatch = 4

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
  /** Bytes that it restores to. */
  readonly size: number
}

interface Frame {
  readonly blocks: ReadonlyArray<Block>
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
  const maxBlockBytes = 1 << (8 + 2 * sizeCode)
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
    const word = view.getUint32(offset, true)
    offset += 4
    if (word === 0) break
    const length = word & ~incompressible
    if (length > bytes.length - offset) throw damaged(`an LZ4 block of ${length} bytes is cut off`, offset)
    const isCompressed = (word & incompressible) === 0
    const size = isCompressed ? restoredSize(bytes, offset, offset + length) : length
    if (size > maxBlockBytes) throw damaged(`an LZ4 block of ${size} bytes in a frame of ${maxBlockBytes}`, offset)
    blocks.push({ bytes: bytes.subarray(offset, offset + length), isCompressed, size })
    // The batch around it has a CRC of its own: the checksum of a block is passed over.
    offset += length + ((flag & 16) !== 0 ? 4 : 0)
  }
  return { blocks, areIndependent: (flag & 32) !== 0 }
}

/**
 * The bytes that a block restores to, found by walking over its sequences: nothing in a frame says it, and the library
 * allocates what it is told. Reading past the end gives NaN, which is no end of a block.
 */
const restoredSize = (bytes: Uint8Array, start: number, end: number): number => {
  let position = start
  let size = 0
  while (position < end) {
    const token = bytes[position++]
    let literals = token >>> 4
    if (literals === 15) {
      let more = 255
      while (more === 255) literals += more = bytes[position++]
    }
    position += literals
    size += literals
    // The last sequence has literals only.
    if (position >= end) break
    position += 2
    let match = token & 15
    if (match === 15) {
      let more = 255
      while (more === 255) match += more = bytes[position++]
    }
    size += match + minimumMatch
  }
  if (position !== end) throw damaged("an LZ4 block ends inside of a sequence", start)
  return size
}

/** The library wants the size of the output in front of a block. */
const sized = ({ bytes, size }: Block): Buffer => {
  const input = Buffer.allocUnsafe(4 + bytes.length)
  input.writeUInt32LE(size, 0)
  input.set(bytes, 4)
  return input
}

/** What dependent blocks refer to: the last 64 KiB in front of them, kept together so that no byte is moved often. */
class Window {
  private readonly bytes = new Uint8Array(2 * windowBytes)
  private end = 0

  add(part: Uint8Array): void {
    const tail = part.subarray(Math.max(part.length - windowBytes, 0))
    if (this.end + tail.length > this.bytes.length) {
      this.bytes.copyWithin(0, this.end - windowBytes, this.end)
      this.end = windowBytes
    }
    this.bytes.set(tail, this.end)
    this.end += tail.length
  }

  view(): Uint8Array {
    return this.bytes.subarray(Math.max(this.end - windowBytes, 0), this.end)
  }
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
  const { areIndependent, blocks } = readFrame(bytes, options.anyChecksum)
  const total = blocks.reduce((sum, block) => sum + block.size, 0)
  if (total > limit) {
    throw new ByteError("TooLarge", `the LZ4 frame decompresses to more than the limit of ${limit} bytes`, -1)
  }
  const window = areIndependent || blocks.length === 1 ? undefined : new Window()
  const parts: Array<Uint8Array> = []
  const add = (part: Uint8Array): void => {
    parts.push(part)
    window?.add(part)
  }
  const restore = (block: Block): Uint8Array =>
    block.isCompressed ? lz4.uncompressSync(sized(block), window?.view()) : block.bytes
  if (total < asyncRestoredBytes && blocks.length <= blocksPerTurn) {
    for (const block of blocks) add(restore(block))
    return join(parts)
  }
  const rest = async (): Promise<Uint8Array> => {
    let turn = 0
    for (const block of blocks) {
      // Small blocks are not worth the hop to the thread pool, but many of them are worth a pause.
      if (block.isCompressed && block.size >= smallBlock) add(await lz4.uncompress(sized(block), window?.view()))
      else add(restore(block))
      if (++turn % blocksPerTurn === 0) await new Promise(setImmediate)
    }
    return join(parts)
  }
  return rest()
}

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => (parts.length === 1 ? parts[0] : Buffer.concat(parts))

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
