/**
 * OffsetCommit: keeps how far a group has come.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  OffsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponse
} from "@kafka-effect/protocol/messages/OffsetCommit"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Commits from "../groups/Commits.ts"
import { GroupOffsets } from "../groups/GroupOffsets.ts"
import * as Groups from "../groups/Groups.ts"
import { atLeast } from "../Release.ts"

/** The first versions whose generation may be a member's epoch, and that name topics by their ids. */
const epochVersion = 9
const idVersion = 10

/** The partitions of a request, by topic id. */
const placesOf = (
  cluster: Cluster.Cluster,
  { topics }: OffsetCommitRequest,
  version: number
): ReadonlyArray<readonly [topicId: string, partition: number]> =>
  topics.flatMap(({ name, partitions, topicId }) => {
    const topic = Cluster.topicOf(cluster, version >= idVersion ? { topicId } : { name })
    return topic === undefined ? [] : partitions.map(({ partitionIndex }) => [topic.id, partitionIndex] as const)
  })

/** Whether the group takes commits of who commits. */
const membership = (cluster: Cluster.Cluster, message: OffsetCommitRequest, version: number): number => {
  const { generationIdOrMemberEpoch: generation, groupId, groupInstanceId, memberId } = message
  const group = cluster.groups.get(groupId)
  // Whoever is in no group commits as he likes, as long as there are no members.
  if (generation < 0 && (group === undefined || group.members.size === 0)) return codes.NONE
  if (group === undefined) {
    const saysMissing = version >= epochVersion && atLeast(cluster.release, "4.0")
    return saysMissing ? codes.GROUP_ID_NOT_FOUND : codes.ILLEGAL_GENERATION
  }
  if (group.type === "consumer") {
    const errorCode = group.checkCommit(memberId, generation, placesOf(cluster, message, version))
    return errorCode !== codes.UNKNOWN_MEMBER_ID && version < epochVersion ? codes.UNSUPPORTED_VERSION : errorCode
  }
  if (generation < 0 && memberId === "" && groupInstanceId === null) return codes.UNKNOWN_MEMBER_ID
  const errorCode = group.check(memberId, groupInstanceId, generation)
  if (errorCode !== codes.NONE) return errorCode
  group.heartbeat(memberId, groupInstanceId, generation)
  return group.state === "CompletingRebalance" ? codes.REBALANCE_IN_PROGRESS : codes.NONE
}

/** Version 0: any broker takes it, of any group, and keeps it where no later version looks. */
const commitToZookeeper = (cluster: Cluster.Cluster, message: OffsetCommitRequest) => {
  const { release, topics, zookeeperOffsets } = cluster
  if (!release.hasZookeeper) return Commits.answerAll(message.topics, () => codes.UNSUPPORTED_VERSION)
  const offsets = zookeeperOffsets.get(message.groupId) ?? new GroupOffsets()
  zookeeperOffsets.set(message.groupId, offsets)
  const isKnown = (name: string) => topics.has(name)
  for (const { name, partitions } of message.topics.filter((topic) => isKnown(topic.name))) {
    for (const { committedOffset, partitionIndex } of partitions) {
      // Nothing else is kept there.
      offsets.set(name, partitionIndex, { offset: committedOffset, leaderEpoch: -1, metadata: "" })
    }
  }
  return Commits.answerAll(message.topics, ({ name }) =>
    isKnown(name) ? codes.NONE : codes.UNKNOWN_TOPIC_OR_PARTITION
  )
}

/** @internal */
export const handler: Handler<OffsetCommitRequest, OffsetCommitResponse> = {
  api: OffsetCommit,
  refuse: ({ topics }, errorCode) => Commits.answerAll(topics, () => errorCode),
  handle: (cluster, { answer, message, node, version }) => {
    const { groupId } = message
    if (version === 0) return answer(commitToZookeeper(cluster, message))
    const refused = Groups.checkCoordinator(cluster, groupId, node) || membership(cluster, message, version)
    if (refused !== codes.NONE) return answer(Commits.answerAll(message.topics, () => refused))
    const { offsets } = Groups.of(cluster, groupId)
    answer(
      Commits.commit(cluster, message.topics, version >= idVersion, (topic, partition, committed) =>
        offsets.set(topic, partition, committed)
      )
    )
  }
}
