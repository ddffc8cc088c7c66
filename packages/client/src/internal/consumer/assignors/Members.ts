/**
 * The members of a group in the order in which they take turns.
 *
 * @since 0.1.0
 */
import type { Assigned, Member } from "../../../Assignor.ts"
import type { TopicPartition } from "../../../Topic.ts"

/** A member while partitions are dealt out. @internal */
export interface Place {
  readonly memberId: string
  readonly topics: ReadonlySet<string>
  readonly partitions: Array<TopicPartition>
}

/** By UTF-16 units, as Java compares strings. @internal */
export const compareText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/**
 * Static members first, by their names, which last longer than member ids; then the others by member id.
 *
 * @internal
 */
export const inOrder = (members: ReadonlyArray<Member>): ReadonlyArray<Member> =>
  members.toSorted((one, other) => {
    const [name, otherName] = [one.groupInstanceId, other.groupInstanceId]
    if (name !== undefined && otherName === undefined) return -1
    if (name === undefined && otherName !== undefined) return 1
    const byName = name === undefined || otherName === undefined ? 0 : compareText(name, otherName)
    return byName !== 0 ? byName : compareText(one.memberId, other.memberId)
  })

/** The topics that exist and that somebody subscribed to, in order. @internal */
export const topicsOf = (
  members: ReadonlyArray<Member>,
  partitionCounts: ReadonlyMap<string, number>
): ReadonlyArray<string> =>
  [...new Set(members.flatMap(({ topics }) => topics))]
    .filter((topic) => (partitionCounts.get(topic) ?? 0) > 0)
    .sort(compareText)

/** @internal */
export const places = (members: ReadonlyArray<Member>): ReadonlyArray<Place> =>
  inOrder(members).map(({ memberId, topics }) => ({ memberId, topics: new Set(topics), partitions: [] }))

/** @internal */
export const assignments = (dealt: ReadonlyArray<Place>): ReadonlyMap<string, Assigned> =>
  new Map(dealt.map(({ memberId, partitions }) => [memberId, { partitions }]))
