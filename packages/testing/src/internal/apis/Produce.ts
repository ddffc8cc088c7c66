/**
 * Produce: appends batches to the logs of partitions that this broker leads.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as MaybePromise from "@kafka-effect/protocol/MaybePromise"
import {
  type PartitionProduceData,
  type PartitionProduceResponse,
  Produce,
  type ProduceRequest,
  type ProduceResponse,
  type TopicProduceData
} from "@kafka-effect/protocol/messages/Produce"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Appending from "../Appending.ts"
import * as Cluster from "../Cluster.ts"
import type { Exchange, Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"
import { atLeast } from "../Release.ts"
import * as Replication from "../Replication.ts"
import * as Transactions from "../transactions/Transactions.ts"

type PartitionAnswer = Wire.Input<PartitionProduceResponse>

interface TopicAnswer {
  readonly name: string
  readonly topicId: string
  readonly partitionResponses: ReadonlyArray<PartitionAnswer>
}

const none = BigInt(-1)

const refused = (index: number, { code, logStartOffset, message, records }: Appending.Refused): PartitionAnswer => ({
  index,
  errorCode: code,
  baseOffset: none,
  ...(logStartOffset === undefined ? {} : { logStartOffset }),
  // Kafka gives its reasons only where it names records.
  ...(records === undefined || message === undefined
    ? {}
    : {
        errorMessage: message,
        recordErrors: records.map(([batchIndex, batchIndexErrorMessage]) => ({ batchIndex, batchIndexErrorMessage }))
      })
})

const answerFor = (
  cluster: Cluster.Cluster,
  { message, node, version }: Exchange<ProduceRequest, ProduceResponse>,
  { name, topicId }: TopicProduceData,
  { index, records }: PartitionProduceData
): MaybePromise.MaybePromise<PartitionAnswer> => {
  const topic = Cluster.topicOf(cluster, version >= 13 ? { topicId } : { name })
  const partition = topic?.partitions[index]
  if (topic === undefined && version >= 13) return refused(index, { code: codes.UNKNOWN_TOPIC_ID })
  const code = Leadership.check(partition, node, -1)
  if (partition === undefined) return refused(index, { code })
  if (code !== codes.NONE) {
    const currentLeader = { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch }
    return { ...refused(index, { code }), ...(version >= 10 ? { currentLeader } : {}) }
  }
  const checked = Appending.check(cluster, partition, records, { ...message, version })
  const finish = (result: Appending.Checked): MaybePromise.MaybePromise<PartitionAnswer> => {
    if ("code" in result) return refused(index, result)
    // Meanwhile another may lead it.
    const now = Leadership.check(partition, node, -1)
    if (now !== codes.NONE) return refused(index, { code: now })
    const refusal = inTransaction(cluster, message, version, partition, result)
    if (refusal !== undefined) return refused(index, refusal)
    return MaybePromise.map(Appending.append(cluster, partition, result), (appended) => {
      if ("code" in appended) return refused(index, appended)
      const { baseOffset, logAppendTime } = appended
      const { endOffset } = partition.log
      const replicated =
        message.acks === -1 ? Replication.awaitReplicas(cluster, partition, endOffset, message.timeoutMs) : codes.NONE
      return MaybePromise.map(replicated, (errorCode) =>
        errorCode === codes.NONE
          ? {
              index,
              errorCode,
              baseOffset,
              logAppendTimeMs: BigInt(logAppendTime),
              logStartOffset: partition.log.startOffset
            }
          : refused(index, { code: errorCode })
      )
    })
  }
  return MaybePromise.map(checked, finish)
}

/** The first versions that know TRANSACTION_ABORTABLE, and that take partitions into transactions by themselves (KIP-890). */
const abortableVersion = 11
const secondVersion = 12

/** Why a batch may not be written as a part of its producer's transaction; undefined where it may. */
const inTransaction = (
  cluster: Cluster.Cluster,
  { transactionalId }: ProduceRequest,
  version: number,
  partition: Cluster.Partition,
  accepted: Appending.Accepted
): Appending.Refused | undefined => {
  if (!("batch" in accepted) || !accepted.batch.isTransactional) return undefined
  const { producerEpoch, producerId } = accepted.batch
  if (transactionalId === null) return { code: codes.TRANSACTIONAL_ID_AUTHORIZATION_FAILED }
  // Before KIP-890, leaders believed what they were sent.
  if (!atLeast(cluster.release, "3.6")) return undefined
  const writer = { transactionalId, producerEpoch, producerId }
  const code =
    version >= secondVersion
      ? Transactions.add(cluster, writer, { partitions: [partition] }, true)
      : Transactions.verify(cluster, writer, { partition })
  switch (code) {
    case codes.NONE:
      return undefined
    case codes.PRODUCER_FENCED:
      return { code: codes.INVALID_PRODUCER_EPOCH }
    case codes.CONCURRENT_TRANSACTIONS:
      // What older producers come again after, without asking who leads.
      return { code: version >= secondVersion ? code : codes.NOT_ENOUGH_REPLICAS }
    case codes.TRANSACTION_ABORTABLE:
      return {
        code: version >= abortableVersion ? code : codes.INVALID_TXN_STATE,
        message: "Partition was not added to the transaction"
      }
    default:
      return { code }
  }
}

const refuseAll = ({ topicData }: ProduceRequest, code: number): ReadonlyArray<TopicAnswer> =>
  topicData.map(({ name, partitionData, topicId }) => ({
    name,
    topicId,
    partitionResponses: partitionData.map(({ index }) => refused(index, { code }))
  }))

/** @internal */
export const handler: Handler<ProduceRequest, ProduceResponse> = {
  api: Produce,
  refuse: (request, code) => ({ responses: refuseAll(request, code) }),
  handle: (cluster, exchange) => {
    const { answer, answerNothing, close, message } = exchange
    const { acks, topicData } = message
    const reply = (responses: ReadonlyArray<TopicAnswer>): void => {
      if (acks !== 0) return void answer({ responses })
      // Who wants no answer learns of a failure by the loss of the connection.
      const isFailed = responses.some(({ partitionResponses }) =>
        partitionResponses.some(({ errorCode }) => errorCode !== codes.NONE)
      )
      if (isFailed) close()
      else answerNothing()
    }
    if (acks < -1 || acks > 1) {
      return reply(refuseAll(message, codes.INVALID_REQUIRED_ACKS))
    }
    const answers = topicData.map((topic) => ({
      topic,
      partitions: topic.partitionData.map((data) => answerFor(cluster, exchange, topic, data))
    }))
    const isLater = answers.some(({ partitions }) => partitions.some((one) => one instanceof Promise))
    const finish = (partitions: ReadonlyArray<ReadonlyArray<PartitionAnswer>>): void =>
      reply(
        answers.map(({ topic: { name, topicId } }, place) => ({ name, topicId, partitionResponses: partitions[place] }))
      )
    // What is at hand is answered at once: no promise was among it.
    if (!isLater) return finish(answers.map(({ partitions }) => partitions as ReadonlyArray<PartitionAnswer>))
    void Promise.all(answers.map(({ partitions }) => Promise.all(partitions))).then((all) =>
      cluster.loop.post(() => finish(all))
    )
  }
}
