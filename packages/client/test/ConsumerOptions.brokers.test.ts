/** What a consumer can be asked for, against a real broker: subscriptions, starts, dead letters, wrong options. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Data, Deferred, Effect, Fiber, Option, Schedule, Schema, type Scope, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly value: string }> {}

let serial = 0
const prefix = `options-${process.pid}-${Math.round(performance.timeOrigin)}`
const uniqueName = (): string => `${prefix}-${serial++}`
const serdes = { key: Serde.nullable(Serde.string), value: Serde.string }

const createTopic = (name: string, numPartitions = 1) =>
  Effect.gen(function* () {
    const { request } = yield* Kafka.Kafka
    const topics = [{ name, numPartitions, replicationFactor: 1 }]
    const response = yield* request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    assert.strictEqual(response.topics[0].errorCode, 0)
    return Kafka.topic(name, serdes)
  })

type TestTopic = Effect.Success<ReturnType<typeof createTopic>>

const produce = (topic: TestTopic, values: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make({ linger: 0 })
    yield* producer.sendAll(
      topic,
      values.map((value) => ({ key: value, value, headers: [["own", new Uint8Array([1])]] as const }))
    )
  })

const numbered = (count: number) => Array.from({ length: count }, (_, index) => String(index))

describeBrokers("Consumer options", () => {
  const live = <E>(name: string, body: () => Effect.Effect<void, E, Kafka.Kafka | Scope.Scope>) =>
    it.live(name, () => Effect.provide(Effect.scoped(body()), Kafka.layer({ bootstrapServers })), 60_000)

  live("B4 C119: a pattern follows new topics, and leaves Kafka's own out; subscribe replaces it", () =>
    Effect.gen(function* () {
      const family = uniqueName()
      const kafka = yield* Kafka.make({ bootstrapServers, metadataMaxAge: "500 millis" })
      const first = yield* createTopic(`${family}-a`)
      const other = yield* createTopic(uniqueName())
      const consumer = yield* Effect.provideService(
        Consumer.make({
          groupId: uniqueName(),
          topics: Consumer.pattern(new RegExp(`^(${family}-|__consumer_offsets)`), serdes),
          fallback: "earliest",
          heartbeatInterval: "200 millis"
        }),
        Kafka.Kafka,
        kafka
      )
      const seen = new Set<string>()
      yield* consumer.records.pipe(
        Stream.runForEach(({ topic, value }) => Effect.sync(() => seen.add(`${topic} ${value}`))),
        Effect.forkScoped
      )
      const wait = (text: string) =>
        Effect.whileLoop({ while: () => !seen.has(text), body: () => Effect.sleep(20), step: () => {} })
      yield* produce(first, ["x"])
      yield* wait(`${family}-a x`)
      assert.deepStrictEqual(yield* consumer.subscription, [`${family}-a`])
      const second = yield* createTopic(`${family}-b`)
      yield* produce(second, ["y"])
      yield* wait(`${family}-b y`)
      yield* consumer.subscribe([other])
      yield* produce(other, ["z"])
      yield* wait(`${other.name} z`)
      assert.deepStrictEqual(yield* consumer.subscription, [other.name])
      assert.deepStrictEqual(yield* consumer.assignment, [{ topic: other.name, partition: 0 }])
      assert.include(
        (yield* consumer.topics).map(({ name }) => name),
        first.name
      )
      assert.strictEqual((yield* consumer.partitionsFor(first.name)).length, 1)
    })
  )

  live("startAt is for the first time; latest, earliest, a time, and what was committed later", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(uniqueName())
      yield* produce(topic, numbered(10))
      const firstOf = (options: Partial<Consumer.Options<TestTopic>>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const consumer = yield* Consumer.make({
              groupId: uniqueName(),
              topics: [topic],
              idleTimeout: "2 seconds",
              ...options
            })
            return Option.map(yield* Stream.runHead(consumer.records), ({ offset }) => offset)
          })
        )
      assert.deepStrictEqual(yield* firstOf({ startAt: "earliest" }), Option.some(0n))
      assert.deepStrictEqual(yield* firstOf({ startAt: "latest" }), Option.none())
      assert.deepStrictEqual(yield* firstOf({ startAt: { timestamp: Date.now() - 60_000 } }), Option.some(0n))
      assert.deepStrictEqual(yield* firstOf({ fallback: { duration: "1 hour" } }), Option.some(0n))
      assert.deepStrictEqual(yield* firstOf({ fallback: "nearest" }), Option.some(0n))
      const failed = yield* Effect.flip(firstOf({}))
      assert.strictEqual("reason" in failed && failed.reason._tag, "NoCommittedOffset")
      assert.include(failed.message, `set fallback`)
    })
  )

  live("dead letters: tried again, then one by one; those that fail go to the topic with where they were and why", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(uniqueName())
      const dead = yield* createTopic(uniqueName())
      const producer = yield* Producer.make({ linger: 0 })
      yield* produce(topic, numbered(20))
      const groupId = uniqueName()
      const consumer = yield* Consumer.make({ groupId, topics: [topic], fallback: "earliest" })
      const done = new Set<string>()
      let tries = 0
      const all = yield* Deferred.make<void>()
      const running = yield* Effect.forkChild(
        consumer.run(
          (records) =>
            Effect.gen(function* () {
              const bad = records.find(({ value }) => value === "7")
              if (bad !== undefined) {
                tries++
                return yield* new Refused({ value: bad.value })
              }
              for (const { value } of records) done.add(value)
              if (done.size === 19) yield* Deferred.succeed(all, undefined)
            }),
          { retry: Schedule.recurs(2), deadLetter: { producer, topic: dead.name } }
        )
      )
      yield* Deferred.await(all)
      yield* consumer.stop
      yield* Fiber.join(running)
      // The array, then the record alone, three times each.
      assert.strictEqual(tries, 6)
      const [letter] = yield* Consumer.assign({ partitions: [[dead, 0, "earliest"]], until: "end" }).pipe(
        Stream.runCollect
      )
      assert.deepStrictEqual([letter.key, letter.value], ["7", "7"])
      const headers = new Map(letter.headers.map(([name, value]) => [name, Buffer.from(value ?? []).toString()]))
      assert.deepStrictEqual([...headers.keys()].slice(0, 1), ["own"])
      assert.deepInclude(Object.fromEntries(headers), {
        "x-original-topic": topic.name,
        "x-original-partition": "0",
        "x-original-offset": "7",
        "x-group-id": groupId,
        "x-error-name": "Refused"
      })
      const committed = yield* consumer.committed([{ topic: topic.name, partition: 0 }])
      assert.deepStrictEqual(
        [...committed].map(({ offset }) => offset),
        [20n]
      )
    })
  )

  live("a poison record goes where dead letters go, and its offset is passed", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(uniqueName())
      yield* produce(topic, ["1", "poison", "3"])
      const typed = Kafka.topic(topic.name, { key: Serde.nullable(Serde.string), value: Serde.json(Schema.Number) })
      const consumer = yield* Consumer.make({ groupId: uniqueName(), topics: [typed], fallback: "earliest" })
      const letters: Array<bigint> = []
      const seen: Array<number> = []
      yield* Effect.forkScoped(
        consumer.run((records) => Effect.sync(() => void seen.push(...records.map(({ value }) => value))), {
          deadLetter: ({ record }) => Effect.sync(() => void letters.push(record.offset))
        })
      )
      while (letters.length === 0 || seen.length < 2) yield* Effect.sleep(20)
      yield* consumer.stop
      assert.deepStrictEqual(letters, [1n])
      assert.deepStrictEqual(seen, [1, 3])
      const committed = yield* consumer.committed([{ topic: topic.name, partition: 0 }])
      assert.deepStrictEqual(
        [...committed].map(({ offset }) => offset),
        [3n]
      )
    })
  )

  live("B10: offsets of partitions that are not assigned: first, last, by time", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(uniqueName())
      yield* produce(topic, numbered(5))
      const consumer = yield* Consumer.make({ groupId: uniqueName(), topics: [topic], fallback: "earliest" })
      const place = { topic: topic.name, partition: 0 }
      assert.deepStrictEqual(yield* consumer.beginningOffsets([place]), [0n])
      assert.deepStrictEqual(yield* consumer.endOffsets([place]), [5n])
      const at = (timestamp: number) => consumer.offsetsForTimes([{ ...place, timestamp }])
      assert.deepStrictEqual(yield* at(Date.now() - 60_000), [0n])
      assert.deepStrictEqual(yield* at(Date.now() + 60_000), [undefined])
      const negative = yield* Effect.flip(at(-5))
      assert.strictEqual(negative.reason._tag, "InvalidOption")
      const missing = yield* Effect.flip(consumer.endOffsets([{ ...place, partition: 9 }]))
      assert.strictEqual(missing.reason._tag, "InvalidPartition")
    })
  )

  live("without a group nothing is committed, and says so", () =>
    Effect.gen(function* () {
      const topic = yield* createTopic(uniqueName())
      yield* produce(topic, numbered(3))
      const consumer = yield* Consumer.make({ partitions: [[topic, 0, "earliest"]] })
      const read = yield* consumer.records.pipe(Stream.take(3), Stream.runCollect)
      const error = yield* Effect.flip(consumer.commit(Offsets.of(read)))
      assert.strictEqual(error.reason._tag, "NoGroup")
      assert.include(error.message, "give it a groupId")
    })
  )

  live("wrong options are named with what to give instead", () =>
    Effect.gen(function* () {
      const topic = Kafka.topic("t", serdes)
      const group = { groupId: "g", topics: [topic] }
      const wrong: ReadonlyArray<readonly [Consumer.Options<TestTopic>, string]> = [
        [{ topics: [topic] }, "groupId is missing"],
        [{ ...group, groupId: "" }, "groupId is empty"],
        [{ groupId: "g" }, "topics are missing"],
        [{ groupId: "g", topics: [] }, "topics are none"],
        [{ ...group, partitions: [[topic, 0]] }, "partitions are given besides topics"],
        [
          {
            groupId: "g",
            partitions: [
              [topic, 0],
              [topic, 0]
            ]
          },
          "partitions names topic t partition 0 twice"
        ],
        [{ ...group, heartbeatInterval: "1 minute" }, "heartbeatInterval is 60000 ms"],
        [{ ...group, drainTimeout: "10 minutes" }, "drainTimeout is 600000 ms"],
        [{ ...group, maxPollRecords: 0 }, "maxPollRecords is 0"],
        // Users without types can give anything.
        [{ ...group, fallback: "newest" as never }, `fallback is "newest"; give one of earliest, latest`],
        [{ ...group, isolation: "none" as never }, `isolation is "none"; give one of committed, uncommitted`],
        [{ ...group, onSerdeError: "log" as never }, `onSerdeError is "log"; give one of fail, skip`],
        [{ ...group, sessionTimeout: "-1 second" }, "sessionTimeout"]
      ]
      for (const [options, text] of wrong) {
        const error = yield* Effect.flip(Consumer.make(options))
        assert.strictEqual(error.reason._tag, "InvalidOption", text)
        assert.include(error.message, text)
      }
    })
  )
})
