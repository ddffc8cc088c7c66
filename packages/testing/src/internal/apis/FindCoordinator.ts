/**
 * FindCoordinator: the broker that looks after a group or a transactional id (KIP-699 for several at once).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  FindCoordinator,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse
} from "@kafka-effect/protocol/messages/FindCoordinator"
import * as Coordinators from "../Coordinators.ts"
import type { Handler } from "../Exchange.ts"

const nobody = (errorCode: number) => ({ errorCode, nodeId: -1, host: "", port: -1 })

/** @internal */
export const handler: Handler<FindCoordinatorRequest, FindCoordinatorResponse> = {
  api: FindCoordinator,
  refuse: ({ coordinatorKeys }, errorCode, version) =>
    version < 4 ? nobody(errorCode) : { coordinators: coordinatorKeys.map((key) => ({ key, ...nobody(errorCode) })) },
  handle: (cluster, { answer, message, version }) => {
    const { coordinatorKeys, key, keyType } = message
    const found = (one: string) => {
      const kind = keyType === 0 ? "group" : keyType === 1 ? "transaction" : undefined
      if (kind === undefined) return nobody(codes.INVALID_REQUEST)
      const node = Coordinators.of(cluster, kind, one)
      if (node === undefined) return nobody(codes.COORDINATOR_NOT_AVAILABLE)
      return { errorCode: codes.NONE, nodeId: node.nodeId, host: node.host, port: node.port }
    }
    answer(version < 4 ? found(key) : { coordinators: coordinatorKeys.map((one) => ({ key: one, ...found(one) })) })
  }
}
