/**
 * InitProducerId: an id for an idempotent producer (KIP-98).
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

const refused = (errorCode: number) => ({ errorCode, producerId: BigInt(-1), producerEpoch: -1 })

/** @internal */
export const handler: Handler<InitProducerIdRequest, InitProducerIdResponse> = {
  api: InitProducerId,
  refuse: (_, errorCode) => refused(errorCode),
  handle: (cluster, { answer, message }) => {
    // There are no transactions yet.
    if (message.transactionalId !== null) return answer(refused(codes.INVALID_REQUEST))
    answer({ errorCode: codes.NONE, producerId: cluster.nextProducerId++, producerEpoch: 0 })
  }
}
