import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { Effect, Fiber } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Serde from "kafka-effect/Serde"
import * as TestBroker from "../src/TestBroker.ts"

const clusterOf = (configs: Record<string, string> = {}) =>
  TestBroker.layerKafka({ topics: { orders: { configs: { "cleanup.policy": "compact", ...configs } } } })

type Entry = readonly [key: string, value: string | null]

const produce = Effect.fnUntraced(function* (
  entries: ReadonlyArray<Entry>,
  options: { compression?: CompressionType; producerId?: bigint; baseSequence?: number; age?: number } = {}
) {
  const kafka = yield* Kafka.Kafka
  const { age = 0, ...build } = options
  const builder = new RecordBatchBuilder()
  for (const [key, value] of entries) {
    builder.append(Date.now() - age, Buffer.from(key), value === null ? null : Buffer.from(value))
  }
  const epoch = build.producerId === undefined ? {} : { producerEpoch: 0 }
  const records = Uint8Array.from(yield* Effect.promise(async () => builder.build({ ...build, ...epoch })))
  const topicData = [{ name: "orders", partitionData: [{ index: 0, records }] }]
  const { responses } = yield* kafka.request(0, Produce, { acks: 1, timeoutMs: 1000, topicData }, 12)
  const { baseOffset, errorCode } = responses[0].partitionResponses[0]
  assert.strictEqual(errorCode, codes.NONE)
  return baseOffset
})

const batches = Effect.fnUntraced(function* (fetchOffset = 0n) {
  const kafka = yield* Kafka.Kafka
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }]
  const { responses } = yield* kafka.request(0, Fetch, { topics: [{ topic: "orders", partitions }] }, 12)
  const [{ errorCode, records }] = responses[0].partitions
  assert.strictEqual(errorCode, codes.NONE)
  return Records.split(records ?? new Uint8Array(0)).batches
})

/** The ranges of batches, and what is in them. */
const content = Effect.fnUntraced(function* (fetchOffset = 0n) {
  const all = yield* batches(fetchOffset)
  return yield* Effect.forEach(all, (batch) =>
    Effect.promise(async () => {
      const records = await Records.decode(batch)
      const told = records.map(
        ({ key, offset, value }) => `${offset} ${Buffer.from(key ?? [])}=${value && Buffer.from(value)}`
      )
      return [`${batch.baseOffset}-${batch.lastOffset}`, ...told]
    })
  )
})

const compact = Effect.flatMap(TestBroker.TestBroker, (broker) => broker.compact("orders"))

describe("compact", () => {
  for (const compression of ["none", "gzip"] as const) {
    it.live(`keeps the last record of each key, where it is, in batches of compression ${compression}`, () =>
      Effect.gen(function* () {
        const [a1, b1, a2, c1, c2] = [
          ["a", "1"],
          ["b", "1"],
          ["a", "2"],
          ["c", "1"],
          ["c", "2"]
        ] as const
        yield* produce([a1, b1, a2], { compression })
        yield* produce([c1], { compression })
        yield* produce([c2], { compression })
        yield* compact
        const left = [
          ["0-2", "1 b=1", "2 a=2"],
          ["4-4", "4 c=2"]
        ]
        assert.deepStrictEqual(yield* content(), left)
        // Who asks for an offset that is gone gets what comes next.
        assert.deepStrictEqual(yield* content(3n), [left[1]])
        assert.deepStrictEqual(
          (yield* batches()).map((batch) => batch.compression),
          [compression, compression]
        )
        yield* compact
        assert.deepStrictEqual(yield* content(), left)
        assert.strictEqual(yield* produce([a1]), 5n)
      }).pipe(Effect.provide(clusterOf()))
    )
  }

  it.live("keeps the end of the log where all before it is gone", () =>
    Effect.gen(function* () {
      yield* produce([["a", null]])
      yield* compact
      yield* Effect.sleep("5 millis")
      yield* compact
      assert.deepStrictEqual(yield* content(), [["0-0"]])
      assert.strictEqual(yield* produce([["b", "1"]]), 1n)
      yield* compact
      assert.deepStrictEqual(yield* content(), [["1-1", "1 b=1"]])
    }).pipe(Effect.provide(clusterOf({ "delete.retention.ms": "1" })))
  )

  it.live("keeps tombstones for delete.retention.ms", () =>
    Effect.gen(function* () {
      yield* produce([
        ["a", "1"],
        ["b", "1"],
        ["a", null]
      ])
      yield* compact
      yield* compact
      assert.deepStrictEqual(yield* content(), [["0-2", "1 b=1", "2 a=null"]])
      yield* Effect.sleep("350 millis")
      yield* compact
      assert.deepStrictEqual(yield* content(), [["0-2", "1 b=1"]])
    }).pipe(Effect.provide(clusterOf({ "delete.retention.ms": "300" })))
  )

  it.live("keeps the last batch of each producer, by which its sequence is known", () =>
    Effect.gen(function* () {
      const producerId = 7n
      yield* produce([["a", "1"]], { producerId, baseSequence: 0 })
      yield* produce([["a", "2"]], { producerId, baseSequence: 1 })
      yield* produce([["a", "3"]])
      yield* compact
      assert.deepStrictEqual(yield* content(), [["1-1"], ["2-2", "2 a=3"]])
      const [empty] = yield* batches()
      assert.deepStrictEqual([empty.producerId, empty.baseSequence, empty.recordCount], [producerId, 1, 0])
      // Its last batch again is known still.
      assert.strictEqual(yield* produce([["a", "2"]], { producerId, baseSequence: 1 }), 1n)
      assert.strictEqual(yield* produce([["a", "4"]], { producerId, baseSequence: 2 }), 3n)
    }).pipe(Effect.provide(clusterOf()))
  )

  it.live("leaves what is younger than min.compaction.lag.ms", () =>
    Effect.gen(function* () {
      yield* produce([["a", "1"]], { age: 20_000 })
      yield* produce([["a", "2"]], { age: 20_000 })
      yield* produce([["a", "3"]])
      yield* compact
      assert.deepStrictEqual(yield* content(), [
        ["1-1", "1 a=2"],
        ["2-2", "2 a=3"]
      ])
    }).pipe(Effect.provide(clusterOf({ "min.compaction.lag.ms": "10000" })))
  )

  it.live("is nothing that a consumer stumbles over", () =>
    Effect.gen(function* () {
      const producerId = 7n
      for (let index = 0; index < 5; index++) yield* produce([["a", `${index}`]], { producerId, baseSequence: index })
      yield* produce([["b", "1"]])
      yield* produce([["a", "last"]])
      yield* compact
      const orders = Kafka.topic("orders", { key: Serde.string, value: Serde.string })
      const consumer = yield* Consumer.make({ groupId: "g", topics: [orders], fallback: "earliest" })
      const seen: Array<string> = []
      const note = (records: ReadonlyArray<{ readonly key: string; readonly value: string }>) =>
        Effect.sync(() => void seen.push(...records.map(({ key, value }) => `${key}=${value}`)))
      const running = yield* Effect.forkChild(consumer.run(note))
      const isDone = Effect.sync(() => seen.length >= 2)
      yield* Effect.repeat(Effect.delay(isDone, "10 millis"), { until: (done) => done }).pipe(
        Effect.timeout("10 seconds")
      )
      yield* consumer.stop
      yield* Fiber.join(running)
      assert.deepStrictEqual(seen, ["b=1", "a=last"])
    }).pipe(Effect.scoped, Effect.provide(clusterOf()))
  )
})
