/**
 * ElectLeaders: the preferred replica leads again, or any that is up where nobody leads (KIP-183, KIP-460).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ElectLeaders,
  type ElectLeadersRequest,
  type ElectLeadersResponse,
  type PartitionResult
} from "@kafka-effect/protocol/messages/ElectLeaders"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as LeaderElection from "../LeaderElection.ts"

type Result = Wire.Input<PartitionResult> & { readonly errorCode: number }

const types = { preferred: 0, unclean: 1 }

const elect = (cluster: Cluster, name: string, partitionId: number, type: number): Result => {
  const result = (errorCode: number, errorMessage: string | null = null): Result => ({
    partitionId,
    errorCode,
    errorMessage
  })
  const topic = cluster.topics.get(name)
  if (topic === undefined) return result(codes.UNKNOWN_TOPIC_OR_PARTITION, `No such topic as ${name}`)
  const partition = topic.partitions[partitionId]
  if (partition === undefined) {
    return result(codes.UNKNOWN_TOPIC_OR_PARTITION, `No such partition as ${name}-${partitionId}`)
  }
  const { leader, replicas } = partition
  const isPreferred = type === types.preferred
  const isUp = (id: number) => cluster.nodes.get(id)?.isUp === true
  if (isPreferred ? leader === replicas[0] : leader >= 0) {
    return result(codes.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.")
  }
  const elected = isPreferred ? replicas.slice(0, 1).find(isUp) : replicas.find(isUp)
  if (elected === undefined) {
    return result(isPreferred ? codes.PREFERRED_LEADER_NOT_AVAILABLE : codes.ELIGIBLE_LEADERS_NOT_AVAILABLE)
  }
  LeaderElection.moveLeader(cluster, name, partitionId, elected)
  return result(codes.NONE)
}

const unknownType = (partitionId: number, type: number): Result => ({
  partitionId,
  errorCode: codes.INVALID_REQUEST,
  errorMessage: `Unknown election type ${type}`
})

/** @internal */
export const handler: Handler<ElectLeadersRequest, ElectLeadersResponse> = {
  api: ElectLeaders,
  refuse: (_, errorCode, version) => (version === 0 ? {} : { errorCode }),
  handle: (cluster, { answer, message, version }) => {
    const { electionType, topicPartitions } = message
    const type = version === 0 ? types.preferred : electionType
    const isType = type === types.preferred || type === types.unclean
    const asked =
      topicPartitions ??
      [...cluster.topics.values()].map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ index }) => index)
      }))
    const replicaElectionResults = asked.map(({ partitions, topic }) => ({
      topic,
      partitionResult: partitions
        .map((partition) => (isType ? elect(cluster, topic, partition, type) : unknownType(partition, type)))
        // Who asks for all hears only of those that needed one.
        .filter(({ errorCode }) => topicPartitions !== null || errorCode !== codes.ELECTION_NOT_NEEDED)
    }))
    answer({ ...(isType ? {} : { errorCode: codes.INVALID_REQUEST }), replicaElectionResults })
  }
}
