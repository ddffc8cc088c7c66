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
import * as ErrorTexts from "../ErrorTexts.ts"
import type { Handler } from "../Exchange.ts"
import { atLeast } from "../Release.ts"

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
      if (kind === undefined) {
        // Of coordinators of share groups, which newer brokers know, they say no more than the code.
        const isKnown = keyType === 2 && atLeast(cluster.release, "3.9")
        return { ...nobody(codes.INVALID_REQUEST), errorMessage: isKnown ? "" : ErrorTexts.invalidRequest }
      }
      const node = Coordinators.of(cluster, kind, one)
      if (node === undefined) return nobody(codes.COORDINATOR_NOT_AVAILABLE)
      return { errorCode: codes.NONE, nodeId: node.nodeId, host: node.host, port: node.port }
    }
    if (version < 4) {
      const one = found(key)
      return answer(one.errorCode === codes.NONE ? { ...one, errorMessage: ErrorTexts.none } : one)
    }
    answer({ coordinators: coordinatorKeys.map((one) => ({ key: one, ...found(one) })) })
  }
}
