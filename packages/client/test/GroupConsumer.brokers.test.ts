/** Consumers in groups against a real broker. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Deferred, Effect, Fiber, Option, type Scope, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

let serial = 0
const uniqueName = (): string => `group-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`

const createTopic = (numPartitions: number) =>
  Effect.gen(function* () {
    const name = uniqueName()
    const { request } = yield* Kafka.Kafka
    const topics = [{ name, numPartitions, replicationFactor: 1 }]
    const response = yield* request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    assert.strictEqual(response.topics[0].errorCode, 0)
    return Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })
  })

type TestTopic = Effect.Success<ReturnType<typeof createTopic>>

const produce = (topic: TestTopic, from: number, count: number, partitions: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make({ linger: 0 })
    yield* producer.sendAll(
      topic,
      Array.from({ length: count }, (_, index) => ({
        key: `k${(from + index) % 50}`,
        value: String(from + index),
        partition: (from + index) % partitions
      }))
    )
  })

const options = (topic: TestTopic, groupId = uniqueName()) =>
  ({ groupId, topics: [topic], fallback: "earliest", heartbeatInterval: "200 millis" }) as const

const values = (records: Iterable<{ readonly value: string }>) =>
  Array.from(records, ({ value }) => Number(value)).sort((a, b) => a - b)

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

describeBrokers("Group consumer", () => {
  const live = <E>(name: string, body: () => Effect.Effect<void, E, Kafka.Kafka | Scope.Scope>) =>
    it.live(name, () => Effect.provide(Effect.scoped(body()), Kafka.layer({ bootstrapServers })), 60_000)

  live("reads what is there, commits, and goes on where it was after a polite stop", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(3)
      const group = options(topic)
      yield* produce(topic, 0, 1000, 3)
      const first = yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.make(group)
          const read = yield* consumer.records.pipe(Stream.take(1000), Stream.runCollect)
          yield* consumer.commit(Offsets.of(read))
          return read
        })
      )
      assert.deepStrictEqual(values(first), numbers(0, 1000))
      yield* produce(topic, 1000, 10, 3)
      const consumer = yield* Consumer.make(group)
      const second = yield* consumer.records.pipe(Stream.take(10), Stream.runCollect)
      assert.deepStrictEqual(values(second), numbers(1000, 10))
    })
  )

  live("run: works on all, commits what has been finished, ends after stop", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(3)
      const group = options(topic)
      yield* produce(topic, 0, 3000, 3)
      const seen: Array<string> = []
      const all = yield* Deferred.make<void>()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.make(group)
          const running = yield* Effect.forkChild(
            consumer.run((records) =>
              Effect.suspend(() => {
                for (const { value } of records) seen.push(value)
                return seen.length >= 3000 ? Effect.asVoid(Deferred.succeed(all, undefined)) : Effect.void
              })
            )
          )
          yield* Deferred.await(all)
          yield* consumer.stop
          yield* Fiber.join(running)
        })
      )
      assert.deepStrictEqual(values(seen.map((value) => ({ value }))), numbers(0, 3000))
      const consumer = yield* Consumer.make(group)
      const committed = yield* consumer.committed([0, 1, 2].map((partition) => ({ topic: topic.name, partition })))
      assert.deepStrictEqual(
        [...committed].map(({ offset }) => offset),
        [1000n, 1000n, 1000n]
      )
    })
  )

  live("run per key: several keys at a time, each in order; what has been finished without a gap is committed", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(2)
      const group = options(topic)
      yield* produce(topic, 0, 2000, 2)
      const byKey = new Map<string, Array<number>>()
      let count = 0
      let atOnce = 0
      let most = 0
      const all = yield* Deferred.make<void>()
      const consumer = yield* Consumer.make(group)
      const running = yield* Effect.forkChild(
        consumer.run(
          (records) =>
            Effect.gen(function* () {
              atOnce++
              most = Math.max(most, atOnce)
              yield* Effect.sleep(Math.random() * 3)
              atOnce--
              for (const { key, value } of records) {
                const list = byKey.get(key ?? "") ?? []
                byKey.set(key ?? "", list)
                list.push(Number(value))
              }
              count += records.length
              if (count === 2000) yield* Deferred.succeed(all, undefined)
            }),
          { concurrency: { perKey: 8 } }
        )
      )
      yield* Deferred.await(all)
      yield* consumer.stop
      yield* Fiber.join(running)
      for (const list of byKey.values())
        assert.deepStrictEqual(
          list,
          [...list].sort((a, b) => a - b)
        )
      assert.isAbove(most, 4)
      assert.isAtMost(most, 16)
      const committed = yield* consumer.committed([0, 1].map((partition) => ({ topic: topic.name, partition })))
      assert.deepStrictEqual(
        [...committed].map(({ offset }) => offset),
        [1000n, 1000n]
      )
    })
  )

  live("a second member takes some of the partitions; nothing is lost, and each has an owner", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(4)
      const group = options(topic)
      const seen = new Set<string>()
      const work = (records: ReadonlyArray<{ readonly value: string }>) =>
        Effect.sync(() => {
          for (const { value } of records) seen.add(value)
        })
      const one = yield* Consumer.make(group)
      yield* Effect.forkScoped(one.run(work))
      yield* produce(topic, 0, 400, 4)
      const two = yield* Consumer.make(group)
      yield* Effect.forkScoped(two.run(work))
      const shares = Effect.all([one.assignment, two.assignment]).pipe(
        Effect.map((all) => all.map((partitions) => partitions.length))
      )
      while ((yield* shares).join() !== "2,2") yield* Effect.sleep(50)
      yield* produce(topic, 400, 400, 4)
      while (seen.size < 800) yield* Effect.sleep(20)
    })
  )

  live("partitions: a stream each, which ends when the partition is taken away", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(2)
      const group = options(topic)
      yield* produce(topic, 0, 100, 2)
      const consumer = yield* Consumer.make(group)
      const read = yield* consumer.partitions.pipe(
        Stream.take(2),
        Stream.mapEffect(
          ({ partition, records }) =>
            Effect.map(Stream.runCollect(Stream.take(records, 50)), (all) => [partition, values(all)] as const),
          { concurrency: "unbounded" }
        ),
        Stream.runCollect
      )
      for (const [partition, found] of read) {
        assert.deepStrictEqual(
          found,
          numbers(0, 100).filter((value) => value % 2 === partition)
        )
      }
    })
  )

  live("chosen partitions of a group: no membership, commits all the same", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(2)
      const groupId = uniqueName()
      yield* produce(topic, 0, 100, 2)
      const place = { topic: topic.name, partition: 1 }
      const made = { groupId, partitions: [[topic, 1]], fallback: "earliest" } as const
      yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.make(made)
          const read = yield* consumer.records.pipe(Stream.take(20), Stream.runCollect)
          yield* consumer.commit(Offsets.withMetadata(Offsets.of(read), "half way"))
          const committed = yield* consumer.committed([place])
          assert.deepStrictEqual(
            [...committed].map(({ metadata, offset }) => [offset, metadata]),
            [[20n, "half way"]]
          )
        })
      )
      const consumer = yield* Consumer.make(made)
      const next = yield* consumer.records.pipe(Stream.runHead)
      assert.strictEqual(Option.getOrThrow(next).offset, 20n)
      assert.strictEqual(yield* consumer.position(place), 50n)
    })
  )

  live("begins at the fallback's time where nothing was committed, and else at what was", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(1)
      const groupId = uniqueName()
      const producer = yield* Producer.make({ linger: 0 })
      for (const timestamp of [1000, 2000, 3000])
        yield* producer.send(topic, { key: null, value: String(timestamp), timestamp })
      const first = (fallback: { readonly timestamp: number }) =>
        Effect.scoped(
          Effect.gen(function* () {
            const consumer = yield* Consumer.make({ ...options(topic, groupId), fallback })
            const head = Option.getOrThrow(yield* consumer.records.pipe(Stream.take(1), Stream.runHead))
            yield* consumer.commit(Offsets.of(head))
            return head.value
          })
        )
      assert.deepStrictEqual([yield* first({ timestamp: 1500 }), yield* first({ timestamp: 1500 })], ["2000", "3000"])
      const error = yield* Effect.flip(first({ timestamp: -1 }))
      assert.include(error.message, "the option fallback has timestamp -1")
    })
  )
})
