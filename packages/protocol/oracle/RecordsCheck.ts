/**
 * Record batches and message sets through our code and through Kafka's `MemoryRecords`, in every format and codec, both
 * ways. Without compression the bytes have to be the same; with it, the header and what the codec restores, since the
 * same content may be compressed in many ways.
 */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import * as Compression from "../src/Compression.ts"
import * as ControlRecord from "../src/ControlRecord.ts"
import type { MaybePromise } from "../src/MaybePromise.ts"
import type { Batch, Record } from "../src/Record.ts"
import * as Records from "../src/Records.ts"
import { WireError } from "../src/WireError.ts"
import { Random } from "../test/Random.ts"
import * as Batches from "./Batches.ts"
import { Difference, dump, sameBytes, show } from "./Difference.ts"
import type { JavaOracle, Reply } from "./JavaOracle.ts"
import * as Java from "./JavaOracle.ts"
import * as Json from "./Json.ts"

export interface Options {
  readonly oracle: JavaOracle
  readonly seed: number
  /** Batches per format. */
  readonly values: number
  readonly onProgress: (counts: Counts) => void
}

export interface Counts {
  /** Combinations of magic, codec and timestamp type. */
  formats: number
  batches: number
  records: number
  /** Several batches behind each other, the last one cut off. */
  cut: number
  /** Batches with one byte changed, which both sides refuse. */
  damaged: number
}

/** Compares all; fails with the first `Difference`. */
export const check = Effect.fnUntraced(function* (options: Options) {
  const counts: Counts = { formats: Batches.formats.length, batches: 0, records: 0, cut: 0, damaged: 0 }
  const tasks = Batches.formats.flatMap((format) =>
    Array.from({ length: options.values }, (_, index) => ({ format, index }))
  )
  // While Java works on one batch, the next ones are made.
  const built = yield* Effect.forEach(
    tasks,
    Effect.fnUntraced(function* ({ format, index }, number) {
      const random = randomFor(options.seed, number)
      const contents = Batches.make(random, format, index)
      const one: Case = { subject: `${Batches.nameOf(format)}, batch ${index}`, contents, oracle: options.oracle }
      const theirs = yield* checkBatch(one)
      yield* checkDamaged(one, theirs, random)
      counts.batches++
      counts.damaged++
      counts.records += contents.records.length
      options.onProgress(counts)
      return theirs
    }),
    { concurrency: 3 }
  )
  const random = randomFor(options.seed, tasks.length)
  yield* checkEmpty(options, random)
  const small = built.filter((bytes) => bytes.length < 20_000)
  for (; counts.cut < options.values * 5; counts.cut++) yield* checkCut(options, random, small)
  return counts
})

/** A generator of its own for each batch: several are made at the same time. */
const randomFor = (seed: number, number: number): Random => new Random(seed ^ Math.imul(number + 1, 0x9e3779b1))

interface Case {
  readonly subject: string
  readonly contents: Batches.Contents
  readonly oracle: JavaOracle
}

const differ = ({ contents, subject }: Pick<Case, "contents" | "subject">, detail: string): Difference => {
  const { records, ...rest } = contents
  const some = records.length > 3 ? `the first of ${records.length} records` : "records"
  return new Difference({ subject, detail: `${detail}\nbatch: ${show(rest)}\n${some}: ${show(records.slice(0, 3))}` })
}

const bytesOf = (one: Case, what: string, reply: Reply): Effect.Effect<Uint8Array, Difference> =>
  reply.succeeded ? Effect.succeed(reply.bytes) : Effect.fail(differ(one, `${what}: ${reply.exception}`))

/** A result of ours, now or later, whose failure is a difference. */
const ours = <A>(one: Case, what: string, make: () => MaybePromise<A>): Effect.Effect<A, Difference> =>
  Effect.tryPromise({
    try: async () => make(),
    catch: (error) => differ(one, `${what}: ${error instanceof Error ? error.message : String(error)}`)
  })

/** Gives Java's bytes. */
const checkBatch = Effect.fnUntraced(function* (one: Case) {
  const { contents, oracle } = one
  const [built] = yield* oracle.ask([Java.buildBatch(Batches.toJson(contents))])
  const theirs = yield* bytesOf(one, "Java cannot build it", built)
  yield* compareRead(one, theirs)
  const encoded = Batches.encode(contents)
  if (encoded === undefined) return theirs
  const mine = yield* ours(one, "we cannot build it", () => encoded)
  if (contents.compression === "none") {
    if (!sameBytes(mine, theirs)) return yield* differ(one, `the bytes differ\n${dump(mine, theirs)}`)
  } else yield* compareCompressed(one, mine, theirs)
  const [parsed] = yield* oracle.ask([Java.parseBatches(mine)])
  yield* compareParsed(one, yield* javaBatches(one, parsed))
  return theirs
})

const javaBatches = (one: Case, reply: Reply): Effect.Effect<ReadonlyArray<Batches.JavaBatch>, Difference> =>
  Effect.map(
    bytesOf(one, "Java cannot read our bytes", reply),
    // What Oracle.java writes.
    (bytes) => Json.parse(Buffer.from(bytes).toString("utf8")) as ReadonlyArray<Batches.JavaBatch>
  )

const expectedRecords = (contents: Batches.Contents): ReadonlyArray<Record> =>
  contents.records.map((record) => ({ ...record, timestamp: Batches.readTimestamp(contents, record) }))

const compareRecords = (one: Case, who: string, found: ReadonlyArray<Record>): Effect.Effect<void, Difference> => {
  const expected = expectedRecords(one.contents)
  if (isDeepStrictEqual(found, expected)) return Effect.void
  const index = expected.findIndex((record, position) => !isDeepStrictEqual(record, found[position]))
  const detail = `${who} reads ${found.length} records, and as record ${index} ${show(found[index])} for ${show(expected[index])}`
  return Effect.fail(differ(one, detail))
}

/** What all readers have to find in the header; `undefined` where a format leaves it to the records. */
const expectedHeader = (contents: Batches.Contents) => {
  const { isAppendTime, magic, records } = contents
  const { baseSequence, isControl, isTransactional, partitionLeaderEpoch, producerEpoch, producerId } = contents
  const times = records.map((record) => Batches.readTimestamp(contents, record))
  return {
    magic,
    compression: contents.compression,
    isAppendTime,
    lastOffset: records[records.length - 1].offset,
    maxTimestamp: Math.max(...times),
    producerId,
    producerEpoch,
    baseSequence,
    isTransactional,
    isControl,
    partitionLeaderEpoch: magic === 2 ? partitionLeaderEpoch : -1,
    baseOffset: magic === 2 ? contents.baseOffset : undefined
  }
}

const compareHeader = (one: Case, who: string, found: object): Effect.Effect<void, Difference> => {
  const expected = expectedHeader(one.contents)
  if (isDeepStrictEqual(found, expected)) return Effect.void
  return Effect.fail(differ(one, `${who} reads the header ${show(found)} for ${show(expected)}`))
}

/** Java finds in our bytes what we have put in. */
const compareParsed = Effect.fnUntraced(function* (one: Case, batches: ReadonlyArray<Batches.JavaBatch>) {
  yield* compareRecords(one, "Java", Batches.recordsOf(batches))
  const isRun = one.contents.magic < 2 && one.contents.compression === "none"
  if (!isRun && batches.length !== 1) return yield* differ(one, `Java reads ${batches.length} batches`)
  const batch = batches[batches.length - 1]
  const { baseSequence, compression, isControl, isTransactional, magic, partitionLeaderEpoch, producerEpoch } = batch
  yield* compareHeader(one, "Java", {
    magic,
    compression,
    isAppendTime: batch.timestampType === "LogAppendTime",
    lastOffset: BigInt(batch.lastOffset),
    // Each plain message is a batch to Java.
    maxTimestamp: Math.max(...batches.map((each) => each.maxTimestamp)),
    producerId: BigInt(batch.producerId),
    producerEpoch,
    baseSequence,
    isTransactional,
    isControl,
    partitionLeaderEpoch,
    baseOffset: magic === 2 ? BigInt(batch.baseOffset) : undefined
  })
})

/** We find in Java's bytes what it has put in. */
const compareRead = Effect.fnUntraced(function* (one: Case, theirs: Uint8Array) {
  const { batches, partialBytes } = yield* ours(one, "we cannot split it", () => Records.split(theirs))
  if (batches.length !== 1 || partialBytes !== 0) {
    return yield* differ(one, `we find ${batches.length} batches in Java's bytes and ${partialBytes} bytes behind`)
  }
  const batch = batches[0]
  const records = yield* ours(one, "we cannot read Java's bytes", () => Records.decode(batch))
  yield* compareRecords(one, "our code", records)
  yield* compareHeader(one, "our code", headerOf(batch))
  const { marker } = one.contents
  if (marker === undefined) return
  const found = yield* ours(one, "we cannot read Java's marker", () => ControlRecord.decode(records[0]))
  const wanted = { type: marker.type === "COMMIT" ? "commit" : "abort", coordinatorEpoch: marker.coordinatorEpoch }
  if (!isDeepStrictEqual(found, wanted)) return yield* differ(one, `we read the marker ${show(found)}`)
})

const headerOf = (batch: Batch): object => {
  const { baseOffset, baseSequence, compression, isControl, isTransactional, lastOffset, magic } = batch
  const { maxTimestamp, partitionLeaderEpoch, producerEpoch, producerId, timestampType } = batch
  return {
    magic,
    compression,
    isAppendTime: timestampType === "append",
    lastOffset,
    maxTimestamp,
    producerId,
    producerEpoch,
    baseSequence,
    isTransactional,
    isControl,
    partitionLeaderEpoch,
    baseOffset: magic === 2 ? baseOffset : undefined
  }
}

/** Where the compressed bytes begin: behind the header; behind offset, size, CRC and the lengths of key and value. */
const payloadStart = { 0: 26, 1: 34, 2: 61 } as const

/** Bytes in front of compressed content that say how it is framed: these have to be the same. */
const frameBytes = { none: 0, gzip: 3, snappy: 16, lz4: 7, zstd: 4 } as const

/** Lengths and CRCs belong to the compressed bytes. */
const withoutLengths = (magic: 0 | 1 | 2, bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice(0, payloadStart[magic])
  copy.fill(0, 8, 12)
  if (magic === 2) copy.fill(0, 17, 21)
  else copy.fill(0, 12, 16).fill(0, payloadStart[magic] - 4)
  return copy
}

const compareCompressed = Effect.fnUntraced(function* (one: Case, mine: Uint8Array, theirs: Uint8Array) {
  const { compression, isAppendTime, magic } = one.contents
  const [myHead, theirHead] = [withoutLengths(magic, mine), withoutLengths(magic, theirs)]
  if (!sameBytes(myHead, theirHead)) return yield* differ(one, `the headers differ\n${dump(myHead, theirHead)}`)
  const [myPayload, theirPayload] = [mine.subarray(payloadStart[magic]), theirs.subarray(payloadStart[magic])]
  const frame = frameBytes[compression]
  if (!sameBytes(myPayload.subarray(0, frame), theirPayload.subarray(0, frame))) {
    return yield* differ(one, `the ${compression} frames differ\n${dump(myPayload, theirPayload)}`)
  }
  const replies = yield* one.oracle.ask([
    Java.decompress(compression, magic, myPayload),
    Java.decompress(compression, magic, theirPayload)
  ])
  const fromMine = yield* bytesOf(one, "Java cannot decompress ours", replies[0])
  const fromTheirs = yield* bytesOf(one, "Java cannot decompress its own", replies[1])
  const decompressed = yield* ours(one, "we cannot decompress Java's", () =>
    Compression.decompress(compression, theirPayload, 2 ** 28, { magic })
  )
  if (!sameBytes(decompressed, fromTheirs)) {
    return yield* differ(one, `we decompress Java's bytes to\n${dump(decompressed, fromTheirs)}`)
  }
  // A broker that sets the time leaves the messages inside of the wrapper as they are; Java's builder sets it there too.
  if (magic < 2 && isAppendTime) return
  if (!sameBytes(fromMine, fromTheirs)) {
    return yield* differ(one, `the decompressed bytes differ\n${dump(fromMine, fromTheirs)}`)
  }
})

/** What we make of bytes: the records, or undefined where they are refused. */
const readAll = async (bytes: Uint8Array): Promise<ReadonlyArray<Record> | undefined> => {
  try {
    const records: Array<Record> = []
    for (const batch of Records.split(bytes).batches) records.push(...(await Records.decode(batch)))
    return records
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

/** One byte behind the CRC is changed: neither side may take the batch. */
const checkDamaged = Effect.fnUntraced(function* (one: Case, theirs: Uint8Array, random: Random) {
  const { compression, magic } = one.contents
  const damaged = theirs.slice()
  // Without the magic byte, which lies in front of the CRC in magic 2 and says how to read the rest; and in the first of
  // a row of messages.
  const start = magic === 2 ? 21 : 17
  const isRow = magic < 2 && compression === "none"
  const end = isRow ? 12 + new DataView(theirs.buffer, theirs.byteOffset).getInt32(8) : theirs.length
  damaged[random.integer(start, end - 1)] ^= random.integer(1, 255)
  const found = yield* ours(one, "we fail on a damaged batch", () => readAll(damaged))
  const [reply] = yield* one.oracle.ask([Java.parseBatches(damaged)])
  if (found === undefined && !reply.succeeded) return
  const takers = [found === undefined ? [] : ["we"], reply.succeeded ? ["Java"] : []].flat().join(" and ")
  return yield* differ(one, `damaged, but taken by: ${takers}`)
})

/** The header that compaction leaves of a batch without records. */
const checkEmpty = Effect.fnUntraced(function* ({ oracle }: Options, random: Random) {
  const format = Batches.formats.find(({ compression, magic }) => magic === 2 && compression === "none")!
  const contents: Batches.Contents = {
    ...Batches.make(random, format, 3),
    appendTime: 1_700_000_000_000,
    records: []
  }
  const one: Case = { subject: "a batch without records", contents, oracle }
  const lastOffset = contents.baseOffset + 41n
  const description = { ...JSON.parse(Batches.toJson(contents)), lastOffset: String(lastOffset) }
  const [reply] = yield* oracle.ask([Java.buildBatch(JSON.stringify(description))])
  const theirs = yield* bytesOf(one, "Java cannot build it", reply)
  const { batches } = yield* ours(one, "we cannot split it", () => Records.split(theirs))
  const records = yield* ours(one, "we cannot read it", () => Records.decode(batches[0]))
  const { baseOffset, producerId, ...batch } = batches[0]
  if (records.length > 0 || batch.lastOffset !== lastOffset || baseOffset !== contents.baseOffset) {
    return yield* differ(one, `we read ${show(batch)} with ${records.length} records`)
  }
  if (producerId !== contents.producerId) return yield* differ(one, `we read the producer id ${producerId}`)
})

/** Batches of any format behind each other, as in a fetch response, cut where its limit is. */
const checkCut = Effect.fnUntraced(function* ({ oracle }: Options, random: Random, batches: ReadonlyArray<Uint8Array>) {
  const chosen = Array.from({ length: random.integer(1, 5) }, () => random.pick(batches))
  const whole = new Uint8Array(Buffer.concat(chosen))
  // Anywhere, or within the first bytes behind a batch or the last ones of it.
  const kept = random.integer(1, chosen.length)
  const near = chosen.slice(0, kept).reduce((sum, one) => sum + one.length, random.integer(-20, 20))
  const end = random.chance(0.5) ? near : random.integer(chosen[0].length, whole.length)
  const bytes = whole.subarray(0, Math.min(Math.max(end, chosen[0].length), whole.length))
  const subject = `${chosen.length} batches cut to ${bytes.length} of ${whole.length} bytes`
  const [reply] = yield* oracle.ask([Java.parseBatches(bytes)])
  if (!reply.succeeded) return yield* new Difference({ subject, detail: `Java cannot read them: ${reply.exception}` })
  const parsed = Json.parse(Buffer.from(reply.bytes).toString("utf8")) as ReadonlyArray<Batches.JavaBatch>
  const expected = Batches.recordsOf(parsed)
  const found = yield* Effect.promise(() => readAll(bytes))
  if (!isDeepStrictEqual(found, expected)) {
    const detail = `Java reads ${expected.length} records, we ${found?.length ?? "refuse them"}\n${Buffer.from(bytes).toString("hex").slice(0, 4000)}`
    return yield* new Difference({ subject, detail })
  }
})
