/**
 * OffsetFetch: how far groups have come; several groups at once since version 8 (KIP-709).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  OffsetFetch,
  type OffsetFetchRequest,
  type OffsetFetchResponse
} from "@kafka-effect/protocol/messages/OffsetFetch"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import type { CommittedOffset } from "../groups/GroupOffsets.ts"
import * as Groups from "../groups/Groups.ts"

interface Asked {
  readonly name: string
  readonly topicId: string
  readonly partitionIndexes: ReadonlyArray<number>
}

const answered = (partitionIndex: number, committed: CommittedOffset | undefined, errorCode: number = codes.NONE) => ({
  partitionIndex,
  committedOffset: committed?.offset ?? BigInt(-1),
  committedLeaderEpoch: committed?.leaderEpoch ?? -1,
  metadata: committed?.metadata ?? "",
  errorCode
})

/** What was committed of the topics that are asked for; of all where none are named. */
const topicsOf = (
  cluster: Cluster.Cluster,
  groupId: string,
  asked: ReadonlyArray<Asked> | null,
  byId: boolean,
  requireStable: boolean
) => {
  const offsets = cluster.groups.get(groupId)?.offsets
  // What a transaction may yet commit is no place to begin at (KIP-447).
  const isUnstable = (topic: string, index: number) => requireStable && offsets?.isPending(topic, index) === true
  const stable = (topic: string, index: number, committed: CommittedOffset | undefined) =>
    isUnstable(topic, index) ? answered(index, undefined, codes.UNSTABLE_OFFSET_COMMIT) : answered(index, committed)
  if (asked === null) {
    return (offsets?.all() ?? []).map(([name, partitions]) => ({
      name,
      topicId: cluster.topics.get(name)?.id ?? "",
      partitions: [...partitions].map(([index, committed]) => stable(name, index, committed))
    }))
  }
  return asked.map(({ name, partitionIndexes, topicId }) => {
    const found = byId ? Cluster.topicOf(cluster, { topicId })?.name : name
    const partitions = partitionIndexes.map((index) =>
      found === undefined
        ? answered(index, undefined, codes.UNKNOWN_TOPIC_ID)
        : stable(found, index, offsets?.get(found, index))
    )
    return { name, topicId, partitions }
  })
}

/** Version 0: what version 0 has committed; that there is nothing is an error. */
const fromZookeeper = ({ release, zookeeperOffsets }: Cluster.Cluster, message: OffsetFetchRequest) => {
  if (!release.hasZookeeper) return refuse(message, codes.UNSUPPORTED_VERSION, 0)
  const offsets = zookeeperOffsets.get(message.groupId)
  return {
    topics: (message.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => {
        const committed = offsets?.get(name, index)
        return answered(index, committed, committed === undefined ? codes.UNKNOWN_TOPIC_OR_PARTITION : codes.NONE)
      })
    }))
  }
}

const withoutId = ({ name, partitions }: ReturnType<typeof topicsOf>[number]) => ({ name, partitions })

const refuse = ({ groups, topics }: OffsetFetchRequest, errorCode: number, version: number) => {
  if (version >= 8) return { groups: groups.map(({ groupId }) => ({ groupId, errorCode, topics: [] })) }
  return {
    errorCode: version >= 2 ? errorCode : 0,
    topics: (topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => answered(index, undefined, errorCode))
    }))
  }
}

/** @internal */
export const handler: Handler<OffsetFetchRequest, OffsetFetchResponse> = {
  api: OffsetFetch,
  refuse,
  handle: (cluster, { answer, message, node, version }) => {
    if (version === 0) return answer(fromZookeeper(cluster, message))
    if (version < 8) {
      const { groupId, requireStable, topics } = message
      const errorCode = Groups.check(cluster, groupId, node)
      if (errorCode !== codes.NONE) return answer(refuse(message, errorCode, version))
      const asked = topics?.map((topic) => ({ ...topic, topicId: "" })) ?? null
      return answer({ topics: topicsOf(cluster, groupId, asked, false, requireStable).map(withoutId) })
    }
    answer({
      groups: message.groups.map(({ groupId, memberEpoch, memberId, topics }) => {
        const errorCode =
          Groups.check(cluster, groupId, node) ||
          (Groups.consumer(cluster, groupId)?.checkFetch(memberId, memberEpoch) ?? codes.NONE)
        const isById = version >= 10
        const found = errorCode === codes.NONE ? topicsOf(cluster, groupId, topics, isById, message.requireStable) : []
        return { groupId, errorCode, topics: isById ? found : found.map(withoutId) }
      })
    })
  }
}
