/**
 * JoinGroup: a member asks to be in a group; it is answered when all have.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { JoinGroup, type JoinGroupRequest, type JoinGroupResponse } from "@kafka-effect/protocol/messages/JoinGroup"
import { numberSetting } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Groups from "../groups/Groups.ts"
import { atLeast, type Release } from "../Release.ts"

const refused = (memberId: string, errorCode: number) => ({
  errorCode,
  generationId: -1,
  protocolName: "",
  leader: "",
  memberId,
  members: []
})

/** Kafka's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`. */
const minSessionTimeout = 6000
const maxSessionTimeout = (release: Release): number =>
  atLeast(release, "2.3") ? 1_800_000 : atLeast(release, "0.10.0") ? 300_000 : 30_000

/** @internal */
export const handler: Handler<JoinGroupRequest, JoinGroupResponse> = {
  api: JoinGroup,
  refuse: ({ memberId }, errorCode) => refused(memberId, errorCode),
  handle: (cluster, { answer, clientId, message, node, remote, version }) => {
    const { groupId, memberId, sessionTimeoutMs } = message
    const errorCode = Groups.check(cluster, groupId, node)
    if (errorCode !== codes.NONE) return answer(refused(memberId, errorCode))
    const least = numberSetting(cluster, "group.min.session.timeout.ms", minSessionTimeout)
    const most = numberSetting(cluster, "group.max.session.timeout.ms", maxSessionTimeout(cluster.release))
    if (sessionTimeoutMs < least || sessionTimeoutMs > most) {
      return answer(refused(memberId, codes.INVALID_SESSION_TIMEOUT))
    }
    const group = Groups.classicToJoin(cluster, groupId)
    // Kafka can mix the protocols in one group; here it is as with group.consumer.migration.policy=disabled.
    if (group === undefined) return answer(refused(memberId, codes.INCONSISTENT_GROUP_PROTOCOL))
    const joiner = { clientId: clientId ?? "", clientHost: `/${remote}`, version }
    // Before version 7 there is no null in the name.
    group.join(message, joiner, (response) =>
      answer({ ...response, protocolName: response.protocolName ?? (version < 7 ? "" : null) })
    )
  }
}
