/** Transactions by raw requests: what coordinators and leaders answer to producers of both versions (KIP-98, KIP-890). */
import { assert, describe, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { AddOffsetsToTxn } from "@kafka-effect/protocol/messages/AddOffsetsToTxn"
import { AddPartitionsToTxn } from "@kafka-effect/protocol/messages/AddPartitionsToTxn"
import { DescribeProducers } from "@kafka-effect/protocol/messages/DescribeProducers"
import { DescribeTransactions } from "@kafka-effect/protocol/messages/DescribeTransactions"
import { EndTxn } from "@kafka-effect/protocol/messages/EndTxn"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { ListTransactions } from "@kafka-effect/protocol/messages/ListTransactions"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { TxnOffsetCommit } from "@kafka-effect/protocol/messages/TxnOffsetCommit"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Clock, Effect, Layer, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Kafka, Serde } from "kafka-effect"
import * as TestBroker from "../src/TestBroker.ts"
import { passing } from "../src/VirtualTime.ts"

interface Writer {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

const T = Kafka.topic("t", { key: Serde.bytes, value: Serde.string })

const options: TestBroker.Options = { network: "memory", topics: { t: 2 } }

const quiet = Layer.provideMerge(Logger.layer([]))

const live = (name: string, test: Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker>) =>
  it.live(name, () => test.pipe(Effect.provide(TestBroker.layerKafka(options).pipe(quiet))))

const initialise = (transactionalId: string, more: Partial<Writer> & { transactionTimeoutMs?: number } = {}) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const request = { transactionalId, transactionTimeoutMs: 60_000, ...more }
    const { errorCode, producerEpoch, producerId } = yield* kafka.request("any", InitProducerId, request)
    return { errorCode, transactionalId, producerId, producerEpoch }
  })

const add = ({ producerEpoch, producerId, transactionalId }: Writer, partition: number, version = 3) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const request = {
      transactions: [],
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: "t", partitions: [partition] }]
    }
    const { resultsByTopicV3AndBelow } = yield* kafka.request("any", AddPartitionsToTxn, request, version)
    return resultsByTopicV3AndBelow[0].resultsByPartition[0].partitionErrorCode
  })

const produce = (
  { producerEpoch, producerId, transactionalId }: Writer,
  values: ReadonlyArray<string>,
  { baseSequence = 0, isTransactional = true, partition = 0, version = 11 } = {}
) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const builder = new RecordBatchBuilder()
    const now = yield* Clock.currentTimeMillis
    for (const value of values) builder.append(now, null, Buffer.from(value))
    // Without compression it is there at once.
    const built = builder.build({ producerId, producerEpoch, baseSequence, isTransactional }) as Uint8Array
    const records = Uint8Array.from(built)
    const request = {
      transactionalId: isTransactional ? transactionalId : null,
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: "t", partitionData: [{ index: partition, records }] }]
    }
    const { responses } = yield* kafka.request("any", Produce, request, version)
    return responses[0].partitionResponses[0].errorCode
  })

const end = (writer: Writer, committed: boolean, version = 4) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const { errorCode, producerEpoch, producerId } = yield* kafka.request(
      "any",
      EndTxn,
      { ...writer, committed },
      version
    )
    return { errorCode, producerEpoch, producerId }
  })

const offsets = (isolationLevel: number) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const partitions = [{ partitionIndex: 0, timestamp: -1n }]
    const { topics } = yield* kafka.request("any", ListOffsets, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: "t", partitions }]
    })
    return topics[0].partitions[0].offset
  })

const fetched = (isolationLevel: number) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const partitions = [{ partition: 0, fetchOffset: 0n, partitionMaxBytes: 1_000_000 }]
    const request = {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1_000_000,
      isolationLevel,
      topics: [{ topic: "t", partitions }]
    }
    const { responses } = yield* kafka.request("any", Fetch, request, 12)
    const [{ abortedTransactions, highWatermark, lastStableOffset, records }] = responses[0].partitions
    return { abortedTransactions, highWatermark, lastStableOffset, bytes: records?.length ?? 0 }
  })

/** What a consumer sees of partition 0, up to its end. */
const seen = (isolation: "committed" | "uncommitted") =>
  Consumer.assign({ partitions: [[T, 0, "earliest"]], until: "end", isolation }).pipe(
    Stream.runCollect,
    Effect.map((records) => records.map(({ value }) => value))
  )

const leaderOf = (partition: number) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.Kafka
    const { topics } = yield* kafka.request("any", Metadata, { topics: [{ name: "t" }] })
    return topics[0].partitions.find(({ partitionIndex }) => partitionIndex === partition)?.leaderId
  })

/** The client, with every request to one broker. */
const onNode = (node: number) =>
  Effect.map(Kafka.Kafka, (kafka) => ({
    ...kafka,
    request: <Request, Response>(
      _: unknown,
      api: Api<Request, Response>,
      message: Wire.Input<Request>,
      version?: number
    ) => kafka.request(node, api, message, version)
  }))

describe("Transactions", () => {
  live(
    "what was committed is read, what was aborted is not, and what is open holds up the last stable offset",
    Effect.gen(function* () {
      const writer = yield* initialise("a")
      assert.deepStrictEqual([writer.errorCode, writer.producerEpoch], [0, 0])
      assert.strictEqual(yield* add(writer, 0), 0)
      assert.strictEqual(yield* produce(writer, ["a", "b"]), 0)
      assert.deepStrictEqual([yield* offsets(0), yield* offsets(1)], [2n, 0n])
      assert.strictEqual((yield* end(writer, true)).errorCode, 0)
      assert.deepStrictEqual([yield* offsets(0), yield* offsets(1)], [3n, 3n])
      assert.strictEqual(yield* add(writer, 0), 0)
      assert.strictEqual(yield* produce(writer, ["c"], { baseSequence: 2 }), 0)
      assert.deepInclude(yield* fetched(1), { lastStableOffset: 3n, highWatermark: 4n, abortedTransactions: [] })
      assert.strictEqual((yield* end(writer, false)).errorCode, 0)
      const { abortedTransactions, lastStableOffset } = yield* fetched(1)
      assert.strictEqual(lastStableOffset, 5n)
      assert.deepStrictEqual(
        abortedTransactions?.map(({ firstOffset, producerId }) => [producerId, firstOffset]),
        [[writer.producerId, 3n]]
      )
      assert.isNull((yield* fetched(0)).abortedTransactions)
      assert.deepStrictEqual(yield* seen("committed"), ["a", "b"])
      assert.deepStrictEqual(yield* seen("uncommitted"), ["a", "b", "c"])
    })
  )

  live(
    "a new producer of the same id fences the one before, and has its transaction aborted",
    Effect.gen(function* () {
      const first = yield* initialise("a")
      yield* add(first, 0)
      yield* produce(first, ["a"])
      assert.strictEqual((yield* initialise("a")).errorCode, codes.CONCURRENT_TRANSACTIONS)
      const second = yield* initialise("a").pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: ({ errorCode }) => errorCode !== codes.CONCURRENT_TRANSACTIONS })
      )
      assert.deepStrictEqual([second.errorCode, second.producerId], [0, first.producerId])
      assert.strictEqual(second.producerEpoch, first.producerEpoch + 2)
      assert.strictEqual(yield* add(first, 0), codes.PRODUCER_FENCED)
      assert.strictEqual(yield* add(first, 0, 1), codes.INVALID_PRODUCER_EPOCH)
      assert.strictEqual((yield* end(first, true)).errorCode, codes.PRODUCER_FENCED)
      assert.strictEqual((yield* end(first, true, 1)).errorCode, codes.INVALID_PRODUCER_EPOCH)
      assert.strictEqual(yield* produce(first, ["b"], { baseSequence: 1 }), codes.INVALID_PRODUCER_EPOCH)
      assert.strictEqual(yield* produce(first, ["b"], { baseSequence: 1, version: 12 }), codes.INVALID_PRODUCER_EPOCH)
      assert.deepStrictEqual(yield* seen("committed"), [])
    })
  )

  live(
    "KIP-360: a producer that says who it was gets its next epoch; one that was fenced does not",
    Effect.gen(function* () {
      const first = yield* initialise("a")
      const again = yield* initialise("a", first)
      assert.deepStrictEqual([again.errorCode, again.producerEpoch], [0, 1])
      // It has not heard the answer.
      const repeated = yield* initialise("a", first)
      assert.deepStrictEqual([repeated.errorCode, repeated.producerEpoch], [0, 1])
      yield* initialise("a")
      assert.strictEqual((yield* initialise("a", again)).errorCode, codes.PRODUCER_FENCED)
      assert.strictEqual(
        (yield* initialise("a", { producerId: 77_777n, producerEpoch: 0 })).errorCode,
        codes.PRODUCER_FENCED
      )
    })
  )

  live(
    "version 1: what does not fit the state is refused",
    Effect.gen(function* () {
      const writer = yield* initialise("a")
      const { INVALID_PRODUCER_ID_MAPPING, INVALID_TXN_STATE, TRANSACTION_ABORTABLE } = codes
      assert.strictEqual((yield* end(writer, true)).errorCode, INVALID_TXN_STATE)
      assert.strictEqual((yield* end(writer, false)).errorCode, INVALID_TXN_STATE)
      assert.strictEqual((yield* end({ ...writer, transactionalId: "b" }, true)).errorCode, INVALID_PRODUCER_ID_MAPPING)
      assert.strictEqual(yield* add({ ...writer, producerId: 77_777n }, 0), INVALID_PRODUCER_ID_MAPPING)
      assert.strictEqual(yield* add(writer, 9), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* produce(writer, ["x"]), TRANSACTION_ABORTABLE)
      assert.strictEqual(yield* produce(writer, ["x"], { version: 9 }), INVALID_TXN_STATE)
      assert.strictEqual(yield* add(writer, 0), 0)
      assert.strictEqual(yield* produce(writer, ["x"], { partition: 1 }), TRANSACTION_ABORTABLE)
      assert.strictEqual(yield* produce(writer, ["a"]), 0)
      assert.strictEqual(yield* produce(writer, ["a"]), 0, "a repeated batch is acknowledged")
      assert.strictEqual(yield* produce(writer, ["c"], { baseSequence: 5 }), codes.OUT_OF_ORDER_SEQUENCE_NUMBER)
      assert.strictEqual((yield* end(writer, true)).errorCode, 0)
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* end(writer, true)).errorCode, 0, "a repeated commit is")
      assert.strictEqual((yield* end(writer, false)).errorCode, INVALID_TXN_STATE)
      assert.deepStrictEqual(yield* seen("committed"), ["a"])
    })
  )

  live(
    "KIP-890 version 2: partitions are taken in as they are written to, and each end gives a new epoch",
    Effect.gen(function* () {
      const writer = yield* initialise("a")
      assert.strictEqual(yield* produce(writer, ["a"], { version: 12 }), 0)
      const ended = yield* end(writer, true, 5)
      assert.deepStrictEqual(ended, { errorCode: 0, producerId: writer.producerId, producerEpoch: 1 })
      // Markers may still be under way.
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(yield* end(writer, true, 5), ended, "a repeated commit has the same answer")
      assert.strictEqual((yield* end(writer, false, 5)).errorCode, codes.INVALID_TXN_STATE)
      assert.strictEqual(yield* produce(writer, ["b"], { version: 12 }), codes.INVALID_PRODUCER_EPOCH)
      const second = { ...writer, producerEpoch: 1 }
      assert.strictEqual((yield* end(second, true, 5)).errorCode, codes.INVALID_TXN_STATE)
      assert.strictEqual(yield* produce(second, ["c"], { version: 12 }), 0)
      assert.strictEqual((yield* end(second, false, 5)).producerEpoch, 2)
      yield* Effect.sleep("100 millis")
      // Nothing has been written: it can be aborted all the same.
      assert.strictEqual((yield* end({ ...writer, producerEpoch: 2 }, false, 5)).producerEpoch, 3)
      assert.deepStrictEqual(yield* seen("committed"), ["a"])
      assert.deepStrictEqual(yield* seen("uncommitted"), ["a", "c"])
    })
  )

  live(
    "KIP-447: offsets are committed with the transaction, and unstable until then",
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const writer = yield* initialise("a")
      const topics = [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 5n, committedMetadata: "m" }] }]
      const commit = (version: number, more: object = {}) =>
        Effect.map(
          kafka.request("any", TxnOffsetCommit, { ...writer, groupId: "g", topics, ...more }, version),
          (answer) => answer.topics[0].partitions[0].errorCode
        )
      const read = (requireStable: boolean) =>
        Effect.map(
          kafka.request(
            "any",
            OffsetFetch,
            { groupId: "g", topics: [{ name: "t", partitionIndexes: [0] }], groups: [], requireStable },
            7
          ),
          ({ topics }) => [topics[0].partitions[0].errorCode, topics[0].partitions[0].committedOffset]
        )
      assert.strictEqual(yield* commit(4), codes.TRANSACTION_ABORTABLE)
      assert.strictEqual(yield* commit(3), codes.INVALID_TXN_STATE)
      assert.strictEqual((yield* kafka.request("any", AddOffsetsToTxn, { ...writer, groupId: "g" })).errorCode, 0)
      assert.strictEqual(
        yield* commit(4, { memberId: "nobody", generationIdOrMemberEpoch: 1 }),
        codes.ILLEGAL_GENERATION
      )
      assert.strictEqual(yield* commit(4), 0)
      assert.deepStrictEqual(yield* read(false), [0, -1n])
      assert.deepStrictEqual(yield* read(true), [codes.UNSTABLE_OFFSET_COMMIT, -1n])
      assert.strictEqual((yield* end(writer, true)).errorCode, 0)
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(yield* read(true), [0, 5n])
      const second = { ...writer }
      yield* kafka.request("any", AddOffsetsToTxn, { ...second, groupId: "g" })
      topics[0].partitions[0].committedOffset = 9n
      assert.strictEqual(yield* commit(4), 0)
      assert.strictEqual((yield* end(writer, false)).errorCode, 0)
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(yield* read(true), [0, 5n])
    })
  )

  live(
    "bad requests for a producer id are refused",
    Effect.gen(function* () {
      assert.strictEqual((yield* initialise("")).errorCode, codes.INVALID_REQUEST)
      const timeout = (transactionTimeoutMs: number) =>
        Effect.map(initialise("a", { transactionTimeoutMs }), ({ errorCode }) => errorCode)
      assert.strictEqual(yield* timeout(900_001), codes.INVALID_TRANSACTION_TIMEOUT)
      assert.strictEqual(yield* timeout(0), codes.INVALID_TRANSACTION_TIMEOUT)
      assert.strictEqual(yield* timeout(900_000), 0)
      assert.strictEqual((yield* initialise("a", { producerId: 5n })).errorCode, codes.INVALID_REQUEST)
    })
  )

  live(
    "KIP-664: transactions and producers are described and listed",
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const writer = yield* initialise("a")
      yield* add(writer, 0)
      yield* produce(writer, ["a", "b"])
      yield* initialise("b")
      const { transactionStates } = yield* kafka.request("any", DescribeTransactions, { transactionalIds: ["a", "c"] })
      const [ongoing, missing] = transactionStates
      assert.deepInclude(ongoing, { errorCode: 0, transactionState: "Ongoing", transactionTimeoutMs: 60_000 })
      assert.deepStrictEqual(
        ongoing.topics.map(({ partitions, topic }) => [topic, partitions]),
        [["t", [0]]]
      )
      assert.strictEqual(missing.errorCode, codes.TRANSACTIONAL_ID_NOT_FOUND)
      const listed = (stateFilters: ReadonlyArray<string>, transactionalIdPattern: string | null = null) =>
        Effect.map(
          kafka.request("any", ListTransactions, { stateFilters, producerIdFilters: [], transactionalIdPattern }),
          ({ transactionStates, unknownStateFilters }) => [
            transactionStates.map(({ transactionalId }) => transactionalId).sort(),
            unknownStateFilters
          ]
        )
      assert.deepStrictEqual(yield* listed([]), [["a", "b"], []])
      assert.deepStrictEqual(yield* listed(["Ongoing", "Nonsense"]), [["a"], ["Nonsense"]])
      assert.deepStrictEqual(yield* listed([], "b.*"), [["b"], []])
      const { topics } = yield* kafka.request("any", DescribeProducers, {
        topics: [{ name: "t", partitionIndexes: [0] }]
      })
      const [producer] = topics[0].partitions[0].activeProducers
      assert.deepInclude(producer, {
        producerId: writer.producerId,
        producerEpoch: 0,
        lastSequence: 1,
        coordinatorEpoch: -1,
        currentTxnStartOffset: 0n
      })
    })
  )
})

describe("Transactions in time, and of leaders that go", () => {
  it.effect("one that goes on for too long is aborted, and its producer fenced", () =>
    Effect.gen(function* () {
      const writer = yield* passing(initialise("a", { transactionTimeoutMs: 600_000 }))
      yield* passing(add(writer, 0))
      yield* passing(produce(writer, ["a"]))
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* passing(offsets(1)), 0n)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* passing(offsets(1)), 2n)
      assert.strictEqual((yield* passing(end(writer, true))).errorCode, codes.PRODUCER_FENCED)
    }).pipe(Effect.provide(TestBroker.layerKafka(options).pipe(quiet)))
  )

  it.live("markers wait for leaders; until then the transaction is not over", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      yield* broker.moveCoordinator("transaction", "a", 0)
      const leader = (yield* leaderOf(0)) === 0 ? 1 : 0
      assert.strictEqual(yield* leaderOf(leader), 1)
      const at = (node: number) => Effect.provideServiceEffect(Kafka.Kafka, onNode(node))
      const writer = yield* at(0)(initialise("a"))
      yield* at(0)(add(writer, leader))
      yield* at(1)(produce(writer, ["a"], { partition: leader }))
      yield* broker.stopBroker(1)
      assert.strictEqual((yield* at(0)(end(writer, true))).errorCode, 0)
      assert.strictEqual((yield* at(0)(end(writer, true))).errorCode, codes.CONCURRENT_TRANSACTIONS)
      assert.strictEqual(yield* at(0)(add(writer, leader)), codes.CONCURRENT_TRANSACTIONS)
      yield* broker.startBroker(1)
      const again = at(0)(end(writer, true)).pipe(
        Effect.delay("10 millis"),
        Effect.repeat({ until: ({ errorCode }) => errorCode !== codes.CONCURRENT_TRANSACTIONS })
      )
      assert.strictEqual((yield* again).errorCode, 0)
    }).pipe(Effect.provide(TestBroker.layerKafka({ ...options, brokers: 2 }).pipe(quiet)))
  )
})
