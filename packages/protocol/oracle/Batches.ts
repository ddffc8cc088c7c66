/**
 * Random record batches and message sets: what is in them, as our builders and the Java side take it.
 */
import type { CompressionType } from "../src/Compression.ts"
import type { MaybePromise } from "../src/MaybePromise.ts"
import * as MessageSet from "../src/MessageSet.ts"
import { EndTxnMarker } from "../src/messages/EndTxnMarker.ts"
import { type Headers, noHeaders, type Record } from "../src/Record.ts"
import { RecordBatchBuilder } from "../src/RecordBatchBuilder.ts"
import * as WireCodec from "../src/WireCodec.ts"
import type { Random } from "../test/Random.ts"

/** A kind of batch that is tried often. */
export interface Format {
  readonly magic: 0 | 1 | 2
  readonly compression: CompressionType
  readonly isAppendTime: boolean
}

const codecs: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]

/** All that exist: magic 0 has no timestamps, zstd is of magic 2 alone. */
export const formats: ReadonlyArray<Format> = codecs.flatMap((compression) =>
  ([0, 1, 2] as const)
    .filter((magic) => magic === 2 || compression !== "zstd")
    .flatMap((magic) =>
      (magic === 0 ? [false] : [false, true]).map((isAppendTime) => ({ magic, compression, isAppendTime }))
    )
)

export const nameOf = ({ compression, isAppendTime, magic }: Format): string =>
  `magic ${magic}, ${compression}${magic === 0 ? "" : isAppendTime ? ", append time" : ", create time"}`

/** The end of a transaction, as a coordinator writes it. */
export interface Marker {
  readonly type: "COMMIT" | "ABORT"
  readonly coordinatorEpoch: number
}

/** What a batch holds. Timestamps are those that go in; `readTimestamp` says what comes out. */
export interface Contents extends Format {
  readonly baseOffset: bigint
  readonly appendTime: number
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  readonly isControl: boolean
  readonly partitionLeaderEpoch: number
  /** Set by compaction, in magic 2 alone. */
  readonly deleteHorizon: number | null
  readonly records: ReadonlyArray<Record>
  /** The only record is this marker. */
  readonly marker: Marker | undefined
}

export const readTimestamp = ({ appendTime, isAppendTime, magic }: Contents, record: Record): number =>
  magic === 0 ? -1 : isAppendTime ? appendTime : record.timestamp

const none = { producerId: -1n, producerEpoch: -1, baseSequence: -1, isTransactional: false, isControl: false }

/** The first is small, the second larger than every block and on the thread pool, then they are mixed. */
export const make = (random: Random, format: Format, index: number): Contents => {
  const { magic } = format
  const baseOffset = random.pick([0n, 1n, 4711n, 2n ** 40n, 2n ** 62n, BigInt(random.next())])
  const isLarge = index === 1 || random.chance(0.05)
  const records = makeRecords(
    random,
    magic,
    baseOffset,
    index === 0 ? 1 : isLarge ? 1500 : random.integer(1, 30),
    isLarge
  )
  const plain = {
    ...format,
    ...none,
    baseOffset,
    appendTime: format.isAppendTime ? makeTime(random, 1) : -1,
    partitionLeaderEpoch: -1,
    deleteHorizon: null,
    records,
    marker: undefined
  }
  if (magic !== 2) return plain
  const common = { ...plain, partitionLeaderEpoch: random.pick([-1, 0, 7, 0x7fffffff]) }
  const producer = { producerId: random.bigint64() & (2n ** 63n - 1n), producerEpoch: random.pick([0, 1, 0x7fff]) }
  switch (index % 6) {
    case 2:
      return { ...common, ...producer, baseSequence: random.pick([0, 1, 0x7fffffff, random.next() >>> 1]) }
    case 3:
      return { ...common, ...producer, baseSequence: random.integer(0, 1000), isTransactional: true }
    case 4:
      return { ...common, ...producer, ...makeMarker(random, baseOffset), isTransactional: true, isControl: true }
    case 5:
      return { ...common, isControl: true, records: records.map((record) => ({ ...record, key: controlKey(random) })) }
    default:
      return { ...common, deleteHorizon: random.chance(0.1) ? makeTime(random, 2) : null }
  }
}

const makeMarker = (random: Random, baseOffset: bigint): Pick<Contents, "marker" | "records"> => {
  const marker: Marker = { type: random.pick(["COMMIT", "ABORT"]), coordinatorEpoch: random.pick([0, 9, 0x7fffffff]) }
  const key = Uint8Array.of(0, 0, 0, marker.type === "COMMIT" ? 1 : 0)
  const content = WireCodec.encode(EndTxnMarker, 0, { coordinatorEpoch: marker.coordinatorEpoch })
  const value = new Uint8Array(Buffer.concat([Buffer.alloc(2), content]))
  return { marker, records: [{ offset: baseOffset, timestamp: makeTime(random, 2), key, value, headers: noHeaders }] }
}

/** Version 0 and the type: a leader change and others that clients pass over. */
const controlKey = (random: Random): Uint8Array => Uint8Array.of(0, 0, 0, random.integer(2, 6))

const makeTime = (random: Random, magic: number): number => {
  if (magic === 0) return -1
  const now = 1_700_000_000_000
  // Far apart, so that the deltas do not fit into 32 bits.
  return random.pick([-1, 0, 1, now, now, now, now + random.integer(0, 5000), now + random.next(), 2 ** 52])
}

const makeRecords = (
  random: Random,
  magic: 0 | 1 | 2,
  baseOffset: bigint,
  count: number,
  isLarge: boolean
): ReadonlyArray<Record> => {
  // A producer's batch, or what compaction has left of one; a first record with a gap before it has no word in magic 1.
  const hasGaps = random.chance(0.3)
  const farApart = magic === 2 && random.chance(0.1)
  let offset = baseOffset + (hasGaps && magic === 2 ? BigInt(random.integer(0, 5)) : 0n)
  const room = isLarge ? 400 : 200
  return Array.from({ length: count }, (_, index) => {
    if (index > 0) offset += hasGaps ? BigInt(random.integer(1, 100)) : 1n
    if (index === 1 && farApart) offset += 2n ** 30n
    return {
      offset,
      timestamp: makeTime(random, magic),
      key: makeBytes(random, 40),
      value: makeBytes(random, random.chance(0.02) ? 20_000 : room),
      headers: magic === 2 && random.chance(0.3) ? makeHeaders(random) : noHeaders
    }
  })
}

const makeBytes = (random: Random, most: number): Uint8Array | null => {
  if (random.chance(0.1)) return null
  const size = random.pick([0, 1, 63, 64, random.integer(0, most), random.integer(0, most)])
  // Half of it compresses well.
  return random.chance(0.5) ? random.bytes(size) : new Uint8Array(size).fill(random.integer(0, 255))
}

const makeHeaders = (random: Random): Headers =>
  Array.from(
    { length: random.pick([1, 1, 2, 3, 70]) },
    () =>
      [random.pick(["", "k", "k", "größe", "日本語", "𝔘".repeat(20), "x".repeat(70)]), makeBytes(random, 100)] as const
  )

/** Our bytes of it; undefined for what only compaction makes, which we do not write. */
export const encode = (contents: Contents): MaybePromise<Uint8Array> | undefined => {
  const { baseOffset, compression, isAppendTime, magic, records } = contents
  const appendTime = isAppendTime ? contents.appendTime : undefined
  if (contents.deleteHorizon !== null) return undefined
  if (magic !== 2) return MessageSet.encode(records, { magic, compression, appendTime })
  const builder = new RecordBatchBuilder(64)
  for (const { headers, key, offset, timestamp, value } of records) {
    builder.append(timestamp, key, value, headers, Number(offset - baseOffset))
  }
  const { baseSequence, isControl, isTransactional, partitionLeaderEpoch, producerEpoch, producerId } = contents
  return builder.build({
    compression,
    appendTime,
    baseOffset,
    baseSequence,
    isControl,
    isTransactional,
    partitionLeaderEpoch,
    producerEpoch,
    producerId
  })
}

const base64 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("base64")

const timestampTypeOf = ({ isAppendTime }: Format): string => (isAppendTime ? "LogAppendTime" : "CreateTime")

/** What the Java side builds a batch from; it takes 64-bit numbers as strings. */
export const toJson = (contents: Contents): string =>
  JSON.stringify(
    {
      ...contents,
      timestampType: timestampTypeOf(contents),
      logAppendTime: contents.appendTime,
      records: contents.records.map((record) => recordToJson(record, contents.marker))
    },
    (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value)
  )

const recordToJson = ({ headers, key, offset, timestamp, value }: Record, marker: Marker | undefined) => ({
  offset,
  timestamp,
  key: base64(key),
  value: base64(value),
  headers: headers.map(([name, content]) => ({ key: name, value: base64(content) })),
  ...(marker === undefined ? {} : { marker })
})

/** What the Java side tells of a record. */
export interface JavaRecord {
  readonly offset: number | bigint
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<{ readonly key: string; readonly value: string | null }>
}

/** What the Java side tells of a batch. */
export interface JavaBatch {
  readonly magic: number
  readonly compression: string
  readonly timestampType: string
  readonly baseOffset: number | bigint
  readonly lastOffset: number | bigint
  readonly maxTimestamp: number
  readonly producerId: number | bigint
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  readonly isControl: boolean
  readonly partitionLeaderEpoch: number
  readonly records: ReadonlyArray<JavaRecord>
}

const bytesOf = (text: string | null): Uint8Array | null =>
  text === null ? null : new Uint8Array(Buffer.from(text, "base64"))

/** The records of Java's batches as ours. */
export const recordsOf = (batches: ReadonlyArray<JavaBatch>): ReadonlyArray<Record> =>
  batches.flatMap((batch) =>
    batch.records.map(({ headers, key, offset, timestamp, value }) => ({
      offset: BigInt(offset),
      timestamp,
      key: bytesOf(key),
      value: bytesOf(value),
      headers: headers.map((header) => [header.key, bytesOf(header.value)] as const)
    }))
  )
