import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect, Exit, Fiber, Option, Schema, type Scope, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

const compressions = ["none", "gzip", "snappy", "lz4", "zstd"] as const
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | null): string | null => (value === null ? null : new TextDecoder().decode(value))

let serial = 0
const uniqueName = (): string => `records-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`

const createTopic = (numPartitions: number, configs: ReadonlyArray<{ name: string; value: string }> = []) =>
  Effect.gen(function* () {
    const name = uniqueName()
    const { request } = yield* Kafka.Kafka
    const topics = [{ name, numPartitions, replicationFactor: 1, configs }]
    const response = yield* request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    assert.strictEqual(response.topics[0].errorCode, 0)
    return name
  })

const plain = (name: string) =>
  Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.nullable(Serde.string) })

const readAll = <K, V>(topic: ReturnType<typeof Kafka.topic<string, K, V>>, partitions = 1) =>
  Consumer.assign({
    partitions: Array.from({ length: partitions }, (_, partition) => [topic, partition, "earliest"] as const),
    until: "end"
  }).pipe(Stream.runCollect)

describeBrokers("Producer and Consumer", () => {
  const live = <E>(name: string, body: () => Effect.Effect<void, E, Kafka.Kafka | Scope.Scope>) =>
    it.live(name, () => Effect.provide(body(), Kafka.layer({ bootstrapServers })))

  for (const compression of compressions) {
    live(`20,000 records over 3 partitions come back once, in order, ${compression}`, () =>
      Effect.gen(function* () {
        const topic = plain(yield* createTopic(3))
        const producer = yield* Producer.make({ compression })
        const records = Array.from({ length: 20_000 }, (_, index) => ({
          key: `ключ ${index % 100}`,
          value: `größe ${index} ${"日本".repeat(index % 7)}`
        }))
        yield* Stream.fromIterable(records).pipe(Stream.run(producer.sink(topic)))
        const read = yield* readAll(topic, 3)
        assert.strictEqual(read.length, records.length)
        const byKey = Map.groupBy(records, (record) => record.key)
        const readByKey = Map.groupBy(read, (record) => record.key)
        for (const [key, expected] of byKey) {
          const found = readByKey.get(key)!
          assert.deepStrictEqual(
            found.map((record) => record.value),
            expected.map((record) => record.value)
          )
          assert.strictEqual(new Set(found.map((record) => record.partition)).size, 1)
        }
      })
    )
  }

  for (const acks of ["all", 1, 0] as const) {
    live(`acks ${acks}: every record arrives`, () =>
      Effect.gen(function* () {
        const topic = plain(yield* createTopic(1))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const producer = yield* Producer.make({ acks })
            for (let index = 0; index < 50; index++) {
              const metadata = yield* producer.send(topic, { key: null, value: String(index) })
              assert.deepStrictEqual(metadata.offset, acks === 0 ? Option.none() : Option.some(BigInt(index)))
            }
          })
        )
        // acks 0 says nothing about when
        const read = yield* readAll(topic).pipe(
          Effect.repeat({ until: (found) => found.length >= 50 }),
          Effect.timeout("10 seconds")
        )
        assert.deepStrictEqual(
          read.map((record) => record.value),
          Array.from({ length: 50 }, (_, index) => String(index))
        )
      })
    )
  }

  live("C53 keys, tombstones, headers with null and duplicates, timestamps: as they were sent", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(2))
      const producer = yield* Producer.make()
      const headers = [
        ["a", bytes("1")],
        ["a", null],
        ["ö", bytes("")]
      ] as const
      const timestamp = 1_600_000_000_000
      const sent = yield* producer.send(topic, { key: "k", value: null, partition: 1, timestamp, headers })
      assert.deepStrictEqual(sent, { topic: topic.name, partition: 1, offset: Option.some(0n), timestamp })
      const [record] = yield* readAll(topic, 2)
      assert.deepInclude(record, {
        partition: 1,
        offset: 0n,
        timestamp,
        timestampType: "create",
        key: "k",
        value: null
      })
      assert.deepStrictEqual(
        record.headers.map(([name, value]) => [name, text(value)]),
        headers.map(([name, value]) => [name, text(value)])
      )
    })
  )

  live("log-append time is the broker's", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1, [{ name: "message.timestamp.type", value: "LogAppendTime" }]))
      const producer = yield* Producer.make()
      const sent = yield* producer.send(topic, { key: null, value: "a", timestamp: 1000 })
      const [record] = yield* readAll(topic)
      assert.strictEqual(record.timestampType, "append")
      assert.isAbove(record.timestamp, 1_700_000_000_000)
      assert.strictEqual(sent.timestamp, record.timestamp)
    })
  )

  live("sendAll gives an outcome per record", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make({ maxRequestSize: 5000 })
      const outcomes = yield* producer.sendAll(topic, [
        { key: null, value: "fine" },
        { key: null, value: "x".repeat(6000) },
        { key: null, value: "nowhere", partition: 9 },
        { key: null, value: "fine too" }
      ])
      const tags = outcomes.map((exit) =>
        Exit.isSuccess(exit) ? "ok" : Option.getOrThrow(Exit.findErrorOption(exit)).reason._tag
      )
      assert.deepStrictEqual(tags, ["ok", "RecordTooLarge", "InvalidPartition", "ok"])
      assert.strictEqual((yield* readAll(topic)).length, 2)
    })
  )

  live("a record that the broker finds too large says which setting to change", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1, [{ name: "max.message.bytes", value: "1000" }]))
      const producer = yield* Producer.make()
      const error = yield* Effect.flip(producer.send(topic, { key: null, value: "x".repeat(2000) }))
      assert.include(error.message, "max.message.bytes")
      yield* producer.send(topic, { key: null, value: "small" })
    })
  )

  live("a value that its serde refuses fails before anything is sent", () =>
    Effect.gen(function* () {
      const Order = Schema.Struct({ amount: Schema.Finite })
      const name = yield* createTopic(1)
      const topic = Kafka.topic(name, { key: Serde.string, value: Serde.json(Order) })
      const producer = yield* Producer.make()
      const error = yield* Effect.flip(producer.send(topic, { key: "1", value: { amount: Number.NaN } }))
      assert.strictEqual(error._tag, "SerdeError")
      yield* producer.send(plain(name), { key: "1", value: "no JSON" })
      const failure = yield* Effect.flip(readAll(topic))
      assert.strictEqual(failure._tag, "SerdeError")
      assert.include(failure.message, `topic ${name} partition 0 offset 0`)
    })
  )

  live("through passes each element on with its acknowledgement, in order", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make()
      const pairs = yield* Stream.range(0, 4999).pipe(
        producer.through(topic, (index) => ({ key: null, value: String(index) })),
        Stream.runCollect
      )
      assert.strictEqual(pairs.length, 5000)
      for (const [index, metadata] of pairs) assert.deepStrictEqual(metadata.offset, Option.some(BigInt(index)))
    })
  )

  live("a small buffer holds a fast source back, and loses nothing", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make({ bufferMemory: 20_000, batchSize: 5000 })
      const records = Array.from({ length: 5000 }, (_, index) => ({ key: null, value: `${index} ${"x".repeat(90)}` }))
      const outcomes = yield* producer.sendAll(topic, records)
      assert.isTrue(outcomes.every(Exit.isSuccess))
      assert.deepStrictEqual(
        (yield* readAll(topic)).map((record) => record.value),
        records.map((record) => record.value)
      )
    })
  )

  live("C56 leaving the scope sends what is still in the buffer", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.make({ linger: "20 seconds" })
          yield* producer.enqueue(topic, { key: null, value: "late" })
        })
      )
      assert.deepStrictEqual(
        (yield* readAll(topic)).map((record) => record.value),
        ["late"]
      )
    })
  )

  live("C55 flush does not wait for the linger", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make({ linger: "20 seconds" })
      const acknowledged = yield* producer.enqueue(topic, { key: null, value: "now" })
      yield* producer.flush
      assert.deepStrictEqual((yield* acknowledged).offset, Option.some(0n))
    })
  )

  live("an interrupted caller disturbs nobody else", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make({ linger: "200 millis" })
      const first = yield* Effect.forkChild(producer.send(topic, { key: null, value: "a" }), { startImmediately: true })
      const second = yield* Effect.forkChild(producer.send(topic, { key: null, value: "b" }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(first)
      assert.isTrue(Option.isSome((yield* Fiber.join(second)).offset))
    })
  )

  live("a topic is created where the broker allows it; a reader finds it missing", () =>
    Effect.gen(function* () {
      const topic = plain(uniqueName())
      const missing = yield* Effect.flip(readAll(topic))
      assert.include(missing.message, topic.name)
      assert.include(missing.message, "UNKNOWN_TOPIC_OR_PARTITION")
      const producer = yield* Producer.make()
      yield* producer.send(topic, { key: null, value: "first" })
      assert.strictEqual((yield* readAll(topic)).length, 1)
    })
  )

  live("a topic name that cannot be is refused at once", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      const error = yield* Effect.flip(producer.send(plain("no/such/name"), { key: null, value: "a" }))
      assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "TopicUnavailable")
    })
  )

  live("positions: an offset, the latest, a time, a number before the end", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make()
      const records = Array.from({ length: 100 }, (_, index) => ({
        key: null,
        value: String(index),
        timestamp: 1_600_000_000_000 + index * 1000
      }))
      yield* producer.sendAll(topic, records)
      const from = (position: Consumer.Position) =>
        Consumer.assign({ partitions: [[topic, 0, position]], until: "end" }).pipe(
          Stream.runCollect,
          Effect.map((read) => read.map((record) => Number(record.value)))
        )
      assert.deepStrictEqual(yield* from(98n), [98, 99])
      assert.deepStrictEqual(yield* from("latest"), [])
      assert.deepStrictEqual(yield* from({ beforeEnd: 3 }), [97, 98, 99])
      assert.strictEqual((yield* from({ beforeEnd: 1000 })).length, 100)
      assert.deepStrictEqual((yield* from({ timestamp: 1_600_000_000_000 + 95_500 }))[0], 96)
      assert.deepStrictEqual(yield* from({ timestamp: 1_700_000_000_000 }), [])
    })
  )

  live("an offset that does not exist fails with the range that does, or falls back as asked", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make()
      yield* producer.sendAll(
        topic,
        Array.from({ length: 10 }, (_, index) => ({ key: null, value: String(index) }))
      )
      const { request } = yield* Kafka.Kafka
      const partitions = [{ partitionIndex: 0, offset: 5n }]
      yield* request("controller", DeleteRecords, { topics: [{ name: topic.name, partitions }], timeoutMs: 5000 })
      const read = (fallback: "earliest" | "fail") =>
        Consumer.assign({ partitions: [[topic, 0, 2n]], until: "end", fallback }).pipe(Stream.runCollect)
      const error = yield* Effect.flip(read("fail"))
      assert.include(error.message, "has no offset 2: it has 5 to 10")
      assert.strictEqual((yield* read("earliest")).length, 5)
    })
  )

  live("a reader that waits for ever gets what is written later", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(2))
      const producer = yield* Producer.make()
      const reader = yield* Consumer.assign({
        partitions: [
          [topic, 0, "latest"],
          [topic, 1, "latest"]
        ]
      }).pipe(Stream.take(4), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* Effect.sleep("700 millis")
      for (let index = 0; index < 4; index++) {
        yield* producer.send(topic, { key: null, value: String(index), partition: index % 2 })
      }
      const read = yield* Fiber.join(reader).pipe(Effect.timeout("10 seconds"))
      assert.deepStrictEqual(read.map((record) => record.value).sort(), ["0", "1", "2", "3"])
    })
  )

  live("a partition that nobody takes from does not grow past the budget", () =>
    Effect.gen(function* () {
      const topic = plain(yield* createTopic(1))
      const producer = yield* Producer.make({ batchSize: 100_000 })
      const value = "x".repeat(1000)
      yield* producer.sendAll(
        topic,
        Array.from({ length: 5000 }, () => ({ key: null, value }))
      )
      const read = yield* Consumer.assign({
        partitions: [[topic, 0, "earliest"]],
        until: "end",
        prefetchBytes: 200_000,
        maxPartitionFetchBytes: 100_000
      }).pipe(
        Stream.mapArrayEffect((records) => Effect.as(Effect.sleep("5 millis"), records)),
        Stream.runCollect
      )
      assert.strictEqual(read.length, 5000)
    })
  )

  live("wrong options are named", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Producer.make({ batchSize: -1 }))
      assert.include(error.message, "batchSize")
      const topic = plain(yield* createTopic(1))
      const twice = Consumer.assign({
        partitions: [
          [topic, 0, "earliest"],
          [topic, 0, "latest"]
        ]
      })
      assert.include((yield* Effect.flip(Stream.runCollect(twice))).message, "twice")
      const outside = Consumer.assign({ partitions: [[topic, 7, "earliest"]] })
      assert.include((yield* Effect.flip(Stream.runCollect(outside))).message, "no partition 7")
    })
  )
})
