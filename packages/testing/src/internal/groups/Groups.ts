/**
 * All groups of a cluster, and who may be asked about them.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { type BrokerNode, type Cluster, numberSetting } from "../Cluster.ts"
import * as Coordinators from "../Coordinators.ts"
import { atLeast } from "../Release.ts"
import { ClassicGroup } from "./ClassicGroup.ts"
import { ConsumerGroup } from "./ConsumerGroup.ts"
import type { GroupOffsets } from "./GroupOffsets.ts"

/** A group of either protocol. @internal */
export type Group = ClassicGroup | ConsumerGroup

/** Whether a broker may answer for a group: an error code. @internal */
export const check = (cluster: Cluster, groupId: string, node: BrokerNode): number => {
  return groupId === "" ? codes.INVALID_GROUP_ID : checkCoordinator(cluster, groupId, node)
}

/** The same where the empty name is that of a group, as it is for offsets. @internal */
export const checkCoordinator = (cluster: Cluster, groupId: string, node: BrokerNode): number => {
  return Coordinators.isAt(cluster, "group", groupId, node) ? codes.NONE : codes.NOT_COORDINATOR
}

/** Whether the brokers have the consumer protocol (`group.coordinator.rebalance.protocols`). @internal */
export const haveConsumerProtocol = ({ release, settings }: Cluster): boolean => {
  const protocols = settings.get("group.coordinator.rebalance.protocols")
  if (protocols === undefined) return atLeast(release, "4.0")
  return protocols.split(",").some((name) => name.trim() === "consumer")
}

const makeClassic = (cluster: Cluster, groupId: string, offsets?: GroupOffsets): ClassicGroup => {
  const { loop, random } = cluster
  const options = {
    loop,
    random,
    // Nobody waits for members that may yet come, unless a test wants it.
    initialDelay: numberSetting(cluster, "group.initial.rebalance.delay.ms", 0),
    maxSize: numberSetting(cluster, "group.max.size", Number.POSITIVE_INFINITY)
  }
  const group = new ClassicGroup(groupId, options, offsets)
  cluster.groups.set(groupId, group)
  return group
}

/** The group, made as a classic one if it is not there. @internal */
export const of = (cluster: Cluster, groupId: string): Group =>
  cluster.groups.get(groupId) ?? makeClassic(cluster, groupId)

/** Forgets an empty group. @internal */
export const remove = (cluster: Cluster, group: Group): void => {
  if (group.type === "classic") group.state = "Dead"
  cluster.groups.delete(group.groupId)
}

/** The group, if it is one of the classic protocol. @internal */
export const classic = (cluster: Cluster, groupId: string): ClassicGroup | undefined => {
  const group = cluster.groups.get(groupId)
  return group?.type === "classic" ? group : undefined
}

/** The group for a member of the classic protocol; undefined where members of the other are in it. @internal */
export const classicToJoin = (cluster: Cluster, groupId: string): ClassicGroup | undefined => {
  const group = of(cluster, groupId)
  if (group.type === "classic") return group
  // An empty group takes the protocol of who comes; what was committed stays.
  return group.members.size === 0 ? makeClassic(cluster, groupId, group.offsets) : undefined
}

/** The group, if it is one of the consumer protocol. @internal */
export const consumer = (cluster: Cluster, groupId: string): ConsumerGroup | undefined => {
  const group = cluster.groups.get(groupId)
  return group?.type === "consumer" ? group : undefined
}

/** The group for a member of the consumer protocol; undefined where members of the other are in it. @internal */
export const consumerToJoin = (cluster: Cluster, groupId: string): ConsumerGroup | undefined => {
  const group = cluster.groups.get(groupId)
  if (group?.type === "consumer") return group
  if (group !== undefined && group.members.size > 0) return undefined
  return new ConsumerGroup(groupId, cluster, group?.offsets)
}
