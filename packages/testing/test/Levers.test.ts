/** What tests can do to a cluster, under clients that are at work. */
import { assert, describe, it } from "@effect/vitest"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, type Scope, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as Control from "../src/Control.ts"
import * as TestBroker from "../src/TestBroker.ts"

const topic = Kafka.topic("orders", { key: Serde.string, value: Serde.string })

const live = (
  name: string,
  test: () => Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker | Scope.Scope>
) =>
  it.live(name, () =>
    test().pipe(
      Effect.provide(
        TestBroker.layerKafka(
          { brokers: 3, topics: { orders: 3 }, settings: { "default.replication.factor": "3" } },
          { retryBackoff: "20 millis" }
        ).pipe(Layer.provideMerge(Logger.layer([])))
      )
    )
  )

const send = (from: number, count: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make({ linger: 0 })
    yield* Effect.forEach(
      Array.from({ length: count }, (_, index) => from + index),
      (value) => producer.send(topic, { key: `${value}`, value: `${value}`, partition: value % 3 }),
      { discard: true }
    )
  })

const valuesOf = (broker: TestBroker.Service) =>
  Effect.map(
    Effect.forEach([0, 1, 2], (partition) => broker.records("orders", partition)),
    (all) => all.flat().map(({ value }) => Number(Buffer.from(value!).toString()))
  )

const range = (count: number) => Array.from({ length: count }, (_, index) => index)
const sorted = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)

describe("Levers", () => {
  live("C45 leaders move under a producer: each record is written once, in order", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const sending = yield* Effect.forkChild(send(0, 300))
      for (let round = 0; round < 6; round++) {
        yield* Effect.sleep(20)
        for (const partition of [0, 1, 2]) yield* broker.moveLeader("orders", partition, (round + partition) % 3)
      }
      yield* Fiber.join(sending)
      const values = yield* valuesOf(broker)
      assert.deepStrictEqual(sorted(values), range(300))
      for (const partition of [0, 1, 2]) {
        const own = values.filter((value) => value % 3 === partition)
        assert.deepStrictEqual(own, sorted(own))
      }
    })
  )

  live("a broker is stopped and started again under a producer and a group: all is read, once", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const seen: Array<number> = []
      const consumer = yield* Consumer.make({ groupId: "g", topics: [topic], fallback: "earliest" })
      yield* Effect.forkScoped(
        consumer.run((records) =>
          Effect.sync(() => {
            for (const { value } of records) seen.push(Number(value))
          })
        )
      )
      const sending = yield* Effect.forkChild(send(0, 200))
      yield* Effect.sleep(100)
      for (const nodeId of [1, 2, 0]) {
        yield* broker.stopBroker(nodeId)
        yield* Effect.sleep(150)
        yield* broker.startBroker(nodeId)
        yield* Effect.sleep(50)
      }
      yield* Fiber.join(sending)
      yield* Effect.gen(function* () {
        while (seen.length < 200) yield* Effect.sleep(10)
      }).pipe(Effect.timeout("15 seconds"))
      assert.deepStrictEqual(sorted(seen), range(200))
    })
  )

  live("a coordinator moves, and sessions end: the group goes on", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const seen: Array<number> = []
      const events: Array<string> = []
      const consumer = yield* Consumer.make({
        groupId: "g",
        topics: [topic],
        fallback: "earliest",
        heartbeatInterval: "40 millis"
      })
      yield* consumer.events.pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => void events.push(_tag))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* Effect.forkScoped(
        consumer.run((records) =>
          Effect.sync(() => {
            for (const { value } of records) seen.push(Number(value))
          })
        )
      )
      const reads = (count: number) =>
        Effect.gen(function* () {
          while (seen.length < count) yield* Effect.sleep(10)
        }).pipe(Effect.timeout("10 seconds"))
      yield* send(0, 30)
      yield* reads(30)
      for (const nodeId of [0, 1, 2]) {
        yield* broker.moveCoordinator("group", "g", nodeId)
        yield* Effect.sleep(100)
      }
      yield* broker.rebalance("g")
      yield* Effect.sleep(100)
      yield* send(30, 30)
      yield* reads(60)
      assert.deepStrictEqual(sorted(seen), range(60))
      assert.notInclude(events, "Lost")
    })
  )

  live("C104 who is forgotten while his join is never answered hears of it by his commits, and joins again", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const kafka = yield* Kafka.Kafka
      const seen: Array<number> = []
      const events: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const consumer = yield* Consumer.make({
        groupId: "g",
        topics: [topic],
        fallback: "earliest",
        heartbeatInterval: "40 millis",
        autoCommitInterval: "100 millis",
        maxPollInterval: "60 seconds"
      })
      yield* consumer.events.pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => void events.push(_tag))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* Effect.forkScoped(
        consumer.run((records) =>
          Effect.gen(function* () {
            // What is in hand when the group rebalances is finished, and committed, after that.
            if (seen.length >= 30) yield* Deferred.await(gate)
            for (const { value } of records) seen.push(Number(value))
          })
        )
      )
      yield* send(0, 30)
      while (seen.length < 30) yield* Effect.sleep(10)
      yield* broker.on(JoinGroup, Control.silence)
      yield* send(30, 30)
      yield* broker.rebalance("g")
      yield* Effect.sleep(300)
      const described = yield* Effect.forEach([0, 1, 2], (node) =>
        kafka.request(node, DescribeGroups, { groups: ["g"] })
      )
      const [{ memberId }] = described.flatMap(({ groups }) => groups.flatMap(({ members }) => members))
      yield* broker.expireSession("g", memberId)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.gen(function* () {
        while (new Set(seen).size < 60 || !events.includes("Lost")) yield* Effect.sleep(10)
      }).pipe(Effect.timeout("10 seconds"))
      yield* send(60, 30)
      yield* Effect.gen(function* () {
        while (new Set(seen).size < 90) yield* Effect.sleep(10)
      }).pipe(Effect.timeout("10 seconds"))
    })
  )

  live("requests are watched in their order", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const watching = yield* broker.requests.pipe(
        Stream.filter(({ api }) => api === Produce.name),
        Stream.take(3),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* send(0, 3)
      const produced = yield* Fiber.join(watching)
      assert.deepStrictEqual(
        produced.map(({ node }) => node),
        [0, 1, 2]
      )
    })
  )

  live("what is not there is a mistake of the test, and says so", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const exit = yield* Effect.exit(broker.moveLeader("nothing", 0, 1))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "there is no topic nothing")
    })
  )
})
