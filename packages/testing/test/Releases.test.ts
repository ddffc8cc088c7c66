/** This client against the broker inside the process, as every release of Kafka that it acts as. */
import { assert, describe, it } from "@effect/vitest"
import { types } from "@kafka-effect/protocol/Compression"
import { Effect, Exit, Option, References, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Offsets from "kafka-effect/Offsets"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { atLeast } from "../src/internal/Release.ts"
import { type ReleaseName, versionsByRelease } from "../src/internal/ReleaseVersions.ts"
import * as TestBroker from "../src/TestBroker.ts"

const timestamp = 1_600_000_000_000

// The keys of an object are strings to the compiler.
const releases = Object.keys(versionsByRelease) as ReadonlyArray<ReleaseName>

describe("Releases", () => {
  it("are in order", () => {
    for (const [index, name] of releases.entries()) {
      for (const [other, before] of releases.entries()) assert.strictEqual(atLeast({ name }, before), index >= other)
    }
  })

  for (const name of releases) {
    const codecs = types.filter((codec) => codec !== "zstd" || atLeast({ name }, "2.1"))
    const hasTimestamps = atLeast({ name }, "0.10.0")
    const hasHeaders = atLeast({ name }, "0.11")
    it.live(
      `${name}: ${codecs.join(", ")}, from the beginning, from the middle, from a place before the end, in a group`,
      () =>
        Effect.gen(function* () {
          const broker = yield* TestBroker.TestBroker
          for (const compression of codecs) {
            const topic = Kafka.topic(compression, {
              key: Serde.nullable(Serde.string),
              value: Serde.nullable(Serde.string)
            })
            const sent = Array.from({ length: 300 }, (_, index) => ({
              key: index % 3 === 0 ? null : `ключ ${index}`,
              value: index % 100 === 7 ? null : `größe ${index}`,
              timestamp: timestamp + index,
              partition: 1,
              ...(hasHeaders ? { headers: [["h", null]] as const } : {})
            }))
            const write = (some: typeof sent) =>
              Effect.scoped(Effect.flatMap(Producer.make({ compression }), (producer) => producer.sendAll(topic, some)))
            const places = [...(yield* write(sent.slice(0, 100))), ...(yield* write(sent.slice(100)))]
            assert.deepStrictEqual(
              places.map((place) => Exit.map(place, ({ offset }) => offset)),
              sent.map((_, index) => Exit.succeed(Option.some(BigInt(index))))
            )
            const read = (position: Consumer.Position) =>
              Consumer.assign({ partitions: [[topic, 1, position]], until: "end" }).pipe(Stream.runCollect)
            assert.deepStrictEqual(
              (yield* read("earliest")).map(({ headers, key, offset, timestamp, value }) => [
                offset,
                key,
                value,
                timestamp,
                headers.length
              ]),
              sent.map(({ key, timestamp, value }, index) => [
                BigInt(index),
                key,
                value,
                hasTimestamps ? timestamp : -1,
                hasHeaders ? 1 : 0
              ])
            )
            assert.deepStrictEqual(
              (yield* read(150n)).map(({ offset }) => offset),
              Array.from({ length: 150 }, (_, index) => 150n + BigInt(index))
            )
            assert.strictEqual((yield* read({ beforeEnd: 10 })).length, 10)
            const kept = yield* broker.records(compression, 1)
            assert.deepStrictEqual(
              kept.map(({ offset, timestamp }) => [offset, timestamp]),
              sent.map(({ timestamp }, index) => [BigInt(index), hasTimestamps ? timestamp : -1])
            )
          }
          const topic = Kafka.topic("none", { key: Serde.bytes, value: Serde.bytes })
          const inGroup = (count: number) =>
            Effect.scoped(
              Effect.gen(function* () {
                const consumer = yield* Consumer.make({
                  groupId: "g",
                  topics: [topic],
                  fallback: "earliest",
                  // Kafka 0.9 allows no more.
                  sessionTimeout: "30 seconds"
                })
                const read = yield* consumer.records.pipe(Stream.take(count), Stream.runCollect)
                yield* consumer.commit(Offsets.of(read))
                const committed = yield* consumer.committed([{ topic: "none", partition: 1 }])
                return [read[0].offset, read.length, [...committed].map(({ offset }) => offset)]
              })
            )
          assert.deepStrictEqual(yield* inGroup(200), [0n, 200, [200n]])
          assert.deepStrictEqual(yield* inGroup(100), [200n, 100, [300n]])
        }).pipe(
          Effect.provideService(References.MinimumLogLevel, "Warn"),
          Effect.provide(
            TestBroker.layerKafka({
              actAs: name,
              topics: Object.fromEntries(codecs.map((codec) => [codec, 2])),
              settings: { "group.initial.rebalance.delay.ms": "0" }
            })
          )
        )
    )
  }
})
