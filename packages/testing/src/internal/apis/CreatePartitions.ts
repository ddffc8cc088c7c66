/**
 * CreatePartitions: more partitions for topics that there are (KIP-195).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  CreatePartitions,
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
  type CreatePartitionsTopic,
  type CreatePartitionsTopicResult
} from "@kafka-effect/protocol/messages/CreatePartitions"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"

type Result = Wire.Input<CreatePartitionsTopicResult>

const result = (name: string, errorCode: number, errorMessage: string | null = null): Result => ({
  name,
  errorCode,
  errorMessage
})

/** What is wrong with replicas that were named; undefined for nothing. */
const assignmentProblem = (
  { nodes }: Cluster.Cluster,
  assignment: ReadonlyArray<ReadonlyArray<number>>,
  added: number,
  factor: number
): string | undefined => {
  if (assignment.length !== added) {
    return `Attempted to add ${added} additional partition(s), but only ${assignment.length} assignment(s) were specified.`
  }
  for (const ids of assignment) {
    if (ids.length === 0) return "The manual partition assignment includes an empty replica list."
    if (new Set(ids).size < ids.length) return "The manual partition assignment includes a broker more than once."
    const unknown = ids.find((id) => !nodes.has(id))
    if (unknown !== undefined) {
      return `The manual partition assignment includes broker ${unknown}, but no such broker is registered.`
    }
    if (ids.length !== factor) {
      return `The manual partition assignment includes a partition with ${ids.length} replica(s), but this is not consistent with previous partitions, which have ${factor} replica(s).`
    }
  }
  return undefined
}

const create = (cluster: Cluster.Cluster, asked: CreatePartitionsTopic, validateOnly: boolean): Result => {
  const { assignments, count, name } = asked
  const topic = cluster.topics.get(name)
  if (topic === undefined) return result(name, codes.UNKNOWN_TOPIC_OR_PARTITION)
  const there = topic.partitions.length
  if (count === there) return result(name, codes.INVALID_PARTITIONS, `Topic already has ${there} partition(s).`)
  if (count < there) {
    const text = `The topic ${name} currently has ${there} partition(s); ${count} would not be an increase.`
    return result(name, codes.INVALID_PARTITIONS, text)
  }
  const factor = topic.partitions[0].replicas.length
  const assignment = assignments?.map(({ brokerIds }) => brokerIds)
  const problem = assignment && assignmentProblem(cluster, assignment, count - there, factor)
  if (problem !== undefined) return result(name, codes.INVALID_REPLICA_ASSIGNMENT, problem)
  if (validateOnly) return result(name, codes.NONE)
  const all = assignment && [...topic.partitions.map(({ replicas }) => replicas), ...assignment]
  Cluster.addPartitions(cluster, topic, count, factor, all)
  return result(name, codes.NONE)
}

/** @internal */
export const handler: Handler<CreatePartitionsRequest, CreatePartitionsResponse> = {
  api: CreatePartitions,
  refuse: ({ topics }, errorCode) => ({ results: topics.map(({ name }) => result(name, errorCode)) }),
  handle: (cluster, { answer, message: { topics, validateOnly } }) => {
    const names = topics.map(({ name }) => name)
    answer({
      results: topics.flatMap((asked, index) => {
        const { name } = asked
        if (names.indexOf(name) === names.lastIndexOf(name)) return [create(cluster, asked, validateOnly)]
        // Each of them is answered once.
        return names.indexOf(name) === index ? [result(name, codes.INVALID_REQUEST, "Duplicate topic name.")] : []
      })
    })
  }
}
