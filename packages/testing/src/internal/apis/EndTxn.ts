/**
 * EndTxn: commits or aborts a transaction (KIP-98); since version 5 its producer is given a new epoch (KIP-890).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { EndTxn, type EndTxnRequest, type EndTxnResponse } from "@kafka-effect/protocol/messages/EndTxn"
import type { Handler } from "../Exchange.ts"
import * as Transactions from "../transactions/Transactions.ts"

const fencedVersion = 2
const secondVersion = 5

/** @internal */
export const handler: Handler<EndTxnRequest, EndTxnResponse> = {
  api: EndTxn,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, node, version }) => {
    const code = Transactions.check(cluster, message.transactionalId, node)
    if (code !== codes.NONE) return answer({ errorCode: code })
    const ended = Transactions.end(cluster, message, message.committed, version >= secondVersion)
    const { errorCode } = ended
    if (version >= secondVersion) return answer(ended)
    const isOld = version < fencedVersion && errorCode === codes.PRODUCER_FENCED
    answer({ errorCode: isOld ? codes.INVALID_PRODUCER_EPOCH : errorCode })
  }
}
