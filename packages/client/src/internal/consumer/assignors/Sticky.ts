/**
 * The sticky assignors: what members had they keep, as far as it is even.
 *
 * The eager and the cooperative one differ in where they learn what members had, and in that the cooperative one leaves
 * out what somebody else still reads: its owner revokes it and joins again, and then it is free.
 *
 * @since 0.1.0
 */
import type { Assigned, Member } from "../../../Assignor.ts"
import * as Balance from "./Balance.ts"
import * as Members from "./Members.ts"
import * as Ownership from "./Ownership.ts"
import * as StickyUserData from "./StickyUserData.ts"

type Assign = (
  members: ReadonlyArray<Member>,
  partitionCounts: ReadonlyMap<string, number>
) => ReadonlyMap<string, Assigned>

const assign =
  (claimsOf: (member: Member) => StickyUserData.Claims, withhold: boolean): Assign =>
  (members, partitionCounts) => {
    const ordered = Members.inOrder(members)
    const topics = topicsOf(ordered, partitionCounts)
    const partitionCount = topics.reduce((sum, { count }) => sum + count, 0)
    const byName = new Map(topics.map((topic) => [topic.name, topic]))
    const { claimed, owners } = Ownership.resolve(ordered, byName, partitionCount, claimsOf)
    const assigned = Balance.assign(topics, ordered.length, owners)
    const places = Members.places(ordered)
    for (const { count, first, name } of topics)
      for (let partition = 0; partition < count; partition++) {
        const index = first + partition
        // What two claim of one generation is left out too, whoever gets it: the other one must stop first.
        if (withhold && claimed[index] === 1 && assigned[index] !== owners[index]) continue
        places[assigned[index]].partitions.push({ topic: name, partition })
      }
    return Members.assignments(places)
  }

const topicsOf = (
  ordered: ReadonlyArray<Member>,
  partitionCounts: ReadonlyMap<string, number>
): ReadonlyArray<Balance.Topic> => {
  const subscribers = new Map<string, Array<number>>()
  let first = 0
  const topics = Members.topicsOf(ordered, partitionCounts).map((name): Balance.Topic => {
    const list: Array<number> = []
    subscribers.set(name, list)
    const count = partitionCounts.get(name) ?? 0
    first += count
    return { name, count, first: first - count, subscribers: list }
  })
  ordered.forEach((member, place) => {
    for (const topic of new Set(member.topics)) subscribers.get(topic)?.push(place)
  })
  return topics
}

/** @internal */
export const assignEager: Assign = assign(({ userData }) => StickyUserData.decode(userData), false)

/** @internal */
export const assignCooperative: Assign = assign(
  ({ generation, owned, userData }) => ({
    partitions: owned,
    // Before version 2 of the subscription the generation stood in the user data only.
    generation: generation >= 0 ? generation : StickyUserData.decodeGeneration(userData)
  }),
  true
)
