/**
 * Metadata: brokers, topics, leaders. Topics that do not exist are made if that is allowed, and asked for by name.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  Metadata,
  type MetadataRequest,
  type MetadataRequestTopic,
  type MetadataResponse,
  type MetadataResponseTopic
} from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import { atLeast } from "../Release.ts"
import * as TopicNames from "../TopicNames.ts"

type TopicAnswer = Wire.Input<MetadataResponseTopic>

/** Nothing is forbidden to anybody: all operations that topics and clusters have (KIP-430). */
const topicOperations = 3576
const clusterOperations = 8096

const described = (cluster: Cluster.Cluster, topic: Cluster.Topic, withOperations: boolean): TopicAnswer => ({
  errorCode: codes.NONE,
  name: topic.name,
  topicId: topic.id,
  isInternal: topic.isInternal,
  partitions: topic.partitions.map(({ index, leader, leaderEpoch, replicas }) => {
    const offlineReplicas = replicas.filter((id) => cluster.nodes.get(id)?.isUp !== true)
    return {
      errorCode: leader < 0 ? codes.LEADER_NOT_AVAILABLE : codes.NONE,
      partitionIndex: index,
      leaderId: leader,
      leaderEpoch,
      replicaNodes: replicas,
      isrNodes: replicas.filter((id) => !offlineReplicas.includes(id)),
      offlineReplicas
    }
  }),
  ...(withOperations ? { topicAuthorizedOperations: topicOperations } : {})
})

const missing = (errorCode: number, { name, topicId }: MetadataRequestTopic): TopicAnswer => ({
  errorCode,
  name,
  topicId,
  partitions: []
})

const answerFor = (
  cluster: Cluster.Cluster,
  asked: MetadataRequestTopic,
  { allowAutoTopicCreation, includeTopicAuthorizedOperations }: MetadataRequest
): TopicAnswer => {
  const topic = Cluster.topicOf(cluster, asked)
  if (topic !== undefined) return described(cluster, topic, includeTopicAuthorizedOperations)
  const { name, topicId } = asked
  if (name === null) return missing(topicId === zeroUuid ? codes.INVALID_REQUEST : codes.UNKNOWN_TOPIC_ID, asked)
  if (TopicNames.problem(name) !== undefined) return missing(codes.INVALID_TOPIC_EXCEPTION, asked)
  const isAllowed = allowAutoTopicCreation && cluster.settings.get("auto.create.topics.enable") !== "false"
  if (!isAllowed) return missing(codes.UNKNOWN_TOPIC_OR_PARTITION, asked)
  Cluster.addTopic(cluster, name, {
    partitions: Cluster.numberSetting(cluster, "num.partitions", 1),
    replicationFactor: Cluster.numberSetting(cluster, "default.replication.factor", 1)
  })
  // Kafka, too, says so at first, and the client asks again.
  const code = atLeast(cluster.release, "2.8") ? codes.UNKNOWN_TOPIC_OR_PARTITION : codes.LEADER_NOT_AVAILABLE
  return missing(code, asked)
}

/** @internal */
export const handler: Handler<MetadataRequest, MetadataResponse> = {
  api: Metadata,
  refuse: ({ topics }, errorCode, version) => ({
    brokers: [],
    topics: (topics ?? []).map((topic) => missing(errorCode, topic)),
    ...(version >= 13 ? { errorCode } : {})
  }),
  handle: (cluster, { answer, message, version }) => {
    const { topics } = message
    // Version 0 has no null: no topics are all of them.
    const wantsAll = topics === null || (version === 0 && topics.length === 0)
    const found = wantsAll
      ? [...cluster.topics.values()].map((topic) => described(cluster, topic, message.includeTopicAuthorizedOperations))
      : topics.map((asked) => answerFor(cluster, asked, message))
    const isUnknown = cluster.release.startsWithTopics && cluster.topics.size === 0
    answer({
      brokers: isUnknown
        ? []
        : Cluster.upNodes(cluster).map(({ host, nodeId, port, rack }) => ({ nodeId, host, port, rack })),
      clusterId: cluster.clusterId,
      controllerId: cluster.controllerId,
      topics: found,
      ...(message.includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: clusterOperations } : {})
    })
  }
}
