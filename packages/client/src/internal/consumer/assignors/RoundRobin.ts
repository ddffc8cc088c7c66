/**
 * Deals out all partitions of all topics in turn; who has not subscribed to a topic is passed over.
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
  let turn = 0
  for (const topic of Members.topicsOf(members, partitionCounts)) {
    const count = partitionCounts.get(topic) ?? 0
    for (let partition = 0; partition < count; partition++) {
      while (!places[turn % places.length].topics.has(topic)) turn++
      places[turn++ % places.length].partitions.push({ topic, partition })
    }
  }
  return Members.assignments(places)
}
