/**
 * All groups of a cluster, and who may be asked about them.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { type BrokerNode, type Cluster, numberSetting } from "../Cluster.ts"
import * as Coordinators from "../Coordinators.ts"
import { ClassicGroup } from "./ClassicGroup.ts"

/** Whether a broker may answer for a group: an error code. @internal */
export const check = (cluster: Cluster, groupId: string, node: BrokerNode): number => {
  if (groupId === "") return codes.INVALID_GROUP_ID
  return Coordinators.isAt(cluster, "group", groupId, node) ? codes.NONE : codes.NOT_COORDINATOR
}

/** The group, made if it is not there. @internal */
export const of = (cluster: Cluster, groupId: string): ClassicGroup => {
  const known = cluster.groups.get(groupId)
  if (known !== undefined) return known
  const { loop, random } = cluster
  const group = new ClassicGroup(groupId, {
    loop,
    random,
    // Nobody waits for members that may yet come, unless a test wants it.
    initialDelay: numberSetting(cluster, "group.initial.rebalance.delay.ms", 0),
    maxSize: numberSetting(cluster, "group.max.size", Number.POSITIVE_INFINITY)
  })
  cluster.groups.set(groupId, group)
  return group
}
