/** What a cluster with a data directory has after a restart, and which directories it refuses. */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { Effect, Stream } from "effect"
import { Consumer, Kafka, Producer, Serde } from "kafka-effect"
import * as TestBroker from "../src/TestBroker.ts"

const T = Kafka.topic("t", { key: Serde.string, value: Serde.string })

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kafka-effect-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** Runs something with a cluster that lives as long. */
const withCluster = <A, E, R>(options: TestBroker.Options, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, TestBroker.layerKafka({ network: "memory", ...options }))

const send = (...values: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make()
    for (const value of values) yield* producer.send(T, { key: "k", value, partition: 0 })
  }).pipe(Effect.scoped)

const values = Effect.gen(function* () {
  const broker = yield* TestBroker.TestBroker
  const text = new TextDecoder()
  return (yield* broker.records("t", 0)).map(({ value }) => text.decode(value ?? undefined))
})

const logOf = (directory: string) => join(directory, "t-0", "00000000000000000000.log")

describe("the data directory of a cluster", () => {
  it.live("has topics, records and producer ids again, on fewer brokers too", () =>
    Effect.gen(function* () {
      const dataDirectory = yield* temporary
      const producerId = Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const request = { transactionalId: null, transactionTimeoutMs: 60_000 }
        return (yield* kafka.request("any", InitProducerId, request)).producerId
      })
      const first = yield* withCluster(
        { dataDirectory, brokers: 3, topics: { t: 3 } },
        Effect.andThen(send("a", "b"), producerId)
      )
      yield* withCluster(
        { dataDirectory, topics: { t: 9 } },
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* values, ["a", "b"])
          yield* send("c")
          assert.deepStrictEqual(yield* values, ["a", "b", "c"])
          assert.isAbove(Number(yield* producerId), Number(first))
          const kafka = yield* Kafka.Kafka
          const { partitions } = (yield* kafka.request("any", Metadata, { topics: [{ name: "t" }] })).topics[0]
          assert.lengthOf(partitions, 3)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("has the offsets of groups again", () =>
    Effect.gen(function* () {
      const dataDirectory = yield* temporary
      const read = (count: number) =>
        Effect.gen(function* () {
          const consumer = yield* Consumer.make({ groupId: "g", topics: [T], fallback: "earliest" })
          const seen: Array<string> = []
          yield* consumer.records.pipe(
            Stream.take(count),
            Stream.tap(({ value }) => Effect.sync(() => seen.push(value))),
            Stream.run(consumer.committing())
          )
          return seen
        }).pipe(Effect.scoped)
      yield* withCluster(
        { dataDirectory, topics: { t: 1 } },
        Effect.gen(function* () {
          yield* send("a", "b")
          assert.deepStrictEqual(yield* read(2), ["a", "b"])
        })
      )
      yield* withCluster(
        { dataDirectory },
        Effect.gen(function* () {
          yield* send("c")
          assert.deepStrictEqual(yield* read(1), ["c"])
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("aborts the transactions that were open, so that they hold up nobody", () =>
    Effect.gen(function* () {
      const dataDirectory = yield* temporary
      yield* withCluster(
        { dataDirectory, topics: { t: 1 } },
        Effect.gen(function* () {
          const kafka = yield* Kafka.Kafka
          const transactionalId = "a"
          const request = { transactionalId, transactionTimeoutMs: 60_000 }
          const { producerEpoch, producerId } = yield* kafka.request("any", InitProducerId, request)
          const builder = new RecordBatchBuilder()
          builder.append(Date.now(), null, Buffer.from("a"))
          const options = { producerId, producerEpoch, baseSequence: 0, isTransactional: true }
          const records = Uint8Array.from(yield* Effect.promise(async () => builder.build(options)))
          const topicData = [{ name: "t", partitionData: [{ index: 0, records }] }]
          const produce = { transactionalId, acks: -1, timeoutMs: 1000, topicData }
          const { responses } = yield* kafka.request("any", Produce, produce, 12)
          assert.strictEqual(responses[0].partitionResponses[0].errorCode, 0)
        })
      )
      yield* withCluster(
        { dataDirectory },
        Effect.gen(function* () {
          yield* send("b")
          const read = Consumer.assign({ partitions: [[T, 0, "earliest"]], until: "end" }).pipe(Stream.runCollect)
          assert.deepStrictEqual(
            (yield* read).map(({ offset, value }) => [offset, value]),
            [[2n, "b"]]
          )
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("forgets what was deleted: records, and topics with all that was in them", () =>
    Effect.gen(function* () {
      const dataDirectory = yield* temporary
      yield* withCluster(
        { dataDirectory, topics: { t: 1, u: 2 } },
        Effect.gen(function* () {
          const kafka = yield* Kafka.Kafka
          yield* send("a", "b", "c")
          const partitions = [{ partitionIndex: 0, offset: BigInt(2) }]
          yield* kafka.request(0, DeleteRecords, { topics: [{ name: "t", partitions }], timeoutMs: 1000 })
          yield* kafka.request("controller", DeleteTopics, { topics: [{ name: "u" }], timeoutMs: 1000 })
        })
      )
      assert.notInclude(readdirSync(dataDirectory).join(), "u-")
      yield* withCluster(
        { dataDirectory },
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* values, ["c"])
          const kafka = yield* Kafka.Kafka
          assert.deepStrictEqual(
            (yield* kafka.request("any", Metadata, { topics: null })).topics.map(({ name }) => name),
            ["t"]
          )
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("cuts off a batch that was only half written, and goes on behind what is whole", () =>
    Effect.gen(function* () {
      const dataDirectory = yield* temporary
      yield* withCluster({ dataDirectory, topics: { t: 1 } }, send("a", "b"))
      const whole = readFileSync(logOf(dataDirectory)).length
      truncateSync(logOf(dataDirectory), whole - 3)
      yield* withCluster(
        { dataDirectory },
        Effect.andThen(
          send("c"),
          Effect.map(values, (all) => assert.deepStrictEqual(all, ["a", "c"]))
        )
      )
      yield* withCluster(
        { dataDirectory },
        Effect.map(values, (all) => assert.deepStrictEqual(all, ["a", "c"]))
      )
    }).pipe(Effect.scoped)
  )

  it.live("is refused while another cluster has it, where something else is in it, or where it is damaged", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const reason = Effect.scoped(TestBroker.make({ network: "memory", dataDirectory: directory })).pipe(
        Effect.flip,
        Effect.map((error) => (error._tag === "DataDirectoryError" ? error.reason : error))
      )
      yield* withCluster(
        { dataDirectory: directory, topics: { t: 1 } },
        Effect.gen(function* () {
          yield* send("a")
          assert.strictEqual(yield* reason, "InUse")
        })
      )
      appendFileSync(join(directory, "cluster.json"), "}")
      assert.strictEqual(yield* reason, "Damaged")
      rmSync(join(directory, "cluster.json"))
      assert.strictEqual(yield* reason, "Foreign")
      writeFileSync(join(directory, "file"), "")
      const inFile = TestBroker.make({ network: "memory", dataDirectory: join(directory, "file") })
      const error = yield* Effect.flip(Effect.scoped(inFile))
      assert.match(error.message, /cannot be used .*permissions, or name another/)
    }).pipe(Effect.scoped)
  )
})
