/**
 * DeleteGroups: groups without members, with what they have committed (KIP-229).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DeleteGroups,
  type DeleteGroupsRequest,
  type DeleteGroupsResponse
} from "@kafka-effect/protocol/messages/DeleteGroups"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Groups from "../groups/Groups.ts"

const remove = (cluster: Cluster, groupId: string): number => {
  const group = cluster.groups.get(groupId)
  if (group === undefined) return codes.GROUP_ID_NOT_FOUND
  if (group.members.size > 0) return codes.NON_EMPTY_GROUP
  Groups.remove(cluster, group)
  return codes.NONE
}

/** @internal */
export const handler: Handler<DeleteGroupsRequest, DeleteGroupsResponse> = {
  api: DeleteGroups,
  refuse: ({ groupsNames }, errorCode) => ({ results: groupsNames.map((groupId) => ({ groupId, errorCode })) }),
  handle: (cluster, { answer, message, node }) =>
    answer({
      results: [...new Set(message.groupsNames)].map((groupId) => ({
        groupId,
        errorCode: Groups.checkCoordinator(cluster, groupId, node) || remove(cluster, groupId)
      }))
    })
}
