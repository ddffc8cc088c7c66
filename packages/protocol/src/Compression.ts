/**
 * The compression codecs of record batches behind one small interface.
 *
 * Small inputs are worked on at once; large ones on Node's thread pool, so that heartbeats are not held up: a codec then
 * gives a Promise. Decompression is bounded: a codec never gives, nor allocates, more than the limit it was called with.
 * Codecs can be replaced or added with `register`, those written for KafkaJS through `fromKafkaJs`.
 *
 * Failures are thrown as `ByteError` (or reject the Promise); the record formats complete them to a `WireError`.
 *
 * @since 0.1.0
 */
import * as zlib from "node:zlib"
import { ByteError } from "./ByteReader.ts"
import * as Lz4 from "./Lz4.ts"
import { asyncRestoredBytes, blocksPerTurn, type MaybePromise } from "./MaybePromise.ts"
import * as Snappy from "./Snappy.ts"
import * as Zstd from "./Zstd.ts"

/**
 * The codecs that Kafka knows, by the names of its `compression.type` setting.
 *
 * @category models
 * @since 0.1.0
 */
export type CompressionType = "none" | "gzip" | "snappy" | "lz4" | "zstd"

/**
 * How bytes are compressed and restored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec {
  readonly compress: (bytes: Uint8Array, options: CodecOptions) => MaybePromise<Uint8Array>
  /** Restores at most `limit` bytes; more is a `ByteError` of reason `TooLarge`, damage one of reason `Decompression`. */
  readonly decompress: (bytes: Uint8Array, limit: number, options: CodecOptions) => MaybePromise<Uint8Array>
}

/**
 * What a codec may need to know about the batch around the bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CodecOptions {
  /** The magic byte of the record format: lz4 frames of magic 0 carry a header checksum that others call wrong. */
  readonly magic: number
  /**
   * How hard to compress (KIP-390): gzip 1 to 9, zstd -131072 to 22. Defaults to the codec's own, 6 and 3. Others have none,
   * and take no notice.
   */
  readonly level?: number | undefined
}

/**
 * The levels that a codec has, from the fastest to the smallest; undefined where it has none.
 *
 * @category models
 * @since 0.1.0
 */
export const levelsOf = (type: CompressionType): readonly [min: number, max: number] | undefined =>
  type === "gzip" ? [1, 9] : type === "zstd" ? [-131_072, 22] : undefined

/**
 * Every codec, in the order of their ids on the wire.
 *
 * @category models
 * @since 0.1.0
 */
export const types: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]

/**
 * The number of a codec in the attributes of a batch.
 *
 * @category constants
 * @since 0.1.0
 */
export const idOf = (type: CompressionType): number => types.indexOf(type)

/**
 * The codec with this number. Throws `ByteError` (`UnknownCompression`).
 *
 * @category constants
 * @since 0.1.0
 */
export const typeOf = (id: number): CompressionType => {
  const type = types[id]
  if (type === undefined) throw new ByteError("UnknownCompression", `there is no compression codec ${id}`, -1)
  return type
}

const damaged = (type: string, limit: number, cause: unknown): ByteError => {
  if (cause instanceof ByteError) return cause
  if (isTooLarge(cause)) return tooLarge(limit)
  return new ByteError("Decompression", `the ${type} data is damaged: ${messageOf(cause)}`, -1, cause)
}

/** Node's error for more output than `maxOutputLength`. */
const isTooLarge = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE"

const tooLarge = (limit: number): ByteError =>
  new ByteError("TooLarge", `the batch decompresses to more than the limit of ${limit} bytes`, -1)

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

type Callback = (error: Error | null, result: Buffer) => void

/** The functions of node:zlib for one format, at once and on the thread pool. */
interface Zlib {
  readonly compressSync: (bytes: Uint8Array, options: CompressOptions) => Buffer
  readonly compress: (bytes: Uint8Array, options: CompressOptions, callback: Callback) => void
  readonly decompressSync: (bytes: Uint8Array, options: ZlibOptions) => Buffer
  readonly decompress: (bytes: Uint8Array, options: ZlibOptions, callback: Callback) => void
}

interface ZlibOptions {
  readonly maxOutputLength: number
  readonly chunkSize: number
}

/** A level, as gzip and as zstd take it. */
interface CompressOptions {
  readonly level?: number
  readonly params?: { readonly [parameter: number]: number }
}

/** zlib is slower than the other codecs: from here on the hop to the thread pool is worth its 50 µs. */
const zlibAsyncBytes = 8 * 1024

const zlibCompress = (functions: Zlib, bytes: Uint8Array, options: CompressOptions): MaybePromise<Uint8Array> => {
  if (bytes.length < zlibAsyncBytes) return functions.compressSync(bytes, options)
  return new Promise((resolve, reject) => {
    functions.compress(bytes, options, (error, result) => (error === null ? resolve(result) : reject(error)))
  })
}

/** What compressed bytes say about their content. It may be wrong: it says where to work, and in what steps. */
interface Claim {
  /** The size of the content, where it is said. */
  readonly size: number | undefined
  readonly maxSize: number
}

/** A result of one chunk is not copied again, and chunks of less than this cost more than the work on them. */
const chunkSize = ({ size }: Claim, unknown: number): number =>
  Math.min(Math.max((size ?? unknown) + 1, zlib.constants.Z_MIN_CHUNK), maxChunkSize)

const maxChunkSize = 1024 * 1024

const zlibDecompress = (functions: Zlib, bytes: Uint8Array, limit: number, claim: Claim): MaybePromise<Uint8Array> => {
  if (claim.maxSize <= asyncRestoredBytes && bytes.length <= asyncRestoredBytes) {
    try {
      // zlib refuses 0 as a limit.
      const maxOutputLength = Math.max(Math.min(limit, asyncRestoredBytes), 1)
      return functions.decompressSync(bytes, { maxOutputLength, chunkSize: chunkSize(claim, 16 * 1024) })
    } catch (error) {
      if (!isTooLarge(error) || limit <= asyncRestoredBytes) throw error
    }
  }
  return new Promise((resolve, reject) => {
    const options = { maxOutputLength: Math.max(limit, 1), chunkSize: chunkSize(claim, asyncRestoredBytes) }
    functions.decompress(bytes, options, (error, result) => (error === null ? resolve(result) : reject(error)))
  })
}

const gzipFunctions: Zlib = {
  compressSync: zlib.gzipSync,
  compress: zlib.gzip,
  decompressSync: zlib.gunzipSync,
  decompress: zlib.gunzip
}

/** gzip ends with the size before compression, modulo 2^32. */
const gzipClaim = (bytes: Uint8Array): Claim => {
  const size = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4, true)
  return { size, maxSize: size }
}

const zstdFunctions: Zlib = {
  compressSync: zlib.zstdCompressSync,
  compress: zlib.zstdCompress,
  decompressSync: zlib.zstdDecompressSync,
  decompress: zlib.zstdDecompress
}

const zstdDecompress = (bytes: Uint8Array, limit: number): MaybePromise<Uint8Array> => {
  const frames = Zstd.frames(bytes)
  if (frames.length === 1) return zlibDecompress(zstdFunctions, frames[0].bytes, limit, frames[0])
  const all = async (): Promise<Uint8Array> => {
    const parts: Array<Uint8Array> = []
    let left = limit
    let turn = 0
    for (const frame of frames) {
      if (++turn % blocksPerTurn === 0) await new Promise(setImmediate)
      const part = await zlibDecompress(zstdFunctions, frame.bytes, left, frame)
      left -= part.length
      if (left < 0) throw tooLarge(limit)
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
  return all()
}

const zstdLevel = (level: number): CompressOptions => ({
  params: { [zlib.constants.ZSTD_c_compressionLevel]: level }
})

const codecs = new Map<CompressionType, Codec>([
  ["none", { compress: (bytes) => bytes, decompress: (bytes) => bytes }],
  [
    "gzip",
    {
      compress: (bytes, { level }) => zlibCompress(gzipFunctions, bytes, level === undefined ? {} : { level }),
      decompress: (bytes, limit) => zlibDecompress(gzipFunctions, bytes, limit, gzipClaim(bytes))
    }
  ],
  ["snappy", { compress: (bytes) => Snappy.compress(bytes), decompress: Snappy.decompress }],
  [
    "lz4",
    {
      compress: (bytes, { magic }) => Lz4.compress(bytes, { wrongChecksum: magic === 0 }),
      decompress: (bytes, limit, { magic }) => Lz4.decompress(bytes, limit, { anyChecksum: magic === 0 })
    }
  ],
  [
    "zstd",
    {
      compress: (bytes, { level }) => zlibCompress(zstdFunctions, bytes, level === undefined ? {} : zstdLevel(level)),
      decompress: zstdDecompress
    }
  ]
])

/**
 * Puts a codec in the place of the one that is there, for the whole process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const register = (type: CompressionType, codec: Codec): void => {
  codecs.set(type, codec)
}

/**
 * The codec that is registered.
 *
 * @category constructors
 * @since 0.1.0
 */
// Every type has one from the beginning, and none is ever taken away.
export const codecOf = (type: CompressionType): Codec => codecs.get(type)!

/**
 * Compresses with the registered codec. Throws or rejects with `ByteError` where the codec fails.
 *
 * @category encoding
 * @since 0.1.0
 */
export const compress = (type: CompressionType, bytes: Uint8Array, options: CodecOptions): MaybePromise<Uint8Array> => {
  const fail = (cause: unknown): never => {
    if (cause instanceof ByteError) throw cause
    throw new ByteError("InvalidValue", `the ${type} codec cannot compress: ${messageOf(cause)}`, -1, cause)
  }
  try {
    const result = codecOf(type).compress(bytes, options)
    return result instanceof Promise ? result.catch(fail) : result
  } catch (error) {
    return fail(error)
  }
}

/**
 * Decompresses with the registered codec, to at most `limit` bytes. Throws or rejects with `ByteError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decompress = (
  type: CompressionType,
  bytes: Uint8Array,
  limit: number,
  options: CodecOptions
): MaybePromise<Uint8Array> => {
  const codec = codecOf(type)
  const check = (result: Uint8Array): Uint8Array => {
    if (result.length > limit) throw tooLarge(limit)
    return result
  }
  try {
    const result = codec.decompress(bytes, limit, options)
    if (!(result instanceof Promise)) return check(result)
    return result.then(check).catch((error) => {
      throw damaged(type, limit, error)
    })
  } catch (error) {
    throw damaged(type, limit, error)
  }
}

/**
 * What a codec for KafkaJS is: a function that gives an object with two asynchronous functions on Buffers.
 *
 * @category models
 * @since 0.1.0
 */
export type KafkaJsCodec = () => {
  readonly compress: (encoder: { readonly buffer: Buffer }) => Promise<Buffer>
  readonly decompress: (buffer: Buffer) => Promise<Buffer>
}

/**
 * Makes a codec out of one that was written for KafkaJS. Such codecs know no limit: a bomb is found only after they have
 * restored it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromKafkaJs = (kafkaJs: KafkaJsCodec): Codec => {
  const codec = kafkaJs()
  const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    compress: (bytes) => codec.compress({ buffer: asBuffer(bytes) }),
    decompress: (bytes) => codec.decompress(asBuffer(bytes))
  }
}
