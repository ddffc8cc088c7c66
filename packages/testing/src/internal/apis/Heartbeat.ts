/**
 * Heartbeat: a member says that it is alive, and hears of rebalances.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat, type HeartbeatRequest, type HeartbeatResponse } from "@kafka-effect/protocol/messages/Heartbeat"
import type { Handler } from "../Exchange.ts"
import * as Groups from "../groups/Groups.ts"

/** @internal */
export const handler: Handler<HeartbeatRequest, HeartbeatResponse> = {
  api: Heartbeat,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, node }) => {
    const { generationId, groupId, groupInstanceId, memberId } = message
    const errorCode = Groups.check(cluster, groupId, node)
    if (errorCode !== codes.NONE) return answer({ errorCode })
    const group = Groups.classic(cluster, groupId)
    answer({ errorCode: group?.heartbeat(memberId, groupInstanceId, generationId) ?? codes.UNKNOWN_MEMBER_ID })
  }
}
