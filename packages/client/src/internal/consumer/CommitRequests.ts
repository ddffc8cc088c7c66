/**
 * Requests to a group's coordinator about offsets: to commit them, and to tell what was committed. Brokers before 0.8.2
 * have no coordinators, and keep offsets in ZooKeeper: any of them is asked.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import type { Connection } from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { LeasedEntry } from "../../Offsets.ts"
import type { TopicPartition } from "../../Topic.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { MemberIdentity } from "./Membership.ts"

/** What a broker says of one partition. @internal */
export interface Answer extends TopicPartition {
  readonly errorCode: number
}

/** @internal */
export interface FetchAnswer extends Answer {
  /** -1 where nothing was committed. */
  readonly offset: bigint
  readonly leaderEpoch: number
  readonly metadata: string
}

/** Newer versions name topics by their ids, which a topic that was made anew does not have any more. */
const maxVersion = 9

/** Heartbeats and commits of all memberships share a connection per coordinator: they are answered at once. */
const purpose = "group"

// Commit's version that names static members, and Fetch's that takes several groups, and that waits for transactions.
const knowsInstances = 7
const fetchesGroups = 8
const knowsStable = 7

/** The coordinator's connection; any broker's where there are no coordinators. @internal */
export const connect = (cluster: Cluster, groupId: string): Effect.Effect<Connection, KafkaError> =>
  cluster.coordinator("group", groupId).pipe(
    Effect.catch((error) => {
      const [node] = cluster.metadata().brokers.keys()
      const isOld = error.reason._tag === "UnsupportedVersion" && node !== undefined
      return isOld ? Effect.succeed(node) : Effect.fail(error)
    }),
    Effect.flatMap((nodeId) => cluster.connection(nodeId, purpose))
  )

const byTopic = <A extends TopicPartition>(places: Iterable<A>): ReadonlyMap<string, ReadonlyArray<A>> => {
  const topics = new Map<string, Array<A>>()
  for (const place of places) {
    const list = topics.get(place.topic)
    if (list === undefined) topics.set(place.topic, [place])
    else list.push(place)
  }
  return topics
}

/** One try. Gives what the coordinator said of each partition that it named. @internal */
export const commit = Effect.fnUntraced(function* (
  connection: Connection,
  identity: MemberIdentity,
  entries: Iterable<LeasedEntry>
): Effect.fn.Return<ReadonlyArray<Answer>, KafkaError> {
  const version = yield* connection.version(OffsetCommit, { maxVersion })
  const { generation, groupId, groupInstanceId, memberId } = identity
  const response = yield* connection.request(
    OffsetCommit,
    {
      groupId,
      generationIdOrMemberEpoch: generation,
      memberId,
      ...(version >= knowsInstances ? { groupInstanceId: groupInstanceId ?? null } : {}),
      topics: [...byTopic(entries)].map(([name, partitions]) => ({
        name,
        partitions: partitions.map(({ leaderEpoch, metadata, offset, partition }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedLeaderEpoch: leaderEpoch,
          committedMetadata: metadata ?? ""
        }))
      }))
    },
    { version }
  )
  return response.topics.flatMap(({ name: topic, partitions }) =>
    partitions.map(({ errorCode, partitionIndex: partition }) => ({ topic, partition, errorCode }))
  )
})

/**
 * One try. Gives what the coordinator said of each partition that it named. `isStable`: offsets of transactions that are
 * not decided yet are an error (KIP-447).
 *
 * @internal
 */
export const fetch = Effect.fnUntraced(function* (
  connection: Connection,
  groupId: string,
  places: Iterable<TopicPartition>,
  isStable: boolean
): Effect.fn.Return<ReadonlyArray<FetchAnswer>, KafkaError> {
  const version = yield* connection.version(OffsetFetch, { maxVersion })
  const topics = [...byTopic(places)].map(([name, partitions]) => ({
    name,
    partitionIndexes: partitions.map(({ partition }) => partition)
  }))
  const asked = version >= fetchesGroups ? { groups: [{ groupId, topics }] } : { groupId, topics }
  const stable = version >= knowsStable ? { requireStable: isStable } : {}
  const response = yield* connection.request(OffsetFetch, { ...asked, ...stable }, { version })
  const group = version >= fetchesGroups ? response.groups.find((one) => one.groupId === groupId) : response
  const { broker, nodeId } = connection
  const code = group?.errorCode ?? ErrorCode.codes.UNKNOWN_SERVER_ERROR
  if (group === undefined || code !== ErrorCode.codes.NONE) {
    return yield* brokerError({ nodeId, broker, api: "OffsetFetch", code })
  }
  const answers: Array<FetchAnswer> = []
  for (const { name: topic, partitions } of group.topics) {
    for (const one of partitions) {
      const { committedLeaderEpoch, committedOffset, errorCode, metadata, partitionIndex } = one
      answers.push({
        topic,
        partition: partitionIndex,
        // ZooKeeper has no offset of what was never committed, and the broker says that there is no such partition.
        errorCode: version === 0 && errorCode === ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION ? 0 : errorCode,
        offset: errorCode === ErrorCode.codes.NONE ? committedOffset : BigInt(-1),
        leaderEpoch: committedLeaderEpoch,
        metadata: metadata ?? ""
      })
    }
  }
  return answers
})
