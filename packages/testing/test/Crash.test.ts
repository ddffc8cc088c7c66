/** Leaders that crash: what was acknowledged with acks `all` is there afterwards, what only they had is lost. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import { Effect, Exit, Fiber, Layer, Logger, Stream } from "effect"
import { Consumer, Kafka, Producer, Serde } from "kafka-effect"
import * as TestBroker from "../src/TestBroker.ts"

const T = Kafka.topic("t", { key: Serde.string, value: Serde.string })

const cluster = TestBroker.layerKafka({
  brokers: 2,
  network: "memory",
  topics: { t: 1 },
  settings: { "default.replication.factor": "2" }
}).pipe(Layer.provideMerge(Logger.layer([])))

const live = (name: string, test: Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker>) =>
  it.live(name, () => test.pipe(Effect.provide(cluster)))

const send = (acks: "all" | 1, ...values: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make(acks === "all" ? {} : { acks, enableIdempotence: false })
    for (const value of values) yield* producer.send(T, { key: "k", value })
  }).pipe(Effect.scoped)

const values = Effect.gen(function* () {
  const broker = yield* TestBroker.TestBroker
  const text = new TextDecoder()
  return (yield* broker.records("t", 0)).map(({ value }) => text.decode(value ?? undefined))
})

const end = Effect.gen(function* () {
  const kafka = yield* Kafka.Kafka
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0, timestamp: -1n }] }]
  const answer = yield* kafka.request(0, ListOffsets, { replicaId: -1, isolationLevel: 0, topics })
  return answer.topics[0].partitions[0].offset
})

describe("a leader that crashes", () => {
  live(
    "C89 loses what no other replica has, of producers that did not wait for it",
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const kafka = yield* Kafka.Kafka
      yield* send("all", "a", "b")
      yield* broker.delayReplication("1 hour")
      yield* send(1, "c")
      assert.deepStrictEqual([yield* values, yield* end], [["a", "b", "c"], 2n])
      yield* broker.crashBroker(0)
      assert.deepStrictEqual(yield* values, ["a", "b"])
      const request = { topic: "t", partitions: [{ partition: 0, currentLeaderEpoch: 1, leaderEpoch: 0 }] }
      const { topics } = yield* kafka.request(1, OffsetForLeaderEpoch, { replicaId: -1, topics: [request] })
      const [{ endOffset, errorCode, leaderEpoch }] = topics[0].partitions
      assert.deepStrictEqual([errorCode, leaderEpoch, endOffset], [codes.NONE, 0, 2n])
      yield* broker.startBroker(0)
      yield* broker.delayReplication(0)
      yield* send("all", "d")
      assert.deepStrictEqual(yield* values, ["a", "b", "d"])
    })
  )

  live(
    "has nothing acknowledged with acks all that it could lose; the idempotent producer writes it once",
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.delayReplication("1 hour")
      const sending = yield* Effect.forkChild(Effect.exit(send("all", "a")), { startImmediately: true })
      yield* Effect.repeat(Effect.delay(values, 10), { until: (all) => all.length > 0 })
      assert.isUndefined(sending.pollUnsafe())
      yield* broker.delayReplication(0)
      yield* broker.crashBroker(0)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(sending)))
      assert.deepStrictEqual(yield* values, ["a"])
    })
  )

  live(
    "hands everything over when it is stopped politely, and loses nothing where nobody else has a replica",
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.delayReplication("1 hour")
      yield* send(1, "a")
      yield* broker.stopBroker(0)
      yield* broker.delayReplication(0)
      assert.deepStrictEqual(yield* values, ["a"])
      yield* send("all", "b")
      yield* broker.crashBroker(1)
      yield* broker.startBroker(1)
      assert.deepStrictEqual(yield* values, ["a", "b"])
    })
  )

  live(
    "is not read further than its followers are",
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.delayReplication("300 millis")
      const seen: Array<string> = []
      const reading = Consumer.assign({ partitions: [[T, 0, "earliest"]] }).pipe(
        Stream.runForEachArray((records) => Effect.sync(() => void seen.push(...records.map(({ value }) => value))))
      )
      yield* Effect.forkScoped(reading)
      yield* send(1, "a")
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual([yield* values, seen], [["a"], []])
      yield* Effect.repeat(Effect.sleep(10), { until: () => seen.length > 0 })
      assert.deepStrictEqual(seen, ["a"])
    }).pipe(Effect.scoped)
  )
})
