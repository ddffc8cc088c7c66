/** The cluster: what a broker offers, which brokers, groups and coordinators there are. */
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { DescribeCluster } from "@kafka-effect/protocol/messages/DescribeCluster"
import { DescribeTopicPartitions } from "@kafka-effect/protocol/messages/DescribeTopicPartitions"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { Effect } from "effect"
import type { Conversation } from "./Conversation.ts"

/** @internal */
export const versions = Effect.fnUntraced(function* ({ ask, askIfOffered }: Conversation) {
  const client = { clientSoftwareName: "a-client", clientSoftwareVersion: "1.0" }
  for (const version of [0, 1, 2]) yield* ask(`v${version}`, ApiVersions, {}, version)
  yield* ask("v3", ApiVersions, client, 3)
  yield* askIfOffered("v4", ApiVersions, client, 4)
  yield* ask("a bad name", ApiVersions, { ...client, clientSoftwareName: "a client!" }, 3)
  yield* ask("no version", ApiVersions, { ...client, clientSoftwareVersion: "" }, 3)
})

/** @internal */
export const describeCluster = Effect.fnUntraced(function* ({ askIfOffered }: Conversation) {
  for (const version of [0, 1, 2]) yield* askIfOffered(`v${version}`, DescribeCluster, {}, version)
  yield* askIfOffered("operations", DescribeCluster, { includeClusterAuthorizedOperations: true }, 0)
  yield* askIfOffered("of controllers", DescribeCluster, { endpointType: 2 }, 1)
  yield* askIfOffered("of whom", DescribeCluster, { endpointType: 9 }, 1)
})

/** @internal */
export const coordinators = Effect.fnUntraced(function* ({ ask, askIfOffered }: Conversation) {
  for (const keyType of [0, 1]) {
    yield* ask(`of type ${keyType}`, FindCoordinator, { key: "c", keyType }, 2)
    yield* ask(`of type ${keyType}, no key`, FindCoordinator, { key: "", keyType }, 2)
    for (const version of [4, 5, 6]) {
      yield* askIfOffered(`two, v${version}`, FindCoordinator, { coordinatorKeys: ["c", "d"], keyType }, version)
    }
  }
  yield* askIfOffered("none", FindCoordinator, { coordinatorKeys: [] }, 4)
  yield* askIfOffered("twice", FindCoordinator, { coordinatorKeys: ["c", "c"] }, 4)
  yield* askIfOffered("of a share", FindCoordinator, { coordinatorKeys: ["c"], keyType: 2 }, 4)
  yield* askIfOffered("an unknown type", FindCoordinator, { coordinatorKeys: ["c"], keyType: 7 }, 4)
})

/** @internal */
export const listGroups = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("listed")
  const partitions = [{ partitionIndex: 0, committedOffset: 5n, committedMetadata: null }]
  yield* ask("a commit", OffsetCommit, { groupId: "listed", topics: [{ name: "listed", partitions }] }, 7)
  for (const statesFilter of [["Empty"], ["empty"], ["Stable"], ["NoSuch"], ["Empty", "Dead"]]) {
    yield* ask(`in state ${statesFilter}`, ListGroups, { statesFilter }, 4)
  }
  for (const typesFilter of [["classic"], ["Consumer"], ["nosuch"], ["classic", "share"]]) {
    yield* askIfOffered(`of type ${typesFilter}`, ListGroups, { typesFilter }, 5)
  }
  for (const version of [0, 1, 2, 3]) yield* ask(`v${version}`, ListGroups, {}, version)
})

/** @internal */
export const metadataById = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("named", 2)
  const no = { allowAutoTopicCreation: false }
  const { topics } = yield* ask("by name", Metadata, { topics: [{ name: "named" }], ...no }, 11)
  const topicId = topics[0]?.topicId ?? ""
  for (const version of [12, 13]) {
    yield* askIfOffered(`by name, v${version}`, Metadata, { topics: [{ name: "named" }], ...no }, version)
    yield* askIfOffered(`by id, v${version}`, Metadata, { topics: [{ topicId, name: null }], ...no }, version)
    const unknown = { topicId: "AAAAAAAAAAAAAAAAAAAAEQ", name: null }
    yield* askIfOffered(`of an unknown id, v${version}`, Metadata, { topics: [unknown], ...no }, version)
    yield* askIfOffered(`of an unknown name, v${version}`, Metadata, { topics: [{ name: "unknown" }], ...no }, version)
  }
  yield* ask("v0", Metadata, { topics: [{ name: "named" }] }, 0)
})

/** @internal */
export const describeTopicPartitions = Effect.fnUntraced(function* ({ askIfOffered, topic }: Conversation) {
  yield* topic("part", 3)
  yield* topic("party", 2)
  const topics = [{ name: "party" }, { name: "part" }]
  yield* askIfOffered("all of two", DescribeTopicPartitions, { topics }, 0)
  yield* askIfOffered("two of five", DescribeTopicPartitions, { topics, responsePartitionLimit: 2 }, 0)
  const cursor = { topicName: "part", partitionIndex: 2 }
  yield* askIfOffered("from a cursor", DescribeTopicPartitions, { topics, responsePartitionLimit: 2, cursor }, 0)
  const beyond = { topicName: "party", partitionIndex: 9 }
  yield* askIfOffered("from beyond", DescribeTopicPartitions, { topics, cursor: beyond }, 0)
  const unknown = [{ name: "unknown" }, { name: "bad name" }]
  yield* askIfOffered("of unknown ones", DescribeTopicPartitions, { topics: unknown }, 0)
})
