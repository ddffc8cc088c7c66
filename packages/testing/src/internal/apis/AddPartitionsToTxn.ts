/**
 * AddPartitionsToTxn: takes partitions into a transaction before they are written to (KIP-98); since version 4 it is what
 * brokers ask each other (KIP-890).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  AddPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  type AddPartitionsToTxnTopic
} from "@kafka-effect/protocol/messages/AddPartitionsToTxn"
import type { Cluster, Partition } from "../Cluster.ts"
import type { Exchange, Handler } from "../Exchange.ts"
import * as Transactions from "../transactions/Transactions.ts"

type Topics = ReadonlyArray<AddPartitionsToTxnTopic>

const batchedVersion = 4
/** The first version whose producers get a new epoch with each transaction. */
const secondVersion = 5
const fencedVersion = 2

const results = (topics: Topics, codeOf: (topic: string, partition: number) => number) =>
  topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: codeOf(name, partitionIndex)
    }))
  }))

/** The partitions, if all of them are there. */
const partitionsOf = (cluster: Cluster, topics: Topics): ReadonlyArray<Partition> | undefined => {
  const found = topics.flatMap(({ name, partitions }) =>
    partitions.map((index) => cluster.topics.get(name)?.partitions[index])
  )
  return found.every((partition) => partition !== undefined) ? found : undefined
}

const answerFor = (
  cluster: Cluster,
  { node, version }: Exchange<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>,
  writer: Transactions.Writer,
  topics: Topics,
  verifyOnly: boolean
) => {
  const partitions = partitionsOf(cluster, topics)
  if (partitions === undefined) {
    // All or nothing: where one is missing, the others are not tried.
    return results(topics, (name, index) =>
      cluster.topics.get(name)?.partitions[index] === undefined
        ? codes.UNKNOWN_TOPIC_OR_PARTITION
        : codes.OPERATION_NOT_ATTEMPTED
    )
  }
  const code = Transactions.check(cluster, writer.transactionalId, node)
  if (code !== codes.NONE) return results(topics, () => code)
  if (verifyOnly) {
    return results(topics, (name, index) =>
      Transactions.verify(cluster, writer, { partition: cluster.topics.get(name)!.partitions[index] })
    )
  }
  const added = Transactions.add(cluster, writer, { partitions }, version >= secondVersion)
  const isOld = version < fencedVersion && added === codes.PRODUCER_FENCED
  return results(topics, () => (isOld ? codes.INVALID_PRODUCER_EPOCH : added))
}

/** @internal */
export const handler: Handler<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse> = {
  api: AddPartitionsToTxn,
  refuse: ({ v3AndBelowTopics }, errorCode, version) =>
    version >= batchedVersion
      ? { errorCode, resultsByTransaction: [] }
      : { resultsByTopicV3AndBelow: results(v3AndBelowTopics, () => errorCode) },
  handle: (cluster, exchange) => {
    const { answer, message, version } = exchange
    if (version < batchedVersion) {
      const writer = {
        transactionalId: message.v3AndBelowTransactionalId,
        producerId: message.v3AndBelowProducerId,
        producerEpoch: message.v3AndBelowProducerEpoch
      }
      return answer({
        resultsByTopicV3AndBelow: answerFor(cluster, exchange, writer, message.v3AndBelowTopics, false)
      })
    }
    answer({
      resultsByTransaction: message.transactions.map(({ topics, verifyOnly, ...writer }) => ({
        transactionalId: writer.transactionalId,
        topicResults: answerFor(cluster, exchange, writer, topics, verifyOnly)
      }))
    })
  }
}
