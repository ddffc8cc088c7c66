/**
 * What brokers are asked about groups: which there are, who is in one, what one has committed; and commits for a group that
 * has no members.
 *
 * @since 0.1.0
 */
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { ConsumerGroupDescribe } from "@kafka-effect/protocol/messages/ConsumerGroupDescribe"
import { ConsumerProtocolAssignment } from "@kafka-effect/protocol/messages/ConsumerProtocolAssignment"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Connection } from "kafka-effect/Connection"
import * as Kafka from "kafka-effect/Kafka"
import { BrokerError, KafkaError } from "kafka-effect/KafkaError"
import type { TopicPartition } from "kafka-effect/Topic"

/**
 * A group as a broker lists it. Empty texts are what the broker is too old to say.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListedGroup {
  readonly groupId: string
  readonly state: string
  readonly type: string
  readonly protocolType: string
}

/**
 * A member of a group, with the partitions that it was given; none where they are not a consumer's.
 *
 * @category models
 * @since 0.1.0
 */
export interface Member {
  readonly memberId: string
  readonly clientId: string
  readonly host: string
  readonly instanceId: string | null
  readonly partitions: ReadonlyArray<TopicPartition>
}

/**
 * A group and its members.
 *
 * @category models
 * @since 0.1.0
 */
export interface Group extends ListedGroup {
  readonly assignor: string
  readonly coordinator: { readonly nodeId: number; readonly address: string }
  readonly members: ReadonlyArray<Member>
}

/**
 * An offset of a partition.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartitionOffset extends TopicPartition {
  readonly offset: bigint
}

const { codes } = ErrorCode

// A coordinator may be on the move, or be loading what it has to know.
const patience = Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "15 seconds" }))

const isUnsupported = ({ reason }: KafkaError): boolean => reason._tag === "UnsupportedVersion"

const failIf = (
  { broker, nodeId }: Connection,
  api: string,
  code: number,
  place?: TopicPartition,
  detail = ErrorCode.of(code).text
): Effect.Effect<void, KafkaError> => {
  if (code === codes.NONE) return Effect.void
  const { isRetriable, name } = ErrorCode.of(code)
  const { partition, topic } = place ?? {}
  return Effect.fail(
    new KafkaError({
      reason: new BrokerError({ nodeId, broker, code, name, api, topic, partition, detail, isRetriable })
    })
  )
}

const withCoordinator = Effect.fnUntraced(function* <A>(
  groupId: string,
  ask: (connection: Connection) => Effect.Effect<A, KafkaError>
): Effect.fn.Return<A, KafkaError, Kafka.Kafka> {
  const { cluster } = yield* Kafka.Kafka
  // Brokers before 0.8.2 have no coordinators: any of them is asked.
  const anyNode = (error: KafkaError) => {
    const [node] = cluster.metadata().brokers.keys()
    return isUnsupported(error) && node !== undefined ? Effect.succeed(node) : Effect.fail(error)
  }
  return yield* cluster.coordinator("group", groupId).pipe(
    Effect.catch(anyNode),
    Effect.flatMap((nodeId) => cluster.connection(nodeId, "main")),
    Effect.flatMap(ask),
    Effect.tapError(() => cluster.invalidateCoordinator("group", groupId)),
    Effect.retry({ schedule: patience, while: (error) => error.isRetriable })
  )
})

/**
 * The groups of all brokers, by name: each broker knows those that it coordinates.
 *
 * @category constructors
 * @since 0.1.0
 */
export const list = Effect.gen(function* () {
  const { cluster } = yield* Kafka.Kafka
  const { brokers } = yield* cluster.refresh([])
  const listOf = (nodeId: number) =>
    Effect.gen(function* () {
      const connection = yield* cluster.connection(nodeId, "main")
      const { errorCode, groups } = yield* connection.request(ListGroups, {})
      yield* failIf(connection, "ListGroups", errorCode)
      return groups.map(
        ({ groupId, groupState: state, groupType, protocolType }): ListedGroup => ({
          groupId,
          state,
          type: groupType.toLowerCase(),
          protocolType
        })
      )
    }).pipe(Effect.retry({ schedule: patience, while: (error) => error.isRetriable }))
  const lists = yield* Effect.forEach(brokers.keys(), listOf, { concurrency: "unbounded" })
  return lists.flat().sort((one, other) => (one.groupId < other.groupId ? -1 : Number(one.groupId > other.groupId)))
})

const flatten = (
  topics: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<number> }>
): ReadonlyArray<TopicPartition> =>
  topics.flatMap(({ partitions, topic }) => partitions.map((partition) => ({ topic, partition })))

const newestAssignment = 3

/** What a member of a classic group was given; nothing where the bytes are not what consumers write. */
const decodeAssignment = (bytes: Uint8Array): ReadonlyArray<TopicPartition> => {
  if (bytes.length < 2) return []
  try {
    const reader = new ByteReader(bytes)
    const version = Math.min(reader.readInt16(), newestAssignment)
    return flatten(WireCodec.of(ConsumerProtocolAssignment, version).decodeFrom(reader).assignedPartitions)
  } catch (error) {
    if (error instanceof WireError) return []
    throw error
  }
}

const coordinatorOf = ({ broker, nodeId }: Connection): Group["coordinator"] => ({ nodeId, address: broker })

/** Undefined where there is no such group of the classic protocol. */
const describeClassic = Effect.fnUntraced(function* (connection: Connection, groupId: string) {
  const { groups } = yield* connection.request(DescribeGroups, { groups: [groupId] })
  const group = groups.find((one) => one.groupId === groupId)
  if (group === undefined || group.errorCode === codes.GROUP_ID_NOT_FOUND) return undefined
  yield* failIf(connection, "DescribeGroups", group.errorCode)
  const isConsumer = group.protocolType === "consumer"
  const described: Group = {
    groupId,
    state: group.groupState,
    type: "classic",
    protocolType: group.protocolType,
    assignor: group.protocolData,
    coordinator: coordinatorOf(connection),
    members: group.members.map(({ clientHost, clientId, groupInstanceId, memberAssignment, memberId }) => ({
      memberId,
      clientId,
      host: clientHost,
      instanceId: groupInstanceId,
      partitions: isConsumer ? decodeAssignment(memberAssignment) : []
    }))
  }
  return described
})

/** Undefined where there is no such group of the consumer protocol (KIP-848), or the broker does not know it. */
const describeConsumer = Effect.fnUntraced(function* (connection: Connection, groupId: string) {
  const { groups } = yield* connection
    .request(ConsumerGroupDescribe, { groupIds: [groupId], includeAuthorizedOperations: false })
    .pipe(Effect.catchIf(isUnsupported, () => Effect.succeed({ groups: [] })))
  const group = groups.find((one) => one.groupId === groupId)
  const isUnknown = group?.errorCode === codes.GROUP_ID_NOT_FOUND || group?.errorCode === codes.UNSUPPORTED_VERSION
  if (group === undefined || isUnknown) return undefined
  yield* failIf(connection, "ConsumerGroupDescribe", group.errorCode)
  const described: Group = {
    groupId,
    state: group.groupState,
    type: "consumer",
    protocolType: "consumer",
    assignor: group.assignorName,
    coordinator: coordinatorOf(connection),
    members: group.members.map(({ assignment, clientHost, clientId, instanceId, memberId }) => ({
      memberId,
      clientId,
      host: clientHost,
      instanceId,
      partitions: flatten(
        assignment.topicPartitions.map(({ partitions, topicName }) => ({ topic: topicName, partitions }))
      )
    }))
  }
  return described
})

/**
 * A group with its members; undefined where there is none. Brokers before 4.0 call one that they do not know `Dead`, and
 * those before 0.10 also one without members that has committed something. A broker that is too old to describe groups (before 0.9) names
 * no members.
 *
 * @category constructors
 * @since 0.1.0
 */
export const describe = (groupId: string): Effect.Effect<Group | undefined, KafkaError, Kafka.Kafka> =>
  withCoordinator(groupId, (connection) =>
    Effect.gen(function* () {
      return (yield* describeConsumer(connection, groupId)) ?? (yield* describeClassic(connection, groupId))
    }).pipe(
      Effect.catchIf(isUnsupported, () =>
        Effect.succeed({
          groupId,
          state: "",
          type: "",
          protocolType: "",
          assignor: "",
          coordinator: coordinatorOf(connection),
          members: []
        })
      )
    )
  )

/** Newer versions name topics by their ids. */
const maxVersion = 9
// OffsetFetch's first versions that give all of a group, and that take several groups.
const givesAll = 2
const takesGroups = 8

/**
 * All that a group has committed, in the order of topics and partitions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const committed = Effect.fnUntraced(function* (
  groupId: string
): Effect.fn.Return<ReadonlyArray<PartitionOffset>, KafkaError, Kafka.Kafka> {
  const { cluster } = yield* Kafka.Kafka
  const everything = Effect.map(cluster.refresh("all"), ({ topics }) =>
    [...topics.values()].map(({ name, partitions }) => ({
      name,
      partitionIndexes: partitions.map(({ partition }) => partition)
    }))
  )
  const found = yield* withCoordinator(groupId, (connection) =>
    Effect.gen(function* () {
      const version = yield* connection.version(OffsetFetch, { maxVersion })
      const topics = version < givesAll ? yield* everything : null
      const asked = version < takesGroups ? { groupId, topics } : { groups: [{ groupId, topics: null }] }
      const response = yield* connection.request(OffsetFetch, asked, { version })
      const group = version < takesGroups ? response : response.groups.find((one) => one.groupId === groupId)
      if (group === undefined || group.errorCode === codes.GROUP_ID_NOT_FOUND) return []
      yield* failIf(connection, "OffsetFetch", group.errorCode)
      const offsets: Array<PartitionOffset> = []
      for (const { name: topic, partitions } of group.topics) {
        for (const { committedOffset: offset, errorCode, partitionIndex: partition } of partitions) {
          // Asked about everything, an old broker answers with errors for what was never committed.
          if (version < givesAll && errorCode !== codes.NONE) continue
          yield* failIf(connection, "OffsetFetch", errorCode, { topic, partition })
          if (offset >= 0) offsets.push({ topic, partition, offset })
        }
      }
      return offsets
    })
  )
  return found.toSorted(byPlace)
})

/**
 * The order of topics and partitions.
 *
 * @category combinators
 * @since 0.1.0
 */
export const byPlace = (one: TopicPartition, other: TopicPartition): number =>
  one.topic === other.topic ? one.partition - other.partition : one.topic < other.topic ? -1 : 1

/**
 * Commits for a group without members.
 *
 * @category constructors
 * @since 0.1.0
 */
export const commit = (
  groupId: string,
  offsets: ReadonlyArray<PartitionOffset>
): Effect.Effect<void, KafkaError, Kafka.Kafka> =>
  withCoordinator(groupId, (connection) =>
    Effect.gen(function* () {
      const version = yield* connection.version(OffsetCommit, { maxVersion })
      const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, partitions]) => ({
        name,
        partitions: partitions.map(({ offset, partition }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: ""
        }))
      }))
      // No generation: the group hands out no partitions.
      const request = { groupId, generationIdOrMemberEpoch: -1, memberId: "", topics }
      const response = yield* connection.request(OffsetCommit, request, { version })
      for (const { partition, topic } of offsets) {
        const answers = response.topics.find(({ name }) => name === topic)?.partitions
        const answer = answers?.find(({ partitionIndex }) => partitionIndex === partition)
        const code = answer?.errorCode ?? codes.UNKNOWN_SERVER_ERROR
        const detail = answer === undefined ? "the response does not name the partition" : undefined
        yield* failIf(connection, "OffsetCommit", code, { topic, partition }, detail)
      }
    })
  )
