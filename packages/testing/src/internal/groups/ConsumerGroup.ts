/**
 * A group of the consumer protocol (KIP-848): members say by heartbeats what they subscribe to and own, and the coordinator
 * says what each should own. A change bumps the group's epoch; the next heartbeat computes a target for it, and each member
 * walks there at its own pace.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse
} from "@kafka-effect/protocol/messages/ConsumerGroupHeartbeat"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { type Cluster, numberSetting } from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import { atLeast } from "../Release.ts"
import * as Assignment from "./Assignment.ts"
import * as ServerAssignors from "./assignors/ServerAssignors.ts"
import * as ConsumerMember from "./ConsumerMember.ts"
import { GroupOffsets } from "./GroupOffsets.ts"
import { reconcile } from "./Reconciliation.ts"
import { patternOf, SubscribedTopics } from "./SubscribedTopics.ts"
import * as TopicPattern from "./TopicPattern.ts"

type Member = ConsumerMember.ConsumerMember
type Answer = Wire.Input<ConsumerGroupHeartbeatResponse>

/** @internal */
export type ConsumerGroupState = "Empty" | "Assigning" | "Reconciling" | "Stable"

/** Who sends a heartbeat. @internal */
export interface Sender {
  readonly clientId: string
  readonly clientHost: string
}

/** @internal */
export const refusal = (errorCode: number, errorMessage: string | null = null): Answer => ({
  errorCode,
  errorMessage,
  memberEpoch: 0,
  heartbeatIntervalMs: 0
})

const noTarget: Assignment.Target = new Map()

/** @internal */
export class ConsumerGroup {
  readonly type = "consumer"
  readonly groupId: string
  readonly offsets: GroupOffsets
  readonly protocolType = "consumer"
  /** By member id. */
  readonly members = new Map<string, Member>()
  epoch: number
  /** Of the target. */
  assignmentEpoch: number
  private readonly cluster: Cluster
  /** Static members: member ids by instance id. */
  private readonly instances = new Map<string, string>()
  /** What each member should own, by member id. */
  private targets = new Map<string, Assignment.Target>()
  private readonly subscribed: SubscribedTopics
  /** The subscribed topics as the group's epoch knows them. */
  private metadata = ""
  /** When the target was computed; undefined for a group that was empty. */
  private assignedAt: number | undefined
  private readonly sessions = new Map<string, () => void>()
  private readonly rebalances = new Map<string, () => void>()

  constructor(groupId: string, cluster: Cluster, offsets: GroupOffsets = new GroupOffsets()) {
    this.groupId = groupId
    this.cluster = cluster
    this.offsets = offsets
    this.subscribed = new SubscribedTopics(cluster)
    this.epoch = atLeast(cluster.release, "4.3") ? 1 : 0
    this.assignmentEpoch = this.epoch
  }

  get state(): ConsumerGroupState {
    if (this.members.size === 0) return "Empty"
    if (this.epoch > this.assignmentEpoch) return "Assigning"
    const isDone = [...this.members.values()].every((member) =>
      ConsumerMember.isReconciledTo(member, this.assignmentEpoch)
    )
    return isDone ? "Stable" : "Reconciling"
  }

  /** The assignor that most members ask for. */
  get assignorName(): string {
    return this.preferredAssignor([...this.members.values()])
  }

  /** What a member should own. */
  targetOf(memberId: string): Assignment.Target {
    return this.targets.get(memberId) ?? noTarget
  }

  /** Whether a member subscribes to a topic, by name or by an expression. */
  isSubscribedTo(topic: string): boolean {
    return [...this.members.values()].some((member) => this.subscribed.namesOf(member).has(topic))
  }

  heartbeat(request: ConsumerGroupHeartbeatRequest, sender: Sender): Answer {
    const { groupInstanceId, isJoining, memberId, refused } = this.identify(request)
    if (refused !== undefined) return refused
    if (groupInstanceId !== null && isJoining) this.replaceStatic(groupInstanceId, memberId)
    const before = this.members.get(memberId) ?? ConsumerMember.make(memberId)
    const updated = this.updated(before, request, sender)
    const hasSubscriptionChanged = this.subscribe(before, updated)
    this.assign()
    const member = this.reconcile(updated, hasSubscriptionChanged, request.topicPartitions)
    this.touch(memberId)
    const { rebalanceTimeoutMs, subscribedTopicNames, subscribedTopicRegex, topicPartitions } = request
    const saysAll =
      rebalanceTimeoutMs !== -1 &&
      (subscribedTopicNames !== null || subscribedTopicRegex !== null) &&
      topicPartitions !== null
    const isTold = isJoining || saysAll || !Assignment.isSame(before.assigned, member.assigned)
    return {
      errorCode: codes.NONE,
      memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: Configs.groupNumber(this.cluster, this.groupId, "consumer.heartbeat.interval.ms"),
      assignment: isTold ? { topicPartitions: Assignment.toWire(member.assigned) } : null
    }
  }

  /** A member goes, for good or, if it is static, for a while. */
  leaveByHeartbeat({ instanceId, memberEpoch, memberId }: ConsumerGroupHeartbeatRequest): Answer {
    const refused = this.unknown(memberId, instanceId)
    if (refused !== undefined) return refused
    if (memberEpoch !== ConsumerMember.awayEpoch || instanceId === null) this.remove(memberId)
    else {
      const member = this.members.get(memberId)!
      const assigned = new Map(
        [...member.assigned].map(([topicId, partitions]) => [
          topicId,
          new Map([...partitions.keys()].map((partition) => [partition, 0]))
        ])
      )
      this.members.set(memberId, { ...member, epoch: ConsumerMember.awayEpoch, revoking: new Map(), assigned })
    }
    return { errorCode: codes.NONE, memberId, memberEpoch, heartbeatIntervalMs: 0 }
  }

  /** Takes a member out; a static one may be named by its instance alone. */
  leave(memberId: string, groupInstanceId: string | null): number {
    const id = memberId === "" && groupInstanceId !== null ? this.instances.get(groupInstanceId) : memberId
    const refused = this.unknown(id ?? "", groupInstanceId)
    if (refused !== undefined) return refused.errorCode ?? codes.NONE
    this.remove(id!)
    return codes.NONE
  }

  /** The error code for who commits as this member; 0 for none. */
  checkCommit(
    memberId: string,
    epoch: number,
    places: Iterable<readonly [topicId: string, partition: number]>
  ): number {
    const member = this.members.get(memberId)
    if (member === undefined) return codes.UNKNOWN_MEMBER_ID
    if (epoch === member.epoch) return codes.NONE
    if (epoch > member.epoch || !atLeast(this.cluster.release, "4.3")) return codes.STALE_MEMBER_EPOCH
    // What a member has had since that epoch, it may still commit under it (KIP-1251).
    for (const [topicId, partition] of places) {
      const since = member.assigned.get(topicId)?.get(partition) ?? member.revoking.get(topicId)?.get(partition)
      if (since === undefined || epoch < since) return codes.STALE_MEMBER_EPOCH
    }
    return codes.NONE
  }

  /** The error code for who reads offsets as this member; 0 for none. */
  checkFetch(memberId: string | null, epoch: number): number {
    if (memberId === null && epoch < 0) return codes.NONE
    const member = this.members.get(memberId ?? "")
    if (member === undefined) return codes.UNKNOWN_MEMBER_ID
    return epoch === member.epoch ? codes.NONE : codes.STALE_MEMBER_EPOCH
  }

  /** Bumps the group's epoch, as a test may want it. */
  rebalance(): void {
    this.epoch++
  }

  /** Who sends a heartbeat, and why he may not. */
  private identify({
    instanceId,
    memberEpoch,
    memberId,
    subscribedTopicRegex,
    topicPartitions
  }: ConsumerGroupHeartbeatRequest) {
    const isJoining = memberEpoch === 0
    const id = memberId === "" ? this.newId() : memberId
    const found = (refused: Answer | undefined) => ({ memberId: id, groupInstanceId: instanceId, isJoining, refused })
    const holderId = instanceId === null ? undefined : this.instances.get(instanceId)
    const maxSize = numberSetting(this.cluster, "group.consumer.max.size", 2_147_483_647)
    if (holderId === undefined && !this.members.has(id) && this.members.size >= maxSize) {
      const text = `The consumer group has reached its maximum capacity of ${maxSize} members.`
      return found(refusal(codes.GROUP_MAX_SIZE_REACHED, text))
    }
    if (isJoining) {
      const holder = holderId === undefined ? undefined : this.members.get(holderId)
      if (holder !== undefined && holder.epoch !== ConsumerMember.awayEpoch) {
        const text = `Static member ${id} with instance id ${instanceId} cannot join the group because the instance id is owned by ${holderId} member.`
        return found(refusal(codes.UNRELEASED_INSTANCE_ID, text))
      }
    } else {
      const refused = this.unknown(id, instanceId) ?? this.fenced(this.members.get(id)!, memberEpoch, topicPartitions)
      if (refused !== undefined) return found(refused)
    }
    const pattern = subscribedTopicRegex ? TopicPattern.compile(subscribedTopicRegex) : undefined
    if (pattern === undefined || typeof pattern === "function") return found(undefined)
    const text = `SubscribedTopicRegex \`${subscribedTopicRegex}\` is not a valid regular expression: ${pattern.problem}.`
    return found(refusal(codes.INVALID_REGULAR_EXPRESSION, text))
  }

  private unknown(memberId: string, instanceId: string | null): Answer | undefined {
    if (instanceId !== null) {
      const holderId = this.instances.get(instanceId)
      if (holderId === undefined) return refusal(codes.UNKNOWN_MEMBER_ID, `Instance id ${instanceId} is unknown.`)
      if (holderId === memberId) return undefined
      const text = `Static member ${memberId} with instance id ${instanceId} was fenced by member ${holderId}.`
      return refusal(codes.FENCED_INSTANCE_ID, text)
    }
    if (this.members.has(memberId)) return undefined
    return refusal(codes.UNKNOWN_MEMBER_ID, `Member ${memberId} is not a member of group ${this.groupId}.`)
  }

  private fenced(
    { assigned, epoch, previousEpoch }: Member,
    received: number,
    owned: ReadonlyArray<Assignment.TopicPartitions> | null
  ): Answer | undefined {
    if (received === epoch) return undefined
    const isOwnedStill = owned?.every(({ partitions, topicId }) =>
      partitions.every((partition) => Assignment.has(assigned, topicId, partition))
    )
    // The answer with the new epoch may have been lost.
    if (received < epoch && received === previousEpoch && isOwnedStill === true) return undefined
    const relation = received > epoch ? "greater" : "smaller"
    const text = `The consumer group member has a ${relation} member epoch (${received}) than the one known by the group coordinator (${epoch}). The member must abandon all its partitions and rejoin.`
    return refusal(codes.FENCED_MEMBER_EPOCH, text)
  }

  /** Kafka's ids: 22 characters of base64url. */
  private newId(): string {
    const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(this.cluster.random() * 256))
    return Buffer.from(bytes).toString("base64url")
  }

  /** A static member that was away comes back, and gets what it had. */
  private replaceStatic(groupInstanceId: string, memberId: string): void {
    const oldId = this.instances.get(groupInstanceId)
    if (oldId === undefined) return
    const member = this.members.get(oldId)!
    const target = this.targetOf(oldId)
    this.forget(oldId)
    this.members.set(memberId, { ...member, memberId, epoch: 0, previousEpoch: 0 })
    this.instances.set(groupInstanceId, memberId)
    this.targets.set(memberId, target)
  }

  private updated(member: Member, request: ConsumerGroupHeartbeatRequest, { clientHost, clientId }: Sender): Member {
    const { instanceId, rackId, rebalanceTimeoutMs, serverAssignor, subscribedTopicNames, subscribedTopicRegex } =
      request
    return {
      ...member,
      groupInstanceId: instanceId ?? member.groupInstanceId,
      rackId: rackId ?? member.rackId,
      rebalanceTimeout: rebalanceTimeoutMs === -1 ? member.rebalanceTimeout : rebalanceTimeoutMs,
      serverAssignor: serverAssignor ?? member.serverAssignor,
      subscribedTopicNames: subscribedTopicNames === null ? member.subscribedTopicNames : new Set(subscribedTopicNames),
      subscribedTopicRegex: subscribedTopicRegex ?? member.subscribedTopicRegex,
      clientId,
      clientHost
    }
  }

  /** Notes what a member subscribes to, and bumps the group's epoch for what that changes: whether it has changed. */
  private subscribe(before: Member, member: Member): boolean {
    const assignor = this.assignorName
    this.members.set(member.memberId, member)
    if (before.groupInstanceId !== null) this.instances.delete(before.groupInstanceId)
    if (member.groupInstanceId !== null) this.instances.set(member.groupInstanceId, member.memberId)
    const haveNamesChanged = !isSameSet(before.subscribedTopicNames, member.subscribedTopicNames)
    const pattern = patternOf(member)
    const hasPatternChanged = (before.subscribedTopicRegex ?? undefined) !== (member.subscribedTopicRegex ?? undefined)
    const patterns = this.patterns()
    const isPatternKnown = pattern === undefined ? patternOf(before) !== undefined : this.subscribed.isFound(pattern)
    this.subscribed.refresh(patterns, (hasChanged) => this.bump(hasChanged))
    this.subscribed.keep(patterns)
    this.bump(haveNamesChanged || (hasPatternChanged && isPatternKnown) || assignor !== this.assignorName)
    return haveNamesChanged || hasPatternChanged
  }

  private patterns(): ReadonlySet<string> {
    return new Set([...this.members.values()].flatMap((member) => patternOf(member) ?? []))
  }

  /** Begins a new epoch, if anything has changed: a subscription, or a topic that somebody subscribes to. */
  private bump(hasChanged: boolean): void {
    const metadata = this.currentMetadata()
    // In an epoch of 0 nobody is a member.
    if (hasChanged || metadata !== this.metadata || this.epoch === 0) this.epoch++
    this.metadata = metadata
  }

  private currentMetadata(): string {
    const names = new Set([...this.members.values()].flatMap((member) => [...this.subscribed.namesOf(member)]))
    return [...names]
      .sort()
      .flatMap((name) => {
        const topic = this.cluster.topics.get(name)
        return topic === undefined ? [] : [`${topic.id} ${topic.partitions.length}`]
      })
      .join()
  }

  private preferredAssignor(members: ReadonlyArray<Member>): string {
    const votes = new Map<string, number>()
    for (const { serverAssignor } of members) {
      if (serverAssignor !== null) votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1)
    }
    const [first] = [...votes].sort(([, one], [, other]) => other - one)
    return first?.[0] ?? ServerAssignors.of(this.cluster)[0].name
  }

  private topicIdsOf(member: Member): ReadonlySet<string> {
    return new Set([...this.subscribed.namesOf(member)].flatMap((name) => this.cluster.topics.get(name)?.id ?? []))
  }

  /** Computes the target of the group's epoch, if it has none, and if the last is old enough. */
  private assign(): void {
    if (this.assignmentEpoch >= this.epoch) return
    const { loop, topics } = this.cluster
    // Kafka 4.4 waits a second; here nobody waits, unless a test wants it.
    const interval = numberSetting(this.cluster, "group.consumer.assignment.interval.ms", 0)
    if (this.assignedAt !== undefined && loop.now() < this.assignedAt + interval) return
    const members = [...this.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      topics: this.topicIdsOf(member),
      current: this.targetOf(member.memberId)
    }))
    const ids = new Set(members.flatMap((member) => [...member.topics]))
    const counts = new Map(
      [...topics.values()].flatMap(({ id, partitions }) => (ids.has(id) ? [[id, partitions.length] as const] : []))
    )
    const name = this.assignorName
    const assignor = ServerAssignors.of(this.cluster).find((one) => one.name === name)!
    this.targets = new Map(assignor.assign(members, counts))
    this.assignmentEpoch = this.epoch
    this.assignedAt = loop.now()
  }

  private reconcile(
    member: Member,
    hasSubscriptionChanged: boolean,
    reported: ReadonlyArray<Assignment.TopicPartitions> | null
  ): Member {
    const { memberId } = member
    const others = [...this.members.values()].filter((other) => other.memberId !== memberId)
    const next = reconcile(member, {
      target: this.targetOf(memberId),
      targetEpoch: this.assignmentEpoch,
      subscribed: this.topicIdsOf(member),
      hasSubscriptionChanged,
      reported,
      isTaken: (topicId, partition) =>
        others.some(
          ({ assigned, revoking }) =>
            Assignment.has(assigned, topicId, partition) || Assignment.has(revoking, topicId, partition)
        )
    })
    if (next === member) return member
    this.members.set(memberId, next)
    this.rebalances.get(memberId)?.()
    if (next.state !== "UnrevokedPartitions") this.rebalances.delete(memberId)
    else {
      // Who does not give up what others are to have, is taken out.
      const expire = () => {
        if (this.members.get(memberId)?.epoch === next.epoch) this.remove(memberId)
      }
      this.rebalances.set(memberId, this.cluster.loop.after(next.rebalanceTimeout, expire))
    }
    return next
  }

  /** The member is alive: its session begins anew. */
  private touch(memberId: string): void {
    const { loop } = this.cluster
    this.sessions.get(memberId)?.()
    const timeout = Configs.groupNumber(this.cluster, this.groupId, "consumer.session.timeout.ms")
    this.sessions.set(
      memberId,
      loop.after(timeout, () => this.remove(memberId))
    )
  }

  private forget(memberId: string): void {
    const member = this.members.get(memberId)
    this.members.delete(memberId)
    this.targets.delete(memberId)
    if (member?.groupInstanceId != null) this.instances.delete(member.groupInstanceId)
    for (const clocks of [this.sessions, this.rebalances]) {
      clocks.get(memberId)?.()
      clocks.delete(memberId)
    }
  }

  private remove(memberId: string): void {
    this.forget(memberId)
    this.subscribed.keep(this.patterns())
    this.bump(true)
    if (this.members.size > 0) return
    this.assignmentEpoch = this.epoch
    this.assignedAt = undefined
  }
}

const isSameSet = (one: ReadonlySet<string>, other: ReadonlySet<string>): boolean =>
  one.size === other.size && [...one].every((name) => other.has(name))
