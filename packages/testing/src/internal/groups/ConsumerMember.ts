/**
 * A member of a group of the consumer protocol (KIP-848): what it subscribes to, and how far it has come towards what it
 * should own. A change makes a new one, so that what is refused halfway has changed nothing.
 *
 * @since 0.1.0
 */
import type { Owned } from "./Assignment.ts"

/**
 * How a member stands to its target: `Stable` has all that it may have in its epoch, `UnrevokedPartitions` has still to give
 * some up, `UnreleasedPartitions` waits for what others have still to give up.
 *
 * @internal
 */
export type MemberState = "Stable" | "UnrevokedPartitions" | "UnreleasedPartitions"

/** @internal */
export interface ConsumerMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Milliseconds. */
  readonly rebalanceTimeout: number
  readonly subscribedTopicNames: ReadonlySet<string>
  /** As the client wrote it; null or empty for none. */
  readonly subscribedTopicRegex: string | null
  readonly serverAssignor: string | null
  /** -2 while a static member is away. */
  readonly epoch: number
  readonly previousEpoch: number
  readonly state: MemberState
  readonly assigned: Owned
  /** What it has still to give up. */
  readonly revoking: Owned
}

/** The epoch of a static member that is away, and is expected back within its session. @internal */
export const awayEpoch = -2

/** A member that has just come. @internal */
export const make = (memberId: string): ConsumerMember => ({
  memberId,
  groupInstanceId: null,
  rackId: null,
  clientId: "",
  clientHost: "",
  rebalanceTimeout: -1,
  subscribedTopicNames: new Set(),
  subscribedTopicRegex: null,
  serverAssignor: null,
  epoch: 0,
  previousEpoch: -1,
  state: "Stable",
  assigned: new Map(),
  revoking: new Map()
})

/** Whether a member has all that a target of that epoch gives it. @internal */
export const isReconciledTo = ({ epoch, state }: ConsumerMember, targetEpoch: number): boolean =>
  state === "Stable" && epoch === targetEpoch
