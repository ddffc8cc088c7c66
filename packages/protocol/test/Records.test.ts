import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as Compression from "@kafka-effect/protocol/Compression"
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import * as Lz4 from "@kafka-effect/protocol/Lz4"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import { noHeaders, type Record } from "@kafka-effect/protocol/Record"
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import { Random } from "./Random.ts"

const codecs: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]
const legacyCodecs: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4"]
const seed = Number(process.env.KAFKA_EFFECT_SEED ?? 20261123)

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const randomBytes = (random: Random, most: number): Uint8Array | null =>
  random.chance(0.1) ? null : random.bytes(random.integer(0, random.chance(0.05) ? most : 40))

const randomRecords = (random: Random, count: number, withHeaders = true): ReadonlyArray<Record> =>
  Array.from({ length: count }, (_, index) => ({
    offset: BigInt(index),
    timestamp: 1_700_000_000_000 + random.pick([0, 1, -5, 70_000, 2 ** 33, random.integer(0, 1000)]),
    key: randomBytes(random, 300),
    value: randomBytes(random, 20_000),
    headers:
      withHeaders && random.chance(0.3)
        ? Array.from(
            { length: random.integer(1, 4) },
            () => [random.pick(["", "k", "größe"]), randomBytes(random, 200)] as const
          )
        : noHeaders
  }))

const build = async (records: ReadonlyArray<Record>, options: BuildOptions = {}): Promise<Uint8Array> => {
  const builder = new RecordBatchBuilder(64)
  for (const { headers, key, offset, timestamp, value } of records) {
    builder.append(timestamp, key, value, headers, Number(offset - (options.baseOffset ?? 0n)))
  }
  return builder.build(options)
}

const decodeAll = async (data: Uint8Array): Promise<ReadonlyArray<Record>> => {
  const all: Array<Record> = []
  for (const batch of Records.split(data).batches) all.push(...(await Records.decode(batch)))
  return all
}

/** Plain arrays, so that views and buffers compare. */
const plain = (records: ReadonlyArray<Record>) =>
  records.map(({ headers, key, offset, timestamp, value }) => ({
    offset,
    timestamp,
    key: key === null ? null : [...key],
    value: value === null ? null : [...value],
    headers: headers.map(([name, content]) => [name, content === null ? null : [...content]])
  }))

const failure = async (body: () => unknown): Promise<WireError> => {
  try {
    await body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

describe("record batches", () => {
  for (const compression of codecs) {
    it(`round trip, ${compression}: small and large, nulls, headers, times in any order`, async () => {
      const random = new Random(seed)
      for (const count of [1, 2, 63, 64, 65, 500]) {
        const records = randomRecords(random, count)
        const options = { compression, producerId: 7n, producerEpoch: 3, baseSequence: 9, isTransactional: true }
        const data = await build(records, options)
        const { batches, partialBytes } = Records.split(data)
        assert.strictEqual(batches.length, 1)
        assert.strictEqual(partialBytes, 0)
        const [batch] = batches
        assert.strictEqual(batch.compression, compression)
        assert.strictEqual(batch.producerId, 7n)
        assert.strictEqual(batch.producerEpoch, 3)
        assert.strictEqual(batch.baseSequence, 9)
        assert.isTrue(batch.isTransactional)
        assert.isFalse(batch.isControl)
        assert.strictEqual(batch.recordCount, count)
        assert.strictEqual(batch.lastOffset, BigInt(count - 1))
        assert.strictEqual(batch.maxTimestamp, Math.max(...records.map((record) => record.timestamp)))
        assert.deepStrictEqual(plain(await Records.decode(batch)), plain(records))
      }
    })
  }

  it("keeps gaps that compaction left, and offsets beyond 2^53", async () => {
    const baseOffset = 2n ** 60n
    const records = randomRecords(new Random(seed), 20).map((record) => ({
      ...record,
      offset: baseOffset + record.offset * 3n + (record.offset > 10n ? 100_000n : 0n)
    }))
    assert.deepStrictEqual(plain(await decodeAll(await build(records, { baseOffset }))), plain(records))
  })

  it("log-append time is the time of every record", async () => {
    const data = await build(randomRecords(new Random(seed), 5), { appendTime: 4711 })
    const [batch] = Records.split(data).batches
    assert.strictEqual(batch.timestampType, "append")
    assert.deepStrictEqual(
      (await Records.decode(batch)).map((record) => record.timestamp),
      [4711, 4711, 4711, 4711, 4711]
    )
  })

  it("may be built again with another producer id and sequence", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(1, bytes("k"), bytes("v"))
    const first = Uint8Array.from(await builder.build({ producerId: 1n, producerEpoch: 0, baseSequence: 0 }))
    builder.append(2, null, null)
    const second = await builder.build({ producerId: 2n, producerEpoch: 1, baseSequence: 5 })
    assert.strictEqual((await decodeAll(first)).length, 1)
    assert.strictEqual((await decodeAll(second)).length, 2)
    assert.strictEqual(Records.split(second).batches[0].producerId, 2n)
  })

  it("never writes more for a record than it says before", () => {
    const random = new Random(seed)
    for (const { headers, key, timestamp, value } of randomRecords(random, 300)) {
      const builder = new RecordBatchBuilder()
      builder.append(0, null, null)
      const before = builder.sizeInBytes
      builder.append(timestamp, key, value, headers, 2 ** 31 - 1)
      assert.isAtMost(builder.sizeInBytes - before, RecordBatchBuilder.maximumRecordBytes(key, value, headers))
    }
  })

  it("control batches carry transaction markers", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(1, new Uint8Array([0, 0, 0, 1]), new Uint8Array([0, 0, 0, 0, 0, 9]))
    builder.append(1, new Uint8Array([0, 0, 0, 0]), new Uint8Array([0, 0, 0, 0, 0, 9]))
    builder.append(1, new Uint8Array([0, 0, 0, 2]), new Uint8Array([1]))
    const [batch] = Records.split(await builder.build({ isControl: true, isTransactional: true })).batches
    assert.isTrue(batch.isControl)
    const records = await Records.decode(batch)
    assert.deepStrictEqual(records.map(ControlRecord.decode), [
      { type: "commit", coordinatorEpoch: 9 },
      { type: "abort", coordinatorEpoch: 9 },
      { type: "other", id: 2 }
    ])
    assert.strictEqual((await failure(() => ControlRecord.decode({ ...records[0], key: null }))).name, "ControlRecord")
  })

  it("refuses half of a surrogate pair in a header's key", async () => {
    const error = await failure(() => new RecordBatchBuilder().append(0, null, null, [["\ud800", null]]))
    assert.strictEqual(error.reason, "InvalidUtf8")
  })
})

describe("message sets", () => {
  for (const magic of [0, 1] as const) {
    for (const compression of legacyCodecs) {
      it(`round trip, magic ${magic}, ${compression}`, async () => {
        const random = new Random(seed)
        for (const count of [1, 2, 50, 300]) {
          const records = randomRecords(random, count, false).map((record) => ({
            ...record,
            offset: 1000n + record.offset * 2n,
            timestamp: magic === 0 ? -1 : record.timestamp
          }))
          const data = await MessageSet.encode(records, { magic, compression })
          const { batches } = Records.split(data)
          assert.strictEqual(batches.length, 1)
          assert.strictEqual(batches[0].magic, magic)
          assert.strictEqual(batches[0].compression, compression)
          assert.strictEqual(batches[0].lastOffset, 1000n + BigInt(count - 1) * 2n)
          assert.deepStrictEqual(plain(await decodeAll(data)), plain(records))
        }
      })
    }
  }

  it("log-append time of a wrapper is the time of what is inside", async () => {
    const records = randomRecords(new Random(seed), 3, false)
    const data = await MessageSet.encode(records, { magic: 1, compression: "gzip", appendTime: 99 })
    assert.strictEqual(Records.split(data).batches[0].timestampType, "append")
    assert.deepStrictEqual(
      (await decodeAll(data)).map((record) => record.timestamp),
      [99, 99, 99]
    )
  })

  it("headers and zstd need a newer format", async () => {
    const record = { offset: 0n, timestamp: 1, key: null, value: null, headers: [["k", null]] as const }
    const headers = await failure(() => MessageSet.encode([record], { magic: 1 }))
    assert.strictEqual(headers.reason, "UnsupportedVersion")
    assert.strictEqual(headers.field, "records[0].headers")
    const zstd = await failure(() => MessageSet.encode([{ ...record, headers: [] }], { magic: 1, compression: "zstd" }))
    assert.strictEqual(zstd.field, "compression")
  })

  it("lz4 of magic 0 has the old checksum, which only readers of magic 0 take", async () => {
    const old = await Lz4.compress(bytes("abcabcabcabcabcabcabc"), { wrongChecksum: true })
    const right = await Lz4.compress(bytes("abcabcabcabcabcabcabc"), { wrongChecksum: false })
    // as Kafka's own classes write them
    assert.strictEqual(Buffer.from(old).subarray(0, 7).toString("hex"), "04224d1860401a")
    assert.strictEqual(Buffer.from(right).subarray(0, 7).toString("hex"), "04224d18604082")
    for (const frame of [old, right]) {
      const restored = await Lz4.decompress(frame, 100, { anyChecksum: true })
      assert.strictEqual(Buffer.from(restored).toString(), "abcabcabcabcabcabcabc")
    }
    assert.throws(() => Lz4.decompress(old, 100, { anyChecksum: false }))
  })
})

describe("fetch responses", () => {
  const response = async (): Promise<{ data: Uint8Array; ends: ReadonlyArray<number> }> => {
    const random = new Random(seed)
    const parts: Array<Uint8Array> = []
    const records = randomRecords(random, 4, false)
    parts.push(await MessageSet.encode(records, { magic: 0 }))
    parts.push(await MessageSet.encode(records, { magic: 1, compression: "snappy" }))
    for (const compression of codecs) parts.push(Uint8Array.from(await build(records, { compression })))
    const ends: Array<number> = []
    let end = 0
    for (const part of parts) {
      end += part.length
      ends.push(end)
    }
    return { data: new Uint8Array(Buffer.concat(parts)), ends }
  }

  it("cut anywhere: whole batches are there, the rest is partial, nothing is an error", async () => {
    const { data, ends } = await response()
    const whole = (await decodeAll(data)).length
    assert.strictEqual(whole, 4 * 7)
    for (let length = 0; length <= data.length; length++) {
      const cut = Records.split(data.subarray(0, length))
      const used = cut.batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
      assert.strictEqual(used + cut.partialBytes, length)
      // within the plain messages of magic 0 at the front each message is whole for itself
      if (length >= ends[0]) assert.strictEqual(used, Math.max(0, ...ends.filter((end) => end <= length)))
    }
  })

  it("says how much the first partial batch needs", async () => {
    const data = await build(randomRecords(new Random(seed), 10))
    const cut = Records.split(data.subarray(0, 30))
    assert.strictEqual(cut.batches.length, 0)
    assert.strictEqual(cut.partialBytes, 30)
    assert.strictEqual(cut.partialBatchBytes, data.length)
  })

  it("damage behind a good batch is met after it", async () => {
    const good = await build(randomRecords(new Random(seed), 3))
    const data = new Uint8Array(Buffer.concat([good, good]))
    data[good.length + 16] = 9
    const { batches, partialBytes } = Records.split(data)
    assert.strictEqual(batches.length, 1)
    assert.strictEqual(partialBytes, good.length)
    const error = await failure(() => Records.split(data.subarray(good.length)))
    assert.strictEqual(error.reason, "UnknownMagic")
  })
})

describe("bad bytes", () => {
  const set = async (place: number, value: number, options?: BuildOptions) => {
    const data = Uint8Array.from(await build(randomRecords(new Random(seed), 3), options))
    data[place] = value
    return failure(() => decodeAll(data))
  }

  it("a wrong CRC", async () => {
    const error = await set(80, 0xee)
    assert.strictEqual(error.reason, "ChecksumMismatch")
    assert.strictEqual(error.name, "RecordBatch")
    assert.strictEqual(error.version, 2)
    assert.strictEqual(error.field, "crc")
  })

  it("a wrong CRC in a message set", async () => {
    const data = await MessageSet.encode(randomRecords(new Random(seed), 2, false), { magic: 1 })
    data[data.length - 1] ^= 1
    const error = await failure(() => decodeAll(data))
    assert.strictEqual(error.reason, "ChecksumMismatch")
    assert.strictEqual(error.name, "MessageSet")
  })

  it("an unknown codec, an unknown format, absurd lengths", async () => {
    assert.strictEqual((await set(22, 7)).reason, "UnknownCompression")
    assert.strictEqual((await set(16, 3)).reason, "UnknownMagic")
    assert.strictEqual((await set(8, 0xff)).reason, "InvalidLength")
    const data = Uint8Array.from(await build(randomRecords(new Random(seed), 3)))
    new DataView(data.buffer).setInt32(57, 2 ** 31 - 1)
    const [batch] = Records.split(data).batches
    const error = await failure(() => Records.decode(batch, { checkCrcs: false }))
    assert.strictEqual(error.field, "recordCount")
  })

  it("names the record and the field", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(0, bytes("k"), bytes("v"))
    builder.append(0, bytes("k"), bytes("v"), [["h", bytes("x")]])
    const data = Uint8Array.from(await builder.build())
    data[data.length - 3] = 0xff // the header's key
    const [batch] = Records.split(data).batches
    const error = await failure(() => Records.decode(batch, { checkCrcs: false }))
    assert.strictEqual(error.reason, "InvalidUtf8")
    assert.strictEqual(error.field, "records[1].headers[0].key")
  })

  for (const compression of codecs.slice(1)) {
    it(`a bomb of ${compression} is an error, not a dead process`, async () => {
      const builder = new RecordBatchBuilder()
      builder.append(0, null, new Uint8Array(20_000_000))
      const data = await builder.build({ compression })
      assert.isBelow(data.length, 1_100_000)
      const [batch] = Records.split(data).batches
      const error = await failure(() => Records.decode(batch, { maxDecompressedBytes: 1_000_000 }))
      assert.strictEqual(error.reason, "TooLarge")
      assert.include(error.message, "1000000")
      assert.strictEqual(error.field, "records")
      assert.strictEqual((await Records.decode(batch))[0].value?.length, 20_000_000)
    })

    it(`a bomb of many small records in ${compression} is an error at the default limit`, async () => {
      const builder = new RecordBatchBuilder(8_000_000)
      for (let index = 0; index < 1_100_000; index++) builder.append(0, null, null, [], 0)
      const data = await builder.build({ compression })
      const [batch] = Records.split(data).batches
      const error = await failure(() => Records.decode(batch))
      assert.strictEqual(error.reason, "TooLarge")
      assert.strictEqual(error.field, "records")
      assert.include(error.message, "1100000 records")
    })

    it(`damaged ${compression} data`, async () => {
      const random = new Random(seed)
      for (const count of [3, 400]) {
        const data = Uint8Array.from(await build(randomRecords(random, count), { compression }))
        for (let run = 0; run < 40; run++) {
          const damaged = Uint8Array.from(data)
          damaged[random.integer(61, Math.min(data.length - 1, 61 + 200))] = random.integer(0, 255)
          try {
            await Records.decode(Records.split(damaged).batches[0], { checkCrcs: false })
          } catch (error) {
            if (!(error instanceof WireError)) throw error
            assert.strictEqual(error.name, "RecordBatch")
          }
        }
      }
    })
  }

  for (const compression of codecs.slice(1).filter((codec) => codec !== "zstd")) {
    it(`a wrapper of many small messages in ${compression} is an error at the limit`, async () => {
      const records = Array.from({ length: 2000 }, (_, index) => ({
        offset: BigInt(index),
        timestamp: 0,
        key: null,
        value: null,
        headers: []
      }))
      const data = await MessageSet.encode(records, { magic: 1, compression })
      const [batch] = Records.split(data).batches
      const error = await failure(() => Records.decode(batch, { maxDecompressedBytes: 100_000 }))
      assert.strictEqual(error.reason, "TooLarge")
      assert.strictEqual((await Records.decode(batch, { maxDecompressedBytes: 1_000_000 })).length, 2000)
    })
  }

  const smallest = { timestamp: 0, key: null, value: null }

  it("records and headers count towards the limit, compressed or not", async () => {
    for (const compression of codecs) {
      const builder = new RecordBatchBuilder()
      for (let index = 0; index < 1000; index++) builder.append(0, null, null, noHeaders, 0)
      const restored = compression === "none" ? 0 : builder.sizeInBytes - 61
      const [batch] = Records.split(await builder.build({ compression })).batches
      const least = 1000 * 128 + restored
      assert.strictEqual((await Records.decode(batch, { maxDecompressedBytes: least })).length, 1000)
      const error = await failure(() => Records.decode(batch, { maxDecompressedBytes: least - 1 }))
      assert.strictEqual(error.reason, "TooLarge")
      assert.strictEqual(error.field, "records")
    }
    const builder = new RecordBatchBuilder()
    for (const count of [2, 1000]) builder.append(0, null, null, new Array(count).fill(["", null]))
    const [batch] = Records.split(await builder.build()).batches
    assert.strictEqual((await Records.decode(batch, { maxDecompressedBytes: 1004 * 128 })).length, 2)
    const error = await failure(() => Records.decode(batch, { maxDecompressedBytes: 1004 * 128 - 1 }))
    assert.strictEqual(error.reason, "TooLarge")
    assert.strictEqual(error.field, "records[1].headers")
  })

  it("headers of two bytes are a bomb as well", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(0, null, null, new Array(1_100_000).fill(["", null]))
    const data = await builder.build({ compression: "gzip" })
    assert.isBelow(data.length, 10_000)
    const error = await failure(() => Records.decode(Records.split(data).batches[0]))
    assert.strictEqual(error.reason, "TooLarge")
    assert.strictEqual(error.field, "records[0].headers")
  })

  for (const compression of codecs) {
    it(`a mebibyte of the smallest records, ${compression}, is nothing unusual`, async () => {
      const builder = new RecordBatchBuilder(2 ** 20)
      while (builder.sizeInBytes < 2 ** 20) builder.append(0, null, null, noHeaders, 0)
      const [batch] = Records.split(await builder.build({ compression })).batches
      assert.strictEqual((await Records.decode(batch)).length, builder.count)
      assert.isAbove(builder.count, 149_000)
    })
  }

  it("plain messages are as many as were fetched, those in a wrapper count towards the limit", async () => {
    for (const magic of [0, 1] as const) {
      const records = Array.from({ length: 1000 }, (_, index) => ({ ...smallest, offset: BigInt(index), headers: [] }))
      const plainMessages = await MessageSet.encode(records, { magic })
      const [run] = Records.split(plainMessages).batches
      assert.strictEqual((await Records.decode(run, { maxDecompressedBytes: 1 })).length, 1000)
      const [wrapper] = Records.split(await MessageSet.encode(records, { magic, compression: "gzip" })).batches
      const least = plainMessages.length + 1000 * 128
      assert.strictEqual((await Records.decode(wrapper, { maxDecompressedBytes: least })).length, 1000)
      const error = await failure(() => Records.decode(wrapper, { maxDecompressedBytes: least - 1 }))
      assert.strictEqual(error.reason, "TooLarge")
      assert.strictEqual(error.field, "records[999]")
    }
  })

  it("mutations of every format give records or a WireError, nothing else", async () => {
    const random = new Random(seed)
    const sources: Array<Uint8Array> = []
    for (const compression of codecs) {
      const records = randomRecords(random, 8, false)
      sources.push(Uint8Array.from(await build(records, { compression })))
      if (compression === "zstd") continue
      sources.push(await MessageSet.encode(records, { magic: 0, compression }))
      sources.push(await MessageSet.encode(records, { magic: 1, compression }))
    }
    let errors = 0
    for (const source of sources) {
      for (let run = 0; run < 300; run++) {
        const damaged = random.damage(source)
        for (const checkCrcs of [true, false]) {
          try {
            for (const batch of Records.split(damaged).batches) {
              await Records.decode(batch, { checkCrcs, maxDecompressedBytes: 1_000_000 })
            }
          } catch (error) {
            if (!(error instanceof WireError)) throw error
            errors++
          }
        }
      }
    }
    assert.isAbove(errors, 1000)
  })
})

describe("compression", () => {
  it("reads raw snappy, without framing", async () => {
    const framed = await Compression.compress("snappy", bytes("hello hello hello"), { magic: 2 })
    const raw = framed.subarray(20)
    const restored = await Compression.decompress("snappy", raw, 100, { magic: 2 })
    assert.strictEqual(Buffer.from(restored).toString(), "hello hello hello")
  })

  it("takes codecs that were written for KafkaJS", async () => {
    const reversed = (data: Uint8Array): Buffer => Buffer.from(data).reverse()
    const codec = Compression.fromKafkaJs(() => ({
      compress: async ({ buffer }) => reversed(buffer),
      decompress: async (buffer) => reversed(buffer)
    }))
    const records = randomRecords(new Random(seed), 5)
    const original = Compression.codecOf("lz4")
    Compression.register("lz4", codec)
    try {
      const data = await build(records, { compression: "lz4" })
      assert.deepStrictEqual(plain(await decodeAll(data)), plain(records))
    } finally {
      Compression.register("lz4", original)
    }
  })
})
