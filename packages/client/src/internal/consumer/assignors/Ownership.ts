/**
 * Who had which partition before, out of what the members claim.
 *
 * Of two claims the one of the newer generation counts: the other member missed a rebalance. Two claims of the same
 * generation cannot both be right, and nothing says which one is: neither counts.
 *
 * @since 0.1.0
 */
import type { Member } from "../../../Assignor.ts"
import type * as Balance from "./Balance.ts"
import type { Claims } from "./StickyUserData.ts"

/** In place of a member: nobody. @internal */
export const nobody = -1

/** @internal */
export interface Ownership {
  /** The member, by its place, whose claim to the partition counts, or nobody. */
  readonly owners: Int32Array
  /** 1 where anybody claims the partition, rightly or not. */
  readonly claimed: Uint8Array
}

/** @internal */
export const resolve = (
  members: ReadonlyArray<Member>,
  topics: ReadonlyMap<string, Balance.Topic>,
  partitionCount: number,
  claimsOf: (member: Member) => Claims
): Ownership => {
  const owners = new Int32Array(partitionCount).fill(nobody)
  const claimed = new Uint8Array(partitionCount)
  const generations = new Int32Array(partitionCount)
  // By whom last: a member that names a partition twice is no rival to itself.
  const claimants = new Int32Array(partitionCount).fill(nobody)
  members.forEach((member, place) => {
    const { generation, partitions } = claimsOf(member)
    for (const { partition, topic: name } of partitions) {
      const topic = topics.get(name)
      if (topic === undefined || partition < 0 || partition >= topic.count) continue
      const index = topic.first + partition
      if (claimants[index] === place) continue
      claimants[index] = place
      if (claimed[index] === 0 || generation > generations[index]) {
        owners[index] = place
        generations[index] = generation
      } else if (generation === generations[index]) owners[index] = nobody
      claimed[index] = 1
    }
  })
  return { owners, claimed }
}
