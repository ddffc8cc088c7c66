/** The idempotent producer against scripted brokers that check sequences as Kafka does. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Effect, Exit, Fiber, Logger, Option } from "effect"
import { Batch } from "../src/internal/producer/Batch.ts"
import { PartitionQueue } from "../src/internal/producer/PartitionQueue.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import { ScriptedLog } from "./ScriptedLog.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })

/** Brokers that share a log of one topic, whose partitions are led in turn. */
const scripted = (
  options: { readonly brokers?: number; readonly partitions?: number; readonly offered?: ScriptedBroker.Offered } = {}
) =>
  Effect.gen(function* () {
    const { brokers = 1, offered, partitions = 1 } = options
    const cluster = yield* ScriptedCluster.make(brokers, { offered: { Produce: [0, 12], ...offered } })
    cluster.topics.set("t", {
      partitions: Array.from({ length: partitions }, (_, index) => ({ leader: (index % brokers) + 1, epoch: 1 }))
    })
    const log = new ScriptedLog()
    cluster.brokers.forEach((broker, index) => {
      log.serve(broker, index)
    })
    const kafka = yield* Kafka.make({
      bootstrapServers: cluster.brokers.map((broker) => broker.address),
      requestTimeout: "1 second",
      retryBackoff: "10 millis"
    })
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(String(message)))
    const make = (producerOptions: Producer.Options = {}) =>
      Producer.make({ deliveryTimeout: "10 seconds", linger: 0, ...producerOptions }).pipe(
        Effect.provideService(Kafka.Kafka, kafka),
        Effect.provide(Logger.layer([logger]))
      )
    return { cluster, kafka, log, logged, make }
  })

/** Batches of one record each: what is sent next is another batch. */
const oneByOne: Producer.Options = { batchSize: 0 }

const sendAll = (producer: Producer.Producer["Service"], values: ReadonlyArray<string>) =>
  producer.sendAll(
    topic,
    values.map((value) => ({ key: null, value, partition: 0 }))
  )

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => String(from + index))

const offsetsOf = (outcomes: ReadonlyArray<Exit.Exit<{ readonly offset: Option.Option<bigint> }, unknown>>) =>
  outcomes.map((outcome) =>
    Exit.isSuccess(outcome) ? Number(Option.getOrElse(outcome.value.offset, () => -1n)) : "failed"
  )

const reasonOf = (outcome: Exit.Exit<unknown, { readonly reason: { readonly _tag: string } }>): string =>
  Option.match(Exit.findErrorOption(outcome), { onNone: () => "none", onSome: (error) => error.reason._tag })

describe("Idempotence", () => {
  it.live("C36 sequences start at 0 and grow by the number of records, per partition", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted({ partitions: 2 })
      const producer = yield* make()
      for (const [partition, values] of [
        [0, ["a", "b", "c"]],
        [1, ["d"]],
        [0, ["e", "f"]],
        [0, ["g"]]
      ] as const) {
        yield* producer.sendAll(
          topic,
          values.map((value) => ({ key: null, value, partition }))
        )
      }
      assert.deepStrictEqual(
        log.arrived.map(({ epoch, partition, sequence }) => [partition, epoch, sequence]),
        [
          [0, 0, 0],
          [1, 0, 0],
          [0, 0, 3],
          [0, 0, 5]
        ]
      )
      assert.isTrue(log.arrived.every(({ producerId }) => producerId === 1000n))
    })
  )

  it("C36 sequences wrap from 2^31 - 1 to 0, in the middle of a batch and behind it", () => {
    const queue = new PartitionQueue("t", 0)
    queue.sequence = 0x7fffffff - 4
    const taken = [3, 4, 2].map((count, index) => {
      const batch = new Batch("t", 0, 100, 0, { from: index, width: 1 })
      for (let record = 0; record < count; record++) batch.builder.append(0, null, null)
      queue.waiting.push(batch)
      return queue.take(1, { producerId: 7n, epoch: 0 })
    })
    assert.deepStrictEqual(
      taken.map(({ baseSequence }) => baseSequence),
      [0x7fffffff - 4, 0x7fffffff - 1, 2]
    )
    // Sent again, they keep their order and their numbers.
    for (const batch of [taken[1], taken[2], taken[0]]) queue.retry(batch)
    assert.deepStrictEqual(queue.waiting, taken)
    assert.deepStrictEqual(
      queue.waiting.map(({ baseSequence }) => baseSequence),
      [0x7fffffff - 4, 0x7fffffff - 1, 2]
    )
  })

  it.live("C37 a retry sends the same bytes, to another leader too", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted({ brokers: 2 })
      const producer = yield* make()
      log.fault = ({ attempt }) =>
        attempt === 1
          ? { verdict: { errorCode: codes.NOT_ENOUGH_REPLICAS } }
          : attempt === 2
            ? { append: true, answer: { errorCode: codes.NOT_LEADER_OR_FOLLOWER, leader: [2, 7] } }
            : undefined
      assert.deepStrictEqual(offsetsOf(yield* sendAll(producer, ["a", "b"])), [0, 0 + 1])
      assert.deepStrictEqual(
        log.arrived.map(({ broker }) => broker),
        [0, 0, 1]
      )
      for (const { bytes } of log.arrived) assert.deepStrictEqual(bytes, log.arrived[0].bytes)
      assert.deepStrictEqual(log.values(0), ["a", "b"])
    })
  )

  it.live("C38 one batch is in flight until the first is acknowledged, then five", () =>
    Effect.gen(function* () {
      const { cluster, log, make } = yield* scripted()
      const producer = yield* make(oneByOne)
      // The first is answered late, so that others have time to come beside it.
      let isFirst = true
      log.delay = () => {
        const delay = isFirst ? 500 : 20
        isFirst = false
        return delay
      }
      const sending = yield* Effect.forkChild(sendAll(producer, numbers(0, 40)), { startImmediately: true })
      yield* until(() => cluster.brokers[0].of(Produce).length > 0)
      yield* Effect.sleep("100 millis")
      assert.strictEqual(cluster.brokers[0].of(Produce).length, 1)
      const outcomes = yield* Fiber.join(sending)
      assert.deepStrictEqual(offsetsOf(outcomes), numbers(0, 40).map(Number))
      assert.strictEqual(log.mostInFlight, 5)
    })
  )

  it.live("C38 after a leader has moved, one is in flight until its first acknowledgement", () =>
    Effect.gen(function* () {
      const { cluster, kafka, log, make } = yield* scripted({ brokers: 2 })
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, numbers(0, 10))
      cluster.topics.set("t", { partitions: [{ leader: 2, epoch: 9 }] })
      yield* kafka.cluster.refresh(["t"])
      log.delay = () => 500
      const sending = yield* Effect.forkChild(sendAll(producer, numbers(10, 10)), { startImmediately: true })
      yield* until(() => cluster.brokers[1].of(Produce).length > 0)
      log.delay = () => 0
      yield* Effect.sleep("100 millis")
      assert.strictEqual(cluster.brokers[1].of(Produce).length, 1)
      yield* Fiber.join(sending)
      assert.deepStrictEqual(log.values(0), numbers(0, 20))
    })
  )

  it.live("without idempotence one batch is in flight, so that order is kept", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ ...oneByOne, enableIdempotence: false })
      log.delay = () => 5
      yield* sendAll(producer, numbers(0, 20))
      assert.strictEqual(log.mostInFlight, 1)
      assert.isTrue(log.arrived.every(({ producerId, sequence }) => producerId === -1n && sequence === -1))
      assert.deepStrictEqual(log.values(0), numbers(0, 20))
    })
  )

  it.live("C39 batches stay in order when a broker's address changes under them", () =>
    Effect.gen(function* () {
      const { cluster, kafka, log, make } = yield* scripted()
      const moved = yield* ScriptedBroker.make({ offered: { Produce: [0, 12] } })
      cluster.join(moved)
      log.serve(moved, 1)
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, ["first"])
      log.delay = ([batch]) => (batch.broker === 0 ? 500 : 0)
      const asked = cluster.brokers[0].of(Produce).length
      const slow = yield* Effect.forkChild(sendAll(producer, ["slow"]), { startImmediately: true })
      yield* until(() => cluster.brokers[0].of(Produce).length > asked)
      cluster.brokers[0] = moved
      yield* kafka.cluster.refresh()
      const fast = yield* sendAll(producer, ["fast"])
      assert.isDefined(slow.pollUnsafe())
      assert.deepStrictEqual(offsetsOf(fast), [2])
      assert.deepStrictEqual(
        log.arrived.map(({ attempt, broker, values }) => [values[0], broker, attempt]),
        [
          ["first", 0, 1],
          ["slow", 0, 1],
          ["fast", 1, 1]
        ]
      )
    })
  )

  it.live("C40 a gap before a batch whose predecessor is still to come is no error: both are sent again", () =>
    Effect.gen(function* () {
      const { log, logged, make } = yield* scripted()
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, ["start"])
      log.delay = () => 10
      log.fault = ({ attempt, values }) =>
        values[0] === "1" && attempt === 1 ? { verdict: { errorCode: codes.NOT_ENOUGH_REPLICAS } } : undefined
      const outcomes = yield* sendAll(producer, numbers(0, 8))
      assert.deepStrictEqual(offsetsOf(outcomes), [1, 2, 3, 4, 5, 6, 7, 8])
      assert.deepStrictEqual(log.values(0), ["start", ...numbers(0, 8)])
      assert.isTrue(log.arrived.every(({ epoch }) => epoch === 0))
      assert.isTrue(log.arrived.some(({ attempt }) => attempt > 1))
      assert.deepStrictEqual(logged, [])
    })
  )

  it.live("C40 a gap before the next batch that is expected begins a new epoch, and tells of a possible loss", () =>
    Effect.gen(function* () {
      const { log, logged, make } = yield* scripted()
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, numbers(0, 5))
      log.truncate(0, 2)
      const outcomes = yield* sendAll(producer, numbers(5, 10))
      assert.deepStrictEqual(offsetsOf(outcomes), numbers(3, 10).map(Number))
      assert.deepStrictEqual(log.values(0), [...numbers(0, 3), ...numbers(5, 10)])
      const again = log.arrived.filter(({ epoch }) => epoch === 1)
      assert.strictEqual(again[0].sequence, 0)
      assert.strictEqual(logged.filter((line) => line.includes("may have been lost")).length, 1)
    })
  )

  const unknown = (logStartOffset: bigint) => ({
    verdict: { errorCode: codes.UNKNOWN_PRODUCER_ID, logStartOffset }
  })

  it.live("C41 an unknown producer: without a start of the log, the same again", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      log.fault = ({ attempt }) => (attempt === 1 ? unknown(-1n) : undefined)
      yield* sendAll(producer, ["a"])
      assert.deepStrictEqual(
        log.arrived.map(({ epoch, sequence }) => [epoch, sequence]),
        [
          [0, 0],
          [0, 0]
        ]
      )
    })
  )

  for (const [name, start, isLoss] of [
    ["whose records were deleted: a new epoch, and nothing is lost", 10n, false],
    ["whose records should be there: a new epoch, and a possible loss is told", 0n, true]
  ] as const) {
    it.live(`C41 an unknown producer ${name}`, () =>
      Effect.gen(function* () {
        const { log, logged, make } = yield* scripted()
        const producer = yield* make()
        yield* sendAll(producer, ["a"])
        yield* sendAll(producer, ["b"])
        log.fault = ({ attempt, values }) => (attempt === 1 && values[0] === "c" ? unknown(start) : undefined)
        yield* sendAll(producer, ["c"])
        assert.deepStrictEqual(log.values(0), ["a", "b", "c"])
        const { epoch, sequence } = log.arrived.at(-1)!
        assert.deepStrictEqual([epoch, sequence], [1, 0])
        assert.strictEqual(logged.length, isLoss ? 1 : 0)
      })
    )
  }

  it.live("C42 a duplicate is a success without an offset", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      log.fault = () => ({ append: true, answer: { errorCode: codes.DUPLICATE_SEQUENCE_NUMBER } })
      assert.deepStrictEqual(offsetsOf(yield* sendAll(producer, ["a"])), [-1])
    })
  )

  it.live("C43 the last epoch is followed by another producer id; the id is there before the first request", () =>
    Effect.gen(function* () {
      const { cluster, log, make } = yield* scripted()
      let id = 50n
      cluster.brokers[0].on(InitProducerId, () =>
        ScriptedBroker.respond({ producerId: id++, producerEpoch: 32767 }, { delay: 50 })
      )
      const producer = yield* make()
      yield* sendAll(producer, ["a"])
      log.truncate(0, 1)
      yield* sendAll(producer, ["b"])
      assert.deepStrictEqual(
        log.arrived.map(({ epoch, producerId, sequence }) => [producerId, epoch, sequence]),
        [
          [50n, 32767, 0],
          [50n, 32767, 1],
          [51n, 32767, 0]
        ]
      )
    })
  )

  it.live("C43 a new epoch waits until no batch of the old one is in flight", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, ["start"])
      log.delay = () => 20
      let refused = false
      log.fault = ({ values }) => {
        if (refused || values[0] !== "1") return undefined
        refused = true
        return { verdict: { errorCode: codes.INVALID_RECORD } }
      }
      const outcomes = yield* sendAll(producer, numbers(0, 8))
      assert.deepStrictEqual(outcomes.map(Exit.isSuccess), [true, false, true, true, true, true, true, true])
      assert.deepStrictEqual(log.values(0), ["start", "0", ...numbers(2, 6)])
      // Epochs never go back.
      const epochs = log.arrived.map(({ epoch }) => epoch)
      assert.deepStrictEqual(epochs, [...epochs].sort())
      assert.strictEqual(epochs.at(-1), 1)
    })
  )

  it.live("C44 an epoch that the broker calls invalid is followed by the next", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      log.fault = ({ attempt }) =>
        attempt === 1 ? { verdict: { errorCode: codes.INVALID_PRODUCER_EPOCH } } : undefined
      yield* sendAll(producer, ["a"])
      assert.deepStrictEqual(log.values(0), ["a"])
      assert.strictEqual(log.arrived[1].epoch, 1)
    })
  )

  for (const [name, answer] of [
    ["the connection is lost", "close"],
    ["no answer comes", "silence"],
    ["the answer is REQUEST_TIMED_OUT", { errorCode: codes.REQUEST_TIMED_OUT }],
    ["the answer is NOT_ENOUGH_REPLICAS_AFTER_APPEND", { errorCode: codes.NOT_ENOUGH_REPLICAS_AFTER_APPEND }],
    ["the answer is NOT_LEADER_OR_FOLLOWER", { errorCode: codes.NOT_LEADER_OR_FOLLOWER }]
  ] as const) {
    it.live(`C45 what was appended is in the log once, though ${name}`, () =>
      Effect.gen(function* () {
        const { log, make } = yield* scripted()
        const producer = yield* make(oneByOne)
        yield* sendAll(producer, ["start"])
        log.fault = ({ attempt, values }) => (values[0] === "2" && attempt <= 2 ? { append: true, answer } : undefined)
        const outcomes = yield* sendAll(producer, numbers(0, 10))
        assert.deepStrictEqual(offsetsOf(outcomes), numbers(1, 10).map(Number))
        assert.deepStrictEqual(log.values(0), ["start", ...numbers(0, 10)])
      })
    )
  }

  it.live("C46 a batch whose time is over in flight may have been written; what follows begins a new epoch", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ ...oneByOne, deliveryTimeout: "1100 millis" })
      yield* sendAll(producer, ["start"])
      log.delay = ([{ values }]) => (values[0] === "slow" ? 3000 : 0)
      const [outcome] = yield* sendAll(producer, ["slow"])
      assert.strictEqual(reasonOf(outcome), "DeliveryTimeout")
      const error = Option.getOrThrow(Exit.findErrorOption(outcome))
      assert.include(error.message, "it may have been written")
      const outcomes = yield* sendAll(producer, numbers(0, 3))
      assert.deepStrictEqual(offsetsOf(outcomes), [2, 3, 4])
      assert.deepStrictEqual(log.values(0), ["start", "slow", ...numbers(0, 3)])
      const { epoch, sequence } = log.arrived.find(({ values }) => values[0] === "0")!
      assert.deepStrictEqual([epoch, sequence], [1, 0])
    })
  )

  it.live("C47 interrupting a caller takes its record back while it is in no request, and disturbs no other", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ linger: "500 millis" })
      const send = (value: string) =>
        Effect.forkChild(producer.send(topic, { key: null, value, partition: 0 }), { startImmediately: true })
      const first = yield* send("a")
      const second = yield* send("b")
      const third = yield* send("c")
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(second)
      const [one, three] = [yield* Fiber.join(first), yield* Fiber.join(third)]
      assert.deepStrictEqual([one.offset, three.offset], [Option.some(0n), Option.some(1n)])
      assert.deepStrictEqual(log.values(0), ["a", "c"])
      // Nobody is left: nothing is sent.
      const alone = yield* send("d")
      yield* Fiber.interrupt(alone)
      yield* producer.flush
      assert.deepStrictEqual(log.values(0), ["a", "c"])
    })
  )

  it.live("C47 what is in a request completes in the background", () =>
    Effect.gen(function* () {
      const { cluster, log, make } = yield* scripted()
      const producer = yield* make()
      log.delay = () => 100
      const sending = yield* Effect.forkChild(producer.send(topic, { key: null, value: "a", partition: 0 }))
      yield* until(() => cluster.brokers[0].of(Produce).length > 0)
      yield* Fiber.interrupt(sending)
      yield* sendAll(producer, ["b"])
      assert.deepStrictEqual(log.values(0), ["a", "b"])
      assert.deepStrictEqual(
        log.arrived.map(({ attempt }) => attempt),
        [1, 1]
      )
    })
  )

  it.live("C49 a batch that is too large is split until it fits, in order, and numbered anew", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      log.fault = ({ bytes }) => (bytes.length > 200 ? { verdict: { errorCode: codes.MESSAGE_TOO_LARGE } } : undefined)
      const values = numbers(0, 100)
      const outcomes = yield* sendAll(producer, [...values, "x".repeat(300), ...numbers(100, 10)])
      assert.deepStrictEqual(offsetsOf(outcomes), [...values.map(Number), "failed", ...numbers(100, 10).map(Number)])
      assert.strictEqual(reasonOf(outcomes[100]), "RecordTooLarge")
      assert.deepStrictEqual(log.values(0), [...values, ...numbers(100, 10)])
    })
  )

  it.live("C49 batches behind one that is split stay behind it", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ batchSize: 300 })
      yield* sendAll(producer, ["start"])
      log.delay = () => 10
      log.fault = ({ values }) =>
        values.includes("5") && values.length > 1 ? { verdict: { errorCode: codes.MESSAGE_TOO_LARGE } } : undefined
      const outcomes = yield* sendAll(producer, numbers(0, 100))
      assert.isTrue(outcomes.every(Exit.isSuccess))
      assert.deepStrictEqual(log.values(0), ["start", ...numbers(0, 100)])
    })
  )

  it.live("C50 only the records that the broker names fail; the others are sent without them", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      log.fault = ({ values }) => {
        const recordErrors = values.flatMap((value, batchIndex) =>
          value.startsWith("bad") ? [{ batchIndex, batchIndexErrorMessage: `${value} is bad` }] : []
        )
        return recordErrors.length > 0 ? { verdict: { errorCode: codes.INVALID_RECORD, recordErrors } } : undefined
      }
      const outcomes = yield* sendAll(producer, ["a", "bad 1", "b", "bad 2", "c"])
      assert.deepStrictEqual(offsetsOf(outcomes), [0, "failed", 1, "failed", 2])
      const error = Option.getOrThrow(Exit.findErrorOption(outcomes[3]))
      assert.strictEqual(error.reason._tag, "InvalidRecord")
      assert.include(error.message, "bad 2 is bad")
      assert.deepStrictEqual(log.values(0), ["a", "b", "c"])
    })
  )

  it.live("C50 a broker that names records which the batch does not have refuses the batch", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make()
      const recordErrors = [{ batchIndex: 9, batchIndexErrorMessage: "what" }]
      log.fault = () => ({ verdict: { errorCode: codes.INVALID_RECORD, recordErrors } })
      const outcomes = yield* sendAll(producer, ["a", "b"])
      assert.deepStrictEqual(outcomes.map(reasonOf), ["Rejected", "Rejected"])
      assert.strictEqual(log.arrived.length, 1)
    })
  )

  it.live("C49 what comes while the parts of a batch are sent stays behind what was in flight with it", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted()
      const producer = yield* make({ batchSize: 400 })
      yield* sendAll(producer, ["start"])
      log.delay = () => 20
      log.fault = ({ values }) => (values.length > 2 ? { verdict: { errorCode: codes.MESSAGE_TOO_LARGE } } : undefined)
      // Arrays come all the while, so that some come between the parts and what was in flight behind the whole.
      const sending = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 60 }, (_, index) => index),
          (index) => Effect.delay(producer.enqueue(topic, { key: null, value: String(index), partition: 0 }), 2)
        )
      )
      yield* Effect.forEach(yield* Fiber.join(sending), (acknowledged) => acknowledged, { concurrency: "unbounded" })
      assert.deepStrictEqual(log.values(0), ["start", ...numbers(0, 60)])
    })
  )

  it.live("C40 a gap left by what the broker has refused is no loss, and nobody is told of one", () =>
    Effect.gen(function* () {
      const { log, logged, make } = yield* scripted()
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, ["start"])
      log.delay = () => 20
      log.fault = ({ values }) => (values[0] === "1" ? { verdict: { errorCode: codes.INVALID_RECORD } } : undefined)
      yield* sendAll(producer, numbers(0, 8))
      assert.deepStrictEqual(log.values(0), ["start", "0", ...numbers(2, 6)])
      assert.deepStrictEqual(logged, [])
    })
  )

  it.live("C57 brokers that know no idempotence: off, with one line in the log", () =>
    Effect.gen(function* () {
      const { log, logged, make } = yield* scripted({ offered: { InitProducerId: "none" } })
      const producer = yield* make(oneByOne)
      yield* sendAll(producer, numbers(0, 5))
      assert.isTrue(log.arrived.every(({ producerId }) => producerId === -1n))
      assert.strictEqual(logged.length, 1)
      assert.include(logged[0], "Kafka 0.11")
    })
  )

  it.live("C57 idempotence that was asked for and cannot be had is an error that says what to change", () =>
    Effect.gen(function* () {
      const { make } = yield* scripted({ offered: { InitProducerId: "none" } })
      const producer = yield* make({ enableIdempotence: true })
      const [outcome] = yield* sendAll(producer, ["a"])
      assert.strictEqual(reasonOf(outcome), "IdempotenceUnavailable")
      const error = yield* Effect.flip(make({ enableIdempotence: true, acks: 1 }))
      assert.include(error.message, `enableIdempotence is true with acks 1`)
    })
  )

  it.live("C57 a missing permission is named", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted()
      let refusals = 1
      cluster.brokers[0].on(InitProducerId, () =>
        ScriptedBroker.respond({
          errorCode: refusals-- > 0 ? codes.CLUSTER_AUTHORIZATION_FAILED : 0,
          producerId: 1n,
          producerEpoch: 0
        })
      )
      const producer = yield* make()
      const [outcome] = yield* sendAll(producer, ["a"])
      const error = Option.getOrThrow(Exit.findErrorOption(outcome))
      assert.include(error.message, "IdempotentWrite")
      // Once it was granted, sending goes on.
      assert.isTrue(Exit.isSuccess((yield* sendAll(producer, ["b"]))[0]))
    })
  )
})
