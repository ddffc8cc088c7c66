/**
 * Snappy as Kafka writes it: the framing of the Java library `xerial/snappy-java` (a header of 16 bytes, then blocks with
 * their length in front); raw snappy, as some clients write it, is read too.
 *
 * @since 0.1.0
 */
import * as snappy from "snappy"
import { ByteError } from "./ByteReader.ts"
import { asyncBytes, asyncRestoredBytes, blocksPerTurn, type MaybePromise, smallBlock } from "./MaybePromise.ts"

// \x82SNAPPY\0, then version 1 and compatible version 1.
const header = new Uint8Array([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
const magicLength = 8

/** Bytes per block before compression: what the Java client uses. */
const blockBytes = 32 * 1024

const frame = (blocks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const result = new Uint8Array(blocks.reduce((sum, block) => sum + 4 + block.length, header.length))
  const view = new DataView(result.buffer)
  result.set(header)
  let offset = header.length
  for (const block of blocks) {
    view.setInt32(offset, block.length)
    result.set(block, offset + 4)
    offset += 4 + block.length
  }
  return result
}

/**
 * Compresses into xerial's framing.
 *
 * @category encoding
 * @since 0.1.0
 */
export const compress = (bytes: Uint8Array): MaybePromise<Uint8Array> => {
  const blocks: Array<Uint8Array> = []
  for (let start = 0; start < bytes.length; start += blockBytes) blocks.push(bytes.subarray(start, start + blockBytes))
  if (bytes.length < asyncBytes) return frame(blocks.map((block) => snappy.compressSync(block)))
  return Promise.all(blocks.map((block) => snappy.compress(block))).then(frame)
}

const isFramed = (bytes: Uint8Array): boolean => {
  for (let index = 0; index < magicLength; index++) if (bytes[index] !== header[index]) return false
  return true
}

/** The raw snappy blocks of the input: one if it has no framing. */
const blocksOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  if (!isFramed(bytes)) return [bytes]
  if (bytes.length < header.length) throw new ByteError("Decompression", "the snappy header is cut off", -1)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const blocks: Array<Uint8Array> = []
  let offset = header.length
  while (offset < bytes.length) {
    if (bytes.length - offset < 4) throw new ByteError("Decompression", "the last snappy block is cut off", offset)
    const length = view.getInt32(offset)
    offset += 4
    if (length < 0 || length > bytes.length - offset) {
      const detail = `a snappy block of ${length} bytes, but only ${bytes.length - offset} are left`
      throw new ByteError("Decompression", detail, offset)
    }
    blocks.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return blocks
}

/** The size that a raw block says it has, in front, as a varint. */
const declaredLength = (block: Uint8Array): number => {
  let value = 0
  for (let index = 0; index < 5; index++) {
    const byte = block[index]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return value
  }
  throw new ByteError("Decompression", "a snappy block does not say how long it is", -1)
}

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => (parts.length === 1 ? parts[0] : Buffer.concat(parts))

// Without `asBuffer: false` the library gives Buffers; its type allows for strings.
const asBytes = (result: string | Buffer): Uint8Array => result as Buffer

/**
 * Restores at most `limit` bytes. Throws or rejects with `ByteError` (`TooLarge`, `Decompression`) or the library's error.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decompress = (bytes: Uint8Array, limit: number): MaybePromise<Uint8Array> => {
  const blocks = blocksOf(bytes).map((block) => ({ block, size: declaredLength(block) }))
  let total = 0
  for (const { block, size } of blocks) {
    // Snappy's densest element restores 64 bytes from 3: what claims much more is damaged, and is not allocated.
    if (size > block.length * 64) {
      throw new ByteError("Decompression", `${block.length} bytes of snappy cannot hold ${size}`, -1)
    }
    total += size
    if (total > limit) {
      throw new ByteError("TooLarge", `the snappy blocks decompress to more than the limit of ${limit} bytes`, -1)
    }
  }
  if (total < asyncRestoredBytes && blocks.length <= blocksPerTurn) {
    return join(blocks.map(({ block }) => asBytes(snappy.uncompressSync(block))))
  }
  const rest = async (): Promise<Uint8Array> => {
    const parts: Array<Uint8Array> = []
    for (let start = 0; start < blocks.length; start += blocksPerTurn) {
      const turn = blocks.slice(start, start + blocksPerTurn)
      const restored = turn.map(({ block, size }) =>
        size < smallBlock ? snappy.uncompressSync(block) : snappy.uncompress(block)
      )
      parts.push(...(await Promise.all(restored)).map(asBytes))
      await new Promise(setImmediate)
    }
    return join(parts)
  }
  return rest()
}
