/**
 * What a member of a group knows of itself at a moment.
 *
 * Every change happens in one of these methods, at once and without waiting. What is lost is lost from the call on: no
 * identity is given out any more, and the member's fiber tells the owner next.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Assigned } from "../../Assignor.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { TopicPartition } from "../../Topic.ts"
import type { MemberIdentity, Options } from "./Membership.ts"

/**
 * - `outside`: not yet a member, or no longer: the next step is to join
 * - `member`: of a generation, from Sync on until Join is sent; heartbeats go out
 * - `joining`: Join is under way, or to be tried again; what is owned may be committed until it is answered
 * - `syncing`: of a generation that has not been given its partitions
 * - `ended`
 */
type Phase = "outside" | "member" | "joining" | "syncing" | "ended"

/** @internal */
export class MemberState {
  /** Empty before the coordinator has given one. */
  memberId = ""
  generation = -1
  phase: Phase = "outside"
  owned: ReadonlyArray<TopicPartition> = []
  /** Why it has to join (again); undefined when it has not. */
  wanted: string | undefined = "the member is new"
  /** What has been lost, and its owner not been told of. */
  lost: ReadonlyArray<TopicPartition> = []
  lostBecause = ""
  failure: ConsumerError | undefined
  /** The last assignment and its generation, for assignors; kept when its partitions go. */
  assigned: Assigned | undefined
  assignedGeneration = -1
  /** How many rebalances in a row have failed, or given a membership that did not last until its first heartbeat. */
  failures = 0
  isLeaving = false
  /** Opened when the member's fiber has something to do. */
  readonly changed = Latch.makeUnsafe()
  /** Open while there are losses that the owner has not been told of. */
  readonly hasLost = Latch.makeUnsafe()
  /** Open while there are none, and the owner has heard of all that there were. */
  readonly told = Latch.makeUnsafe(true)
  /** Open while heartbeats are to go out. */
  readonly isAlive = Latch.makeUnsafe()
  /** Opened when the next heartbeat is to go out at once, or none any more. */
  readonly hurry = Latch.makeUnsafe()
  private readonly options: Options
  private readonly now: () => number
  /** When the newest request was sent that the coordinator has answered as to a member, in milliseconds of the clock. */
  private contact = Number.NEGATIVE_INFINITY
  private hasBeaten = false
  /** When this process was known to be awake, in milliseconds of the clock. */
  private pulsedAt: number
  private current: MemberIdentity | undefined

  constructor(options: Options, now: () => number) {
    this.options = options
    this.now = now
    this.pulsedAt = now()
  }

  /** Undefined while nothing could be committed. */
  identity(): MemberIdentity | undefined {
    this.expire()
    return this.generation < 0 || this.phase === "syncing" || this.phase === "ended" ? undefined : this.current
  }

  isCurrent({ generation, memberId }: MemberIdentity): boolean {
    return generation === this.generation && memberId === this.memberId
  }

  /** Milliseconds until the session ends, unless the coordinator answers before. */
  remaining(): number {
    return this.contact + this.options.sessionTimeout - this.now()
  }

  /** The coordinator has answered a heartbeat. */
  heard(sentAt: number, isStable: boolean): void {
    this.contact = sentAt
    if (!isStable) return
    this.hasBeaten = true
    this.failures = 0
  }

  /** A session that has run out is a loss, whatever the coordinator would say: another may have the partitions by now. */
  expire(): void {
    if (this.phase === "member" && this.remaining() <= 0) this.lose(this.silence())
    // The answer to Join may have come long ago, and the member have been given up since.
    const hasAsked = this.phase === "joining" || this.phase === "syncing"
    if (hasAsked && this.owned.length > 0 && this.now() - this.pulsedAt >= this.options.sessionTimeout) {
      this.lose(`this process has stood still for longer than ${this.options.sessionTimeout} ms (sessionTimeout)`)
    }
  }

  /** This process is awake: to be said several times per session. Notices when it was not. */
  pulse(): void {
    this.expire()
    this.pulsedAt = this.now()
  }

  /** Likewise for what it keeps while it tries to join; not while a Join waits at the coordinator, which is no silence. */
  expireKept(): void {
    if (this.owned.length > 0 && this.remaining() <= 0) this.lose(this.silence())
  }

  private silence(): string {
    return `the coordinator has not answered for ${this.options.sessionTimeout} ms (sessionTimeout)`
  }

  want(reason: string): void {
    if (this.phase === "ended") return
    this.note(reason)
    this.changed.openUnsafe()
  }

  private note(reason: string): void {
    if (this.phase === "member" && this.wanted === undefined && !this.hasBeaten) this.failures++
    this.wanted ??= reason
  }

  /** The partitions are gone; the id stays unless it is forgotten. */
  lose(reason: string, { forget = false } = {}): void {
    if (this.phase === "ended") return
    this.note(reason)
    this.generation = -1
    if (forget) this.memberId = ""
    if (this.phase !== "outside") this.enter("outside")
    this.loseAll(reason)
    // Last: who waits for it goes on at once, and must find all of this.
    this.changed.openUnsafe()
  }

  /** It is over. */
  fail(error: ConsumerError): void {
    if (this.phase === "ended") return
    this.failure = error
    this.end()
    this.loseAll(error.message)
    this.changed.openUnsafe()
  }

  /** A mistake has ended it: what it had is not its any more. */
  die(): void {
    if (this.phase === "ended") return
    this.end()
    this.loseAll("the member has failed")
  }

  private loseAll(reason: string): void {
    if (this.owned.length === 0) return
    this.lost = [...this.lost, ...this.owned]
    this.lostBecause = reason
    this.owned = []
    this.told.closeUnsafe()
    this.hasLost.openUnsafe()
  }

  /** The owner has heard of what was taken. */
  tell(): void {
    if (this.lost.length === 0) this.told.openUnsafe()
  }

  /** Their owner knows. */
  toldLost(): void {
    this.lost = []
    this.hasLost.closeUnsafe()
  }

  /** From here on the next Join says all there is to say. Gives the reason for it. */
  join(): string {
    const reason = this.wanted ?? ""
    this.wanted = undefined
    this.enter("joining")
    return reason
  }

  /** The coordinator has answered Join: what was owned is no longer to be committed as the old generation. */
  sync(memberId: string, generation: number): MemberIdentity {
    const { groupId, groupInstanceId } = this.options
    this.memberId = memberId
    this.generation = generation
    this.contact = this.now()
    this.enter("syncing")
    this.current = { groupId, memberId, generation, groupInstanceId }
    return this.current
  }

  /** The coordinator has answered Sync: the session begins. */
  accept(assigned: Assigned): void {
    this.contact = this.now()
    this.hasBeaten = false
    this.assigned = assigned
    this.assignedGeneration = this.generation
    this.enter("member")
  }

  end(): void {
    this.enter("ended")
    this.generation = -1
  }

  /** Logs a change. */
  log(message: string, details: Readonly<Record<string, string>> = {}): Effect.Effect<void> {
    const { generation, memberId } = this
    return Effect.annotateLogs(Effect.logInfo(message), {
      "kafka.member": memberId,
      "kafka.generation": generation,
      ...details
    })
  }

  private enter(phase: Phase): void {
    this.phase = phase
    if (phase === "member") this.isAlive.openUnsafe()
    else {
      this.isAlive.closeUnsafe()
      this.hurry.openUnsafe()
    }
  }
}
