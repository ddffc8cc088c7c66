/**
 * The server's `uniform` assignor: members have the same number of partitions, as far as their subscriptions allow it, and
 * keep what they have, as far as that allows it.
 *
 * @since 0.1.0
 */
import type { Target } from "../Assignment.ts"
import type { AssignedMember, Assignor } from "./Assignor.ts"

type Place = readonly [topicId: string, partition: number]

/** What is being given to a member. */
class Share {
  readonly member: AssignedMember
  readonly places: Array<Place>

  constructor(member: AssignedMember, partitions: ReadonlyMap<string, number>) {
    this.member = member
    this.places = [...member.current].flatMap(([topicId, indexes]) =>
      member.topics.has(topicId)
        ? [...indexes].filter((index) => index < (partitions.get(topicId) ?? 0)).map((index): Place => [topicId, index])
        : []
    )
  }

  target(): Target {
    const target = new Map<string, Set<number>>()
    for (const [topicId, partition] of this.places) {
      const indexes = target.get(topicId)
      if (indexes === undefined) target.set(topicId, new Set([partition]))
      else indexes.add(partition)
    }
    return target
  }
}

const unowned = (shares: ReadonlyArray<Share>, partitions: ReadonlyMap<string, number>): Array<Place> => {
  const owned = new Set(shares.flatMap(({ places }) => places.map(([topicId, index]) => `${topicId} ${index}`)))
  return [...partitions].flatMap(([topicId, count]) =>
    Array.from({ length: count }, (_, index): Place => [topicId, index]).filter(
      ([, index]) => !owned.has(`${topicId} ${index}`)
    )
  )
}

/** All subscribe to the same: everybody has a quota, and who has more than it gives away. */
const shareAlike = (shares: ReadonlyArray<Share>, partitions: ReadonlyMap<string, number>): void => {
  const total = [...partitions.values()].reduce((sum, count) => sum + count, 0)
  const least = Math.floor(total / shares.length)
  const free = unowned(shares, partitions)
  let extras = total % shares.length
  const wanting: Array<readonly [share: Share, count: number]> = []
  for (const [place, share] of shares.entries()) {
    const { places } = share
    // The odd ones go to those who have them, else to the last.
    const hasExtra = extras > 0 && (places.length > least || shares.length - place <= extras)
    if (hasExtra) extras--
    const quota = least + (hasExtra ? 1 : 0)
    free.push(...places.splice(quota))
    if (places.length < quota) wanting.push([share, quota - places.length])
  }
  for (const [{ places }, count] of wanting) places.push(...free.splice(0, count))
}

const leastLoaded = (shares: ReadonlyArray<Share>): Share =>
  shares.reduce((least, share) => (share.places.length < least.places.length ? share : least))

/** Subscriptions differ: what is free goes to whoever has least, and then from who has most to who has least. */
const shareAsSubscribed = (shares: ReadonlyArray<Share>, partitions: ReadonlyMap<string, number>): void => {
  const subscribers = new Map(
    [...partitions.keys()].map((topicId) => [topicId, shares.filter(({ member }) => member.topics.has(topicId))])
  )
  // First what leaves the least choice.
  const load = (topicId: string) => partitions.get(topicId)! / subscribers.get(topicId)!.length
  const topics = [...partitions.keys()].sort((one, other) => load(other) - load(one))
  const free = unowned(shares, partitions)
  for (const topicId of topics) {
    for (const place of free) if (place[0] === topicId) leastLoaded(subscribers.get(topicId)!).places.push(place)
  }
  const moveOne = (topicId: string): boolean => {
    const to = leastLoaded(subscribers.get(topicId)!)
    const from = subscribers
      .get(topicId)!
      .filter(({ places }) => places.length > to.places.length + 1 && places.some(([id]) => id === topicId))
      .sort((one, other) => other.places.length - one.places.length)[0]
    if (from === undefined) return false
    const at = from.places.findLastIndex(([id]) => id === topicId)
    to.places.push(...from.places.splice(at, 1))
    return true
  }
  // Each move brings two members nearer to each other, so that this ends.
  while (topics.some(moveOne)) {}
}

/** @internal */
export const uniformAssignor: Assignor = {
  name: "uniform",
  assign: (members, partitions) => {
    const shares = members.map((member) => new Share(member, partitions))
    const isAlike = members.every(({ topics }) => topics.size === partitions.size)
    if (isAlike) shareAlike(shares, partitions)
    else shareAsSubscribed(shares, partitions)
    return new Map(shares.map((share) => [share.member.memberId, share.target()]))
  }
}
