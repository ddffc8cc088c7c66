/**
 * ListGroups: the groups that this broker looks after, by state and type if that is asked for (KIP-518, KIP-848).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ListGroups, type ListGroupsRequest, type ListGroupsResponse } from "@kafka-effect/protocol/messages/ListGroups"
import type { Cluster } from "../Cluster.ts"
import * as Coordinators from "../Coordinators.ts"
import type { Handler } from "../Exchange.ts"
import { atLeast } from "../Release.ts"

/** Names are compared without regard to case since 3.8, and none are all. */
const isIn = ({ release }: Cluster, names: ReadonlyArray<string>, name: string): boolean => {
  if (names.length === 0) return true
  if (!atLeast(release, "3.8")) return names.includes(name)
  return names.some((one) => one.toLowerCase() === name.toLowerCase())
}

/** @internal */
export const handler: Handler<ListGroupsRequest, ListGroupsResponse> = {
  api: ListGroups,
  refuse: (_, errorCode) => ({ errorCode, groups: [] }),
  handle: (cluster, { answer, message, node }) => {
    const { statesFilter, typesFilter } = message
    const groups = [...cluster.groups.values()]
      .filter(({ groupId }) => Coordinators.isAt(cluster, "group", groupId, node))
      .filter(({ state, type }) => isIn(cluster, statesFilter, state) && isIn(cluster, typesFilter, type))
      .map(({ groupId, protocolType, state, type }) => ({
        groupId,
        protocolType: protocolType ?? "",
        groupState: state,
        groupType: type
      }))
    answer({ errorCode: codes.NONE, groups })
  }
}
