/**
 * InitProducerId: an id for an idempotent producer (KIP-98), or the next epoch for one with a transactional id (KIP-360).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  InitProducerId,
  type InitProducerIdRequest,
  type InitProducerIdResponse
} from "@kafka-effect/protocol/messages/InitProducerId"
import type { Handler } from "../Exchange.ts"
import * as Transactions from "../transactions/Transactions.ts"

const refused = (errorCode: number) => ({ errorCode, producerId: BigInt(-1), producerEpoch: -1 })

/** The first version that tells the fenced from those with an epoch that was never given. */
const fencedVersion = 4

/** @internal */
export const handler: Handler<InitProducerIdRequest, InitProducerIdResponse> = {
  api: InitProducerId,
  refuse: (_, errorCode) => refused(errorCode),
  handle: (cluster, { answer, message, node, version }) => {
    const { enable2Pc, keepPreparedTxn, producerEpoch, producerId, transactionalId } = message
    // An id without an epoch, or an epoch without an id.
    if (producerId < 0 !== producerEpoch < 0) return answer(refused(codes.INVALID_REQUEST))
    if (transactionalId === null) {
      return answer({ errorCode: codes.NONE, producerId: cluster.nextProducerId++, producerEpoch: 0 })
    }
    // Transactions that others prepare (KIP-939) are not allowed here.
    if (enable2Pc || keepPreparedTxn) return answer(refused(codes.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    const code = Transactions.check(cluster, transactionalId, node)
    if (code !== codes.NONE) return answer(refused(code))
    const found = Transactions.initialise(cluster, { ...message, transactionalId })
    const isOld = version < fencedVersion && found.errorCode === codes.PRODUCER_FENCED
    answer(isOld ? refused(codes.INVALID_PRODUCER_EPOCH) : found)
  }
}
