import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { DescribeCluster } from "@kafka-effect/protocol/messages/DescribeCluster"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, Fiber } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as TestBroker from "../src/TestBroker.ts"

const orders = Kafka.topic("orders", { key: Serde.string, value: Serde.string })
const one = TestBroker.layerKafka({ topics: { orders: 1, others: 1 } })
const two = TestBroker.layerKafka({ brokers: 2, topics: { orders: 1 } })

const produce = Effect.fnUntraced(function* (count: number) {
  const producer = yield* Producer.make({ enableIdempotence: false })
  for (let index = 0; index < count; index++) yield* producer.send(orders, { key: "a", value: `${index}` })
})

describe("DeleteTopics", () => {
  it.live("deletes by name and by id, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const { topics } = yield* kafka.request(0, Metadata, { topics: [{ name: "others" }] })
      const [{ topicId }] = topics
      const unknownId = Buffer.alloc(16, 7).toString("base64url")
      const { responses } = yield* kafka.request(0, DeleteTopics, {
        topics: [
          { name: "none" },
          { topicId: unknownId },
          { name: "orders", topicId },
          { name: null, topicId: Wire.zeroUuid },
          { name: "others" },
          { topicId },
          { name: "orders" }
        ]
      })
      assert.deepStrictEqual(
        responses.map(({ errorCode, name }) => [name, errorCode]),
        [
          ["none", codes.UNKNOWN_TOPIC_OR_PARTITION],
          [null, codes.UNKNOWN_TOPIC_ID],
          ["orders", codes.INVALID_REQUEST],
          [null, codes.INVALID_REQUEST],
          ["others", codes.INVALID_REQUEST],
          ["orders", codes.NONE]
        ]
      )
      const byId = yield* kafka.request(0, DeleteTopics, { topics: [{ topicId }] })
      assert.deepStrictEqual([byId.responses[0].name, byId.responses[0].errorCode], ["others", codes.NONE])
      const left = yield* kafka.request(0, Metadata, { topics: null })
      assert.strictEqual(left.topics.length, 0)
    }).pipe(Effect.provide(one))
  )

  it.live("wakes a fetch that waits", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const kafka = yield* Kafka.Kafka
      const other = yield* Kafka.make({ bootstrapServers: broker.bootstrapServers })
      const topics = [{ topic: "orders", partitions: [{ partition: 0, fetchOffset: 0n, partitionMaxBytes: 100 }] }]
      const waiting = yield* Effect.forkChild(other.request(0, Fetch, { maxWaitMs: 20_000, minBytes: 1, topics }, 12))
      yield* Effect.sleep("50 millis")
      yield* kafka.request(0, DeleteTopics, { topicNames: ["orders"] }, 5)
      const { responses } = yield* Effect.timeout(Fiber.join(waiting), "2 seconds")
      assert.strictEqual(responses[0].partitions[0].errorCode, codes.UNKNOWN_TOPIC_OR_PARTITION)
    }).pipe(Effect.scoped, Effect.provide(one))
  )

  for (const [version, code] of [
    [2, codes.INVALID_REQUEST],
    [3, codes.TOPIC_DELETION_DISABLED]
  ] as const) {
    it.live(`is refused where brokers do not allow it, in version ${version}`, () =>
      Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const { responses } = yield* kafka.request(0, DeleteTopics, { topicNames: ["orders"] }, version)
        assert.strictEqual(responses[0].errorCode, code)
      }).pipe(
        Effect.provide(TestBroker.layerKafka({ topics: { orders: 1 }, settings: { "delete.topic.enable": "false" } }))
      )
    )
  }
})

describe("CreatePartitions", () => {
  it.live("adds partitions, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const ask = (count: number, brokers: ReadonlyArray<ReadonlyArray<number>> | null, validateOnly = false) => {
        const assignments = brokers?.map((brokerIds) => ({ brokerIds })) ?? null
        const asked = kafka.request(0, CreatePartitions, {
          topics: [{ name: "orders", count, assignments }],
          validateOnly
        })
        return Effect.map(asked, ({ results }) => results[0].errorCode)
      }
      const count = Effect.map(
        kafka.request(0, Metadata, { topics: [{ name: "orders" }] }),
        ({ topics }) => topics[0].partitions.length
      )
      assert.strictEqual(yield* ask(1, null), codes.INVALID_PARTITIONS)
      assert.strictEqual(yield* ask(0, null), codes.INVALID_PARTITIONS)
      for (const wrong of [[[0], [1]], [[]], [[0, 0]], [[7]], [[0, 1]]]) {
        assert.strictEqual(yield* ask(2, wrong), codes.INVALID_REPLICA_ASSIGNMENT, JSON.stringify(wrong))
      }
      assert.strictEqual(yield* ask(2, [[1]], true), codes.NONE)
      assert.strictEqual(yield* count, 1)
      assert.strictEqual(yield* ask(2, [[1]]), codes.NONE)
      assert.strictEqual(yield* ask(4, null), codes.NONE)
      assert.strictEqual(yield* count, 4)
      const topic = { count: 9, assignments: null }
      const { results } = yield* kafka.request(0, CreatePartitions, {
        topics: [
          { name: "none", ...topic },
          { name: "orders", ...topic },
          { name: "orders", ...topic }
        ]
      })
      const told = results.map(({ errorCode }) => errorCode)
      assert.deepStrictEqual(told, [codes.UNKNOWN_TOPIC_OR_PARTITION, codes.INVALID_REQUEST])
    }).pipe(Effect.provide(two))
  )
})

describe("DeleteRecords", () => {
  it.live("moves the start of the log, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      yield* produce(4)
      const ask = Effect.fnUntraced(function* (node: number, name: string, offset: bigint) {
        const { topics } = yield* kafka.request(node, DeleteRecords, {
          topics: [{ name, partitions: [{ partitionIndex: 0, offset }] }]
        })
        const { errorCode, lowWatermark } = topics[0].partitions[0]
        return [errorCode, lowWatermark]
      })
      assert.deepStrictEqual(yield* ask(0, "none", 1n), [codes.UNKNOWN_TOPIC_OR_PARTITION, -1n])
      assert.deepStrictEqual(yield* ask(1, "orders", 1n), [codes.NOT_LEADER_OR_FOLLOWER, -1n])
      assert.deepStrictEqual(yield* ask(0, "orders", 5n), [codes.OFFSET_OUT_OF_RANGE, -1n])
      assert.deepStrictEqual(yield* ask(0, "orders", -2n), [codes.OFFSET_OUT_OF_RANGE, -1n])
      assert.deepStrictEqual(yield* ask(0, "orders", 2n), [codes.NONE, 2n])
      assert.deepStrictEqual(yield* ask(0, "orders", 1n), [codes.NONE, 2n])
      assert.deepStrictEqual(yield* ask(0, "orders", -1n), [codes.NONE, 4n])
      const configs = [{ name: "cleanup.policy", value: "compact" }]
      yield* kafka.request("controller", CreateTopics, {
        topics: [{ name: "compacted", numPartitions: -1, replicationFactor: -1, assignments: [], configs }]
      })
      assert.deepStrictEqual(yield* ask(0, "compacted", -1n), [codes.POLICY_VIOLATION, -1n])
    }).pipe(Effect.scoped, Effect.provide(two))
  )
})

describe("OffsetForLeaderEpoch", () => {
  it.live("tells where an epoch ended, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      yield* produce(3)
      const ask = Effect.fnUntraced(function* (node: number, topic: string, leaderEpoch: number, current: number) {
        const partitions = [{ partition: 0, leaderEpoch, currentLeaderEpoch: current }]
        const { topics } = yield* kafka.request(node, OffsetForLeaderEpoch, { topics: [{ topic, partitions }] })
        const { endOffset, errorCode, leaderEpoch: epoch } = topics[0].partitions[0]
        return [errorCode, epoch, endOffset]
      })
      assert.deepStrictEqual(yield* ask(0, "orders", 0, 0), [codes.NONE, 0, 3n])
      assert.deepStrictEqual(yield* ask(0, "orders", 5, -1), [codes.NONE, -1, -1n])
      assert.deepStrictEqual(yield* ask(0, "orders", 0, 1), [codes.UNKNOWN_LEADER_EPOCH, -1, -1n])
      assert.deepStrictEqual(yield* ask(1, "orders", 0, 0), [codes.NOT_LEADER_OR_FOLLOWER, -1, -1n])
      assert.deepStrictEqual(yield* ask(0, "none", 0, 0), [codes.UNKNOWN_TOPIC_OR_PARTITION, -1, -1n])
    }).pipe(Effect.scoped, Effect.provide(two))
  )
})

describe("DescribeCluster", () => {
  it.live("tells of brokers and operations, and refuses other endpoints", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const told = yield* kafka.request(1, DescribeCluster, { includeClusterAuthorizedOperations: true })
      assert.deepStrictEqual(
        told.brokers.map(({ brokerId }) => brokerId),
        [0, 1]
      )
      assert.deepStrictEqual([told.controllerId, told.clusterAuthorizedOperations], [0, 8096])
      const controllers = yield* kafka.request(1, DescribeCluster, { endpointType: 2 })
      assert.strictEqual(controllers.errorCode, codes.MISMATCHED_ENDPOINT_TYPE)
      const nothing = yield* kafka.request(1, DescribeCluster, { endpointType: 3 })
      assert.strictEqual(nothing.errorCode, codes.UNSUPPORTED_ENDPOINT_TYPE)
    }).pipe(Effect.provide(two))
  )
})
