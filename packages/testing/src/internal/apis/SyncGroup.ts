/**
 * SyncGroup: the leader says who gets what, and all are told.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { SyncGroup, type SyncGroupRequest, type SyncGroupResponse } from "@kafka-effect/protocol/messages/SyncGroup"
import type { Handler } from "../Exchange.ts"
import * as Groups from "../groups/Groups.ts"

/** The first version in which members have to say which protocol they have been told of (KIP-559). */
const protocolVersion = 5

const refused = (errorCode: number) => ({ errorCode, assignment: new Uint8Array(0) })

/** @internal */
export const handler: Handler<SyncGroupRequest, SyncGroupResponse> = {
  api: SyncGroup,
  refuse: (_, errorCode) => refused(errorCode),
  handle: (cluster, { answer, message, node, version }) => {
    const { protocolName, protocolType } = message
    if (version >= protocolVersion && (protocolType === null || protocolName === null)) {
      return answer(refused(codes.INCONSISTENT_GROUP_PROTOCOL))
    }
    const errorCode = Groups.check(cluster, message.groupId, node)
    if (errorCode !== codes.NONE) return answer(refused(errorCode))
    const group = Groups.classic(cluster, message.groupId)
    if (group === undefined) return answer(refused(codes.UNKNOWN_MEMBER_ID))
    group.sync(message, answer)
  }
}
