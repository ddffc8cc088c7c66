/** Groups at the moment of a rebalance, the same in each run: what the golden assignments were computed from. */

import type { Member } from "../../src/Assignor.ts"
import type { TopicPartition } from "../../src/Topic.ts"
import { randomOf } from "../random.ts"

export interface Scenario {
  /** With what each owned before, and its generation; `userData` is null. */
  readonly members: ReadonlyArray<Member>
  readonly counts: ReadonlyMap<string, number>
}

export const count = 500

/** Whether some members are of older generations, and partitions that two claim. */
export const isDisputed = (index: number): boolean => index % 10 === 3

/** The topics that exist and have subscribers, in order. */
export const topicsOf = ({ counts, members }: Scenario): ReadonlyArray<string> =>
  [...counts.keys()].filter((topic) => members.some(({ topics }) => topics.includes(topic))).sort()

/** Of each partition the place of its owner among the members, in base 36, or a dot: topics in order. */
export const draw = (
  scenario: Scenario,
  assignments: ReadonlyMap<string, { readonly partitions: ReadonlyArray<TopicPartition> }>
): string => {
  const owners = new Map<string, string>()
  scenario.members.forEach(({ memberId }, place) => {
    for (const { partition, topic } of assignments.get(memberId)?.partitions ?? [])
      owners.set(`${topic}-${partition}`, place.toString(36))
  })
  return topicsOf(scenario)
    .flatMap((topic) =>
      Array.from({ length: scenario.counts.get(topic) ?? 0 }, (_, at) => owners.get(`${topic}-${at}`) ?? ".")
    )
    .join("")
}

export const make = (): ReadonlyArray<Scenario> => Array.from({ length: count }, (_, index) => scenarioOf(index))

/**
 * By turns: a new group, and groups that members joined and left and whose topics grew; every other time all subscribe
 * to the same. Each tenth is disputed.
 */
const scenarioOf = (index: number): Scenario => {
  const random = randomOf(index + 1)
  const below = (limit: number): number => Math.floor(random() * limit)
  const shuffled = <A>(items: ReadonlyArray<A>): Array<A> =>
    items
      .map((item) => ({ item, at: random() }))
      .sort((one, other) => one.at - other.at)
      .map(({ item }) => item)
  const topics = shuffled(Array.from({ length: 1 + below(6) }, (_, at) => `${"tTöz"[below(4)]}${at}`))
  const counts = new Map(topics.map((topic) => [topic, 1 + below(12)]))
  const same = index % 2 === 0
  const lives = 1 + below(12)
  const some = (): ReadonlyArray<string> => shuffled(topics).slice(0, 1 + below(topics.length))
  const all = [...topics, ...(below(4) === 0 ? ["missing"] : [])]
  const members = Array.from(
    { length: lives },
    (_, place): Member => ({
      memberId: `${"cCñ-"[below(4)]}${below(1000)}-${place}`,
      groupInstanceId: below(4) === 0 ? `${below(100)}-static-${place}` : undefined,
      topics: same ? shuffled(all) : some(),
      userData: null,
      owned: [],
      generation: -1,
      rackId: undefined
    })
  )
  if (index % 5 === 0) return { members, counts }
  // Dealt out in turn among those that were there before; some of them have left, some of today's had not come yet.
  const before = shuffled([...members.keys(), ...Array.from({ length: below(4) }, () => -1)])
  const there = before.slice(0, Math.max(1, before.length - below(4)))
  const owned = members.map((): Array<TopicPartition> => [])
  let turn = 0
  for (const [topic, size] of counts) {
    // What the topic has grown by has no owner yet.
    const older = below(5) === 0 ? below(size) : size
    for (let partition = 0; partition < older; partition++) {
      for (let tries = 0; tries < there.length; tries++) {
        const place = there[turn++ % there.length]
        if (place >= 0 && !members[place].topics.includes(topic) && below(10) > 0) continue
        if (place >= 0) owned[place].push({ topic, partition })
        break
      }
    }
  }
  const disputed = isDisputed(index)
  if (disputed)
    for (let times = 0; times < 4; times++) {
      const claim = owned[below(lives)].at(-1)
      const rival = below(lives)
      if (claim !== undefined && !owned[rival].includes(claim)) owned[rival].push(claim)
    }
  return {
    counts,
    members: members.map((member, place) => ({
      ...member,
      owned: owned[place],
      generation: disputed ? 5 - below(3) : owned[place].length > 0 ? 5 : -1
    }))
  }
}
