import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { crc32c } from "@node-rs/crc32"
import { Effect } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as TestBroker from "../src/TestBroker.ts"

const day = 86_400_000
const compressions = ["uncompressed", "gzip", "snappy", "lz4", "zstd"] as const

const cluster = TestBroker.layerKafka({
  brokers: 2,
  topics: {
    plain: 1,
    compacted: { configs: { "cleanup.policy": "compact" } },
    both: { configs: { "cleanup.policy": "compact,delete" } },
    appended: { configs: { "message.timestamp.type": "LogAppendTime" } },
    timely: { configs: { "message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "1000" } },
    small: { configs: { "max.message.bytes": "100" } },
    safe: { replicationFactor: 2, configs: { "min.insync.replicas": "2" } },
    ...Object.fromEntries(compressions.map((name) => [name, { configs: { "compression.type": name } }]))
  }
})

interface Sent {
  readonly key?: string | null
  readonly value?: string
  readonly timestamp?: number
}

const text = new TextEncoder()

const batch = (records: ReadonlyArray<Sent>, compression: CompressionType = "none") =>
  Effect.promise(async () => {
    const builder = new RecordBatchBuilder()
    for (const { key = "k", timestamp = Date.now(), value = "v" } of records) {
      builder.append(timestamp, key === null ? null : text.encode(key), text.encode(value))
    }
    return Uint8Array.from(await builder.build({ compression }))
  })

/** The batch with something else in it, and a checksum that is right unless asked otherwise. */
const changed = (bytes: Uint8Array, change: (view: DataView) => void, isSealed = true) => {
  const copy = Uint8Array.from(bytes)
  const view = new DataView(copy.buffer)
  change(view)
  if (isSealed) view.setUint32(17, crc32c(copy.subarray(21)))
  return copy
}

const produce = Effect.fnUntraced(function* (
  name: string,
  records: Uint8Array | null,
  { acks = -1, version = 12 }: { readonly acks?: number; readonly version?: number } = {}
) {
  const kafka = yield* Kafka.Kafka
  const topicData = [{ name, partitionData: [{ index: 0, records }] }]
  const { responses } = yield* kafka.request(0, Produce, { acks, timeoutMs: 1000, topicData }, version)
  const { baseOffset, errorCode, errorMessage, logAppendTimeMs, recordErrors } = responses[0].partitionResponses[0]
  const faults = recordErrors.map(({ batchIndex, batchIndexErrorMessage }) => [batchIndex, batchIndexErrorMessage])
  return { baseOffset, errorCode, errorMessage, faults, logAppendTimeMs }
})

const codeOf = (...args: Parameters<typeof produce>) => Effect.map(produce(...args), ({ errorCode }) => errorCode)

describe("Produce, by a topic's settings", () => {
  it.live("takes only records with keys where the log is compacted", () =>
    Effect.gen(function* () {
      const records = yield* batch([{}, { key: null }, {}, { key: null }])
      const { errorCode, errorMessage, faults } = yield* produce("compacted", records)
      const fault = "Compacted topic cannot accept message without key in topic partition compacted-0"
      assert.strictEqual(errorCode, codes.INVALID_RECORD)
      assert.deepStrictEqual(faults, [
        [1, fault],
        [3, fault]
      ])
      assert.match(errorMessage ?? "", /^One or more records have been rejected due to 2 record errors in total/)
      const old = yield* produce("both", records, { version: 7 })
      assert.deepStrictEqual([old.errorCode, old.errorMessage, old.faults], [codes.INVALID_RECORD, null, []])
      assert.strictEqual(yield* codeOf("compacted", yield* batch([{}])), codes.NONE)
      assert.strictEqual(yield* codeOf("plain", records), codes.NONE)
    }).pipe(Effect.provide(cluster))
  )

  it.live("refuses times that lie too far away", () =>
    Effect.gen(function* () {
      const now = Date.now()
      const records = yield* batch([{}, { timestamp: now - day }, { timestamp: now + day }, { timestamp: -1 }])
      const { errorCode, errorMessage, faults } = yield* produce("timely", records)
      assert.strictEqual(errorCode, codes.INVALID_TIMESTAMP)
      assert.strictEqual(errorMessage, "One or more records have been rejected due to invalid timestamp")
      assert.deepStrictEqual(
        faults.map(([index]) => index),
        [1, 2]
      )
      assert.include(String(faults[0][1]), `Timestamp ${now - day} of message with offset 1 is out of range.`)
      // An hour ahead is the most by default, and nothing is too old.
      assert.strictEqual(yield* codeOf("plain", yield* batch([{ timestamp: now - 5000 * day }])), codes.NONE)
      assert.strictEqual(yield* codeOf("plain", yield* batch([{ timestamp: now + day }])), codes.INVALID_TIMESTAMP)
      // Where the broker's time counts, that of records does not.
      assert.strictEqual(yield* codeOf("appended", yield* batch([{ timestamp: now + day }])), codes.NONE)
    }).pipe(Effect.provide(cluster))
  )

  it.live("took any time ahead before Kafka 4.0", () =>
    Effect.gen(function* () {
      const records = yield* batch([{ timestamp: Date.now() + day }])
      assert.strictEqual(yield* codeOf("plain", records, { version: 9 }), codes.NONE)
    }).pipe(Effect.provide(TestBroker.layerKafka({ actAs: "3.9", topics: { plain: 1 } })))
  )

  it.live("sets the time of appending, which producers may not", () =>
    Effect.gen(function* () {
      const records = yield* batch([{ timestamp: 5 }])
      const { errorCode, logAppendTimeMs } = yield* produce("appended", records)
      assert.strictEqual(errorCode, codes.NONE)
      assert.isAbove(Number(logAppendTimeMs), Date.now() - 10_000)
      const flagged = changed(records, (view) => view.setInt16(21, 8))
      assert.strictEqual(yield* codeOf("appended", flagged), codes.INVALID_TIMESTAMP)
    }).pipe(Effect.provide(cluster))
  )

  it.live("refuses batches that are too large", () =>
    Effect.gen(function* () {
      const records = yield* batch([{ value: "x".repeat(100) }])
      assert.strictEqual(yield* codeOf("small", records), codes.MESSAGE_TOO_LARGE)
      // The size is looked at before the checksum.
      const damaged = changed(records, (view) => view.setUint32(17, 1), false)
      assert.strictEqual(yield* codeOf("small", damaged), codes.MESSAGE_TOO_LARGE)
      const exact = yield* batch([{ value: "x".repeat(31) }])
      assert.strictEqual(exact.length, 100)
      assert.strictEqual(yield* codeOf("small", exact), codes.NONE)
    }).pipe(Effect.provide(cluster))
  )

  it.live("refuses what is to be on all replicas while too few are in sync", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const records = yield* batch([{}])
      assert.strictEqual(yield* codeOf("safe", records), codes.NONE)
      yield* broker.stopBroker(1)
      assert.strictEqual(yield* codeOf("safe", records), codes.NOT_ENOUGH_REPLICAS)
      assert.strictEqual(yield* codeOf("safe", records, { acks: 1 }), codes.NONE)
      assert.strictEqual(yield* codeOf("plain", records), codes.NONE)
      yield* broker.startBroker(1)
      assert.strictEqual(yield* codeOf("safe", records), codes.NONE)
    }).pipe(Effect.provide(cluster))
  )

  it.live("asks for no more replicas than there are", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* codeOf("alone", yield* batch([{}])), codes.NONE)
    }).pipe(Effect.provide(TestBroker.layerKafka({ topics: { alone: { configs: { "min.insync.replicas": "2" } } } })))
  )

  it.live("keeps batches compressed as the topic says", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const sent = [{ key: "a" }, { key: "b", value: "2" }]
      for (const name of ["plain", ...compressions]) {
        for (const compression of ["none", "gzip"] as const) {
          assert.strictEqual(yield* codeOf(name, yield* batch(sent, compression)), codes.NONE)
        }
        const partitions = [{ partition: 0, fetchOffset: 0n, partitionMaxBytes: 10_000 }]
        const asked = { maxWaitMs: 0, minBytes: 1, topics: [{ topic: name, partitions }] }
        const { responses } = yield* kafka.request(0, Fetch, asked, 12)
        const { batches } = Records.split(responses[0].partitions[0].records ?? new Uint8Array(0))
        const kept = name === "plain" ? undefined : name === "uncompressed" ? "none" : name
        assert.deepStrictEqual(
          batches.map(({ baseOffset, compression, lastOffset }) => `${compression} ${baseOffset} ${lastOffset}`),
          [`${kept ?? "none"} 0 1`, `${kept ?? "gzip"} 2 3`]
        )
        const records = yield* Effect.promise(async () => Records.decode(batches[1]))
        assert.deepStrictEqual(
          records.map(({ key, value }) => `${Buffer.from(key ?? [])}=${Buffer.from(value ?? [])}`),
          ["a=v", "b=2"]
        )
      }
    }).pipe(Effect.provide(cluster))
  )
})

describe("Produce, by the batch", () => {
  it.live("refuses what is damaged or not allowed", () =>
    Effect.gen(function* () {
      const single = yield* batch([{}])
      const three = yield* batch([{}, {}, {}])
      const zipped = yield* batch([{}, {}], "gzip")
      const join = (...parts: ReadonlyArray<Uint8Array>) => Uint8Array.from(Buffer.concat(parts))
      const { CORRUPT_MESSAGE, INVALID_RECORD, NONE, UNKNOWN_SERVER_ERROR } = codes
      const cases: ReadonlyArray<readonly [string, Uint8Array | null, number]> = [
        ["nothing", null, INVALID_RECORD],
        ["no bytes", new Uint8Array(0), INVALID_RECORD],
        ["part of a batch", three.subarray(0, three.length - 3), INVALID_RECORD],
        ["part of another batch behind", join(three, single.subarray(0, 20)), NONE],
        ["two batches", join(single, single), INVALID_RECORD],
        ["an unknown format", changed(single, (view) => view.setInt8(16, 3), false), CORRUPT_MESSAGE],
        ["an older format", changed(single, (view) => view.setInt16(16, 0x100), false), INVALID_RECORD],
        ["a bad length", changed(single, (view) => view.setInt32(8, 5), false), CORRUPT_MESSAGE],
        ["a bad checksum", changed(single, (view) => view.setUint32(17, 1), false), CORRUPT_MESSAGE],
        ["an offset", changed(single, (view) => view.setBigInt64(0, 5n)), INVALID_RECORD],
        ["a control batch", changed(single, (view) => view.setInt16(21, 0x20)), INVALID_RECORD],
        ["no records", changed(single, (view) => view.setInt32(57, 0)), INVALID_RECORD],
        ["fewer records than are counted", changed(three, (view) => view.setInt32(57, 4)), INVALID_RECORD],
        ["more records than are counted", changed(three, (view) => view.setInt32(57, 2)), INVALID_RECORD],
        ["a range below", changed(single, (view) => view.setInt32(23, -1)), INVALID_RECORD],
        ["a producer without sequence", changed(single, (view) => view.setBigInt64(43, 5n)), INVALID_RECORD],
        ["a bad record", changed(single, (view) => view.setInt8(61, 2)), INVALID_RECORD],
        ["an unknown codec", changed(single, (view) => view.setInt16(21, 5)), UNKNOWN_SERVER_ERROR],
        ["damaged compression", changed(zipped, (view) => view.setInt8(62, 9)), UNKNOWN_SERVER_ERROR]
      ]
      for (const [what, bytes, code] of cases) assert.strictEqual(yield* codeOf("plain", bytes), code, what)
    }).pipe(Effect.provide(cluster))
  )

  it.live("takes zstd from version 7 on, and acks of -1, 0 and 1", () =>
    Effect.gen(function* () {
      const records = yield* batch([{}], "zstd")
      assert.strictEqual(yield* codeOf("plain", records, { version: 6 }), codes.UNSUPPORTED_COMPRESSION_TYPE)
      assert.strictEqual(yield* codeOf("plain", records, { version: 7 }), codes.NONE)
      for (const acks of [-2, 2]) {
        assert.strictEqual(yield* codeOf("plain", records, { acks }), codes.INVALID_REQUIRED_ACKS)
      }
    }).pipe(Effect.provide(cluster))
  )

  it.live("knows topics by their ids from version 13 on", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const topicId = Buffer.alloc(16, 7).toString("base64url")
      const topicData = [{ topicId, partitionData: [{ index: 0, records: yield* batch([{}]) }] }]
      const { responses } = yield* kafka.request(0, Produce, { acks: 1, timeoutMs: 1000, topicData }, 13)
      assert.strictEqual(responses[0].partitionResponses[0].errorCode, codes.UNKNOWN_TOPIC_ID)
    }).pipe(Effect.provide(cluster))
  )
})

describe("Fetch", () => {
  for (const [actAs, code] of [
    ["3.9", codes.UNSUPPORTED_COMPRESSION_TYPE],
    ["4.4", codes.NONE]
  ] as const) {
    it.live(`of a zstd topic in version 9 from Kafka ${actAs}`, () =>
      Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const ask = (version: number) => {
          const partitions = [{ partition: 0, fetchOffset: 0n, partitionMaxBytes: 100 }]
          const asked = kafka.request(0, Fetch, { topics: [{ topic: "zstd", partitions }] }, version)
          return Effect.map(asked, ({ responses }) => responses[0].partitions[0].errorCode)
        }
        assert.strictEqual(yield* ask(9), code)
        assert.strictEqual(yield* ask(10), codes.NONE)
      }).pipe(
        Effect.provide(TestBroker.layerKafka({ actAs, topics: { zstd: { configs: { "compression.type": "zstd" } } } }))
      )
    )
  }
})
