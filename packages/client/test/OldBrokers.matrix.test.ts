/**
 * Records through brokers of every generation, each with the codecs that it knows: formats v0, v1 and v2, and every way
 * of the past to ask for metadata, offsets and records.
 */
import { assert, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

interface Generation {
  readonly version: string
  readonly compressions: ReadonlyArray<CompressionType>
  readonly hasTimestamps: boolean
  readonly hasHeaders: boolean
}

const old = ["none", "gzip", "snappy", "lz4"] as const
const all = [...old, "zstd"] as const

const generations: ReadonlyArray<Generation> = [
  { version: "0.8.2.2", compressions: old, hasTimestamps: false, hasHeaders: false },
  { version: "0.9.0.1", compressions: old, hasTimestamps: false, hasHeaders: false },
  { version: "0.10.0.1", compressions: old, hasTimestamps: true, hasHeaders: false },
  { version: "0.10.2.1", compressions: old, hasTimestamps: true, hasHeaders: false },
  { version: "0.11.0.3", compressions: old, hasTimestamps: true, hasHeaders: true },
  { version: "1.1.1", compressions: old, hasTimestamps: true, hasHeaders: true },
  { version: "2.8.2", compressions: all, hasTimestamps: true, hasHeaders: true },
  { version: "3.9.1", compressions: all, hasTimestamps: true, hasHeaders: true }
]

const timestamp = 1_600_000_000_000

describeRig("brokers of old", () => {
  for (const { compressions, hasHeaders, hasTimestamps, version } of generations) {
    it.live(
      `${version}: ${compressions.join(", ")}, from the beginning, from the middle, from a place before the end, in a group`,
      () =>
        Effect.gen(function* () {
          const { bootstrapServers } = yield* KafkaCluster.start({ version })
          yield* Effect.gen(function* () {
            for (const compression of compressions) {
              const topic = Kafka.topic(`codec-${compression}`, {
                key: Serde.nullable(Serde.string),
                value: Serde.nullable(Serde.string)
              })
              const records = Array.from({ length: 3000 }, (_, index) => ({
                key: index % 3 === 0 ? null : `ключ ${index}`,
                value: index % 100 === 7 ? null : `größe ${index}`,
                timestamp: timestamp + index,
                ...(hasHeaders ? { headers: [["h", null]] as const } : {})
              }))
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const producer = yield* Producer.make({ compression })
                  yield* Stream.fromIterable(records).pipe(Stream.run(producer.sink(topic)))
                })
              )
              const read = (position: Consumer.Position) =>
                Consumer.assign({ partitions: [[topic, 0, position]], until: "end" }).pipe(Stream.runCollect)
              const everything = yield* read("earliest")
              assert.deepStrictEqual(
                everything.map(({ headers, key, offset, timestamp, value }) => [
                  offset,
                  key,
                  value,
                  timestamp,
                  headers.length
                ]),
                records.map(({ key, value, timestamp }, index) => [
                  BigInt(index),
                  key,
                  value,
                  hasTimestamps ? timestamp : -1,
                  hasHeaders ? 1 : 0
                ]),
                compression
              )
              assert.deepStrictEqual(
                (yield* read(2000n)).map(({ offset }) => offset),
                Array.from({ length: 1000 }, (_, index) => 2000n + BigInt(index))
              )
              assert.strictEqual((yield* read({ beforeEnd: 10 })).length, 10)
            }
            const topic = Kafka.topic("codec-none", { key: Serde.bytes, value: Serde.bytes })
            const group = {
              groupId: "g",
              topics: [topic],
              fallback: "earliest",
              idleTimeout: "10 seconds",
              // Kafka 0.9 allows no more.
              sessionTimeout: "30 seconds"
            } as const
            const inGroup = (count: number) =>
              Effect.scoped(
                Effect.gen(function* () {
                  const consumer = yield* Consumer.make(group)
                  const read = yield* consumer.records.pipe(Stream.take(count), Stream.runCollect)
                  yield* consumer.commit(Offsets.of(read))
                  const committed = yield* consumer.committed([{ topic: topic.name, partition: 0 }])
                  return {
                    first: read[0]?.offset,
                    count: read.length,
                    next: [...committed].map(({ offset }) => offset)
                  }
                })
              )
            assert.deepStrictEqual(yield* inGroup(2000), { first: 0n, count: 2000, next: [2000n] })
            assert.deepStrictEqual(yield* inGroup(1000), { first: 2000n, count: 1000, next: [3000n] })
            if (!hasHeaders) {
              const producer = yield* Producer.make()
              const record = { key: null, value: new Uint8Array(1), headers: [["h", null]] as const }
              const error = yield* Effect.flip(producer.send(topic, record))
              assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "Unsupported")
              assert.include(error.message, "0.11")
            }
            if (!compressions.includes("zstd")) {
              const producer = yield* Producer.make({ compression: "zstd" })
              const error = yield* Effect.flip(producer.send(topic, { key: null, value: new Uint8Array(1) }))
              assert.include(error.message, "zstd needs Kafka 2.1")
            }
          }).pipe(Effect.provide(Kafka.layer({ bootstrapServers })))
        }),
      { timeout: 180_000 }
    )
  }
})
