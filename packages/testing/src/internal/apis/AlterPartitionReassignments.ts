/**
 * AlterPartitionReassignments: other replicas for partitions (KIP-455), which have all that the former had at once.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  AlterPartitionReassignments,
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponse,
  type ReassignablePartition,
  type ReassignablePartitionResponse
} from "@kafka-effect/protocol/messages/AlterPartitionReassignments"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as LeaderElection from "../LeaderElection.ts"

type Result = Wire.Input<ReassignablePartitionResponse>

const result = (partitionIndex: number, errorCode: number, errorMessage: string | null = null): Result => ({
  partitionIndex,
  errorCode,
  errorMessage
})

/** What is wrong with replicas; undefined for nothing. */
const replicasProblem = ({ nodes }: Cluster, replicas: ReadonlyArray<number>): string | undefined => {
  if (replicas.length === 0) return "The manual partition assignment includes an empty replica list."
  const sorted = [...replicas].sort((a, b) => a - b)
  const twice = sorted.find((id, place) => id === sorted[place - 1])
  if (twice !== undefined) return `The manual partition assignment includes the broker ${twice} more than once.`
  const unknown = sorted.find((id) => !nodes.has(id))
  return unknown === undefined
    ? undefined
    : `The manual partition assignment includes broker ${unknown}, but no such broker is registered.`
}

const reassign = (
  cluster: Cluster,
  name: string,
  { partitionIndex, replicas }: ReassignablePartition,
  mayChangeFactor: boolean
): Result => {
  const topic = cluster.topics.get(name)
  if (topic === undefined) {
    return result(partitionIndex, codes.UNKNOWN_TOPIC_OR_PARTITION, `Unable to find a topic named ${name}.`)
  }
  const partition = topic.partitions[partitionIndex]
  if (partition === undefined) {
    const text = `Unable to find partition ${name}:${partitionIndex}.`
    return result(partitionIndex, codes.UNKNOWN_TOPIC_OR_PARTITION, text)
  }
  // None is ever under way.
  if (replicas === null) return result(partitionIndex, codes.NO_REASSIGNMENT_IN_PROGRESS)
  const problem = replicasProblem(cluster, replicas)
  if (problem !== undefined) return result(partitionIndex, codes.INVALID_REPLICA_ASSIGNMENT, problem)
  if (!mayChangeFactor && replicas.length !== partition.replicas.length) {
    const text = `The replication factor is changed from ${partition.replicas.length} to ${replicas.length}`
    return result(partitionIndex, codes.INVALID_REPLICATION_FACTOR, text)
  }
  partition.replicas = [...replicas]
  const isUp = (id: number) => cluster.nodes.get(id)?.isUp === true
  if (!replicas.includes(partition.leader)) {
    const leader = replicas.find(isUp)
    if (leader === undefined) partition.leader = -1
    else LeaderElection.moveLeader(cluster, name, partitionIndex, leader)
  }
  return result(partitionIndex, codes.NONE)
}

/** @internal */
export const handler: Handler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse> = {
  api: AlterPartitionReassignments,
  refuse: (_, errorCode) => ({ errorCode, errorMessage: null }),
  handle: (cluster, { answer, message, version }) => {
    const mayChangeFactor = version === 0 || message.allowReplicationFactorChange
    answer({
      ...(version === 0 ? {} : { allowReplicationFactorChange: mayChangeFactor }),
      errorMessage: null,
      responses: message.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((asked) => reassign(cluster, name, asked, mayChangeFactor))
      }))
    })
  }
}
