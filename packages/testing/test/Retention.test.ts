import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { IncrementalAlterConfigs } from "@kafka-effect/protocol/messages/IncrementalAlterConfigs"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { Effect } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as TestBroker from "../src/TestBroker.ts"

const hour = 3_600_000
const batchBytes = 70

const clusterOf = (configs: Record<string, string>) => TestBroker.layerKafka({ topics: { orders: { configs } } })

/** One batch of one record for each age; all batches have as many bytes. */
const produce = Effect.fnUntraced(function* (ages: ReadonlyArray<number>) {
  const kafka = yield* Kafka.Kafka
  for (const age of ages) {
    const builder = new RecordBatchBuilder()
    builder.append(Date.now() - age, Buffer.from("k"), Buffer.from("v"))
    const records = Uint8Array.from(yield* Effect.promise(async () => builder.build()))
    assert.strictEqual(records.length, batchBytes)
    const topicData = [{ name: "orders", partitionData: [{ index: 0, records }] }]
    const { responses } = yield* kafka.request(0, Produce, { acks: 1, timeoutMs: 1000, topicData }, 12)
    assert.strictEqual(responses[0].partitionResponses[0].errorCode, codes.NONE)
  }
})

/** The first offset and the one behind the last. */
const ends = Effect.gen(function* () {
  const kafka = yield* Kafka.Kafka
  const ask = (timestamp: bigint) =>
    kafka.request(0, ListOffsets, {
      replicaId: -1,
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp }] }]
    })
  const all = yield* Effect.forEach([-2n, -1n], ask)
  return all.map(({ topics }) => Number(topics[0].partitions[0].offset))
})

const apply = Effect.flatMap(TestBroker.TestBroker, ({ applyRetention }) => applyRetention)

describe("applyRetention", () => {
  it.live("deletes what is older than retention.ms, from the oldest on", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      yield* produce([5 * hour, 3 * hour, 0, 4 * hour, 0])
      yield* apply
      // A younger record keeps what lies behind it.
      assert.deepStrictEqual(yield* ends, [2, 5])
      const fetch = (fetchOffset: bigint) =>
        Effect.map(
          kafka.request(
            0,
            Fetch,
            {
              topics: [{ topic: "orders", partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1000 }] }]
            },
            12
          ),
          ({ responses }) => responses[0].partitions[0]
        )
      assert.strictEqual((yield* fetch(1n)).errorCode, codes.OFFSET_OUT_OF_RANGE)
      assert.strictEqual((yield* fetch(2n)).errorCode, codes.NONE)
    }).pipe(Effect.provide(clusterOf({ "retention.ms": String(2 * hour) })))
  )

  it.live("may leave nothing but the offset", () =>
    Effect.gen(function* () {
      yield* produce([5 * hour, 4 * hour])
      yield* apply
      assert.deepStrictEqual(yield* ends, [2, 2])
      yield* produce([0])
      assert.deepStrictEqual(yield* ends, [2, 3])
    }).pipe(Effect.provide(clusterOf({ "retention.ms": String(2 * hour) })))
  )

  it.live("deletes what is more than retention.bytes, as far as enough stays", () =>
    Effect.gen(function* () {
      yield* produce([0, 0, 0, 0])
      yield* apply
      // Two batches and a half are to stay: three do.
      assert.deepStrictEqual(yield* ends, [1, 4])
      const kafka = yield* Kafka.Kafka
      const configs = [{ name: "retention.bytes", configOperation: 0, value: String(2 * batchBytes) }]
      const resources = [{ resourceType: 2, resourceName: "orders", configs }]
      yield* kafka.request(0, IncrementalAlterConfigs, { resources, validateOnly: false })
      yield* apply
      assert.deepStrictEqual(yield* ends, [2, 4])
    }).pipe(Effect.provide(clusterOf({ "retention.bytes": String(2.5 * batchBytes) })))
  )

  for (const [what, configs] of [
    ["without limits", { "retention.ms": "-1" }],
    ["that is only compacted", { "cleanup.policy": "compact", "retention.ms": "1000", "retention.bytes": "0" }]
  ] as const) {
    it.live(`leaves a topic ${what}`, () =>
      Effect.gen(function* () {
        yield* produce([5000 * hour, 1000 * hour])
        yield* apply
        assert.deepStrictEqual(yield* ends, [0, 2])
      }).pipe(Effect.provide(clusterOf(configs)))
    )
  }
})
