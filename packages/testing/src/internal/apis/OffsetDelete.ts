/**
 * OffsetDelete: forgets what a group has committed of topics that no member subscribes to (KIP-496).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ConsumerProtocolSubscription } from "@kafka-effect/protocol/messages/ConsumerProtocolSubscription"
import {
  OffsetDelete,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse
} from "@kafka-effect/protocol/messages/OffsetDelete"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import type { Handler } from "../Exchange.ts"
import type { Group } from "../groups/Groups.ts"
import * as Groups from "../groups/Groups.ts"
import { atLeast } from "../Release.ts"

const protocolType = "consumer"

/** Topics that a member of a consumer group subscribes to; what is none of Kafka's own subscriptions names no topics. */
const topicsOf = (metadata: Uint8Array): ReadonlyArray<string> => {
  try {
    const version = new DataView(metadata.buffer, metadata.byteOffset, metadata.length).getInt16(0)
    const known = Math.min(Math.max(version, 0), 3)
    return WireCodec.decode(ConsumerProtocolSubscription, known, metadata.subarray(2)).topics
  } catch (error) {
    if (error instanceof WireError || error instanceof RangeError) return []
    throw error
  }
}

/** Whether a member of the group subscribes to a topic. */
const subscription = (group: Group): ((topic: string) => boolean) => {
  if (group.type === "consumer") return (topic) => group.isSubscribedTo(topic)
  const { members, protocolName } = group
  const topics = new Set(
    [...members.values()].flatMap(({ protocols }) =>
      topicsOf(protocols.find(({ name }) => name === protocolName)?.metadata ?? new Uint8Array(0))
    )
  )
  return (topic) => topics.has(topic)
}

/** @internal */
export const handler: Handler<OffsetDeleteRequest, OffsetDeleteResponse> = {
  api: OffsetDelete,
  refuse: (_, errorCode) => ({ errorCode, topics: [] }),
  handle: (cluster, { answer, message, node }) => {
    const { groupId, topics } = message
    const errorCode = Groups.check(cluster, groupId, node)
    if (errorCode !== codes.NONE) return answer({ errorCode, topics: [] })
    const group = cluster.groups.get(groupId)
    if (group === undefined) return answer({ errorCode: codes.GROUP_ID_NOT_FOUND, topics: [] })
    if (group.members.size > 0 && group.protocolType !== protocolType) {
      return answer({ errorCode: codes.NON_EMPTY_GROUP, topics: [] })
    }
    const isInUse = subscription(group)
    const answers = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        if (isInUse(name)) return { partitionIndex, errorCode: codes.GROUP_SUBSCRIBED_TO_TOPIC }
        const isThere = cluster.topics.get(name)?.partitions[partitionIndex] !== undefined
        group.offsets.delete(name, partitionIndex)
        return { partitionIndex, errorCode: isThere ? codes.NONE : codes.UNKNOWN_TOPIC_OR_PARTITION }
      })
    }))
    // Coordinators before 4.0 forget an empty group with its last offset.
    const isForgotten = group.members.size === 0 && group.offsets.isEmpty && !atLeast(cluster.release, "4.0")
    if (isForgotten) Groups.remove(cluster, group)
    answer({ errorCode: codes.NONE, topics: answers })
  }
}
