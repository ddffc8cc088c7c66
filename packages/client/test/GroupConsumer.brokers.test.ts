/** Consumers in groups against a real broker. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Deferred, Effect, Fiber, Metric, Option, type Scope, Stream } from "effect"
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

  live("seek, pause and resume while records stream", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(2)
      yield* produce(topic, 0, 4000, 2)
      const consumer = yield* Consumer.make({ ...options(topic), maxPollRecords: 50 })
      const [zero, one] = [0, 1].map((partition) => ({ topic: topic.name, partition }))
      const seen: Array<readonly [partition: number, offset: number]> = []
      yield* Effect.forkScoped(
        Stream.runForEachArray(consumer.records, (records) =>
          Effect.andThen(
            Effect.sleep(2),
            Effect.sync(() => {
              for (const { offset, partition } of records) seen.push([partition, Number(offset)])
            })
          )
        )
      )
      const until = (isDone: () => boolean) =>
        Effect.gen(function* () {
          while (!isDone()) yield* Effect.sleep(5)
        }).pipe(Effect.timeout("20 seconds"))
      const of = (partition: number) => seen.filter(([from]) => from === partition).map(([, offset]) => offset)
      yield* until(() => of(0).length >= 200 && of(1).length >= 200)
      yield* consumer.pause([zero])
      // One array may be in hand.
      const before = of(0).length
      yield* until(() => of(1).length === 2000)
      assert.isAtMost(of(0).length, before + 50)
      yield* produce(topic, 4000, 2, 2)
      yield* until(() => of(1).length === 2001)
      assert.isAtMost(of(0).length, before + 50)
      yield* consumer.seek([[one, 1990n]])
      yield* until(() => of(1).length === 2012)
      assert.deepStrictEqual(of(1), [...numbers(0, 2001), ...numbers(1990, 11)])
      yield* consumer.resume([zero])
      yield* until(() => of(0).length === 2001)
      // What was fetched before the pause was kept, once.
      assert.deepStrictEqual(of(0), numbers(0, 2001))
    })
  )

  live("C105 a partition is taken away with 1,000 records buffered: none of them is handed over afterwards", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(2)
      const group = { ...options(topic), maxPollRecords: 10 }
      yield* produce(topic, 0, 4000, 2)
      const seen: Array<number> = []
      const first = yield* Consumer.make(group)
      yield* Effect.forkScoped(
        first.run((records) =>
          Effect.andThen(
            Effect.sleep(20),
            Effect.sync(() => {
              for (const { partition, value } of records) seen.push(partition, Number(value))
            })
          )
        )
      )
      while (seen.length < 200) yield* Effect.sleep(5)
      // All that is left was fetched long ago: far more than 1,000 records of each partition.
      const second = yield* Consumer.make(group)
      const others: Array<number> = []
      yield* Effect.forkScoped(
        second.run((records) =>
          Effect.sync(() => {
            for (const { value } of records) others.push(Number(value))
          })
        )
      )
      while ((yield* second.assignment).length === 0) yield* Effect.sleep(5)
      const [{ partition: moved }] = yield* second.assignment
      const count = () => seen.filter((partition, index) => index % 2 === 0 && partition === moved).length
      const handed = count()
      while (others.length < 1000) yield* Effect.sleep(10)
      yield* Effect.sleep(500)
      assert.strictEqual(count(), handed)
      // It goes on where the former owner has committed, record by record.
      assert.strictEqual(others.length + handed, 2000)
      assert.strictEqual(new Set(others).size, others.length)
    })
  )

  live("a fetch of 50 MB in zstd: heartbeats go on while it is decompressed and read", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(1)
      const text = Array.from({ length: 4000 }, (_, index) => `${index * 7919} order `)
        .join("")
        .slice(0, 50_000)
      const producer = yield* Producer.make({ compression: "zstd", batchSize: 900_000, linger: "100 millis" })
      const total = 1000
      yield* Stream.range(1, total).pipe(
        Stream.map((index) => ({ key: null, value: `${index}${text}` })),
        Stream.run(producer.sink(topic))
      )
      const heartbeats = Effect.map(Metric.snapshot, (all) =>
        all.reduce(
          (sum, { attributes, id, state }) =>
            id === "kafka.consumer.heartbeats" && attributes?.group === topic.name && "count" in state
              ? sum + Number(state.count)
              : sum,
          0
        )
      )
      const group = { ...options(topic, topic.name), heartbeatInterval: "25 millis" } as const
      const consumer = yield* Consumer.make(group)
      while ((yield* consumer.assignment).length === 0) yield* Effect.sleep(5)
      const before = yield* heartbeats
      const start = performance.now()
      const read = yield* consumer.records.pipe(
        Stream.take(total),
        Stream.runFold(
          () => 0,
          (bytes, { value }) => bytes + value.length
        )
      )
      const elapsed = performance.now() - start
      assert.isAbove(read, 50_000_000)
      // A fetch read in one piece would let none of them through.
      assert.isAbove((yield* heartbeats) - before, Math.floor(elapsed / 250))
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
