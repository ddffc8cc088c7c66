/**
 * AddOffsetsToTxn: takes the offsets of a group into a transaction before they are committed in it (KIP-98).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  AddOffsetsToTxn,
  type AddOffsetsToTxnRequest,
  type AddOffsetsToTxnResponse
} from "@kafka-effect/protocol/messages/AddOffsetsToTxn"
import type { Handler } from "../Exchange.ts"
import * as Transactions from "../transactions/Transactions.ts"

const fencedVersion = 2

/** @internal */
export const handler: Handler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse> = {
  api: AddOffsetsToTxn,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, node, version }) => {
    const code = Transactions.check(cluster, message.transactionalId, node)
    if (code !== codes.NONE) return answer({ errorCode: code })
    const errorCode = Transactions.add(cluster, message, { group: message.groupId }, false)
    const isOld = version < fencedVersion && errorCode === codes.PRODUCER_FENCED
    answer({ errorCode: isOld ? codes.INVALID_PRODUCER_EPOCH : errorCode })
  }
}
