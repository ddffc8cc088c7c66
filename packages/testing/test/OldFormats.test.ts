/** Records in the formats before Kafka 0.11, as clients of then send and want them: raw requests, whose bytes are looked at. */

import * as zlib from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import * as Compression from "@kafka-effect/protocol/Compression"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import type { Headers } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Kafka from "kafka-effect/Kafka"
import * as TestBroker from "../src/TestBroker.ts"
import * as VirtualTime from "../src/VirtualTime.ts"

const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined)

const records = (values: ReadonlyArray<string>) =>
  values.map((value, index) => ({
    offset: BigInt(index),
    timestamp: 1000 + index,
    key: null,
    value: bytesOf(value),
    headers: []
  }))

const messages = (values: ReadonlyArray<string>, options: MessageSet.MessageSetOptions) =>
  Effect.promise(async () => MessageSet.encode(records(values), options))

const batch = (values: ReadonlyArray<string>, compression: Compression.CompressionType, headers?: Headers) =>
  Effect.promise(async () => {
    const builder = new RecordBatchBuilder()
    for (const [index, value] of values.entries()) builder.append(1000 + index, null, bytesOf(value), headers)
    return builder.build({ compression })
  })

const produce = (version: number, bytes: Uint8Array) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const topicData = [{ name: "t", partitionData: [{ index: 0, records: bytes }] }]
    const { responses } = yield* kafka.request("any", Produce, { acks: -1, timeoutMs: 1000, topicData }, version)
    return responses[0].partitionResponses[0]
  })

const fetch = (version: number, fetchOffset = 0n, partitionMaxBytes = 1_000_000) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const topics = [{ topic: "t", partitions: [{ partition: 0, fetchOffset, partitionMaxBytes }] }]
    const message = { replicaId: -1, maxWaitMs: 0, minBytes: 0, topics }
    const { responses } = yield* kafka.request("any", Fetch, message, version)
    const { errorCode, records } = responses[0].partitions[0]
    return { errorCode, bytes: records ?? new Uint8Array(0) }
  })

/** What lies in the bytes: per batch its format and codec, and all records. */
const read = Effect.fnUntraced(function* (bytes: Uint8Array) {
  const { batches } = Records.split(bytes)
  const all = yield* Effect.promise(() => Promise.all(batches.map(async (one) => Records.decode(one))))
  return {
    batches: batches.map(({ compression, magic }) => `${magic} ${compression}`),
    records: all.flat().map(({ offset, timestamp, value }) => `${offset} ${timestamp} ${textOf(value)}`)
  }
})

const on = (actAs: TestBroker.ReleaseName, settings: Readonly<Record<string, string>> = {}) =>
  Effect.provide(TestBroker.layerKafka({ actAs, network: "memory", topics: { t: 1 }, settings }))

/** Advances the clock for the delays of the network until the effect has ended. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) => VirtualTime.passing(effect, "10 millis")

const codecs = ["none", "gzip", "snappy", "lz4"] as const

describe("OldFormats", () => {
  for (const magic of [0, 1] as const) {
    for (const compression of codecs) {
      it.effect(
        `messages of magic ${magic} with ${compression} become a batch of v2, and each Fetch has its format`,
        () =>
          inTime(
            Effect.gen(function* () {
              const sent = yield* messages(["a", "b", "c"], { magic, compression })
              assert.include(yield* produce(magic === 0 ? 0 : 2, sent), { errorCode: 0, baseOffset: 0n })
              assert.include(yield* produce(magic === 0 ? 1 : 2, sent), { errorCode: 0, baseOffset: 3n })
              const time = (index: number) => (magic === 0 ? -1 : 1000 + index)
              const expected = (known: boolean) =>
                [..."abcabc"].map((value, index) => `${index} ${known ? time(index % 3) : -1} ${value}`)
              const v4 = yield* read((yield* fetch(4)).bytes)
              assert.deepStrictEqual(v4.batches, [`2 ${compression}`, `2 ${compression}`])
              assert.deepStrictEqual(v4.records, expected(true))
              for (const version of [0, 1, 2, 3]) {
                const format = version < 2 ? 0 : 1
                const found = yield* read((yield* fetch(version)).bytes)
                const isRun = compression === "none"
                assert.deepStrictEqual(
                  found.batches,
                  Array.from({ length: isRun ? 1 : 2 }, () => `${format} ${compression}`)
                )
                assert.deepStrictEqual(found.records, expected(format === 1))
              }
              // Plain messages begin at the offset, compressed ones are whole.
              const { records } = yield* read((yield* fetch(2, 4n)).bytes)
              assert.strictEqual(records.length, compression === "none" ? 2 : 3)
            }).pipe(on("3.9"))
          )
      )
    }
  }

  for (const [actAs, magic] of [
    ["0.8.2", 0],
    ["0.9", 0],
    ["0.10.0", 1],
    ["0.10.2", 1]
  ] as const) {
    it.effect(`${actAs} keeps magic ${magic}, with offsets inside of wrappers as that format has them`, () =>
      inTime(
        Effect.gen(function* () {
          const version = actAs === "0.8.2" ? 0 : actAs === "0.9" ? 1 : 2
          for (const value of ["a", "b"]) {
            const sent = yield* messages([`${value}1`, `${value}2`], { magic: 0, compression: "gzip" })
            yield* produce(version, sent)
          }
          const { bytes } = yield* fetch(version, 3n)
          const { batches, records } = yield* read(bytes)
          assert.deepStrictEqual(batches, [`${magic} gzip`])
          assert.deepStrictEqual(records, ["2 -1 b1", "3 -1 b2"])
          const [wrapper] = Records.split(bytes).batches
          assert.strictEqual(wrapper.lastOffset, 3n)
          const value = wrapper.bytes.subarray(magic === 0 ? 26 : 34)
          const inner = yield* Effect.promise(async () => Compression.decompress("gzip", value, 1000, { magic }))
          assert.strictEqual(MessageSet.header(inner, 0, inner.length).baseOffset, magic === 0 ? 2n : 0n)
        }).pipe(on(actAs))
      )
    )
  }

  it.effect("D5 the header checksum of lz4 is the wrong one in magic 0 only (KAFKA-3160)", () =>
    inTime(
      Effect.gen(function* () {
        assert.strictEqual(
          (yield* produce(0, yield* messages(["a", "b"], { magic: 0, compression: "lz4" }))).errorCode,
          0
        )
        const framed = (version: number, valueAt: number) =>
          Effect.flatMap(fetch(version), ({ bytes }) =>
            Effect.promise(async () => Compression.decompress("lz4", bytes.subarray(valueAt), 1000, { magic: 1 }))
          )
        assert.strictEqual((yield* Effect.exit(framed(0, 26)))._tag, "Failure")
        assert.strictEqual((yield* Effect.exit(framed(2, 34)))._tag, "Success")
      }).pipe(on("1.1"))
    )
  )

  it.effect("damage is found in a message and inside of a wrapper, and nothing is appended", () =>
    inTime(
      Effect.gen(function* () {
        const plain = yield* messages(["a", "b"], { magic: 1 })
        plain[plain.length - 1] ^= 1
        assert.include(yield* produce(2, plain), { errorCode: codes.CORRUPT_MESSAGE, baseOffset: -1n })
        const inner = yield* messages(["a", "b"], { magic: 1 })
        inner[inner.length - 1] ^= 1
        const value = yield* Effect.promise(async () => Compression.compress("gzip", inner, { magic: 1 }))
        const wrapper = MessageSet.encode([{ offset: 1n, timestamp: 1, key: null, value, headers: [] }], { magic: 1 })
        assert.instanceOf(wrapper, Uint8Array)
        // A plain message becomes a wrapper by its attributes, which the checksum is of.
        const view = new DataView(wrapper.buffer)
        wrapper[17] = 1
        view.setUint32(12, zlib.crc32(wrapper.subarray(16)))
        assert.include(yield* produce(2, wrapper), { errorCode: codes.CORRUPT_MESSAGE })
        assert.strictEqual((yield* fetch(2)).bytes.length, 0)
      }).pipe(on("0.10.2"))
    )
  )

  it.effect("a message that is cut off behind others is left out", () =>
    inTime(
      Effect.gen(function* () {
        const sent = yield* messages(["a", "b", "c"], { magic: 0 })
        assert.include(yield* produce(0, sent.subarray(0, sent.length - 1)), { errorCode: 0, baseOffset: 0n })
        assert.deepStrictEqual((yield* read((yield* fetch(0)).bytes)).records, ["0 -1 a", "1 -1 b"])
      }).pipe(on("0.9"))
    )
  )

  it.effect("LogAppendTime is the time of all, of wrappers too, and is told from Produce v2 on", () =>
    inTime(
      Effect.gen(function* () {
        yield* TestClock.adjust("5 seconds")
        for (const compression of ["none", "gzip"] as const) {
          const { errorCode, logAppendTimeMs } = yield* produce(
            2,
            yield* messages(["a", "b"], { magic: 1, compression })
          )
          assert.strictEqual(errorCode, 0)
          assert.isAtLeast(Number(logAppendTimeMs), 5000)
          const { bytes } = yield* fetch(2, compression === "none" ? 0n : 2n)
          const [found] = Records.split(bytes).batches
          assert.strictEqual(found.timestampType, "append")
          const decoded = yield* Effect.promise(async () => Records.decode(found))
          assert.deepStrictEqual(
            decoded.map(({ timestamp }) => timestamp),
            [Number(logAppendTimeMs), Number(logAppendTimeMs)]
          )
        }
      }).pipe(on("0.10.2", { "log.message.timestamp.type": "LogAppendTime" }))
    )
  )

  it.effect("a message above the limit is refused, whatever is with it", () =>
    inTime(
      Effect.gen(function* () {
        const sent = yield* messages(["a", "b".repeat(100), "c"], { magic: 0 })
        assert.include(yield* produce(0, sent), { errorCode: codes.MESSAGE_TOO_LARGE })
        assert.include(yield* produce(0, yield* messages(["a".repeat(60), "c".repeat(60)], { magic: 0 })), {
          errorCode: 0
        })
      }).pipe(on("0.8.2", { "message.max.bytes": "100" }))
    )
  )

  it.effect("before version 3, what does not fit is cut off", () =>
    inTime(
      Effect.gen(function* () {
        yield* produce(0, yield* messages(["a".repeat(100)], { magic: 0 }))
        for (const version of [0, 1, 2]) assert.strictEqual((yield* fetch(version, 0n, 50)).bytes.length, 50)
        assert.isAbove((yield* fetch(3, 0n, 50)).bytes.length, 100)
      }).pipe(on("2.8"))
    )
  )

  it.effect("from Produce v3 on only format v2 is taken, and zstd from v7 on", () =>
    inTime(
      Effect.gen(function* () {
        const old = yield* messages(["a"], { magic: 1 })
        assert.include(yield* produce(3, old), { errorCode: codes.INVALID_RECORD })
        const zstd = yield* batch(["a"], "zstd")
        assert.include(yield* produce(6, zstd), { errorCode: codes.UNSUPPORTED_COMPRESSION_TYPE })
        assert.include(yield* produce(7, zstd), { errorCode: 0 })
        for (const version of [1, 3]) {
          assert.strictEqual((yield* fetch(version)).errorCode, codes.UNSUPPORTED_COMPRESSION_TYPE)
        }
      }).pipe(on("3.9"))
    )
  )

  it.effect("headers do not reach who reads old formats", () =>
    inTime(
      Effect.gen(function* () {
        yield* produce(3, yield* batch(["a", "b"], "none", [["h", bytesOf("x")]]))
        const { bytes } = yield* fetch(3, 1n)
        assert.deepStrictEqual(yield* read(bytes), { batches: ["1 none"], records: ["1 1001 b"] })
        const [kept] = Records.split((yield* fetch(4)).bytes).batches
        assert.instanceOf(RecordBatch.decode(kept as RecordBatch.RecordBatch), Array)
      }).pipe(on("0.11"))
    )
  )

  it.effect("D3 ListOffsets v0 gives ends and beginnings of segments, newest first", () =>
    inTime(
      Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const ask = (timestamp: bigint, maxNumOffsets = 10) =>
          Effect.map(
            kafka.request(
              "any",
              ListOffsets,
              {
                replicaId: -1,
                topics: [{ name: "t", partitions: [{ partitionIndex: 0, timestamp, maxNumOffsets }] }]
              },
              0
            ),
            ({ topics }) => topics[0].partitions[0].oldStyleOffsets
          )
        assert.deepStrictEqual(yield* ask(-1n), [0n])
        yield* TestClock.adjust("100 seconds")
        yield* produce(0, yield* messages(["a", "b"], { magic: 0 }))
        yield* TestClock.adjust("100 seconds")
        assert.deepStrictEqual(yield* ask(-1n), [2n, 0n])
        assert.deepStrictEqual(yield* ask(-1n, 1), [2n])
        assert.deepStrictEqual(yield* ask(-2n), [0n])
        assert.deepStrictEqual(yield* ask(50_000n), [])
        assert.deepStrictEqual(yield* ask(150_000n), [0n])
        assert.deepStrictEqual(yield* ask(900_000n), [2n, 0n])
      }).pipe(on("0.9"))
    )
  )
})
