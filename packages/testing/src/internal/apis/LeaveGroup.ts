/**
 * LeaveGroup: members leave; several at once since version 3 (KIP-345).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { LeaveGroup, type LeaveGroupRequest, type LeaveGroupResponse } from "@kafka-effect/protocol/messages/LeaveGroup"
import type { Handler } from "../Exchange.ts"
import * as Groups from "../groups/Groups.ts"

/** @internal */
export const handler: Handler<LeaveGroupRequest, LeaveGroupResponse> = {
  api: LeaveGroup,
  refuse: (_, errorCode) => ({ errorCode, members: [] }),
  handle: (cluster, { answer, message, node, version }) => {
    const { groupId, memberId, members } = message
    const errorCode = Groups.check(cluster, groupId, node)
    if (errorCode !== codes.NONE) return answer({ errorCode, members: [] })
    const group = cluster.groups.get(groupId)
    const leave = (id: string, groupInstanceId: string | null): number =>
      group?.leave(id, groupInstanceId) ?? codes.UNKNOWN_MEMBER_ID
    if (version < 3) return answer({ errorCode: leave(memberId, null), members: [] })
    answer({
      errorCode: codes.NONE,
      members: members.map(({ groupInstanceId, memberId: id }) => ({
        memberId: id,
        groupInstanceId,
        errorCode: leave(id, groupInstanceId)
      }))
    })
  }
}
