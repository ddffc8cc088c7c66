import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Effect, Exit, Fiber, Logger } from "effect"
import { Accumulator } from "../src/internal/producer/Accumulator.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import { ScriptedLog } from "./ScriptedLog.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })
const scripted = (partitions = 1) =>
  Effect.gen(function* () {
    const cluster = yield* ScriptedCluster.make(1, { offered: { Produce: [0, 12] } })
    cluster.topics.set("t", { partitions: Array.from({ length: partitions }, () => ({ leader: 1, epoch: 1 })) })
    const log = new ScriptedLog()
    log.serve(cluster.brokers[0], 0)
    const kafka = yield* Kafka.make({
      bootstrapServers: [cluster.brokers[0].address],
      requestTimeout: "1 second",
      retryBackoff: "10 millis"
    })
    const make = (o: Producer.Options = {}) =>
      Producer.make({ deliveryTimeout: "3 seconds", linger: 0, ...o }).pipe(Effect.provideService(Kafka.Kafka, kafka))
    return { cluster, log, make }
  })
const rec = (value: string, partition = 0) => ({ key: null, value, partition })

describe("review", () => {
  it.live("F1 reorder: record joins the second half of a split batch while a later batch is in flight", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      yield* producer.sendAll(topic, [rec("warm")])
      log.delay = () => 150
      log.fault = (b) => (b.values.length === 4 ? { verdict: { errorCode: codes.MESSAGE_TOO_LARGE } } : undefined)
      const f1 = yield* Effect.forkChild(
        producer.sendAll(
          topic,
          ["a1", "a2", "a3", "a4"].map((v) => rec(v))
        )
      )
      yield* Effect.sleep(60)
      const f2 = yield* Effect.forkChild(
        producer.sendAll(
          topic,
          ["b1", "b2", "b3"].map((v) => rec(v))
        )
      )
      // A's answer has come at 150, B's has not (210 or later).
      yield* Effect.sleep(115)
      const f3 = yield* Effect.forkChild(producer.sendAll(topic, [rec("x")]))
      yield* Fiber.join(f1)
      yield* Fiber.join(f2)
      yield* Fiber.join(f3)
      console.log(
        "F1",
        log.values(0).join(" "),
        log.arrived.map((a) => a.values.join("+") + "@" + a.epoch + ":" + a.sequence).join(" | ")
      )
      assert.deepStrictEqual([...log.values(0)], ["warm", "a1", "a2", "a3", "a4", "b1", "b2", "b3", "x"])
    })
  )
  it.live("F2 hang: batch behind a batch that was wholly taken back", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ batchSize: 0 })
      log.delay = () => 200
      const f0 = yield* Effect.forkChild(producer.send(topic, rec("first")))
      yield* Effect.sleep(50)
      const f1 = yield* Effect.forkChild(producer.send(topic, rec("gone")))
      yield* Effect.sleep(10)
      const f2 = yield* Effect.forkChild(producer.send(topic, rec("stays")))
      yield* Effect.sleep(10)
      yield* Fiber.interrupt(f1)
      yield* Fiber.join(f0)
      const started = Date.now()
      const out = yield* Fiber.await(f2)
      console.log("F2", Date.now() - started, String(out).slice(0, 300))
      assert.isTrue(Exit.isSuccess(out))
      assert.isBelow(Date.now() - started, 1000)
    })
  )
  it.effect("F7 record appended to a batch that is being rebuilt", () =>
    Effect.gen(function* () {
      const acc = new Accumulator({ batchSize: 1000, bufferMemory: 300, now: () => 0, wake: () => {} })
      const queues = acc.queues("t")
      const bytes = (n: number) => new Uint8Array(n)
      const put = (n: number) => acc.append(queues, "t", 0, n + 36, 0, null, bytes(n), [])
      const batch = put(100)
      put(100)
      console.log("F7 used", acc.memory.used)
      let late: ReturnType<typeof put> | undefined
      let lateIndex = -1
      const fiber = yield* Effect.forkChild(
        Effect.tap(acc.memory.room(60), () =>
          Effect.sync(() => {
            late = put(24)
            lateIndex = late.builder.count - 1
            acc.memory.release(60)
          })
        ),
        { startImmediately: true }
      )
      assert.isUndefined(late)
      batch.cancel(0)
      const next = acc.withoutCancelled(queues[0]!)
      yield* Fiber.join(fiber)
      console.log("F7", late === batch, lateIndex, next?.builder.count, queues[0]!.waiting.length, acc.memory.used)
      assert.isFalse(late === batch)
    })
  )
  it.effect("F7b the same end to end in the accumulator, all taken back", () =>
    Effect.gen(function* () {
      const acc = new Accumulator({ batchSize: 1000, bufferMemory: 200, now: () => 0, wake: () => {} })
      const queues = acc.queues("t")
      const put = (n: number) => acc.append(queues, "t", 0, n + 36, 0, null, new Uint8Array(n), [])
      const batch = put(100)
      let late: ReturnType<typeof put> | undefined
      yield* Effect.forkChild(
        Effect.tap(acc.memory.room(60), () =>
          Effect.sync(() => {
            late = put(24)
            acc.memory.release(60)
          })
        ),
        { startImmediately: true }
      )
      batch.cancel(0)
      acc.withoutCancelled(queues[0]!)
      let thrown: unknown
      try {
        late!.outcomeOf(1, 0)
      } catch (e) {
        thrown = e
      }
      console.log(
        "F7b",
        late === batch,
        late?.isDone,
        String(thrown),
        "incomplete",
        acc.incomplete.size,
        "used",
        acc.memory.used,
        "waiting",
        queues[0]!.waiting.length
      )
      assert.isFalse(late === batch)
    })
  )
})
