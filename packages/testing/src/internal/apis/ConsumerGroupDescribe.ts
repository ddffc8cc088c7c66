/**
 * ConsumerGroupDescribe: epochs, members, what they own and what they should own (KIP-848, KIP-1099).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ConsumerGroupDescribe,
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  type DescribedGroup
} from "@kafka-effect/protocol/messages/ConsumerGroupDescribe"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Assignment from "../groups/Assignment.ts"
import type { ConsumerGroup } from "../groups/ConsumerGroup.ts"
import * as Groups from "../groups/Groups.ts"
import * as Operations from "../Operations.ts"

/** `memberType` of a member of the consumer protocol. */
const consumerType = 1

const refused = (
  groupId: string,
  errorCode: number,
  errorMessage: string | null = null
): Wire.Input<DescribedGroup> => ({
  errorCode,
  errorMessage,
  groupId,
  groupState: "",
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: "",
  members: []
})

/** Topics that are gone are left out. */
const named = (cluster: Cluster.Cluster, partitions: Assignment.Owned | Assignment.Target) => ({
  topicPartitions: Assignment.toWire(partitions).flatMap(({ partitions: indexes, topicId }) => {
    const topic = Cluster.topicOf(cluster, { topicId })
    return topic === undefined ? [] : [{ topicId, topicName: topic.name, partitions: indexes }]
  })
})

const describe = (cluster: Cluster.Cluster, group: ConsumerGroup): Wire.Input<DescribedGroup> => ({
  errorCode: codes.NONE,
  groupId: group.groupId,
  groupState: group.state,
  groupEpoch: group.epoch,
  assignmentEpoch: group.assignmentEpoch,
  assignorName: group.assignorName,
  members: [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.groupInstanceId,
    rackId: member.rackId,
    memberEpoch: member.epoch,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...member.subscribedTopicNames].sort(),
    subscribedTopicRegex: member.subscribedTopicRegex ?? "",
    // What it has still to give up is still its own.
    assignment: named(cluster, Assignment.union(member.assigned, member.revoking)),
    targetAssignment: named(cluster, group.targetOf(member.memberId)),
    memberType: consumerType
  }))
})

/** @internal */
export const handler: Handler<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse> = {
  api: ConsumerGroupDescribe,
  refuse: ({ groupIds }, errorCode) => ({ groups: groupIds.map((groupId) => refused(groupId, errorCode)) }),
  handle: (cluster, { answer, message, node, version }) => {
    const { groupIds, includeAuthorizedOperations } = message
    if (!Groups.haveConsumerProtocol(cluster)) {
      return answer(handler.refuse(message, codes.UNSUPPORTED_VERSION, version))
    }
    answer({
      groups: groupIds.map((groupId) => {
        const errorCode = Groups.check(cluster, groupId, node)
        if (errorCode !== codes.NONE) return refused(groupId, errorCode)
        const group = Groups.consumer(cluster, groupId)
        if (group === undefined) {
          const isThere = cluster.groups.has(groupId)
          const text = isThere ? `Group ${groupId} is not a consumer group.` : `Group ${groupId} not found.`
          return refused(groupId, codes.GROUP_ID_NOT_FOUND, text)
        }
        const described = describe(cluster, group)
        return includeAuthorizedOperations
          ? { ...described, authorizedOperations: Operations.ofGroup(cluster.release) }
          : described
      })
    })
  }
}
