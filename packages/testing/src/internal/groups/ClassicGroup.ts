/**
 * A group of the classic protocol: who is in it, and the rebalance in which they join, and the leader shares out what there
 * is (KIP-62, KIP-345, KIP-394, KIP-559, KIP-800).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { JoinGroupRequest, JoinGroupResponse } from "@kafka-effect/protocol/messages/JoinGroup"
import type { SyncGroupRequest } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Loop } from "../Loop.ts"
import { type AnswerJoin, type AnswerSync, type ClassicMember, hasProtocols } from "./ClassicMember.ts"
import { GroupOffsets } from "./GroupOffsets.ts"

/** @internal */
export type State = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable" | "Dead"

/** Who asks to join. @internal */
export interface Joiner {
  readonly clientId: string
  readonly clientHost: string
  readonly version: number
}

/** @internal */
export interface Options {
  readonly loop: Loop
  readonly random: () => number
  /** `group.initial.rebalance.delay.ms`. */
  readonly initialDelay: number
  /** `group.max.size`. */
  readonly maxSize: number
}

const noBytes = new Uint8Array(0)

/** The first versions that want to know their id before they join, and that may be told to skip the assignment. */
const knownIdVersion = 4
const skipVersion = 9

/** @internal */
export class ClassicGroup {
  readonly type = "classic"
  readonly groupId: string
  readonly offsets: GroupOffsets
  state: State = "Empty"
  generation = 0
  protocolType: string | null = null
  protocolName: string | null = null
  leader: string | null = null
  readonly members = new Map<string, ClassicMember>()
  /** Static members: member ids by instance id. */
  readonly instances = new Map<string, string>()
  /** Ids that were given out and have not joined yet. */
  private readonly pending = new Map<string, () => void>()
  private readonly options: Options
  private cancelRebalance: () => void = () => {}

  constructor(groupId: string, options: Options, offsets = new GroupOffsets()) {
    this.groupId = groupId
    this.offsets = offsets
    this.options = options
  }

  /** The error code for who says that he is this member, in this generation; 0 for none. */
  check(memberId: string, groupInstanceId: string | null, generation: number | undefined): number {
    if (groupInstanceId !== null) {
      const known = this.instances.get(groupInstanceId)
      if (known === undefined) return codes.UNKNOWN_MEMBER_ID
      if (known !== memberId) return codes.FENCED_INSTANCE_ID
    }
    if (!this.members.has(memberId)) return codes.UNKNOWN_MEMBER_ID
    return generation === undefined || generation === this.generation ? codes.NONE : codes.ILLEGAL_GENERATION
  }

  join(request: JoinGroupRequest, joiner: Joiner, answer: AnswerJoin): void {
    const { groupInstanceId, memberId } = request
    const refuse = (errorCode: number, id = memberId) => answer(refusal(errorCode, id))
    if (!this.fits(request)) return void refuse(codes.INCONSISTENT_GROUP_PROTOCOL)
    const isFull = !this.members.has(memberId) && this.members.size >= this.options.maxSize
    if (memberId === "") {
      if (groupInstanceId !== null && this.instances.has(groupInstanceId)) {
        return void this.replaceStatic(groupInstanceId, request, joiner, answer)
      }
      if (isFull) return void refuse(codes.GROUP_MAX_SIZE_REACHED)
      const id = this.newId(groupInstanceId ?? joiner.clientId)
      if (groupInstanceId === null && joiner.version >= knownIdVersion) {
        this.pending.set(
          id,
          this.options.loop.after(request.sessionTimeoutMs, () => this.forgetPending(id))
        )
        return void refuse(codes.MEMBER_ID_REQUIRED, id)
      }
      return void this.add(id, request, joiner, answer)
    }
    if (this.pending.has(memberId)) {
      if (isFull) return void refuse(codes.GROUP_MAX_SIZE_REACHED)
      this.pending.get(memberId)?.()
      this.pending.delete(memberId)
      return void this.add(memberId, request, joiner, answer)
    }
    const errorCode = this.check(memberId, groupInstanceId, undefined)
    if (errorCode !== codes.NONE) return void refuse(errorCode)
    this.rejoin(this.members.get(memberId)!, request, joiner, answer)
  }

  sync(request: SyncGroupRequest, answer: AnswerSync): void {
    const { assignments, generationId, groupInstanceId, memberId, protocolName, protocolType } = request
    const refuse = (errorCode: number) => answer({ errorCode, assignment: noBytes })
    const errorCode = this.check(memberId, groupInstanceId, generationId)
    if (errorCode !== codes.NONE) return void refuse(errorCode)
    const isOther = (named: string | null, own: string | null) => named !== null && own !== null && named !== own
    if (isOther(protocolType, this.protocolType) || isOther(protocolName, this.protocolName)) {
      return void refuse(codes.INCONSISTENT_GROUP_PROTOCOL)
    }
    const member = this.members.get(memberId)!
    this.touch(member)
    switch (this.state) {
      case "PreparingRebalance":
        return void refuse(codes.REBALANCE_IN_PROGRESS)
      case "CompletingRebalance": {
        member.syncing?.({ errorCode: codes.REBALANCE_IN_PROGRESS, assignment: noBytes })
        member.syncing = answer
        if (memberId === this.leader) this.share(new Map(assignments.map((one) => [one.memberId, one.assignment])))
        return
      }
      case "Stable":
        return void answer(this.assigned(member))
      default:
        return void refuse(codes.UNKNOWN_MEMBER_ID)
    }
  }

  heartbeat(memberId: string, groupInstanceId: string | null, generation: number): number {
    const errorCode = this.check(memberId, groupInstanceId, generation)
    if (errorCode !== codes.NONE) return errorCode
    this.touch(this.members.get(memberId)!)
    return this.state === "PreparingRebalance" ? codes.REBALANCE_IN_PROGRESS : codes.NONE
  }

  /** A member leaves, or is made to. */
  leave(memberId: string, groupInstanceId: string | null): number {
    const id = groupInstanceId !== null && memberId === "" ? this.instances.get(groupInstanceId) : memberId
    if (id !== undefined && this.pending.has(id)) {
      this.forgetPending(id)
      return codes.NONE
    }
    const errorCode = this.check(id ?? "", groupInstanceId, undefined)
    if (errorCode === codes.NONE) this.remove(this.members.get(id!)!)
    return errorCode
  }

  /** Begins a rebalance, as a test may want it. */
  rebalance(): void {
    if (this.members.size > 0 && this.state !== "PreparingRebalance") this.prepare()
  }

  /** Whether a member's protocols can be used together with those of the others. */
  private fits({ memberId, protocolType, protocols }: JoinGroupRequest): boolean {
    if (protocolType === "" || protocols.length === 0) return false
    const others = [...this.members.values()].filter((member) => member.memberId !== memberId)
    if (others.length === 0) return true
    if (this.protocolType !== protocolType) return false
    return protocols.some(({ name }) => others.every((other) => other.protocols.some((one) => one.name === name)))
  }

  private newId(prefix: string): string {
    const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(this.options.random() * 256))
    const hex = Buffer.from(bytes).toString("hex")
    return `${prefix}-${hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`
  }

  private add(memberId: string, request: JoinGroupRequest, joiner: Joiner, answer: AnswerJoin): void {
    const { groupInstanceId, protocolType, protocols, rebalanceTimeoutMs, sessionTimeoutMs } = request
    const { clientHost, clientId } = joiner
    const member: ClassicMember = {
      memberId,
      groupInstanceId,
      clientId,
      clientHost,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
      protocols,
      assignment: noBytes,
      joining: answer,
      syncing: undefined,
      cancelSession: () => {}
    }
    if (this.members.size === 0) this.protocolType = protocolType
    this.members.set(memberId, member)
    if (groupInstanceId !== null) this.instances.set(groupInstanceId, memberId)
    this.touch(member)
    if (this.state === "PreparingRebalance") this.completeIfAll()
    else this.prepare()
  }

  private rejoin(member: ClassicMember, request: JoinGroupRequest, joiner: Joiner, answer: AnswerJoin): void {
    const { memberId } = member
    const isSame = hasProtocols(member, request.protocols)
    this.touch(member)
    const isLeader = memberId === this.leader
    if (this.state === "CompletingRebalance" && isSame) return void answer(this.joined(member))
    if (this.state === "Stable" && isSame && !isLeader) return void answer(this.joined(member))
    // Who asks twice is answered once, and the first time in vain.
    member.joining?.(refusal(codes.REBALANCE_IN_PROGRESS, memberId))
    member.joining = answer
    member.protocols = request.protocols
    member.sessionTimeout = request.sessionTimeoutMs
    member.rebalanceTimeout = request.rebalanceTimeoutMs < 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs
    member.clientId = joiner.clientId
    member.clientHost = joiner.clientHost
    if (this.state === "PreparingRebalance") this.completeIfAll()
    else this.prepare()
  }

  /** A static member comes back under a new id: the one who had the old is fenced, and the others notice nothing. */
  private replaceStatic(instanceId: string, request: JoinGroupRequest, joiner: Joiner, answer: AnswerJoin): void {
    const oldId = this.instances.get(instanceId)!
    const member = this.members.get(oldId)!
    const memberId = this.newId(instanceId)
    member.joining?.(refusal(codes.FENCED_INSTANCE_ID, oldId))
    member.syncing?.({ errorCode: codes.FENCED_INSTANCE_ID, assignment: noBytes })
    member.joining = undefined
    member.syncing = undefined
    member.cancelSession()
    this.members.delete(oldId)
    member.memberId = memberId
    this.members.set(memberId, member)
    this.instances.set(instanceId, memberId)
    const wasLeader = this.leader === oldId
    if (wasLeader) this.leader = memberId
    const before = this.protocolName
    const isSame = hasProtocols(member, request.protocols)
    member.protocols = request.protocols
    this.touch(member)
    if (this.state === "Stable" && (isSame || this.select() === before)) {
      const skips = wasLeader && joiner.version >= skipVersion
      // Who may not skip the assignment is told of another leader, so that he makes none.
      const leader = wasLeader && !skips ? oldId : this.leader!
      return void answer({ ...this.joined(member), leader, skipAssignment: skips, ...(skips ? {} : { members: [] }) })
    }
    member.joining = answer
    if (this.state === "PreparingRebalance") this.completeIfAll()
    else this.prepare()
  }

  private prepare(): void {
    for (const member of this.members.values()) {
      member.syncing?.({ errorCode: codes.REBALANCE_IN_PROGRESS, assignment: noBytes })
      member.syncing = undefined
    }
    const isFirst = this.state === "Empty"
    this.state = "PreparingRebalance"
    this.cancelRebalance()
    if (isFirst && this.options.initialDelay > 0) {
      this.cancelRebalance = this.options.loop.after(this.options.initialDelay, () => this.expectAll())
      return
    }
    this.expectAll()
  }

  /** Waits for the members, no longer than the most patient of them does. */
  private expectAll(): void {
    const patience = Math.max(0, ...[...this.members.values()].map(({ rebalanceTimeout }) => rebalanceTimeout))
    this.cancelRebalance = this.options.loop.after(patience, () => this.complete())
    this.isExpecting = true
    this.completeIfAll()
  }

  private isExpecting = false

  private completeIfAll(): void {
    if (!this.isExpecting || this.state !== "PreparingRebalance" || this.pending.size > 0) return
    for (const { joining } of this.members.values()) if (joining === undefined) return
    this.complete()
  }

  private complete(): void {
    this.cancelRebalance()
    this.isExpecting = false
    for (const member of [...this.members.values()]) {
      // Static members have until the end of their session.
      if (member.joining === undefined && member.groupInstanceId === null) this.drop(member)
    }
    this.generation++
    if (this.members.size === 0) {
      this.state = "Empty"
      this.leader = null
      this.protocolName = null
      return
    }
    const joined = [...this.members.values()].filter(({ joining }) => joining !== undefined)
    if (joined.length === 0) {
      // Only static members that are away: they are waited for.
      this.generation--
      return void this.expectAll()
    }
    const current = this.leader === null ? undefined : this.members.get(this.leader)
    if (current?.joining === undefined) this.leader = joined[0].memberId
    this.protocolName = this.select()
    this.state = "CompletingRebalance"
    for (const member of joined) {
      const { joining } = member
      member.joining = undefined
      member.assignment = noBytes
      this.touch(member)
      joining?.(this.joined(member))
    }
    const patience = Math.max(...joined.map(({ rebalanceTimeout }) => rebalanceTimeout))
    this.cancelRebalance = this.options.loop.after(patience, () => this.expireSync())
  }

  /** Who has joined and does not come for his share holds the others up. */
  private expireSync(): void {
    if (this.state !== "CompletingRebalance") return
    for (const member of [...this.members.values()]) if (member.syncing === undefined) this.drop(member)
    this.prepare()
  }

  private share(assignments: ReadonlyMap<string, Uint8Array>): void {
    this.cancelRebalance()
    this.state = "Stable"
    for (const member of this.members.values()) {
      member.assignment = Uint8Array.from(assignments.get(member.memberId) ?? noBytes)
      const { syncing } = member
      member.syncing = undefined
      if (syncing === undefined) continue
      this.touch(member)
      syncing(this.assigned(member))
    }
  }

  /** The protocol that most prefer, of those that all have. */
  private select(): string {
    const all = [...this.members.values()]
    const common = (name: string) => all.every(({ protocols }) => protocols.some((one) => one.name === name))
    const votes = new Map<string, number>()
    for (const { protocols } of all) {
      const choice = protocols.find(({ name }) => common(name))!.name
      votes.set(choice, (votes.get(choice) ?? 0) + 1)
    }
    return [...votes].reduce((most, one) => (one[1] > most[1] ? one : most))[0]
  }

  private joined(member: ClassicMember): Wire.Input<JoinGroupResponse> {
    const { generation, leader, protocolName, protocolType } = this
    const members =
      member.memberId !== leader
        ? []
        : [...this.members.values()].map(({ groupInstanceId, memberId, protocols }) => ({
            memberId,
            groupInstanceId,
            metadata: protocols.find(({ name }) => name === protocolName)?.metadata ?? noBytes
          }))
    return {
      errorCode: codes.NONE,
      generationId: generation,
      protocolType,
      protocolName,
      leader: leader ?? "",
      memberId: member.memberId,
      members
    }
  }

  private assigned({ assignment }: ClassicMember) {
    const { protocolName, protocolType } = this
    return { errorCode: codes.NONE, protocolType, protocolName, assignment }
  }

  /** The member is alive: its session begins anew. */
  private touch(member: ClassicMember): void {
    member.cancelSession()
    member.cancelSession = this.options.loop.after(member.sessionTimeout, () => {
      // Who waits for an answer is there.
      if (member.joining !== undefined || member.syncing !== undefined) this.touch(member)
      else this.remove(member)
    })
  }

  private forgetPending(memberId: string): void {
    this.pending.get(memberId)?.()
    this.pending.delete(memberId)
    this.completeIfAll()
  }

  /** Takes a member out, without a rebalance. */
  private drop(member: ClassicMember): void {
    const { groupInstanceId, memberId } = member
    member.cancelSession()
    member.joining?.(refusal(codes.UNKNOWN_MEMBER_ID, memberId))
    member.syncing?.({ errorCode: codes.UNKNOWN_MEMBER_ID, assignment: noBytes })
    this.members.delete(memberId)
    if (groupInstanceId !== null) this.instances.delete(groupInstanceId)
    if (this.leader === memberId) this.leader = null
  }

  private remove(member: ClassicMember): void {
    this.drop(member)
    if (this.state === "PreparingRebalance") this.completeIfAll()
    else this.prepare()
  }
}

const refusal = (errorCode: number, memberId: string): Wire.Input<JoinGroupResponse> => ({
  errorCode,
  generationId: -1,
  protocolType: null,
  protocolName: "",
  leader: "",
  memberId,
  members: []
})
