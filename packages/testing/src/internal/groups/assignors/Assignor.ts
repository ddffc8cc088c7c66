/**
 * How the group coordinator shares out partitions by itself (KIP-848).
 *
 * @since 0.1.0
 */
import type { Target } from "../Assignment.ts"

/** @internal */
export interface AssignedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Ids of the topics that it subscribes to and that there are. */
  readonly topics: ReadonlySet<string>
  /** What it should have had until now. */
  readonly current: Target
}

/** @internal */
export interface Assignor {
  readonly name: string
  /** Gives the partitions of topics, of which it is told the numbers by topic id, to members: by member id. */
  readonly assign: (
    members: ReadonlyArray<AssignedMember>,
    partitions: ReadonlyMap<string, number>
  ) => ReadonlyMap<string, Target>
}
