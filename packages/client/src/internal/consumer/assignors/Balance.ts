/**
 * Shares out partitions as evenly as the subscriptions allow and moves few of those that have an owner.
 *
 * First everybody keeps what is theirs and may be; then the rest goes, one by one, to the least loaded. Then the most
 * loaded member hands one partition on, directly or by way of others who hand one on in turn, to a member with at least
 * two fewer, as long as there is such a path. No such path is left at the end, which makes the result the most even one
 * there is (Harvey et al., "Semi-matchings for bipartite graphs and load balancing"). Movement is the least there is
 * where all subscribe to the same, and within a few hundredths of it elsewhere.
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
  /** Had before: to take these away is movement. */
  readonly kept: Array<number>
  /** Got now. */
  readonly fresh: Array<number>
}

/** What a member holds of the topics of a group; only topics of which it holds something. */
interface GroupHolding {
  readonly byTopic: Map<Topic, Holding>
  /** How many are fresh. */
  fresh: number
}

interface Load {
  total: number
  /** Only groups of which it holds something. */
  readonly byGroup: Map<Group, GroupHolding>
}

interface Search {
  /** From the first to the last. */
  readonly path: ReadonlyArray<number>
  /** All members that were looked at. */
  readonly reached: ReadonlyArray<number>
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
  // What is fresh comes first. So the cooperative assignor, when it gives what it held back, moves nothing again.
  state.even(0)
  state.even(Number.POSITIVE_INFINITY)
  state.giveBack()
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
    this.loads = Array.from({ length: memberCount }, () => ({ total: 0, byGroup: new Map() }))
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

  /** By paths that take no more than so many kept partitions away. */
  even(maxCost: number): void {
    this.settled.fill(0)
    for (let from = this.mostLoaded(); from >= 0; from = this.mostLoaded()) {
      const enough = this.totalOf(from) - 2
      const { path, reached } = this.search(from, maxCost, (member) => this.totalOf(member) <= enough)
      this.handAlong(path)
      // They can only hand on among themselves and differ by one at most: no later move reaches them.
      if (path.length === 0) for (const member of reached) this.settled[member] = 1
    }
  }

  /** Gives back what moved, where the last owner can hand something fresh on instead and it stays as even. */
  giveBack(): void {
    this.settled.fill(0)
    for (const topic of this.topics)
      for (let index = topic.first; index < topic.first + topic.count; index++) {
        const [from, to] = [this.assigned[index], this.previous[index]]
        if (to === from || !this.subscribed.get(this.groupOf(topic))!.has(to)) continue
        const fits = (member: number): boolean => member === from || this.totalOf(member) < this.totalOf(from)
        const { path } = this.search(to, 0, fits)
        if (path.length === 0) continue
        this.move(topic, "fresh", this.holdingOf(from, topic)!.fresh.indexOf(index), from, to)
        this.handAlong(path)
      }
  }

  private groupOf(topic: Topic): Group {
    return this.groups.get(topic)!
  }

  private totalOf(member: number): number {
    return this.loads[member].total
  }

  private holdingOf(member: number, topic: Topic): Holding | undefined {
    return this.loads[member].byGroup.get(this.groupOf(topic))?.byTopic.get(topic)
  }

  private heldOf(member: number, topic: Topic): number {
    const holding = this.holdingOf(member, topic)
    return holding === undefined ? 0 : holding.kept.length + holding.fresh.length
  }

  private give(topic: Topic, index: number, member: number): void {
    const load = this.loads[member]
    const group = this.groupOf(topic)
    const ofGroup = load.byGroup.get(group) ?? { byTopic: new Map(), fresh: 0 }
    const holding: Holding = ofGroup.byTopic.get(topic) ?? { kept: [], fresh: [] }
    if (holding.kept.length + holding.fresh.length === 0) {
      load.byGroup.set(group, ofGroup)
      ofGroup.byTopic.set(topic, holding)
    }
    if (this.previous[index] === member) holding.kept.push(index)
    else {
      holding.fresh.push(index)
      ofGroup.fresh++
    }
    load.total++
    this.assigned[index] = member
  }

  /** The partition at that place, -1 for the last, of those of the topic that its owner keeps or got. */
  private move(topic: Topic, which: "kept" | "fresh", at: number, from: number, to: number): void {
    const load = this.loads[from]
    const group = this.groupOf(topic)
    const ofGroup = load.byGroup.get(group)!
    const holding = ofGroup.byTopic.get(topic)!
    const [index] = holding[which].splice(at, 1)
    if (which === "fresh") ofGroup.fresh--
    if (holding.kept.length + holding.fresh.length === 0) ofGroup.byTopic.delete(topic)
    if (ofGroup.byTopic.size === 0) load.byGroup.delete(group)
    load.total--
    this.give(topic, index, to)
  }

  /** Of equals the one with the fewest partitions of this topic, so that topics are spread. */
  private leastLoaded(topic: Topic): number {
    const { subscribers } = topic
    let least = subscribers[0]
    for (const member of subscribers) {
      const difference = this.totalOf(member) - this.totalOf(least)
      if (difference < 0 || (difference === 0 && this.heldOf(member, topic) < this.heldOf(least, topic))) least = member
    }
    return least
  }

  /** Of those that are not settled; -1 if all are. */
  private mostLoaded(): number {
    let most = -1
    for (let member = 0; member < this.loads.length; member++)
      if (this.settled[member] === 0 && (most < 0 || this.totalOf(member) > this.totalOf(most))) most = member
    return most
  }

  /**
   * The members by way of which a partition goes from the first to one that will do: of the paths that take the fewest
   * kept partitions away, one to the least loaded. None if there is none.
   */
  private search(from: number, maxCost: number, willDo: (member: number) => boolean): Search {
    const memberCost = new Array<number>(this.loads.length).fill(Number.POSITIVE_INFINITY)
    const groupCost = new Array<number>(this.subscribed.size).fill(Number.POSITIVE_INFINITY)
    const before = new Int32Array(this.loads.length).fill(-1)
    const reached: Array<number> = []
    memberCost[from] = 0
    for (let cost = 0, level = [from]; level.length > 0 && cost <= maxCost; cost++) {
      const next: Array<number> = []
      let target = -1
      // The level grows on the way: to hand on what is fresh costs nothing.
      for (const member of level) {
        if (memberCost[member] !== cost) continue
        reached.push(member)
        if (willDo(member) && (target < 0 || this.totalOf(member) < this.totalOf(target))) target = member
        for (const [group, { fresh }] of this.loads[member].byGroup) {
          const beyond = fresh > 0 ? cost : cost + 1
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
      if (target >= 0) return { path: backwards(before, target), reached }
      level = next
    }
    return { path: [], reached }
  }

  private handAlong(path: ReadonlyArray<number>): void {
    for (let step = 1; step < path.length; step++) this.handOn(path[step - 1], path[step])
  }

  /** Takes what is fresh, as long as there is any; of equals from the topic most one-sided. */
  private handOn(from: number, to: number): void {
    let best: Topic | undefined
    let bestIsFresh = false
    let bestSurplus = 0
    for (const [group, { byTopic }] of this.loads[from].byGroup) {
      if (!this.subscribed.get(group)!.has(to)) continue
      for (const [topic, { fresh }] of byTopic) {
        const isFresh = fresh.length > 0
        const surplus = this.heldOf(from, topic) - this.heldOf(to, topic)
        if (best !== undefined && (isFresh === bestIsFresh ? surplus <= bestSurplus : bestIsFresh)) continue
        best = topic
        bestIsFresh = isFresh
        bestSurplus = surplus
      }
    }
    // The path was found by way of a topic of which `from` has a partition and to which `to` has subscribed.
    this.move(best!, bestIsFresh ? "fresh" : "kept", -1, from, to)
  }
}

/** The path that ends at the target. */
const backwards = (before: Int32Array, target: number): ReadonlyArray<number> => {
  const path: Array<number> = []
  for (let member = target; member >= 0; member = before[member]) path.unshift(member)
  return path
}
