/**
 * DeleteRecords: a log begins later than it did (KIP-107).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DeleteRecords,
  type DeleteRecordsPartition,
  type DeleteRecordsPartitionResult,
  type DeleteRecordsRequest,
  type DeleteRecordsResponse
} from "@kafka-effect/protocol/messages/DeleteRecords"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import type { Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"

type Result = Wire.Input<DeleteRecordsPartitionResult>

/** Asks for all that is replicated to be deleted. */
const highWatermark = BigInt(-1)

const refused = (partitionIndex: number, errorCode: number): Result => ({
  partitionIndex,
  lowWatermark: BigInt(-1),
  errorCode
})

const remove = (
  cluster: Cluster.Cluster,
  node: Cluster.BrokerNode,
  name: string,
  { offset, partitionIndex }: DeleteRecordsPartition
): Result => {
  const topic = cluster.topics.get(name)
  if (topic?.isInternal) return refused(partitionIndex, codes.INVALID_TOPIC_EXCEPTION)
  const partition = topic?.partitions[partitionIndex]
  const code = Leadership.check(partition, node, -1)
  if (topic === undefined || partition === undefined || code !== codes.NONE) return refused(partitionIndex, code)
  if (!Configs.topicList(cluster, topic, "cleanup.policy").includes("delete")) {
    return refused(partitionIndex, codes.POLICY_VIOLATION)
  }
  const { log } = partition
  const to = offset === highWatermark ? log.highWatermark : offset
  if (to < 0 || to > log.highWatermark) return refused(partitionIndex, codes.OFFSET_OUT_OF_RANGE)
  log.deleteBefore(to)
  Cluster.notify(partition)
  return { partitionIndex, lowWatermark: log.startOffset, errorCode: codes.NONE }
}

/** @internal */
export const handler: Handler<DeleteRecordsRequest, DeleteRecordsResponse> = {
  api: DeleteRecords,
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => refused(partitionIndex, errorCode))
    }))
  }),
  handle: (cluster, { answer, message, node }) =>
    answer({
      topics: message.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((one) => remove(cluster, node, name, one))
      }))
    })
}
