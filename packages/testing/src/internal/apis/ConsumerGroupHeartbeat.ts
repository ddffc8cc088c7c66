/**
 * ConsumerGroupHeartbeat: a member joins, says what it owns, hears what it should own, and leaves (KIP-848, KIP-1082).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse
} from "@kafka-effect/protocol/messages/ConsumerGroupHeartbeat"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as ServerAssignors from "../groups/assignors/ServerAssignors.ts"
import { refusal } from "../groups/ConsumerGroup.ts"
import * as Groups from "../groups/Groups.ts"

/** The first version in which members make their ids themselves. */
const ownIdVersion = 1

const isBlank = (text: string | null): boolean => text !== null && text.trim() === ""

/** What is wrong with who says that he joins; undefined for nothing. */
const joinProblem = (request: ConsumerGroupHeartbeatRequest): string | undefined => {
  const { rebalanceTimeoutMs, subscribedTopicNames, subscribedTopicRegex, topicPartitions } = request
  if (rebalanceTimeoutMs === -1) return "RebalanceTimeoutMs must be provided in first request."
  if (topicPartitions === null || topicPartitions.length > 0) return "TopicPartitions must be empty when (re-)joining."
  if (subscribedTopicNames !== null || subscribedTopicRegex !== null) return undefined
  return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
}

/** What is wrong with a request as such; undefined for nothing. */
const problem = (request: ConsumerGroupHeartbeatRequest, version: number): string | undefined => {
  const { groupId, instanceId, memberEpoch, memberId, rackId } = request
  const needsId = version >= ownIdVersion || memberEpoch > 0 || memberEpoch === -1
  if (needsId && isBlank(memberId)) return "MemberId can't be empty."
  if (isBlank(groupId)) return "GroupId can't be empty."
  if (isBlank(instanceId)) return "InstanceId can't be empty."
  if (isBlank(rackId)) return "RackId can't be empty."
  if (memberEpoch === 0) return joinProblem(request)
  if (memberEpoch === -2 && instanceId === null) return "InstanceId can't be null."
  return memberEpoch < -2 ? "MemberEpoch is invalid." : undefined
}

const assignorProblem = (cluster: Cluster, { serverAssignor }: ConsumerGroupHeartbeatRequest): string | undefined => {
  const names = ServerAssignors.of(cluster).map(({ name }) => name)
  if (serverAssignor === null || names.includes(serverAssignor)) return undefined
  return `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${names.join(", ")}.`
}

/** @internal */
export const handler: Handler<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse> = {
  api: ConsumerGroupHeartbeat,
  refuse: (_, errorCode) => refusal(errorCode),
  handle: (cluster, { answer, clientId, message, node, remote, version }) => {
    if (!Groups.haveConsumerProtocol(cluster)) return answer(refusal(codes.UNSUPPORTED_VERSION))
    const invalid = problem(message, version)
    if (invalid !== undefined) return answer(refusal(codes.INVALID_REQUEST, invalid))
    const noAssignor = assignorProblem(cluster, message)
    if (noAssignor !== undefined) return answer(refusal(codes.UNSUPPORTED_ASSIGNOR, noAssignor))
    const { groupId, memberEpoch } = message
    const errorCode = Groups.check(cluster, groupId, node)
    if (errorCode !== codes.NONE) return answer(refusal(errorCode))
    // Kafka can mix the protocols in one group; here it is as with group.consumer.migration.policy=disabled.
    const group = memberEpoch === 0 ? Groups.consumerToJoin(cluster, groupId) : Groups.consumer(cluster, groupId)
    if (group === undefined) {
      const name = memberEpoch < 0 ? "Group" : "Consumer group"
      const text = cluster.groups.has(groupId)
        ? `Group ${groupId} is not a consumer group.`
        : `${name} ${groupId} not found.`
      return answer(refusal(codes.GROUP_ID_NOT_FOUND, text))
    }
    if (memberEpoch < 0) return answer(group.leaveByHeartbeat(message))
    const response = group.heartbeat(message, { clientId: clientId ?? "", clientHost: `/${remote}` })
    if (response.errorCode === codes.NONE) cluster.groups.set(groupId, group)
    answer(response)
  }
}
