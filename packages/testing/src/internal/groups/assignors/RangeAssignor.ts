/**
 * The server's `range` assignor: of each topic, one stretch of neighbouring partitions for each subscriber, in the order of
 * instance ids and member ids, so that topics of the same size are shared out alike.
 *
 * @since 0.1.0
 */
import type { AssignedMember, Assignor } from "./Assignor.ts"

const compareText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/** Static members first. */
const compare = (one: AssignedMember, other: AssignedMember): number => {
  if (one.groupInstanceId !== null && other.groupInstanceId !== null) {
    return compareText(one.groupInstanceId, other.groupInstanceId)
  }
  if (one.groupInstanceId !== null) return -1
  if (other.groupInstanceId !== null) return 1
  return compareText(one.memberId, other.memberId)
}

/** @internal */
export const rangeAssignor: Assignor = {
  name: "range",
  assign: (members, partitions) => {
    const sorted = [...members].sort(compare)
    const targets = new Map(sorted.map(({ memberId }) => [memberId, new Map<string, ReadonlySet<number>>()]))
    for (const [topicId, count] of partitions) {
      const subscribers = sorted.filter(({ topics }) => topics.has(topicId))
      let start = 0
      for (const [place, { memberId }] of subscribers.entries()) {
        const extra = place < count % subscribers.length ? 1 : 0
        const end = start + Math.floor(count / subscribers.length) + extra
        const stretch = Array.from({ length: end - start }, (_, index) => start + index)
        if (stretch.length > 0) targets.get(memberId)?.set(topicId, new Set(stretch))
        start = end
      }
    }
    return targets
  }
}
