/**
 * DescribeTopicPartitions: topics page by page (KIP-966); what newer admin clients describe topics with.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeTopicPartitions,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
  type DescribeTopicPartitionsResponsePartition,
  type DescribeTopicPartitionsResponseTopic
} from "@kafka-effect/protocol/messages/DescribeTopicPartitions"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import type { Cluster, Partition } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as TopicNames from "../TopicNames.ts"

type TopicAnswer = Wire.Input<DescribeTopicPartitionsResponseTopic>

/** `max.request.partition.size.limit`. */
const mostPartitions = 2000

/** Nothing is forbidden to anybody. */
const allOperations = 0b1101_1111_1000

const partitionAnswer = (
  { nodes }: Cluster,
  { index, leader, leaderEpoch, replicas }: Partition
): Wire.Input<DescribeTopicPartitionsResponsePartition> => {
  const isUp = (id: number) => nodes.get(id)?.isUp === true
  return {
    errorCode: leader < 0 ? codes.LEADER_NOT_AVAILABLE : codes.NONE,
    partitionIndex: index,
    leaderId: leader,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: replicas.filter(isUp),
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: replicas.filter((id) => !isUp(id))
  }
}

const missing = (name: string): TopicAnswer => ({
  errorCode: TopicNames.problem(name) === undefined ? codes.UNKNOWN_TOPIC_OR_PARTITION : codes.INVALID_TOPIC_EXCEPTION,
  name,
  topicId: zeroUuid,
  partitions: [],
  topicAuthorizedOperations: allOperations
})

const refused = ({ topics }: DescribeTopicPartitionsRequest, errorCode: number) => ({
  topics: topics.map(({ name }) => ({ errorCode, name, topicId: zeroUuid, partitions: [] }))
})

/** @internal */
export const handler: Handler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse> = {
  api: DescribeTopicPartitions,
  refuse: refused,
  handle: (cluster, { answer, message }) => {
    const { cursor, responsePartitionLimit } = message
    const from = cursor?.topicName ?? ""
    const asked = message.topics.length === 0 ? [...cluster.topics.keys()] : message.topics.map(({ name }) => name)
    const names = [...new Set(asked)].filter((name) => name >= from).sort()
    const isStrange =
      cursor !== null && ((message.topics.length > 0 && !names.includes(from)) || cursor.partitionIndex < 0)
    if (isStrange) return answer(refused(message, codes.INVALID_REQUEST))
    let room = Math.max(1, Math.min(mostPartitions, responsePartitionLimit))
    const topics: Array<TopicAnswer> = []
    for (const name of names) {
      const topic = cluster.topics.get(name)
      const first = name === from ? (cursor?.partitionIndex ?? 0) : 0
      if (topic === undefined) {
        topics.push(missing(name))
        continue
      }
      if (room === 0) return answer({ topics, nextCursor: { topicName: name, partitionIndex: first } })
      const partitions = topic.partitions.slice(first, first + room)
      room -= partitions.length
      topics.push({
        errorCode: codes.NONE,
        name,
        topicId: topic.id,
        isInternal: topic.isInternal,
        partitions: partitions.map((partition) => partitionAnswer(cluster, partition)),
        topicAuthorizedOperations: allOperations
      })
      const next = first + partitions.length
      if (next < topic.partitions.length) {
        return answer({ topics, nextCursor: { topicName: name, partitionIndex: next } })
      }
    }
    answer({ topics })
  }
}
