/**
 * CreateTopics, by count or by assignment of replicas (KIP-4, KIP-464, KIP-525).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  type CreatableTopic,
  type CreatableTopicResult,
  CreateTopics,
  type CreateTopicsRequest,
  type CreateTopicsResponse
} from "@kafka-effect/protocol/messages/CreateTopics"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import type { Handler } from "../Exchange.ts"
import * as Settings from "../Settings.ts"
import * as TopicNames from "../TopicNames.ts"

type Result = Wire.Input<CreatableTopicResult>

const refused = (name: string, errorCode: number, errorMessage: string | null = null): Result => ({
  name,
  errorCode,
  errorMessage,
  configs: []
})

const assignmentOf = ({ assignments }: CreatableTopic): ReadonlyArray<ReadonlyArray<number>> =>
  [...assignments].sort((a, b) => a.partitionIndex - b.partitionIndex).map(({ brokerIds }) => brokerIds)

/** What is wrong with a topic's shape; undefined for nothing. */
const shapeProblem = (cluster: Cluster.Cluster, asked: CreatableTopic): Result | undefined => {
  const { assignments, name, numPartitions, replicationFactor } = asked
  const brokers = Cluster.upNodes(cluster).length
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      const text = "Replication factor or number of partitions and replica assignments were both set"
      return refused(name, codes.INVALID_REQUEST, text)
    }
    const isOk = assignmentOf(asked).every(
      (ids) => ids.length > 0 && new Set(ids).size === ids.length && ids.every((id) => cluster.nodes.has(id))
    )
    const isDense = new Set(assignments.map(({ partitionIndex }) => partitionIndex)).size === assignments.length
    const isFull = assignments.every(({ partitionIndex }) => partitionIndex >= 0 && partitionIndex < assignments.length)
    if (isOk && isDense && isFull) return undefined
    return refused(name, codes.INVALID_REPLICA_ASSIGNMENT, "The replica assignment is invalid")
  }
  if (numPartitions === 0 || numPartitions < -1) {
    return refused(name, codes.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.")
  }
  if (replicationFactor === 0 || replicationFactor < -1) {
    return refused(name, codes.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.")
  }
  if (replicationFactor > brokers) {
    const text = `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ${replicationFactor} cannot be reached because only ${brokers} broker(s) are registered.`
    return refused(name, codes.INVALID_REPLICATION_FACTOR, text)
  }
  return undefined
}

const create = (cluster: Cluster.Cluster, asked: CreatableTopic, validateOnly: boolean): Result => {
  const { assignments, configs, name, numPartitions, replicationFactor } = asked
  const badName = TopicNames.problem(name)
  if (badName !== undefined) return refused(name, codes.INVALID_TOPIC_EXCEPTION, badName)
  if (cluster.topics.has(name)) {
    return refused(name, codes.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const problem = shapeProblem(cluster, asked)
  if (problem !== undefined) return problem
  const partitions =
    assignments.length > 0
      ? assignments.length
      : numPartitions === -1
        ? Cluster.numberSetting(cluster, "num.partitions", 1)
        : numPartitions
  const factor =
    replicationFactor === -1 ? Cluster.numberSetting(cluster, "default.replication.factor", 1) : replicationFactor
  const unset = configs.flatMap(({ name, value }) => (value === null ? [name] : []))
  if (unset.length > 0) {
    return refused(name, codes.INVALID_CONFIG, `Null value not supported for topic configs: ${unset.join(",")}`)
  }
  const set = new Map(configs.map(({ name, value }) => [name, value ?? ""]))
  const badConfig = Settings.topicProblem(set)
  if (badConfig !== undefined) return refused(name, codes.INVALID_CONFIG, badConfig)
  const topic = validateOnly
    ? undefined
    : Cluster.addTopic(cluster, name, {
        partitions,
        replicationFactor: factor,
        configs: set,
        ...(assignments.length > 0 ? { assignment: assignmentOf(asked) } : {})
      })
  return {
    name,
    errorCode: codes.NONE,
    errorMessage: null,
    ...(topic === undefined ? {} : { topicId: topic.id }),
    numPartitions: partitions,
    replicationFactor: assignments.length > 0 ? assignmentOf(asked)[0].length : factor,
    configs: Settings.topicSettings.map((setting) => ({
      name: setting.name,
      value: Configs.topicText(cluster, { configs: set }, setting.name),
      readOnly: false,
      configSource: Configs.ofTopic(cluster, { configs: set }, setting.name)[0]?.source ?? Configs.sources.otherwise,
      isSensitive: false
    }))
  }
}

/** @internal */
export const handler: Handler<CreateTopicsRequest, CreateTopicsResponse> = {
  api: CreateTopics,
  refuse: ({ topics }, errorCode) => ({ topics: topics.map(({ name }) => refused(name, errorCode)) }),
  handle: (cluster, { answer, message }) => {
    const { topics, validateOnly } = message
    const twice = new Set(topics.map(({ name }) => name).filter((name, index, names) => names.indexOf(name) !== index))
    answer({
      topics: topics.flatMap((asked, index) => {
        if (!twice.has(asked.name)) return [create(cluster, asked, validateOnly)]
        // Each of them is answered once.
        const isFirst = topics.findIndex(({ name }) => name === asked.name) === index
        return isFirst ? [refused(asked.name, codes.INVALID_REQUEST, "Duplicate topic name.")] : []
      })
    })
  }
}
