/** This client against the broker inside the process, as every release of Kafka that it acts as. */
import { assert, describe, it } from "@effect/vitest"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect, Option, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { atLeast } from "../src/internal/Release.ts"
import { type ReleaseName, versionsByRelease } from "../src/internal/ReleaseVersions.ts"
import * as TestBroker from "../src/TestBroker.ts"

const topic = Kafka.topic("orders", { key: Serde.string, value: Serde.string })

// The keys of an object are strings to the compiler.
const releases = Object.keys(versionsByRelease) as ReadonlyArray<ReleaseName>

describe("Releases", () => {
  it("are in order", () => {
    for (const [index, name] of releases.entries()) {
      for (const [other, before] of releases.entries()) assert.strictEqual(atLeast({ name }, before), index >= other)
    }
  })

  for (const name of releases) {
    it.live(`${name}: metadata, and, from 0.11 on, records there and back`, () =>
      Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const { topics } = yield* kafka.request("any", Metadata, { topics: [{ name: "orders" }] })
        assert.strictEqual(topics[0].partitions.length, 2)
        if (!atLeast({ name }, "0.11")) return
        const producer = yield* Producer.make()
        const { offset } = yield* producer.send(topic, { key: "a", value: "b", partition: 1 })
        assert.deepStrictEqual(offset, Option.some(0n))
        const read = yield* Stream.runCollect(Consumer.assign({ partitions: [[topic, 1, "earliest"]], until: "end" }))
        assert.deepStrictEqual(
          read.map(({ value }) => value),
          ["b"]
        )
      }).pipe(Effect.provide(TestBroker.layerKafka({ actAs: name, topics: { orders: 2 } })))
    )
  }
})
