/**
 * Membership in a consumer group, whatever the protocol: who the member is, what it was given, and what it tells its
 * owner when that changes.
 *
 * A membership joins, keeps itself alive and joins again by itself, in fibers of its own; its owner fetches, commits
 * and says when it is done. It knows nothing of records and offsets.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Assignor } from "../../Assignor.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { TopicPartition } from "../../Topic.ts"

/** Who the member is now: what commits carry. @internal */
export interface MemberIdentity {
  readonly groupId: string
  readonly memberId: string
  /** The generation of the group; with KIP-848 the member's epoch. */
  readonly generation: number
  readonly groupInstanceId: string | undefined
}

/** What the owner does when partitions come and go. One at a time, but for `lost`, which cuts `revoke` short. @internal */
export interface Handlers {
  /**
   * Partitions are taken away: returns when their readers have finished and committed; the handler bounds that itself.
   * Meanwhile the member stays alive and may commit. Interrupted when the partitions are lost before it has ended.
   */
  readonly revoke: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /**
   * Partitions that are new to the member, after every rebalance: also when there are none, for what was refused while
   * the group rebalanced can be committed from here on. Returns soon.
   */
  readonly assign: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /** Partitions that are no longer the member's, without its having been asked: nothing can be committed for them. */
  readonly lost: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
}

/** A membership, for as long as its scope, which leaves the group if nobody has before. @internal */
export interface Membership {
  /**
   * Undefined while nothing could be committed: before the first assignment, while the group hands out a new one, after
   * a loss. Ask for it for each commit: it notices by the clock when the session has run out.
   */
  readonly identity: () => MemberIdentity | undefined
  /**
   * Waits while partitions are lost of which `lost` has not been told. Ask for it before records are handed over: it
   * notices by the clock when the session has run out, as it does for a process that was paused.
   */
  readonly told: Effect.Effect<void>
  /** What the member has, with what is being revoked until that has ended. */
  readonly assigned: () => ReadonlyArray<TopicPartition>
  /** Joins again, with what it subscribes to now; does not wait for it. The reason goes into logs, the broker's too (KIP-800). */
  readonly rejoin: (reason: string) => Effect.Effect<void>
  /**
   * Says that a commit was refused with an error of the membership. What was to be committed is kept by who tells: either
   * its partition is lost, which `lost` says, or it can be committed with a later identity.
   */
  readonly refused: (identity: MemberIdentity, errorCode: number) => void
  /** Fails with what ends the membership for good; never succeeds. */
  readonly failure: Effect.Effect<never, ConsumerError>
  /** Revokes everything, then leaves the group, but for static members, who come back (KIP-345). Once; others wait. */
  readonly leave: Effect.Effect<void>
}

/** Durations in milliseconds. @internal */
export interface Options {
  readonly groupId: string
  /** Makes the member a static one (KIP-345). */
  readonly groupInstanceId: string | undefined
  /** The coordinator takes a member for dead when it has not heard of it for this long. */
  readonly sessionTimeout: number
  readonly heartbeatInterval: number
  /** How long members may take to give up partitions and join again. */
  readonly rebalanceTimeout: number
  /** In order of preference. */
  readonly assignors: ReadonlyArray<Assignor>
  /** The topics that it subscribes to now; who changes them calls `rejoin`. */
  readonly subscription: () => ReadonlyArray<string>
  readonly clientRack: string | undefined
  /** Hears of each heartbeat that was answered, and how long that took. */
  readonly onHeartbeat?: ((milliseconds: number) => void) | undefined
}
