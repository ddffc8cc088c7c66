import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { AlterPartitionReassignments } from "@kafka-effect/protocol/messages/AlterPartitionReassignments"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { DescribeCluster } from "@kafka-effect/protocol/messages/DescribeCluster"
import { DescribeLogDirs } from "@kafka-effect/protocol/messages/DescribeLogDirs"
import {
  DescribeTopicPartitions,
  type DescribeTopicPartitionsResponse
} from "@kafka-effect/protocol/messages/DescribeTopicPartitions"
import { ElectLeaders } from "@kafka-effect/protocol/messages/ElectLeaders"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { ListPartitionReassignments } from "@kafka-effect/protocol/messages/ListPartitionReassignments"
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

describe("DescribeTopicPartitions", () => {
  it.live("tells of topics page by page", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const ask = (names: ReadonlyArray<string>, limit: number, cursor: readonly [string, number] | null = null) =>
        kafka.request(0, DescribeTopicPartitions, {
          topics: names.map((name) => ({ name })),
          responsePartitionLimit: limit,
          cursor: cursor && { topicName: cursor[0], partitionIndex: cursor[1] }
        })
      const shape = ({ nextCursor, topics }: DescribeTopicPartitionsResponse) => [
        topics.map(({ errorCode, name, partitions }) => [name, errorCode, partitions.map((one) => one.partitionIndex)]),
        nextCursor && [nextCursor.topicName, nextCursor.partitionIndex]
      ]
      yield* kafka.request("controller", CreatePartitions, {
        topics: [{ name: "others", count: 3, assignments: null }]
      })
      assert.deepStrictEqual(shape(yield* ask([], 3)), [
        [
          ["orders", 0, [0]],
          ["others", 0, [0, 1]]
        ],
        ["others", 2]
      ])
      assert.deepStrictEqual(shape(yield* ask([], 3, ["others", 2])), [[["others", 0, [2]]], null])
      assert.deepStrictEqual(shape(yield* ask(["orders", "others"], 0)), [[["orders", 0, [0]]], ["others", 0]])
      assert.deepStrictEqual(shape(yield* ask(["none", "bad name"], 9)), [
        [
          ["bad name", codes.INVALID_TOPIC_EXCEPTION, []],
          ["none", codes.UNKNOWN_TOPIC_OR_PARTITION, []]
        ],
        null
      ])
      for (const cursor of [["zzz", 0] as const, ["orders", -1] as const]) {
        const refused = yield* ask(["orders"], 9, cursor)
        assert.deepStrictEqual(shape(refused), [[["orders", codes.INVALID_REQUEST, []]], null])
      }
    }).pipe(Effect.provide(one))
  )
})

describe("DescribeLogDirs", () => {
  it.live("tells how large logs are", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      yield* produce(2)
      const ask = (topics: ReadonlyArray<string> | null) =>
        Effect.map(
          kafka.request(0, DescribeLogDirs, {
            topics: topics?.map((topic) => ({ topic, partitions: [0, 9] })) ?? null
          }),
          ({ results }) => results[0].topics.map(({ name, partitions }) => [name, partitions.length])
        )
      assert.deepStrictEqual(yield* ask(null), [
        ["orders", 1],
        ["others", 1]
      ])
      assert.deepStrictEqual(yield* ask(["orders", "none"]), [["orders", 1]])
      const { results } = yield* kafka.request(0, DescribeLogDirs, { topics: null })
      assert.isAbove(Number(results[0].topics[0].partitions[0].partitionSize), 100)
      assert.strictEqual(results[0].topics[1].partitions[0].partitionSize, 0n)
    }).pipe(Effect.scoped, Effect.provide(one))
  )
})

const replicated = TestBroker.layerKafka({ brokers: 3, topics: { orders: { partitions: 1, replicationFactor: 2 } } })

describe("ElectLeaders", () => {
  it.live("lets the preferred replica lead again, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const broker = yield* TestBroker.TestBroker
      const kafka = yield* Kafka.Kafka
      const ask = Effect.fnUntraced(function* (electionType: number, topic = "orders", partition = 0) {
        const topicPartitions = [{ topic, partitions: [partition] }]
        const asked = { electionType, topicPartitions }
        const { replicaElectionResults } = yield* kafka.request(1, ElectLeaders, asked)
        return replicaElectionResults[0].partitionResult[0].errorCode
      })
      assert.strictEqual(yield* ask(0), codes.ELECTION_NOT_NEEDED)
      assert.strictEqual(yield* ask(0, "none"), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* ask(0, "orders", 7), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* ask(5), codes.INVALID_REQUEST)
      yield* broker.stopBroker(0)
      assert.strictEqual(yield* ask(0), codes.PREFERRED_LEADER_NOT_AVAILABLE)
      assert.strictEqual(yield* ask(1), codes.ELECTION_NOT_NEEDED)
      yield* broker.startBroker(0)
      const all = kafka.request(1, ElectLeaders, { electionType: 0, topicPartitions: null })
      const counts = Effect.map(all, (response) => response.replicaElectionResults[0].partitionResult.length)
      assert.deepStrictEqual([yield* counts, yield* counts], [1, 0])
      const { topics } = yield* kafka.request(1, Metadata, { topics: [{ name: "orders" }] })
      assert.strictEqual(topics[0].partitions[0].leaderId, 0)
    }).pipe(Effect.provide(replicated))
  )
})

describe("AlterPartitionReassignments", () => {
  it.live("moves partitions at once, and refuses what is wrong", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const ask = Effect.fnUntraced(function* (
        replicas: ReadonlyArray<number> | null,
        { factor = true, index = 0, name = "orders" } = {}
      ) {
        const { responses } = yield* kafka.request("controller", AlterPartitionReassignments, {
          allowReplicationFactorChange: factor,
          topics: [{ name, partitions: [{ partitionIndex: index, replicas }] }]
        })
        return responses[0].partitions[0].errorCode
      })
      assert.strictEqual(yield* ask([1], { name: "none" }), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* ask([1], { index: 7 }), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* ask(null), codes.NO_REASSIGNMENT_IN_PROGRESS)
      for (const wrong of [[], [1, 1], [7], [-1]]) {
        assert.strictEqual(yield* ask(wrong), codes.INVALID_REPLICA_ASSIGNMENT, `${wrong}`)
      }
      assert.strictEqual(yield* ask([2], { factor: false }), codes.INVALID_REPLICATION_FACTOR)
      assert.strictEqual(yield* ask([2]), codes.NONE)
      const { topics } = yield* kafka.request(1, Metadata, { topics: [{ name: "orders" }] })
      const { leaderId, replicaNodes } = topics[0].partitions[0]
      assert.deepStrictEqual([leaderId, replicaNodes], [2, [2]])
      const { topics: moving } = yield* kafka.request("controller", ListPartitionReassignments, { topics: null })
      assert.strictEqual(moving.length, 0)
    }).pipe(Effect.provide(replicated))
  )
})
