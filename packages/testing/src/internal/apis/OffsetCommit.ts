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

/** @internal */
export const handler: Handler<OffsetCommitRequest, OffsetCommitResponse> = {
  api: OffsetCommit,
  refuse: ({ topics }, errorCode) => Commits.answerAll(topics, () => errorCode),
  handle: (cluster, { answer, message, node, version }) => {
    const { groupId } = message
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
