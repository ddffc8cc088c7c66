import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import { noHeaders, type Record } from "@kafka-effect/protocol/Record"
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { goldens } from "./fixtures/recordGoldens.ts"

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const golden = (name: keyof typeof goldens): Uint8Array => new Uint8Array(Buffer.from(goldens[name], "hex"))

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex")

const time = 1_700_000_000_000
const appendTime = time + 9

/** What all of them hold: a gap in the offsets, times in both directions and far apart, nulls and empty values. */
const contents = (magic: 0 | 1 | 2): ReadonlyArray<Record> => {
  const headers = [
    ["größe", bytes("x")],
    ["größe", null],
    ["", bytes("")]
  ] as const
  return [
    { offset: 100n, timestamp: time, key: bytes("key"), value: bytes("value ".repeat(12)), headers },
    { offset: 101n, timestamp: time + 70_000, key: null, value: bytes(""), headers: noHeaders },
    { offset: 105n, timestamp: time - 5_000_000_000, key: bytes(""), value: null, headers: noHeaders }
  ].map((record) => ({
    ...record,
    timestamp: magic === 0 ? -1 : record.timestamp,
    headers: magic === 2 ? record.headers : noHeaders
  }))
}

const at = (timestamp: number): ReadonlyArray<Record> => contents(2).map((record) => ({ ...record, timestamp }))

const only = (data: Uint8Array) => {
  const { batches, partialBytes } = Records.split(data)
  assert.strictEqual(batches.length, 1)
  assert.strictEqual(partialBytes, 0)
  return batches[0]
}

const build = (records: ReadonlyArray<Record>, options: BuildOptions = {}): Uint8Array => {
  const builder = new RecordBatchBuilder()
  for (const { headers, key, offset, timestamp, value } of records) {
    builder.append(timestamp, key, value, headers, Number(offset - 100n))
  }
  return builder.build({ baseOffset: 100n, ...options }) as Uint8Array // at once: not compressed
}

const codecs: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4"]

describe("what Java writes is read", () => {
  for (const magic of [0, 1, 2] as const) {
    for (const compression of codecs) {
      it(`magic ${magic}, ${compression}`, async () => {
        const batch = only(golden(`v${magic} ${compression}` as keyof typeof goldens)) // there is one of each
        assert.strictEqual(batch.magic, magic)
        assert.strictEqual(batch.compression, compression)
        assert.strictEqual(batch.lastOffset, 105n)
        assert.strictEqual(batch.timestampType, "create")
        assert.strictEqual(batch.maxTimestamp, magic === 0 ? -1 : time + 70_000)
        assert.deepStrictEqual(await Records.decode(batch), contents(magic))
      })
    }
  }

  it("magic 2, zstd", async () => {
    const batch = only(golden("v2 zstd"))
    assert.strictEqual(batch.compression, "zstd")
    assert.deepStrictEqual(await Records.decode(batch), contents(2))
  })

  it("log-append time, in a batch and in a wrapper", async () => {
    const batch = only(golden("v2 none, append time"))
    assert.strictEqual(batch.timestampType, "append")
    assert.strictEqual(batch.maxTimestamp, appendTime)
    assert.deepStrictEqual(await Records.decode(batch), at(appendTime))
    const wrapper = only(golden("v1 gzip, append time"))
    assert.strictEqual(wrapper.timestampType, "append")
    const times = (await Records.decode(wrapper)).map((record) => record.timestamp)
    assert.deepStrictEqual(times, [appendTime, appendTime, appendTime])
  })

  it("a delete horizon: the records keep their times", async () => {
    assert.deepStrictEqual(await Records.decode(only(golden("v2 none, delete horizon"))), contents(2))
  })

  it("the end of a transaction", async () => {
    const batch = only(golden("v2 commit marker"))
    assert.isTrue(batch.isControl)
    assert.isTrue(batch.isTransactional)
    const records = await Records.decode(batch)
    assert.deepStrictEqual(records.map(ControlRecord.decode), [{ type: "commit", coordinatorEpoch: 9 }])
  })

  it("a batch whose records compaction has removed", async () => {
    const batch = only(golden("v2 none, no records left"))
    assert.strictEqual(batch.recordCount, 0)
    assert.strictEqual(batch.lastOffset, 141n)
    assert.deepStrictEqual(await Records.decode(batch), [])
  })
})

describe("C58 what we write is what Java writes", () => {
  it("record batches", () => {
    assert.strictEqual(hex(build(contents(2))), goldens["v2 none"])
    assert.strictEqual(hex(build(contents(2), { appendTime })), goldens["v2 none, append time"])
  })

  it("transactional batches", () => {
    const options = { producerId: 4711n, producerEpoch: 3, baseSequence: 2147483647, partitionLeaderEpoch: 7 }
    const data = build(contents(2), { ...options, isTransactional: true })
    assert.strictEqual(hex(data), goldens["v2 none, transactional"])
    const { baseSequence, isTransactional, partitionLeaderEpoch, producerEpoch, producerId } = only(data)
    assert.isTrue(isTransactional)
    assert.deepStrictEqual({ baseSequence, partitionLeaderEpoch, producerEpoch, producerId }, options)
  })

  it("markers", () => {
    const builder = new RecordBatchBuilder()
    builder.append(time, new Uint8Array([0, 0, 0, 1]), new Uint8Array([0, 0, 0, 0, 0, 9]))
    const data = builder.build({
      baseOffset: 100n,
      isTransactional: true,
      isControl: true,
      producerId: 4711n,
      producerEpoch: 3
    }) as Uint8Array // at once: not compressed
    assert.strictEqual(hex(data), goldens["v2 commit marker"])
  })

  it("message sets", async () => {
    assert.strictEqual(hex(await MessageSet.encode(contents(0), { magic: 0 })), goldens["v0 none"])
    assert.strictEqual(hex(await MessageSet.encode(contents(1), { magic: 1 })), goldens["v1 none"])
  })
})
