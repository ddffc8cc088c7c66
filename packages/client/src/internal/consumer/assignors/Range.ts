/**
 * Shares out each topic by itself, in ranges of neighbouring partitions; the first members get one more where it does
 * not come out even.
 *
 * @since 0.1.0
 */
import type { Assigned, Member } from "../../../Assignor.ts"
import * as Members from "./Members.ts"

/** @internal */
export const assign = (
  members: ReadonlyArray<Member>,
  partitionCounts: ReadonlyMap<string, number>
): ReadonlyMap<string, Assigned> => {
  const places = Members.places(members)
  for (const topic of Members.topicsOf(members, partitionCounts)) {
    const takers = places.filter(({ topics }) => topics.has(topic))
    const count = partitionCounts.get(topic) ?? 0
    const each = Math.floor(count / takers.length)
    const withOneMore = count % takers.length
    let partition = 0
    takers.forEach(({ partitions }, place) => {
      const end = partition + each + (place < withOneMore ? 1 : 0)
      while (partition < end) partitions.push({ topic, partition: partition++ })
    })
  }
  return Members.assignments(places)
}
