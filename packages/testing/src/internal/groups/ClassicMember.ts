/**
 * A member of a classic group: what it can do, what it was given, and the answers that it waits for.
 *
 * @since 0.1.0
 */
import type { JoinGroupResponse } from "@kafka-effect/protocol/messages/JoinGroup"
import type { SyncGroupResponse } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"

/** A way to share out partitions, with what the member tells those who do it. @internal */
export interface Protocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** @internal */
export type AnswerJoin = (response: Wire.Input<JoinGroupResponse>) => void
/** @internal */
export type AnswerSync = (response: Wire.Input<SyncGroupResponse>) => void

/** @internal */
export interface ClassicMember {
  memberId: string
  readonly groupInstanceId: string | null
  clientId: string
  clientHost: string
  /** Milliseconds. */
  sessionTimeout: number
  /** Milliseconds. */
  rebalanceTimeout: number
  protocols: ReadonlyArray<Protocol>
  assignment: Uint8Array
  /** Waits for the others to join. */
  joining: AnswerJoin | undefined
  /** Waits for the leader's assignment. */
  syncing: AnswerSync | undefined
  /** Stops the clock of its session. */
  cancelSession: () => void
}

const isSameBytes = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, index) => byte === other[index])

/** @internal */
export const hasProtocols = ({ protocols }: ClassicMember, others: ReadonlyArray<Protocol>): boolean =>
  protocols.length === others.length &&
  protocols.every(
    ({ metadata, name }, index) => name === others[index].name && isSameBytes(metadata, others[index].metadata)
  )
