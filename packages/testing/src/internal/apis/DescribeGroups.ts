/**
 * DescribeGroups: state, members and what they were given. A group that is not there is dead.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  type DescribedGroup,
  DescribeGroups,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse
} from "@kafka-effect/protocol/messages/DescribeGroups"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import type { ClassicGroup } from "../groups/ClassicGroup.ts"
import * as Groups from "../groups/Groups.ts"
import * as Operations from "../Operations.ts"
import { atLeast, type Release } from "../Release.ts"

const noBytes = new Uint8Array(0)

/** The first version with which a missing group is an error, and not only dead (KIP-1043). */
const missingVersion = 6

const unknown = (groupId: string, errorCode: number, groupState = ""): Wire.Input<DescribedGroup> => ({
  groupId,
  errorCode,
  groupState,
  protocolType: "",
  protocolData: "",
  members: []
})

const describe = (
  { groupId, members, protocolName, protocolType, state }: ClassicGroup,
  release: Release
): Wire.Input<DescribedGroup> => {
  const isStable = state === "Stable"
  return {
    groupId,
    errorCode: codes.NONE,
    groupState: state,
    protocolType: protocolType ?? "",
    protocolData: isStable ? (protocolName ?? "") : "",
    members: [...members.values()].map(
      ({ assignment, clientHost, clientId, groupInstanceId, memberId, protocols }) => ({
        memberId,
        groupInstanceId,
        clientId,
        clientHost,
        // Only what all have agreed upon says anything.
        memberMetadata: (isStable && protocols.find(({ name }) => name === protocolName)?.metadata) || noBytes,
        memberAssignment: isStable || atLeast(release, "4.0") ? assignment : noBytes
      })
    )
  }
}

const answerFor = (cluster: Cluster, groupId: string, errorCode: number, version: number) => {
  if (errorCode !== codes.NONE) return unknown(groupId, errorCode)
  const group = Groups.classic(cluster, groupId)
  if (group !== undefined) return describe(group, cluster.release)
  const isMissing = version >= missingVersion && atLeast(cluster.release, "4.0")
  if (!isMissing) return unknown(groupId, codes.NONE, "Dead")
  const errorMessage = cluster.groups.has(groupId)
    ? `Group ${groupId} is not a classic group.`
    : `Group ${groupId} not found.`
  return { ...unknown(groupId, codes.GROUP_ID_NOT_FOUND, "Dead"), errorMessage }
}

/** @internal */
export const handler: Handler<DescribeGroupsRequest, DescribeGroupsResponse> = {
  api: DescribeGroups,
  refuse: ({ groups }, errorCode) => ({ groups: groups.map((groupId) => unknown(groupId, errorCode)) }),
  handle: (cluster, { answer, message, node, version }) => {
    const groups = message.groups.map((groupId) =>
      answerFor(cluster, groupId, Groups.check(cluster, groupId, node), version)
    )
    if (!message.includeAuthorizedOperations) return answer({ groups })
    const authorizedOperations = Operations.ofGroup(cluster.release)
    answer({ groups: groups.map((one) => (one.errorCode === codes.NONE ? { ...one, authorizedOperations } : one)) })
  }
}
