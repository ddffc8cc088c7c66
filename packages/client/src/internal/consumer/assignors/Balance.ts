/**
 * Shares out partitions as evenly as the subscriptions allow and moves few of those that have an owner.
 *
 * First everybody keeps what is theirs and may be; then the rest goes, one by one, to the least loaded. Then the most
 * loaded member hands one partition on, directly or by way of others who hand one on in turn, to a member with at least
 * two fewer, as long as there is such a path. No such path is left at the end, which makes the result the most even one
 * there is (Harvey et al., "Semi-matchings for bipartite graphs and load balancing").
 *
 * Members, topics and partitions are numbers here; topics with the same subscribers form a group, so that a search looks
 * at each set of subscribers once, however many topics there are.
 *
 * @since 0.1.0
 */

/** @internal */
export interface Topic {
  readonly name: string
  /** How many partitions it has, at least one. */
  readonly count: number
  /** The number of its partition 0; the others follow. */
  readonly first: number
  /** Members, at least one, in order. */
  readonly subscribers: ReadonlyArray<number>
}

/** Topics with the same subscribers. */
interface Group {
  readonly place: number
  readonly subscribers: ReadonlyArray<number>
}

/** What a member holds of a topic. */
interface Holding {
  readonly topic: Topic
  readonly group: Group
  /** Had before: to take these away is movement. */
  readonly kept: Array<number>
  /** Got now. */
  readonly fresh: Array<number>
}

interface Load {
  total: number
  /** By topic. */
  readonly holdings: Map<Topic, Holding>
}

/**
 * The member of each partition. `previous` has the owner of each before, or -1; one that has not subscribed to the topic
 * loses it.
 *
 * @internal
 */
export const assign = (topics: ReadonlyArray<Topic>, memberCount: number, previous: Int32Array): Int32Array => {
  const state = new State(topics, memberCount, previous)
  state.keep()
  state.placeRest()
  state.even()
  return state.assigned
}

const groupsOf = (topics: ReadonlyArray<Topic>): ReadonlyMap<Topic, Group> => {
  const groups = new Map<string, Group>()
  return new Map(
    topics.map((topic) => {
      const key = topic.subscribers.join()
      const group = groups.get(key) ?? { place: groups.size, subscribers: topic.subscribers }
      groups.set(key, group)
      return [topic, group]
    })
  )
}

class State {
  readonly assigned: Int32Array
  private readonly topics: ReadonlyArray<Topic>
  private readonly previous: Int32Array
  private readonly groups: ReadonlyMap<Topic, Group>
  private readonly subscribed: ReadonlyMap<Group, ReadonlySet<number>>
  private readonly loads: ReadonlyArray<Load>
  /** Members whose load is final: no path leads from them to a lesser load, nor will. */
  private readonly settled: Uint8Array

  constructor(topics: ReadonlyArray<Topic>, memberCount: number, previous: Int32Array) {
    this.topics = topics
    this.previous = previous
    this.assigned = new Int32Array(previous.length).fill(-1)
    this.groups = groupsOf(topics)
    this.subscribed = new Map(Array.from(this.groups.values(), (group) => [group, new Set(group.subscribers)]))
    this.loads = Array.from({ length: memberCount }, () => ({ total: 0, holdings: new Map() }))
    this.settled = new Uint8Array(memberCount)
  }

  keep(): void {
    for (const topic of this.topics) {
      const subscribed = this.subscribed.get(this.groupOf(topic))!
      for (let index = topic.first; index < topic.first + topic.count; index++)
        if (subscribed.has(this.previous[index])) this.give(topic, index, this.previous[index])
    }
  }

  /** Topics with few subscribers first: the others have more choice left. */
  placeRest(): void {
    const byChoice = this.topics.toSorted((one, other) => one.subscribers.length - other.subscribers.length)
    for (const topic of byChoice)
      for (let index = topic.first; index < topic.first + topic.count; index++)
        if (this.assigned[index] < 0) this.give(topic, index, this.leastLoaded(topic))
  }

  even(): void {
    for (let from = this.mostLoaded(); from >= 0; from = this.mostLoaded()) {
      const path = this.pathFrom(from)
      for (let step = 1; step < path.length; step++) this.handOn(path[step - 1], path[step])
    }
  }

  private groupOf(topic: Topic): Group {
    return this.groups.get(topic)!
  }

  private heldOf(member: number, topic: Topic): number {
    const holding = this.loads[member].holdings.get(topic)
    return holding === undefined ? 0 : holding.kept.length + holding.fresh.length
  }

  private give(topic: Topic, index: number, member: number): void {
    const load = this.loads[member]
    let holding = load.holdings.get(topic)
    if (holding === undefined) {
      holding = { topic, group: this.groupOf(topic), kept: [], fresh: [] }
      load.holdings.set(topic, holding)
    }
    const list = this.previous[index] === member ? holding.kept : holding.fresh
    list.push(index)
    load.total++
    this.assigned[index] = member
  }

  /** Of equals the one with the fewest partitions of this topic, so that topics are spread. */
  private leastLoaded(topic: Topic): number {
    const { subscribers } = topic
    let least = subscribers[0]
    for (const member of subscribers) {
      const difference = this.loads[member].total - this.loads[least].total
      if (difference < 0 || (difference === 0 && this.heldOf(member, topic) < this.heldOf(least, topic))) least = member
    }
    return least
  }

  /** Of those that are not settled; -1 if all are. */
  private mostLoaded(): number {
    let most = -1
    for (let member = 0; member < this.loads.length; member++)
      if (this.settled[member] === 0 && (most < 0 || this.loads[member].total > this.loads[most].total)) most = member
    return most
  }

  /**
   * The members by way of which a partition goes to one with at least two fewer: of the paths that take the fewest kept
   * partitions away, one to the least loaded. If there is none, all that were reached are settled: they can only hand
   * on among themselves, and differ by one at most.
   */
  private pathFrom(from: number): ReadonlyArray<number> {
    const memberCost = new Array<number>(this.loads.length).fill(Number.POSITIVE_INFINITY)
    const groupCost = new Array<number>(this.subscribed.size).fill(Number.POSITIVE_INFINITY)
    const before = new Int32Array(this.loads.length).fill(-1)
    memberCost[from] = 0
    for (let cost = 0, level = [from]; level.length > 0; cost++) {
      const next: Array<number> = []
      let target = from
      // The level grows on the way: to hand on what is fresh costs nothing.
      for (const member of level) {
        if (memberCost[member] !== cost) continue
        if (this.loads[member].total < this.loads[target].total) target = member
        for (const { fresh, group } of this.loads[member].holdings.values()) {
          const beyond = fresh.length > 0 ? cost : cost + 1
          if (groupCost[group.place] <= beyond) continue
          groupCost[group.place] = beyond
          for (const taker of group.subscribers) {
            if (this.settled[taker] === 1 || memberCost[taker] <= beyond) continue
            memberCost[taker] = beyond
            before[taker] = member
            if (beyond === cost) level.push(taker)
            else next.push(taker)
          }
        }
      }
      if (this.loads[target].total <= this.loads[from].total - 2) return backwards(before, target)
      level = next
    }
    memberCost.forEach((cost, member) => {
      if (cost < Number.POSITIVE_INFINITY) this.settled[member] = 1
    })
    return []
  }

  /** Takes what costs least: what was the taker's before, then what is fresh; of equals from the topic most one-sided. */
  private handOn(from: number, to: number): void {
    let best: Holding | undefined
    let bestRank = 0
    let bestSurplus = 0
    for (const holding of this.loads[from].holdings.values()) {
      if (!this.subscribed.get(holding.group)!.has(to)) continue
      const { fresh, topic } = holding
      const rank = fresh.length === 0 ? 0 : fresh.some((index) => this.previous[index] === to) ? 2 : 1
      const surplus = this.heldOf(from, topic) - this.heldOf(to, topic)
      if (best !== undefined && (rank < bestRank || (rank === bestRank && surplus <= bestSurplus))) continue
      best = holding
      bestRank = rank
      bestSurplus = surplus
    }
    // The path was found by way of a topic of which `from` has a partition and to which `to` has subscribed.
    this.move(best!, from, to)
  }

  private move({ fresh, kept, topic }: Holding, from: number, to: number): void {
    const list = fresh.length > 0 ? fresh : kept
    const returning = fresh.findIndex((index) => this.previous[index] === to)
    const [index] = list.splice(returning, 1)
    const load = this.loads[from]
    load.total--
    if (fresh.length + kept.length === 0) load.holdings.delete(topic)
    this.give(topic, index, to)
  }
}

/** The path that ends at the target. */
const backwards = (before: Int32Array, target: number): ReadonlyArray<number> => {
  const path: Array<number> = []
  for (let member = target; member >= 0; member = before[member]) path.unshift(member)
  return path
}
