import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Effect, Option, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as Control from "../src/Control.ts"
import * as TestBroker from "../src/TestBroker.ts"

const topic = Kafka.topic("orders", { key: Serde.string, value: Serde.string })

describe("TestBroker", () => {
  it.live("keeps what is produced, and gives it back", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      for (let index = 0; index < 100; index++) yield* producer.enqueue(topic, { key: `${index}`, value: `v${index}` })
      yield* producer.flush
      const partitions = [0, 1, 2].map((partition) => [topic, partition, "earliest"] as const)
      const read = yield* Stream.runCollect(Consumer.assign({ partitions, until: "end" }))
      assert.strictEqual(read.length, 100)
    }).pipe(Effect.provide(TestBroker.layerKafka({ brokers: 3, topics: { orders: 3 } })))
  )

  it.live("does what a script says, once", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.on(Produce, Control.fail(codes.NOT_LEADER_OR_FOLLOWER))
      yield* broker.on(Produce, Control.close)
      const producer = yield* Producer.make()
      const { offset } = yield* producer.send(topic, { key: "a", value: "b" })
      assert.deepStrictEqual(offset, Option.some(0n))
    }).pipe(Effect.provide(TestBroker.layerKafka({ topics: { orders: 1 } })))
  )

  it.live("C38 a batch whose answer was lost is written once", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const producer = yield* Producer.make({ linger: 0 })
      yield* producer.send(topic, { key: "a", value: "0" })
      yield* broker.on(Produce, Control.loseAnswer, { times: 3 })
      const sent = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => String(index + 1)),
        (value) => producer.send(topic, { key: "a", value }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        sent.map(({ offset }) => offset),
        Array.from({ length: 50 }, (_, index) => Option.some(BigInt(index + 1)))
      )
      const read = yield* Stream.runCollect(Consumer.assign({ partitions: [[topic, 0, "earliest"]], until: "end" }))
      assert.deepStrictEqual(
        read.map(({ value }) => Number(value)),
        Array.from({ length: 51 }, (_, index) => index)
      )
    }).pipe(Effect.provide(TestBroker.layerKafka({ topics: { orders: 1 } })))
  )
})
