import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import { type DecodeOptions, noHeaders, type Record } from "@kafka-effect/protocol/Record"
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { at, headerBytes, uncountedBytes } from "@kafka-effect/protocol/RecordBatchLayout"
import * as Records from "@kafka-effect/protocol/Records"
import { WireError } from "@kafka-effect/protocol/WireError"
import { Effect, Schema } from "effect"
import { Random } from "./Random.ts"

const seed = Number(process.env.KAFKA_EFFECT_SEED ?? 20261123)

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const build = async (records: ReadonlyArray<Omit<Record, "offset">>, options: BuildOptions = {}) => {
  const builder = new RecordBatchBuilder()
  for (const { headers, key, timestamp, value } of records) builder.append(timestamp, key, value, headers)
  return Uint8Array.from(await builder.build(options))
}

const record = (index: number, headers: Record["headers"] = noHeaders): Record => ({
  offset: BigInt(index),
  timestamp: 1_700_000_000_000 + index,
  key: bytes(`key ${index}`),
  value: bytes(`value ${index}`.repeat(5)),
  headers
})

const some: ReadonlyArray<Record> = [
  record(0),
  record(1, [
    ["ascii", bytes("x")],
    ["größe", null]
  ]),
  { ...record(2), key: null, value: null }
]

const decode = async (data: Uint8Array, options: DecodeOptions = { checkCrcs: false }) => {
  const all: Array<Record> = []
  for (const batch of Records.split(data).batches) all.push(...(await Records.decode(batch, options)))
  return all
}

const failure = async (body: () => unknown): Promise<WireError> => {
  try {
    await body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

/** The records, or the error, which has to be a `WireError`. */
const outcome = async (body: () => Promise<ReadonlyArray<Record>>): Promise<ReadonlyArray<Record> | WireError> => {
  try {
    return await body()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
}

/** The first bytes of a batch, which says that these are all. */
const shortened = (data: Uint8Array, length: number): Uint8Array => {
  const copy = data.slice(0, length)
  new DataView(copy.buffer).setInt32(at.batchLength, length - uncountedBytes)
  return copy
}

/** A batch of one record, made of these bytes. */
const ofBytes = async (...body: ReadonlyArray<number>): Promise<Uint8Array> => {
  const batch = await build([record(0)])
  const data = new Uint8Array(headerBytes + body.length)
  data.set(batch.subarray(0, headerBytes))
  data.set(body, headerBytes)
  return shortened(data, data.length)
}

describe("record batches", () => {
  it("cut anywhere with a length that fits: an error that names the record", async () => {
    const data = await build(some)
    for (let length = headerBytes; length < data.length; length++) {
      const error = await failure(() => decode(shortened(data, length)))
      assert.strictEqual(error.name, "RecordBatch")
      assert.strictEqual(error.version, 2)
      assert.match(error.field, /^(recordCount|records\[[0-2]\](\..+)?)$/, `${length} bytes: ${error.message}`)
    }
  })

  it("a header that is cut anywhere", async () => {
    const data = await build(some)
    for (let length = 17; length < headerBytes; length++) {
      const error = await failure(() => Records.split(shortened(data, length)))
      assert.include(["Truncated", "InvalidLength"], error.reason)
    }
  })

  it("every byte changed to every value: records, or a WireError", async () => {
    const data = await build(some)
    let errors = 0
    for (let place = 0; place < data.length; place++) {
      for (const value of [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, data[place] ^ 1, data[place] ^ 0x80]) {
        const changed = data.slice()
        changed[place] = value
        if ((await outcome(() => decode(changed))) instanceof WireError) errors++
      }
    }
    assert.isAbove(errors, data.length)
  })

  it("every bit flipped behind the CRC: never records", async () => {
    const data = await build(some)
    for (let bit = at.crc * 8; bit < data.length * 8; bit++) {
      const changed = data.slice()
      changed[bit >> 3] ^= 1 << (bit & 7)
      assert.instanceOf(await outcome(() => decode(changed, {})), WireError, `bit ${bit}`)
    }
  })

  it("a count that is not the number of records", async () => {
    for (const [count, field] of [
      [-1, "recordCount"],
      [2, "records"],
      [4, "records[3].length"],
      [0, "records"],
      [0x7fffffff, "recordCount"]
    ] as const) {
      const data = await build(some)
      new DataView(data.buffer).setInt32(at.recordCount, count)
      assert.include((await failure(() => decode(data))).field, field.slice(0, 10))
    }
  })

  it("a high byte at every place of a header's key", async () => {
    const key = "0123456789abcdef0123456789abcdef0123456789"
    for (let place = 0; place < key.length; place++) {
      const text = `${key.slice(0, place)}ü${key.slice(place + 1)}`
      const data = await build([record(0, [[text, null]])])
      assert.strictEqual((await decode(data))[0].headers[0][0], text)
      const start = Buffer.from(data).indexOf("ü")
      data[start] = 0x80
      const error = await failure(() => decode(data))
      assert.strictEqual(error.reason, "InvalidUtf8")
      assert.strictEqual(error.field, "records[0].headers[0].key")
    }
  })

  it("offsets of errors count from the batch, or in the decompressed records", async () => {
    const data = await build(some)
    const first = Buffer.from(data).indexOf("key 0")
    data[first - 1] = 100 // the length of the key
    const error = await failure(() => decode(data))
    assert.strictEqual(error.field, "records[0].key")
    assert.strictEqual(error.offset, first)
    assert.strictEqual((await failure(() => decode(shortened(data, headerBytes + 1)))).offset, at.recordCount)
    const { gzipSync } = await import("node:zlib")
    const compressed = gzipSync(data.subarray(headerBytes))
    const batch = new Uint8Array([...data.subarray(0, headerBytes), ...compressed])
    new DataView(batch.buffer).setInt16(at.attributes, 1)
    const inside = await failure(() => decode(shortened(batch, batch.length)))
    assert.strictEqual(inside.field, "records[0].key")
    assert.strictEqual(inside.offset, first - headerBytes)
  })

  it("damage to compressed records names the field that holds them, and its place where it is known", async () => {
    const value = 12 + 4 + 1 + 1 + 8 + 4 + 4 // a wrapper's head, without a key
    // At once, and on the thread pool.
    for (const count of [1, 10_000]) {
      const records = Array.from({ length: count }, (_, index) => record(index))
      for (const [compression, isKnown] of [
        ["lz4", true],
        ["gzip", false]
      ] as const) {
        for (const [data, start, field] of [
          [await build(records, { compression }), headerBytes, "records"],
          [await MessageSet.encode(records, { magic: 1, compression }), value, "value"]
        ] as const) {
          data[start] ^= 1
          const error = await failure(() => decode(data))
          assert.strictEqual(error.reason, "Decompression")
          assert.strictEqual(error.field, field)
          assert.strictEqual(error.offset, isKnown ? start : -1)
        }
      }
    }
  })

  it("varints that do not end name the record they are in", async () => {
    const endless = new Array<number>(12).fill(0xff)
    for (const front of [[], [40, 0], [40, 0, 0], [40, 0, 0, 0], [40, 0, 0, 0, 1], [40, 0, 0, 0, 1, 1]]) {
      const error = await failure(async () => decode(await ofBytes(...front, ...endless, ...new Array(12).fill(0))))
      assert.strictEqual(error.reason, "InvalidLength")
      assert.match(error.field, /^records\[0\]/)
      assert.isAtLeast(error.offset, 0)
    }
  })

  it("a varint of ten bytes has 64 bits", async () => {
    for (const last of [0x01, 0x7f]) {
      const data = await ofBytes(30, 0, ...new Array<number>(9).fill(0x80), last, 0, 1, 1, 0)
      assert.strictEqual((await decode(data))[0].timestamp, record(0).timestamp + 2 ** 62)
    }
  })

  it("lengths that are negative, or reach into the next record", async () => {
    for (const [body, field] of [
      [[1], "length"],
      [[100, 0, 0, 0, 1, 1, 0], "length"],
      [[12, 0, 0, 0, 3, 1, 0], "key"],
      [[12, 0, 0, 0, 8, 1, 0], "key"],
      [[12, 0, 0, 0, 1, 3, 0], "value"],
      [[12, 0, 0, 0, 1, 8, 0], "value"],
      [[12, 0, 0, 0, 1, 1, 1], "headers"],
      [[12, 0, 0, 0, 1, 1, 8], "headers"],
      [[16, 0, 0, 0, 1, 1, 2, 1, 1], "headers[0].key"],
      [[16, 0, 0, 0, 1, 1, 2, 0, 3], "headers[0].value"],
      [[16, 0, 0, 0, 1, 1, 0, 0, 0], "length"]
    ] as const) {
      const data = await ofBytes(...body, ...new Array(Math.max(0, 7 - body.length)).fill(0))
      const error = await failure(() => decode(data))
      assert.strictEqual(error.reason, "InvalidLength")
      assert.strictEqual(error.field, `records[0].${field}`, String(body))
    }
  })

  it("a header with many headers that are not there is no reason to allocate", async () => {
    const data = await ofBytes(18, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0x0f)
    assert.strictEqual((await failure(() => decode(data))).field, "records[0].headers")
  })

  it("times that the wire cannot carry are refused, and leave the batch as it was", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(5, bytes("k"), bytes("v"))
    const before = Uint8Array.from(await builder.build())
    for (const timestamp of [Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53]) {
      const error = await failure(() => builder.append(timestamp, null, null))
      assert.strictEqual(error.field, "timestamp")
    }
    assert.strictEqual((await failure(() => builder.append(9, null, null, [["\udc00", null]]))).reason, "InvalidUtf8")
    assert.deepStrictEqual(await builder.build(), before)
    const empty = new RecordBatchBuilder()
    await failure(() => empty.append(9, null, null, [["\udc00", null]]))
    empty.append(4, null, null)
    assert.strictEqual(Records.split(Uint8Array.from(await empty.build())).batches[0].maxTimestamp, 4)
  })

  it("offsets that the wire cannot carry are refused, and leave the batch as it was", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(5, bytes("k"), bytes("v"))
    const before = Uint8Array.from(await builder.build())
    for (const delta of [2 ** 33, 2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const error = await failure(() => builder.append(5, null, null, noHeaders, delta))
      assert.strictEqual(error.reason, "InvalidValue")
      assert.strictEqual(error.field, "offsetDelta")
    }
    assert.deepStrictEqual(await builder.build(), before)
    builder.append(5, null, null, noHeaders, 2 ** 31 - 1)
    assert.strictEqual((await failure(() => builder.append(5, null, null))).field, "offsetDelta")
    assert.strictEqual((await decode(Uint8Array.from(await builder.build())))[1].offset, 2n ** 31n - 1n)
  })

  it("options that the wire cannot carry are refused, those at the edge are carried", async () => {
    const builder = new RecordBatchBuilder()
    builder.append(5, bytes("k"), bytes("v"))
    const refused: ReadonlyArray<BuildOptions> = [
      { appendTime: 1.5 },
      { appendTime: 2 ** 53 },
      { baseSequence: 2 ** 40 },
      { baseSequence: 2 ** 31 },
      { baseSequence: 0.5 },
      { baseOffset: 2n ** 64n + 5n },
      { baseOffset: 2n ** 63n },
      { producerId: -(2n ** 63n) - 1n },
      { producerEpoch: 2 ** 15 },
      { producerEpoch: Number.NaN },
      { partitionLeaderEpoch: -(2 ** 31) - 1 }
    ]
    for (const options of refused) {
      for (const compression of ["none", "gzip"] as const) {
        const error = await failure(() => builder.build({ ...options, compression }))
        assert.strictEqual(error.reason, "InvalidValue")
        assert.strictEqual(error.field, Object.keys(options)[0])
      }
    }
    // What users without types may give.
    const untyped = { baseOffset: 5 } as unknown as BuildOptions
    assert.strictEqual((await failure(() => builder.build(untyped))).field, "baseOffset")
    const edge = {
      baseOffset: 2n ** 63n - 1n,
      producerId: 2n ** 63n - 1n,
      producerEpoch: 2 ** 15 - 1,
      baseSequence: 2 ** 31 - 1,
      partitionLeaderEpoch: 2 ** 31 - 1
    }
    const [batch] = Records.split(Uint8Array.from(await builder.build(edge))).batches
    assert.containSubset(batch, edge)
  })

  it("records that come while the thread pool compresses are not in the batch", async () => {
    const builder = new RecordBatchBuilder(100)
    for (let index = 0; index < 1000; index++) builder.append(index, null, bytes("value ".repeat(20)))
    for (const compression of ["gzip", "snappy", "lz4", "zstd"] as const) {
      const { count } = builder
      const pending = builder.build({ compression, baseSequence: 7 })
      assert.instanceOf(pending, Promise)
      for (let index = 0; index < 2000; index++) builder.append(5000, null, bytes("later ".repeat(20)))
      builder.build({ baseSequence: 8 })
      const [batch] = Records.split(await pending).batches
      assert.strictEqual(batch.recordCount, count)
      assert.strictEqual(batch.baseSequence, 7)
      assert.strictEqual((await Records.decode(batch)).length, count)
    }
  })
})

describe("message sets", () => {
  const legacy = some.map((one) => ({ ...one, headers: noHeaders }))

  for (const magic of [0, 1] as const) {
    it(`magic ${magic}: every byte changed, every place cut: records, or a WireError`, async () => {
      for (const compression of ["none", "gzip", "lz4"] as const) {
        const data = await MessageSet.encode(legacy, { magic, compression })
        for (let place = 0; place < data.length; place++) {
          for (const value of [0, 1, 0x7f, 0x80, 0xff, data[place] ^ 1]) {
            const changed = data.slice()
            changed[place] = value
            await outcome(() => decode(changed))
          }
          assert.instanceOf(await outcome(() => decode(data.subarray(0, place))), Array)
        }
      }
    })

    it(`magic ${magic}: every bit flipped behind the CRC of a message: never its record`, async () => {
      const data = await MessageSet.encode(legacy.slice(0, 1), { magic })
      for (let bit = 12 * 8; bit < data.length * 8; bit++) {
        const changed = data.slice()
        changed[bit >> 3] ^= 1 << (bit & 7)
        assert.instanceOf(await outcome(() => decode(changed, {})), WireError, `bit ${bit}`)
      }
    })
  }

  it("name the record and the field", async () => {
    const data = await MessageSet.encode(legacy, { magic: 1 })
    const second = 12 + new DataView(data.buffer, data.byteOffset).getInt32(8)
    for (const [place, field] of [
      [26, "key"],
      [26 + 4 + 5, "value"]
    ] as const) {
      const changed = data.slice()
      new DataView(changed.buffer).setInt32(second + place, 0x7fffffff)
      const error = await failure(() => decode(changed))
      assert.strictEqual(error.field, `records[1].${field}`)
      assert.strictEqual(error.reason, "InvalidLength")
      assert.strictEqual(error.version, 1)
    }
    const { value } = legacy[1]
    const trailing = data.slice()
    new DataView(trailing.buffer).setInt32(second + 26 + 4 + 5, value!.length - 1)
    const error = await failure(() => decode(trailing))
    assert.strictEqual(error.reason, "TrailingBytes")
    assert.strictEqual(error.field, "records[1]")
    data[second + 40] ^= 1
    assert.strictEqual((await failure(() => decode(data, {}))).field, "records[1].crc")
  })

  const wrapper = async (offset: bigint, records: ReadonlyArray<Record> = legacy) => {
    const data = Uint8Array.from(await MessageSet.encode(records, { magic: 1, compression: "gzip" }))
    new DataView(data.buffer).setBigInt64(0, offset)
    return decode(data)
  }

  it("a wrapper has the offset of its last message, whatever compaction took from before", async () => {
    const offsets = async (offset: bigint, kept: ReadonlyArray<Record>) =>
      (await wrapper(offset, kept)).map((one) => one.offset)
    assert.deepStrictEqual(await offsets(12n, legacy), [10n, 11n, 12n])
    assert.deepStrictEqual(await offsets(12n, [legacy[0], legacy[2]]), [10n, 12n])
  })

  it("a wrapper that no broker has placed is at 0, and its messages are where they say", async () => {
    assert.deepStrictEqual(
      (await wrapper(0n)).map((one) => one.offset),
      [0n, 1n, 2n]
    )
    const error = await failure(() => wrapper(1n))
    assert.strictEqual(error.reason, "InvalidValue")
    assert.strictEqual(error.field, "offset")
  })

  it("a wrapper in a wrapper, and one without messages", async () => {
    const inner = await MessageSet.encode(legacy, { magic: 1, compression: "gzip" })
    const wrap = async (value: Uint8Array | null): Promise<Uint8Array> => {
      const data = await MessageSet.encode([{ ...record(5), key: null, value }], { magic: 1 })
      data[17] = 1 // gzip
      return data
    }
    const { gzipSync } = await import("node:zlib")
    const nested = await failure(async () => decode(await wrap(gzipSync(inner))))
    assert.strictEqual(nested.field, "records[0]")
    assert.strictEqual(nested.reason, "InvalidValue")
    for (const value of [null, gzipSync(new Uint8Array(0)), gzipSync(inner.subarray(0, 5))]) {
      assert.strictEqual((await failure(async () => decode(await wrap(value)))).field, "value")
    }
  })

  it("codecs of later formats, and the flag of times that magic 0 does not have", async () => {
    for (const id of [4, 5, 7]) {
      const data = await MessageSet.encode(legacy, { magic: 1 })
      data[17] = id
      const error = await failure(() => Records.split(data))
      assert.strictEqual(error.reason, "UnknownCompression")
      assert.strictEqual(error.field, "attributes")
    }
    const old = await MessageSet.encode(legacy.slice(0, 1), { magic: 0 })
    old[17] = 8
    assert.strictEqual(Records.split(old).batches[0].timestampType, "create")
    assert.strictEqual((await decode(old))[0].timestamp, -1)
  })

  it("times that the wire cannot carry", async () => {
    const error = await failure(() => MessageSet.encode([{ ...record(0), timestamp: 0.5 }], { magic: 1 }))
    assert.strictEqual(error.field, "records[0].timestamp")
    for (const compression of ["none", "gzip"] as const) {
      const whole = await failure(() => MessageSet.encode([record(0)], { magic: 1, compression, appendTime: 0.5 }))
      assert.strictEqual(whole.field, "appendTime")
    }
  })

  it("offsets that the wire cannot carry", async () => {
    for (const magic of [0, 1] as const) {
      for (const compression of ["none", "gzip"] as const) {
        for (const offset of [2n ** 70n, 2n ** 63n, -(2n ** 63n) - 1n]) {
          const records = [legacy[0], { ...legacy[0], offset }]
          const error = await failure(() => MessageSet.encode(records, { magic, compression }))
          assert.strictEqual(error.reason, "InvalidValue")
          assert.strictEqual(error.field, "records[1].offset")
        }
        const far = [{ ...legacy[0], offset: 2n ** 63n - 1n }]
        assert.deepStrictEqual(await decode(await MessageSet.encode(far, { magic, compression }), {}), [
          { ...far[0], timestamp: magic === 0 ? -1 : far[0].timestamp }
        ])
      }
    }
  })
})

describe("properties", () => {
  const int64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 2n ** 62n }))
  const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const nullableBytes = Schema.NullOr(Schema.Uint8Array)
  const Contents = Schema.Struct({
    records: Schema.NonEmptyArray(
      Schema.Struct({
        timestamp: int(-(2 ** 51), 2 ** 51),
        key: nullableBytes,
        value: nullableBytes,
        headers: Schema.Array(Schema.Tuple([Schema.String, nullableBytes]))
      })
    ),
    baseOffset: int64,
    producerId: int64,
    producerEpoch: int(0, 0x7fff),
    baseSequence: int(0, 0x7fffffff),
    partitionLeaderEpoch: int(-1, 0x7fffffff)
  })

  const placed = ({ baseOffset, records }: typeof Contents.Type, magic: number): ReadonlyArray<Record> =>
    records.map((one, index) => ({
      offset: baseOffset + BigInt(index),
      timestamp: magic === 0 ? -1 : one.timestamp,
      key: one.key,
      value: one.value,
      // Not all strings are text that UTF-8 has.
      headers: magic === 2 ? one.headers.map(([key, value]) => [key.toWellFormed(), value] as const) : noHeaders
    }))

  const codecs: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]
  const settings = { arbitrary: { runs: 60, seed } }

  for (const compression of codecs) {
    it.effect.prop(
      `round trip, magic 2, ${compression}`,
      { contents: Contents },
      ({ contents }) =>
        Effect.promise(async () => {
          const { records: _, ...options } = contents
          const records = placed(contents, 2)
          const data = await build(records, { ...options, compression })
          const [batch] = Records.split(data).batches
          const { baseOffset, baseSequence, partitionLeaderEpoch, producerEpoch, producerId } = batch
          assert.deepStrictEqual({ baseOffset, baseSequence, partitionLeaderEpoch, producerEpoch, producerId }, options)
          assert.deepStrictEqual(await decode(data, {}), records)
        }),
      settings
    )
    if (compression === "zstd") continue
    for (const magic of [0, 1] as const) {
      it.effect.prop(
        `round trip, magic ${magic}, ${compression}`,
        { contents: Contents },
        ({ contents }) =>
          Effect.promise(async () => {
            const records = placed(contents, magic)
            const data = await MessageSet.encode(records, { magic, compression })
            assert.deepStrictEqual(await decode(data, {}), records)
          }),
        settings
      )
    }
  }

  it("times that are far apart, exactly", async () => {
    const random = new Random(seed)
    const edges = [-1, 0, 1, 2 ** 30, 2 ** 31, 2 ** 32, 2 ** 33, 2 ** 34, 2 ** 35, 2 ** 42, 2 ** 49, 2 ** 51]
    const near = (edge: number): number => edge + random.integer(-3, 3)
    for (let run = 0; run < 3000; run++) {
      // Without -0, which comes back as 0.
      const first = random.pick([1, -1]) * near(random.pick(edges)) + 0
      const second = near(random.pick([...edges, 2 ** 52]))
      for (const pair of [
        [first, second],
        [second, first]
      ]) {
        const data = await build(pair.map((timestamp) => ({ ...record(0), timestamp })))
        const times = (await decode(data)).map((one) => one.timestamp)
        assert.deepStrictEqual(times, pair)
      }
    }
  })
})
