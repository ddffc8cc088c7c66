/** Brokers that come, that go for good, and that hold their clients back. */
import { assert, describe, it } from "@effect/vitest"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect, Layer, Logger } from "effect"
import { Kafka, Producer, Serde } from "kafka-effect"
import * as TestBroker from "../src/TestBroker.ts"

const T = Kafka.topic("t", { key: Serde.string, value: Serde.string })

const options: TestBroker.Options = { brokers: 2, network: "memory", topics: { t: 2 } }

const quiet = Layer.provideMerge(Logger.layer([]))

const described = Effect.gen(function* () {
  const kafka = yield* Kafka.Kafka
  const { brokers, topics } = yield* kafka.request("any", Metadata, { topics: [{ name: "t" }] })
  const ids = brokers.map(({ nodeId }) => nodeId).sort()
  const leaders = topics[0].partitions.map(({ leaderId }) => leaderId)
  return { ids, leaders }
})

describe("brokers", () => {
  it.live("come, take over, and go for good under a producer", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const producer = yield* Producer.make()
      const send = (value: string) =>
        Effect.forEach([0, 1], (partition) => producer.send(T, { key: "k", value, partition }))
      yield* send("a")
      assert.deepStrictEqual((yield* described).ids, [0, 1])
      assert.strictEqual(yield* broker.addBroker, 2)
      assert.deepStrictEqual((yield* described).ids, [0, 1, 2])
      yield* broker.moveLeader("t", 0, 2)
      yield* send("b")
      yield* broker.removeBroker(0)
      yield* broker.removeBroker(1)
      yield* send("c")
      const { ids, leaders } = yield* described
      assert.deepStrictEqual([ids, leaders], [[2], [2, 2]])
      for (const partition of [0, 1]) assert.lengthOf(yield* broker.records("t", partition), 3)
    }).pipe(Effect.provide(TestBroker.layerKafka(options).pipe(quiet)))
  )

  for (const [actAs, isAtOnce] of [
    ["4.4", true],
    ["1.1", false]
  ] as const) {
    it.live(`C18 ${actAs} throttles ${isAtOnce ? "and says so at once" : "before it answers"}`, () =>
      Effect.gen(function* () {
        const broker = yield* TestBroker.TestBroker
        const kafka = yield* Kafka.Kafka
        const ask = Effect.timed(kafka.request(0, ListGroups, {}))
        yield* ask
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* broker.throttle(ListGroups, "800 millis", { node: 0 })
            const started = performance.now()
            const { throttleTimeMs } = yield* kafka.request(0, ListGroups, {})
            assert.strictEqual(throttleTimeMs, 800)
            if (isAtOnce) assert.isBelow(performance.now() - started, 700)
            else assert.isAtLeast(performance.now() - started, 790)
            // The other broker does not, and who was throttled waits before he asks again.
            assert.strictEqual((yield* kafka.request(1, ListGroups, {})).throttleTimeMs, 0)
            yield* kafka.request(0, Metadata, { topics: [] })
            assert.isAtLeast(performance.now() - started, 790)
          })
        )
        assert.strictEqual((yield* kafka.request(0, ListGroups, {})).throttleTimeMs, 0)
      }).pipe(Effect.provide(TestBroker.layerKafka({ ...options, actAs }).pipe(quiet)))
    )
  }
})
