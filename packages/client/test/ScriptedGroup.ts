/**
 * A coordinator of consumer groups inside of a scripted cluster: the classic protocol for any number of members, with
 * sessions, static members, and errors that a test slips in.
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat, type HeartbeatRequest } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup, type JoinGroupRequest, type JoinGroupResponse } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup, type LeaveGroupRequest } from "@kafka-effect/protocol/messages/LeaveGroup"
import { SyncGroup, type SyncGroupRequest, type SyncGroupResponse } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, type Scope } from "effect"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import type { ScriptedCluster } from "./ScriptedCluster.ts"

export interface Member {
  memberId: string
  readonly instanceId: string | null
  request: JoinGroupRequest
  assignment: Uint8Array
  /** Answers its Join, while that waits for the others. */
  joining: ((response: Wire.Input<JoinGroupResponse>) => void) | undefined
  /** Answers its Sync, while that waits for the leader. */
  syncing: ((response: Wire.Input<SyncGroupResponse>) => void) | undefined
  expiry: NodeJS.Timeout | undefined
}

/** Any of the four APIs of a group. */
type GroupApi = typeof JoinGroup | typeof SyncGroup | typeof Heartbeat | typeof LeaveGroup

const empty = new Uint8Array()

export class ScriptedGroup {
  generation = 0
  state: "Stable" | "PreparingRebalance" | "CompletingRebalance" = "Stable"
  protocolName = ""
  leader = ""
  readonly members = new Map<string, Member>()
  /** Ids that were given to members who are to come back with them. */
  readonly pending = new Set<string>()
  /** How long members may take to join again, in milliseconds. */
  rebalanceTimeout = 3000
  private serial = 0
  private deadline: NodeJS.Timeout | undefined

  join(request: JoinGroupRequest, version: number): Promise<Wire.Input<JoinGroupResponse>> {
    const { groupInstanceId: instanceId } = request
    const refuse = (errorCode: number, memberId = request.memberId) =>
      Promise.resolve({ errorCode, memberId, generationId: -1, protocolName: "", leader: "", members: [] })
    const known = [...this.members.values()].find((member) => instanceId !== null && member.instanceId === instanceId)
    if (known !== undefined && request.memberId === "") return this.replace(known, request)
    if (known !== undefined && known.memberId !== request.memberId) return refuse(codes.FENCED_INSTANCE_ID)
    let { memberId } = request
    if (memberId === "") {
      memberId = `member-${++this.serial}`
      if (version >= 4 && instanceId === null) {
        this.pending.add(memberId)
        return refuse(codes.MEMBER_ID_REQUIRED, memberId)
      }
    } else if (!this.members.has(memberId) && !this.pending.delete(memberId)) return refuse(codes.UNKNOWN_MEMBER_ID)
    const before = this.members.get(memberId)
    const member: Member = before ?? {
      memberId,
      instanceId,
      request,
      assignment: empty,
      joining: undefined,
      syncing: undefined,
      expiry: undefined
    }
    member.request = request
    clearTimeout(member.expiry)
    this.members.set(memberId, member)
    return new Promise((answer) => {
      member.joining = answer
      this.prepare()
      this.completeWhenAllAreThere()
    })
  }

  /** A static member has come back under its name: the others hear nothing of it. */
  private replace(member: Member, request: JoinGroupRequest): Promise<Wire.Input<JoinGroupResponse>> {
    this.members.delete(member.memberId)
    const wasLeader = this.leader === member.memberId
    member.memberId = `${request.groupInstanceId}-${++this.serial}`
    member.request = request
    this.members.set(member.memberId, member)
    if (wasLeader) this.leader = member.memberId
    this.heard(member)
    return Promise.resolve({ ...this.joined(member), skipAssignment: wasLeader })
  }

  /** Begins a rebalance, unless one has begun. */
  prepare(): void {
    if (this.state === "PreparingRebalance" || this.members.size === 0) return
    this.state = "PreparingRebalance"
    for (const member of this.members.values()) {
      member.syncing?.({ errorCode: codes.REBALANCE_IN_PROGRESS, assignment: empty })
      member.syncing = undefined
    }
    this.deadline = setTimeout(() => {
      for (const member of [...this.members.values()]) if (member.joining === undefined) this.forget(member)
      this.complete()
    }, this.rebalanceTimeout)
  }

  private completeWhenAllAreThere(): void {
    if ([...this.members.values()].every(({ joining }) => joining !== undefined)) this.complete()
  }

  private complete(): void {
    clearTimeout(this.deadline)
    this.generation++
    const members = [...this.members.values()]
    this.state = members.length === 0 ? "Stable" : "CompletingRebalance"
    if (members.length === 0) return
    if (!this.members.has(this.leader)) this.leader = members[0].memberId
    const offered = members.map(({ request }) => request.protocols.map(({ name }) => name))
    this.protocolName = offered[0].find((name) => offered.every((names) => names.includes(name))) ?? ""
    for (const member of members) {
      const answer = member.joining
      member.joining = undefined
      this.heard(member)
      answer?.(this.joined(member))
    }
  }

  private joined(member: Member): Wire.Input<JoinGroupResponse> {
    const all = [...this.members.values()].map(({ instanceId, memberId, request }) => ({
      memberId,
      groupInstanceId: instanceId,
      metadata: request.protocols.find(({ name }) => name === this.protocolName)?.metadata ?? empty
    }))
    return {
      generationId: this.generation,
      protocolType: "consumer",
      protocolName: this.protocolName,
      leader: this.leader,
      memberId: member.memberId,
      members: member.memberId === this.leader ? all : []
    }
  }

  /** The error of a request that names a member and a generation; the member otherwise. */
  private check(request: {
    readonly memberId: string
    readonly generationId: number
    readonly groupInstanceId: string | null
  }): Member | number {
    const member = this.members.get(request.memberId)
    if (member === undefined) {
      const names = [...this.members.values()].map(({ instanceId }) => instanceId)
      const isTaken = request.groupInstanceId !== null && names.includes(request.groupInstanceId)
      return isTaken ? codes.FENCED_INSTANCE_ID : codes.UNKNOWN_MEMBER_ID
    }
    return request.generationId === this.generation ? member : codes.ILLEGAL_GENERATION
  }

  sync(request: SyncGroupRequest): Promise<Wire.Input<SyncGroupResponse>> {
    const member = this.check(request)
    if (typeof member === "number") return Promise.resolve({ errorCode: member, assignment: empty })
    if (this.state === "PreparingRebalance")
      return Promise.resolve({ errorCode: codes.REBALANCE_IN_PROGRESS, assignment: empty })
    this.heard(member)
    if (this.state === "Stable") return Promise.resolve({ assignment: member.assignment })
    return new Promise((answer) => {
      member.syncing = answer
      if (request.memberId !== this.leader) return
      for (const { assignment, memberId } of request.assignments) {
        const one = this.members.get(memberId)
        if (one !== undefined) one.assignment = assignment
      }
      this.state = "Stable"
      for (const one of this.members.values()) {
        one.syncing?.({ assignment: one.assignment })
        one.syncing = undefined
      }
    })
  }

  heartbeat(request: HeartbeatRequest): number {
    const member = this.check(request)
    if (typeof member === "number") return member
    this.heard(member)
    return this.state === "PreparingRebalance" ? codes.REBALANCE_IN_PROGRESS : codes.NONE
  }

  leave({ memberId, members }: LeaveGroupRequest): void {
    for (const id of memberId === "" ? members.map((member) => member.memberId) : [memberId]) {
      const member = this.members.get(id)
      if (member !== undefined) this.remove(member)
    }
  }

  /** As if its session had ended. */
  remove(member: Member): void {
    this.forget(member)
    if (this.state === "PreparingRebalance") this.completeWhenAllAreThere()
    else this.prepare()
  }

  private forget(member: Member): void {
    clearTimeout(member.expiry)
    this.members.delete(member.memberId)
  }

  private heard(member: Member): void {
    clearTimeout(member.expiry)
    member.expiry = setTimeout(() => this.remove(member), member.request.sessionTimeoutMs)
  }

  stop(): void {
    clearTimeout(this.deadline)
    for (const { expiry } of this.members.values()) clearTimeout(expiry)
  }
}

export interface ScriptedCoordinator {
  /** The group of an id; there from the first look on. */
  readonly group: (groupId: string) => ScriptedGroup
  /** Another node coordinates all groups from now on. */
  readonly moveTo: (nodeId: number) => void
  /** The next requests of an API are answered with these codes, one after the other, or in another way. */
  readonly next: (api: GroupApi, ...answers: ReadonlyArray<number | ScriptedBroker.Answer<never>>) => void
}

/** Makes a cluster coordinate groups; the last node does until it is moved. */
export const make = (cluster: ScriptedCluster): Effect.Effect<ScriptedCoordinator, never, Scope.Scope> =>
  Effect.gen(function* () {
    const groups = new Map<string, ScriptedGroup>()
    const scripted = new Map<string, Array<number | ScriptedBroker.Answer<never>>>()
    let coordinator = cluster.brokers.length
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const group of groups.values()) group.stop()
      })
    )
    const group = (groupId: string): ScriptedGroup => {
      const found = groups.get(groupId) ?? new ScriptedGroup()
      groups.set(groupId, found)
      return found
    }
    /** What a test has slipped in, or the error of a node that does not coordinate. */
    const instead = (api: GroupApi, nodeId: number): number | ScriptedBroker.Answer<never> | undefined =>
      nodeId === coordinator ? scripted.get(api.name)?.shift() : codes.NOT_COORDINATOR

    cluster.brokers.forEach((broker, index) => {
      const nodeId = index + 1
      broker.on(FindCoordinator, ({ message, version }) => {
        const { host, port } = cluster.brokers[coordinator - 1]
        const at = { nodeId: coordinator, host, port }
        return ScriptedBroker.respond(
          version < 4 ? at : { coordinators: message.coordinatorKeys.map((key) => ({ key, ...at })) }
        )
      })
      broker.on(JoinGroup, async ({ message, version }) => {
        const other = instead(JoinGroup, nodeId)
        const refused = (errorCode: number) => ({ errorCode, protocolName: "", leader: "", memberId: "", members: [] })
        if (typeof other === "object") return other
        return ScriptedBroker.respond(
          typeof other === "number" ? refused(other) : await group(message.groupId).join(message, version)
        )
      })
      broker.on(SyncGroup, async ({ message }) => {
        const other = instead(SyncGroup, nodeId)
        if (typeof other === "object") return other
        return ScriptedBroker.respond(
          typeof other === "number"
            ? { errorCode: other, assignment: empty }
            : await group(message.groupId).sync(message)
        )
      })
      broker.on(Heartbeat, ({ message }) => {
        const other = instead(Heartbeat, nodeId)
        if (typeof other === "object") return other
        return ScriptedBroker.respond({ errorCode: other ?? group(message.groupId).heartbeat(message) })
      })
      broker.on(LeaveGroup, ({ message }) => {
        const other = instead(LeaveGroup, nodeId)
        if (typeof other === "object") return other
        if (other === undefined) group(message.groupId).leave(message)
        return ScriptedBroker.respond({ errorCode: other ?? 0 })
      })
    })
    return {
      group,
      moveTo: (nodeId) => {
        coordinator = nodeId
      },
      next: (api, ...answers) => void scripted.set(api.name, [...(scripted.get(api.name) ?? []), ...answers])
    }
  })
