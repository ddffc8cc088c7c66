/** The producer against scripted brokers: what real ones do seldom. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Produce, type ProduceRequest } from "@kafka-effect/protocol/messages/Produce"
import * as Records from "@kafka-effect/protocol/Records"
import { type Duration, Effect, Exit, Fiber, Option, Stream } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })

/** A cluster whose brokers know one topic, with its partitions led in turn. */
const scripted = (
  brokers: number,
  partitions: number,
  retryBackoff: Duration.Input = "20 millis",
  offered: ScriptedBroker.Offered = { Produce: [0, 12] }
) =>
  Effect.gen(function* () {
    const cluster = yield* ScriptedCluster.make(brokers, { offered })
    cluster.topics.set("t", {
      partitions: Array.from({ length: partitions }, (_, index) => ({ leader: (index % brokers) + 1, epoch: 1 }))
    })
    const kafka = yield* Kafka.make({
      bootstrapServers: cluster.brokers.map((broker) => broker.address),
      requestTimeout: "1 second",
      retryBackoff
    })
    const make = (options: Producer.Options = {}) =>
      Effect.provideService(Producer.make({ deliveryTimeout: "10 seconds", ...options }), Kafka.Kafka, kafka)
    return { cluster, kafka, make }
  })

/** The values in a request, by partition. */
const valuesOf = (request: ProduceRequest): ReadonlyMap<number, ReadonlyArray<string>> =>
  new Map(
    request.topicData[0].partitionData.map(({ index, records }) => [
      index,
      Records.split(records!).batches.flatMap((batch) =>
        // Small batches are decoded at once.
        (Records.decode(batch) as ReadonlyArray<{ value: Uint8Array }>).map(({ value }) =>
          Buffer.from(value).toString()
        )
      )
    ])
  )

interface Answer {
  readonly errorCode?: number
  readonly baseOffset?: bigint
  readonly leader?: readonly [leaderId: number, leaderEpoch: number]
}

/** Answers each partition of each Produce request. */
const answering = (
  broker: ScriptedBroker.ScriptedBroker,
  answer: (partition: number, values: ReadonlyArray<string>) => Answer | undefined,
  delay = 0
): void =>
  broker.on(Produce, ({ message }) => {
    const partitionResponses = [...valuesOf(message)].flatMap(([index, values]) => {
      const found = answer(index, values)
      if (found === undefined) return []
      const { baseOffset = 0n, errorCode = 0, leader } = found
      const currentLeader =
        leader === undefined ? {} : { currentLeader: { leaderId: leader[0], leaderEpoch: leader[1] } }
      return [{ index, errorCode, baseOffset, logAppendTimeMs: -1n, ...currentLeader }]
    })
    return ScriptedBroker.respond({ responses: [{ name: "t", partitionResponses }] }, { delay })
  })

describe("Producer", () => {
  it.live("one request per broker carries many partitions", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 4)
      const producer = yield* make({ linger: "50 millis" })
      answering(cluster.brokers[0], () => ({}))
      const outcomes = yield* producer.sendAll(
        topic,
        Array.from({ length: 8 }, (_, index) => ({ key: null, value: String(index), partition: index % 4 }))
      )
      assert.isTrue(outcomes.every(Exit.isSuccess))
      // the batches may not all be of the same millisecond
      assert.isAtMost(cluster.brokers[0].of(Produce).length, 2)
    })
  )

  it.live("a retry is per partition: what was written is not sent again, and order is kept", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 2)
      const producer = yield* make({ linger: 0 })
      const written: Array<string> = []
      let refusals = 3
      answering(
        cluster.brokers[0],
        (partition, values) => {
          if (partition === 1 && refusals-- > 0) return { errorCode: codes.NOT_ENOUGH_REPLICAS }
          written.push(...values)
          return {}
          // so long that what comes next finds the batch in flight
        },
        50
      )
      const send = (value: string, partition: number) => producer.enqueue(topic, { key: null, value, partition })
      const first = [yield* send("a", 0), yield* send("b", 1)]
      yield* Effect.sleep("10 millis")
      const second = [yield* send("c", 1), yield* send("d", 0)]
      yield* Effect.all([...first, ...second])
      assert.deepStrictEqual(
        written.filter((value) => value === "b" || value === "c"),
        ["b", "c"]
      )
      assert.deepStrictEqual([...written].sort(), ["a", "b", "c", "d"])
    })
  )

  it.live("C34 a leader that a response names is gone to at once", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(2, 1, "5 seconds")
      const producer = yield* make({ linger: 0 })
      answering(cluster.brokers[0], () => ({ errorCode: codes.NOT_LEADER_OR_FOLLOWER, leader: [2, 5] }))
      answering(cluster.brokers[1], () => ({ baseOffset: 7n }))
      const metadata = yield* producer.send(topic, { key: null, value: "a" })
      assert.deepStrictEqual(metadata.offset, Option.some(7n))
      const [asked] = cluster.brokers[0].of(Produce)
      const [moved] = cluster.brokers[1].of(Produce)
      // the backoff would be four seconds at least
      assert.isBelow(moved.at - asked.at, 3500)
    })
  )

  it.live("goes where metadata says when the response names no leader", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(2, 1)
      const producer = yield* make({ linger: 0 })
      answering(cluster.brokers[0], () => {
        cluster.topics.set("t", { partitions: [{ leader: 2, epoch: 2 }] })
        return { errorCode: codes.NOT_LEADER_OR_FOLLOWER }
      })
      answering(cluster.brokers[1], () => ({ baseOffset: 3n }))
      const metadata = yield* producer.send(topic, { key: null, value: "a" })
      assert.deepStrictEqual(metadata.offset, Option.some(3n))
    })
  )

  it.live("C19 acks 0 waits for no response", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ acks: 0 })
      cluster.brokers[0].on(Produce, () => ScriptedBroker.silence)
      const metadata = yield* producer.send(topic, { key: null, value: "a" })
      assert.deepStrictEqual(metadata.offset, Option.none())
    })
  )

  it.live("C51 a partition that the response leaves out is sent again; a partition that it names is not", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 2)
      const producer = yield* make({ linger: "20 millis" })
      const seen: Array<string> = []
      let isFirst = true
      answering(cluster.brokers[0], (partition, values) => {
        seen.push(...values)
        if (partition === 0 || !isFirst) return {}
        isFirst = false
        return undefined
      })
      const outcomes = yield* producer.sendAll(topic, [
        { key: null, value: "a", partition: 0 },
        { key: null, value: "b", partition: 1 }
      ])
      assert.isTrue(outcomes.every(Exit.isSuccess))
      assert.deepStrictEqual(seen, ["a", "b", "b"])
    })
  )

  it.live("C46 deliveryTimeout is the one bound over retries, and says whether the record may have been written", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ linger: 0, deliveryTimeout: "1200 millis" })
      answering(cluster.brokers[0], () => ({ errorCode: codes.NOT_ENOUGH_REPLICAS_AFTER_APPEND }))
      const start = performance.now()
      const error = yield* Effect.flip(producer.send(topic, { key: null, value: "a" }))
      const waited = performance.now() - start
      assert.isTrue(waited > 1000 && waited < 8000, `${waited} ms`)
      assert.include(error.message, "NOT_ENOUGH_REPLICAS_AFTER_APPEND")
      assert.include(error.message, "may have been written")
    })
  )

  it.live("C54 a buffer that stays full fails after one wait, however many records come", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ bufferMemory: 500, maxBlock: "300 millis", closeTimeout: "100 millis" })
      cluster.brokers[0].on(Produce, () => ScriptedBroker.silence)
      const records = Array.from({ length: 20 }, () => ({ key: null, value: "x".repeat(100) }))
      const sending = yield* Effect.forkChild(producer.sendAll(topic, records), { startImmediately: true })
      const start = performance.now()
      const error = yield* Effect.flip(producer.send(topic, { key: null, value: "x".repeat(100) }))
      assert.isBelow(performance.now() - start, 4000)
      assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "BufferExhausted")
      yield* Fiber.interrupt(sending)
    })
  )

  it.live("C56 leaving the scope takes no longer than closeTimeout, and fails what is left", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      cluster.brokers[0].on(Produce, () => ScriptedBroker.silence)
      const start = performance.now()
      const acknowledged = yield* Effect.scoped(
        Effect.gen(function* () {
          const producer = yield* make({ closeTimeout: "200 millis" })
          return yield* producer.enqueue(topic, { key: null, value: "a" })
        })
      )
      assert.isBelow(performance.now() - start, 3000)
      const error = yield* Effect.flip(acknowledged)
      assert.strictEqual(error.reason._tag, "Closed")
      assert.include(error.message, "may have been written")
    })
  )

  it.live("partitions take turns where a request has no room for all of them", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 3)
      answering(cluster.brokers[0], () => ({}))
      const producer = yield* make({ linger: 0, batchSize: 0, maxRequestSize: 700 })
      const value = "x".repeat(400)
      // The first partition may have five in flight, as many as the broker gets at a time, and always has more to send.
      yield* producer.send(topic, { key: null, value, partition: 0 })
      const busy = yield* Effect.forkChild(
        producer.sendAll(
          topic,
          Array.from({ length: 500 }, () => ({ key: null, value, partition: 0 }))
        ),
        { startImmediately: true }
      )
      yield* producer.sendAll(
        topic,
        [1, 2].map((partition) => ({ key: null, value, partition }))
      )
      assert.isUndefined(busy.pollUnsafe())
      yield* Fiber.join(busy)
    })
  )

  it.live("C47 what comes behind a batch that all callers have left is sent all the same", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      answering(cluster.brokers[0], () => ({}))
      const producer = yield* make({ linger: "200 millis", batchSize: 300 })
      const leaving = yield* Effect.forkChild(producer.send(topic, { key: null, value: "x".repeat(200) }), {
        startImmediately: true
      })
      const staying = yield* producer.enqueue(topic, { key: null, value: "y".repeat(200) })
      yield* Fiber.interrupt(leaving)
      yield* staying
      assert.strictEqual(cluster.brokers[0].of(Produce).length, 1)
    })
  )

  it.live("through gives what was acknowledged before the first that failed", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      answering(cluster.brokers[0], () => ({}))
      const producer = yield* make({ linger: 0 })
      const given: Array<string> = []
      const error = yield* Stream.fromArray(["a", "b", "c"]).pipe(
        producer.through(topic, (value) => ({ key: null, value, partition: value === "c" ? 7 : 0 })),
        Stream.runForEach(([value]) => Effect.sync(() => given.push(value))),
        Effect.flip
      )
      assert.deepStrictEqual(given, ["a", "b"])
      assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "InvalidPartition")
    })
  )

  it.live("an answer is for the topic that the request named, whatever metadata says since", () =>
    Effect.gen(function* () {
      const { cluster, kafka, make } = yield* scripted(1, 1, "20 millis", { Produce: [0, 13] })
      const ids = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"]
      const described = cluster.topics.get("t")!
      described.id = ids[0]
      cluster.brokers[0].on(Produce, ({ message }) => {
        const responses = message.topicData.map(({ topicId }) => ({
          topicId,
          partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 5n }]
        }))
        return ScriptedBroker.respond({ responses }, { delay: 300 })
      })
      const producer = yield* make({ linger: 0 })
      const sending = yield* Effect.forkChild(producer.send(topic, { key: null, value: "a" }), {
        startImmediately: true
      })
      yield* Effect.sleep(100)
      described.id = ids[1]
      yield* kafka.cluster.refresh(["t"])
      const { offset } = yield* Fiber.join(sending)
      assert.deepStrictEqual(offset, Option.some(5n))
      assert.strictEqual(cluster.brokers[0].of(Produce).length, 1)
    })
  )

  it.live("what no record can hold is refused, and disturbs nothing else", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make()
      answering(cluster.brokers[0], () => ({}))
      const outcomes = yield* producer.sendAll(topic, [
        { key: null, value: "a", headers: [["\ud800", null]] },
        { key: null, value: "b" }
      ])
      assert.deepStrictEqual(outcomes.map(Exit.isSuccess), [false, true])
      const sent = cluster.brokers[0].of(Produce).flatMap(({ message }) => [...valuesOf(message).values()].flat())
      assert.deepStrictEqual(sent, ["b"])
    })
  )

  it.live("C28 a topic that does not exist is waited for up to maxBlock, and asked to be created", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ maxBlock: "300 millis" })
      const missing = Kafka.topic("missing", { key: Serde.nullable(Serde.string), value: Serde.string })
      cluster.topics.set("missing", { errorCode: codes.UNKNOWN_TOPIC_OR_PARTITION, partitions: [] })
      const error = yield* Effect.flip(producer.send(missing, { key: null, value: "a" }))
      assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "TopicUnavailable")
      const asked = cluster.brokers[0]
        .of(Metadata)
        .filter(({ message }) => message.topics?.some(({ name }) => name === "missing"))
      assert.isAbove(asked.length, 1)
      assert.isTrue(asked[0].message.allowAutoTopicCreation)
    })
  )

  it.live("C46 what was never sent says so, and why", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ linger: 0, deliveryTimeout: "1200 millis" })
      cluster.topics.set("t", { partitions: [{ leader: -1, epoch: 1, errorCode: codes.LEADER_NOT_AVAILABLE }] })
      const error = yield* Effect.flip(producer.send(topic, { key: null, value: "a" }))
      assert.include(error.message, "it was not written: the partition had no leader")
      assert.strictEqual(cluster.brokers[0].of(Produce).length, 0)
    })
  )

  const fatal = {
    INVALID_RECORD: "Rejected",
    TOPIC_AUTHORIZATION_FAILED: "NotAuthorized",
    INVALID_REQUIRED_ACKS: "Rejected",
    UNSUPPORTED_FOR_MESSAGE_FORMAT: "Rejected",
    UNSUPPORTED_COMPRESSION_TYPE: "Rejected",
    MESSAGE_TOO_LARGE: "RecordTooLarge"
  } as const
  for (const [name, tag] of Object.entries(fatal)) {
    it.live(`C48 ${name} is not tried again`, () =>
      Effect.gen(function* () {
        const { cluster, make } = yield* scripted(1, 1)
        const producer = yield* make({ linger: 0 })
        answering(cluster.brokers[0], () => ({ errorCode: codes[name as keyof typeof fatal] }))
        const error = yield* Effect.flip(producer.send(topic, { key: null, value: "a" }))
        assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, tag)
        assert.strictEqual(cluster.brokers[0].of(Produce).length, 1)
      })
    )
  }

  it.live("C54 whoever waits for room can be interrupted, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ bufferMemory: 500, closeTimeout: 0 })
      let isOpen = false
      const sent: Array<string> = []
      answering(cluster.brokers[0], (_, values) => {
        sent.push(...values)
        return isOpen ? {} : { errorCode: codes.NOT_ENOUGH_REPLICAS }
      })
      const value = "x".repeat(300)
      const first = yield* producer.enqueue(topic, { key: null, value })
      const waiting = yield* Effect.forkChild(producer.send(topic, { key: null, value: `${value}y` }))
      yield* Effect.sleep("50 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(waiting)
      isOpen = true
      yield* first
      yield* producer.send(topic, { key: null, value: "last" })
      assert.deepStrictEqual([...new Set(sent)], [value, "last"])
    })
  )

  it.live("C55 flush sends at once, and waits for no more than what was there", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1)
      const producer = yield* make({ linger: "5 seconds", closeTimeout: 0 })
      cluster.brokers[0].on(Produce, ({ message }) =>
        [...valuesOf(message).values()].flat().includes("later")
          ? ScriptedBroker.silence
          : ScriptedBroker.respond({ responses: [{ name: "t", partitionResponses: [{ index: 0, baseOffset: 0n }] }] })
      )
      const first = yield* producer.enqueue(topic, { key: null, value: "first" })
      const flushing = yield* Effect.forkChild(producer.flush, { startImmediately: true })
      yield* Effect.sleep("20 millis")
      yield* producer.enqueue(topic, { key: null, value: "later" })
      yield* Effect.timeout(Fiber.join(flushing), "2 seconds")
      yield* first
    })
  )

  it.live("C59 what the broker's release cannot carry fails early, and says what to change", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 1, "20 millis", { Produce: [0, 6] })
      answering(cluster.brokers[0], () => ({}))
      const zstd = yield* make({ compression: "zstd", linger: 0 })
      const error = yield* Effect.flip(zstd.send(topic, { key: null, value: "a" }))
      assert.strictEqual(error._tag === "ProducerError" && error.reason._tag, "Unsupported")
      assert.include(error.message, "choose another compression")
      const lz4 = yield* make({ compression: "lz4", linger: 0 })
      yield* lz4.send(topic, { key: null, value: "a" })
      assert.strictEqual(cluster.brokers[0].of(Produce).length, 1)
    })
  )

  it.live("a partitioner of the user's that throws, or names no partition, fails its record alone", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted(1, 2)
      answering(cluster.brokers[0], () => ({}))
      const producer = yield* make({
        linger: 0,
        partitioner: ({ value }) => {
          if (value?.length === 1) throw new Error("too short")
          return value?.length === 2 ? 9 : 1
        }
      })
      const outcomes = yield* producer.sendAll(topic, [
        { key: null, value: "a" },
        { key: null, value: "bb" },
        { key: null, value: "ccc" }
      ])
      const messages = outcomes.map((outcome) =>
        Option.match(Exit.findErrorOption(outcome), { onNone: () => "", onSome: ({ message }) => message })
      )
      assert.include(messages[0], "the partitioner failed for a record of topic t: too short")
      assert.include(messages[1], "topic t has no partition 9: it has 2")
      assert.strictEqual(messages[2], "")
    })
  )

  it.live("wrong options are named with what to give instead", () =>
    Effect.gen(function* () {
      const { make } = yield* scripted(1, 1)
      const wrong: ReadonlyArray<readonly [Producer.Options, string]> = [
        // Users without types can give anything.
        [{ partitioner: "none" as never }, `partitioner is "none"; give one of default, sticky`],
        [{ compression: "brotli" as never }, `compression is "brotli"; give one of none, gzip`],
        [{ compression: "gzip", compressionLevel: 10 }, "compressionLevel is 10; give a whole number from 1 to 9"],
        [{ compression: "lz4", compressionLevel: 1 }, "compressionLevel is 1, but lz4 has no levels"],
        [{ acks: 2 as never }, `acks is 2; give "all", 1 or 0`],
        [{ batchSize: -1 }, "batchSize is -1"],
        [{ linger: "-1 second" }, "linger"],
        [{ deliveryTimeout: "10 millis" }, "less than linger and requestTimeout together"]
      ]
      for (const [options, text] of wrong) {
        const error = yield* Effect.flip(make(options))
        assert.strictEqual(error.reason._tag, "InvalidOption")
        assert.include(error.message, text)
      }
    })
  )
})
