/** Clients and cluster without sockets, under a clock that only the test moves. */
import { assert, describe, it } from "@effect/vitest"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as Control from "../src/Control.ts"
import * as TestBroker from "../src/TestBroker.ts"
import { passing } from "../src/VirtualTime.ts"

const topic = Kafka.topic("orders", { key: Serde.string, value: Serde.string })

const cluster = TestBroker.layerKafka({ brokers: 3, network: "memory", topics: { orders: 3 } }).pipe(
  Layer.provideMerge(Logger.layer([]))
)

describe("Virtual time", () => {
  it.effect("a minute of silence between two records takes none", () =>
    Effect.gen(function* () {
      const start = performance.now()
      const seen: Array<readonly [value: string, timestamp: number]> = []
      const consumer = yield* passing(Consumer.make({ groupId: "g", topics: [topic], fallback: "earliest" }))
      yield* Effect.forkScoped(
        consumer.run((records) =>
          Effect.sync(() => {
            for (const { timestamp, value } of records) seen.push([value, timestamp])
          })
        )
      )
      const producer = yield* Producer.make()
      yield* passing(producer.send(topic, { key: "a", value: "first" }))
      yield* TestClock.adjust("1 minute")
      yield* passing(producer.send(topic, { key: "a", value: "second" }))
      yield* passing(
        Effect.gen(function* () {
          while (seen.length < 2) yield* Effect.sleep(5)
        })
      )
      assert.deepStrictEqual(
        seen.map(([value]) => value),
        ["first", "second"]
      )
      assert.isAtLeast(seen[1][1] - seen[0][1], 60_000)
      assert.isBelow(performance.now() - start, 20_000)
    }).pipe(Effect.provide(cluster))
  )

  it.effect("a broker that says nothing is given up after the request's time, and asked again", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.on(Produce, Control.silence)
      const producer = yield* Producer.make()
      const sending = yield* Effect.forkChild(producer.send(topic, { key: "a", value: "b" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(sending.pollUnsafe())
      yield* passing(Fiber.join(sending))
      const all = yield* Effect.forEach([0, 1, 2], (partition) => broker.records("orders", partition))
      assert.strictEqual(all.flat().length, 1)
    }).pipe(Effect.provide(cluster))
  )
})
