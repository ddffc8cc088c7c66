/** Topics: what is told of them, and what of their creation, growth and end is refused. */
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect } from "effect"
import type { Conversation } from "./Conversation.ts"

/** @internal */
export const metadata = Effect.fnUntraced(function* ({ ask, topic }: Conversation) {
  yield* topic("told", 2)
  for (let version = 1; version <= 11; version++) {
    const no = version >= 4 ? { allowAutoTopicCreation: false } : {}
    yield* ask(`v${version} of a topic`, Metadata, { topics: [{ name: "told" }], ...no }, version)
    yield* ask(`v${version} of none`, Metadata, { topics: [], ...no }, version)
  }
  const no = { allowAutoTopicCreation: false }
  for (const name of ["unknown", "bad name", ".", "x".repeat(250)]) {
    yield* ask(`of ${name}`, Metadata, { topics: [{ name }], ...no }, 9)
    yield* ask(`of ${name}, to be made`, Metadata, { topics: [{ name: `${name}!` }] }, 9)
  }
  const operations = { includeTopicAuthorizedOperations: true, includeClusterAuthorizedOperations: true }
  yield* ask("operations", Metadata, { topics: [{ name: "told" }], ...operations }, 9)
})

const plain = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }

/** @internal */
export const createTopics = Effect.fnUntraced(function* ({ ask, node, topic }: Conversation) {
  yield* topic("there")
  const on = (...brokerIds: ReadonlyArray<number>) => ({ brokerIds })
  const assigned = { ...plain, numPartitions: -1, replicationFactor: -1 }
  const wrong = [
    ["exists", { ...plain, name: "there" }],
    ["no name", { ...plain, name: "" }],
    ["a dot", { ...plain, name: "." }],
    ["a space", { ...plain, name: "a b" }],
    ["too long", { ...plain, name: "x".repeat(250) }],
    ["no partitions", { ...plain, name: "n", numPartitions: 0 }],
    ["-2 partitions", { ...plain, name: "n", numPartitions: -2 }],
    ["no replicas", { ...plain, name: "n", replicationFactor: 0 }],
    ["too many replicas", { ...plain, name: "n", replicationFactor: 3 }],
    ["both", { ...plain, name: "n", assignments: [{ partitionIndex: 0, ...on(node) }] }],
    ["unknown broker", { ...assigned, name: "n", assignments: [{ partitionIndex: 0, ...on(77) }] }],
    ["twice the broker", { ...assigned, name: "n", assignments: [{ partitionIndex: 0, ...on(node, node) }] }],
    ["no broker", { ...assigned, name: "n", assignments: [{ partitionIndex: 0, ...on() }] }],
    ["a gap", { ...assigned, name: "n", assignments: [{ partitionIndex: 1, ...on(node) }] }],
    ["unknown config", { ...plain, name: "n", configs: [{ name: "no.such", value: "1" }] }],
    ["bad config", { ...plain, name: "n", configs: [{ name: "retention.ms", value: "soon" }] }],
    ["null config", { ...plain, name: "n", configs: [{ name: "retention.ms", value: null }] }],
    ["right", { ...plain, name: "n", numPartitions: 2 }]
  ] as const
  for (const [what, one] of wrong) {
    const message = { topics: [one], timeoutMs: 5000, validateOnly: true }
    yield* ask(what, CreateTopics, message, 4)
  }
  yield* ask(
    "twice",
    CreateTopics,
    {
      topics: [
        { ...plain, name: "d" },
        { ...plain, name: "d" }
      ]
    },
    4
  )
})

/** @internal */
export const createPartitions = Effect.fnUntraced(function* ({ ask, node, topic }: Conversation) {
  yield* topic("grows", 2)
  const asked = [
    ["as many", 2, null],
    ["fewer", 1, null],
    ["none", 0, null],
    ["negative", -1, null],
    ["unknown broker", 3, [[77]]],
    ["too few places", 4, [[node]]],
    ["an empty place", 3, [[]]],
    ["twice the broker", 3, [[node, node]]],
    ["more", 3, null]
  ] as const
  for (const [what, count, places] of asked) {
    const assignments = places?.map((brokerIds) => ({ brokerIds })) ?? null
    const topics = [{ name: "grows", count, assignments }]
    yield* ask(what, CreatePartitions, { topics, timeoutMs: 5000, validateOnly: true }, 1)
  }
  const topics = [{ name: "unknown", count: 3, assignments: null }]
  yield* ask("unknown", CreatePartitions, { topics, timeoutMs: 5000 }, 1)
})

/** @internal */
export const deleteTopics = Effect.fnUntraced(function* ({ ask, topic }: Conversation) {
  yield* topic("ends")
  for (const names of [["unknown"], ["ends"]]) {
    yield* ask(names.join(), DeleteTopics, { topicNames: names, timeoutMs: 5000 }, 4)
  }
})

/** @internal */
export const findCoordinator = Effect.fnUntraced(function* ({ ask }: Conversation) {
  yield* ask("an unknown type", FindCoordinator, { key: "g", keyType: 7 }, 2)
})
