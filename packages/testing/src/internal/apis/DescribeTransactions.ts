/**
 * DescribeTransactions: what is going on under transactional ids (KIP-664).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeTransactions,
  type DescribeTransactionsRequest,
  type DescribeTransactionsResponse
} from "@kafka-effect/protocol/messages/DescribeTransactions"
import type { Handler } from "../Exchange.ts"
import * as Transactions from "../transactions/Transactions.ts"

const refused = (transactionalId: string, errorCode: number) => ({
  errorCode,
  transactionalId,
  transactionState: "",
  transactionTimeoutMs: 0,
  transactionStartTimeMs: BigInt(0),
  producerId: BigInt(0),
  producerEpoch: 0,
  topics: []
})

const described = (transaction: Transactions.Transaction) => {
  const topics = new Map<string, Array<number>>()
  for (const { index, topic } of transaction.partitions) {
    const known = topics.get(topic.name)
    if (known === undefined) topics.set(topic.name, [index])
    else known.push(index)
  }
  return {
    errorCode: codes.NONE,
    transactionalId: transaction.transactionalId,
    transactionState: transaction.state,
    transactionTimeoutMs: transaction.timeout,
    transactionStartTimeMs: BigInt(transaction.startTime),
    producerId: transaction.producerId,
    producerEpoch: transaction.producerEpoch,
    topics: Array.from(topics, ([topic, partitions]) => ({ topic, partitions }))
  }
}

/** @internal */
export const handler: Handler<DescribeTransactionsRequest, DescribeTransactionsResponse> = {
  api: DescribeTransactions,
  refuse: ({ transactionalIds }, errorCode) => ({
    transactionStates: transactionalIds.map((id) => refused(id, errorCode))
  }),
  handle: (cluster, { answer, message, node }) =>
    answer({
      transactionStates: message.transactionalIds.map((id) => {
        const code = Transactions.check(cluster, id, node)
        if (code !== codes.NONE) return refused(id, code)
        const transaction = cluster.transactions.get(id)
        return transaction === undefined ? refused(id, codes.TRANSACTIONAL_ID_NOT_FOUND) : described(transaction)
      })
    })
}
