/**
 * DescribeProducers: the idempotent and transactional producers that logs know (KIP-664).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeProducers,
  type DescribeProducersRequest,
  type DescribeProducersResponse
} from "@kafka-effect/protocol/messages/DescribeProducers"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Partition } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"

const answerAll = (
  { topics }: DescribeProducersRequest,
  answerFor: (topic: string, partition: number) => { readonly errorCode: number; readonly partition?: Partition }
): Wire.Input<DescribeProducersResponse> => ({
  topics: topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      const { errorCode, partition } = answerFor(name, partitionIndex)
      const activeProducers = partition === undefined || errorCode !== codes.NONE ? [] : producersOf(partition)
      return { partitionIndex, errorCode, activeProducers }
    })
  }))
})

const producersOf = ({ log }: Partition) =>
  log.producers.all().map(([producerId, { batches, coordinatorEpoch, epoch, lastTimestamp }]) => ({
    producerId,
    producerEpoch: epoch,
    lastSequence: batches.at(-1)?.last ?? -1,
    lastTimestamp: BigInt(lastTimestamp),
    coordinatorEpoch,
    currentTxnStartOffset: log.openTransactions.get(producerId) ?? BigInt(-1)
  }))

/** @internal */
export const handler: Handler<DescribeProducersRequest, DescribeProducersResponse> = {
  api: DescribeProducers,
  refuse: (request, errorCode) => answerAll(request, () => ({ errorCode })),
  handle: (cluster, { answer, message, node }) =>
    answer(
      answerAll(message, (name, index) => {
        const partition = cluster.topics.get(name)?.partitions[index]
        const errorCode = Leadership.check(partition, node, -1)
        return partition === undefined ? { errorCode } : { errorCode, partition }
      })
    )
}
