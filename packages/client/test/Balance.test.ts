import { assert, describe, it } from "@effect/vitest"
import * as Balance from "../src/internal/consumer/assignors/Balance.ts"
import { randomOf } from "./random.ts"

interface Problem {
  readonly topics: ReadonlyArray<Balance.Topic>
  readonly memberCount: number
  readonly previous: Int32Array
}

/** Members with any subscriptions, who had anything, or what was even before some subscribed to more. */
const problemOf = (seed: number): Problem => {
  const random = randomOf(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const memberCount = 2 + below(9)
  let first = 0
  const topics = Array.from({ length: 1 + below(6) }, (_, at): Balance.Topic => {
    const count = 1 + below(8)
    const subscribers = Array.from({ length: memberCount }, (_, member) => member).filter(() => below(2) === 0)
    if (subscribers.length === 0) subscribers.push(below(memberCount))
    first += count
    return { name: `t${at}`, count, first: first - count, subscribers }
  })
  if (below(3) === 0)
    return { topics, memberCount, previous: Int32Array.from({ length: first }, () => below(memberCount + 1) - 1) }
  const earlier = topics.map((topic) => {
    const subscribers = topic.subscribers.filter(() => below(5) > 0)
    return subscribers.length === 0 ? topic : { ...topic, subscribers }
  })
  const gone = below(memberCount * 2)
  const before = Balance.assign(earlier, memberCount, new Int32Array(first).fill(-1))
  return { topics, memberCount, previous: before.map((member) => (member === gone ? -1 : member)) }
}

const subscribersOf = ({ previous, topics }: Problem): ReadonlyArray<ReadonlyArray<number>> => {
  const subscribers: Array<ReadonlyArray<number>> = new Array(previous.length)
  for (const topic of topics) subscribers.fill(topic.subscribers, topic.first, topic.first + topic.count)
  return subscribers
}

const measure = (problem: Problem, owners: ArrayLike<number>) => {
  const subscribers = subscribersOf(problem)
  const loads = new Array<number>(problem.memberCount).fill(0)
  let moved = 0
  problem.previous.forEach((last, index) => {
    loads[owners[index]]++
    if (subscribers[index].includes(last) && owners[index] !== last) moved++
  })
  return { squares: loads.reduce((sum, load) => sum + load * load, 0), moved }
}

/** More than all movement together can cost. */
const uneven = 1000

/** The most even assignment with the least movement, found the slow way: cheapest paths, one partition at a time. */
const optimum = (problem: Problem): ReadonlyArray<number> => {
  const subscribers = subscribersOf(problem)
  const cost = (index: number, member: number) => {
    const last = problem.previous[index]
    return last !== member && subscribers[index].includes(last) ? 1 : 0
  }
  const owners: Array<number> = []
  const loads = new Array<number>(problem.memberCount).fill(0)
  for (let newest = 0; newest < problem.previous.length; newest++) {
    const costs = loads.map((_, member) => (subscribers[newest].includes(member) ? cost(newest, member) : Infinity))
    // The partition that comes, and who has it now; nobody has the newest.
    const steps = loads.map(() => ({ index: newest, from: -1 }))
    for (let changed = true; changed; ) {
      changed = false
      owners.forEach((from, index) => {
        for (const to of subscribers[index]) {
          const through = costs[from] + cost(index, to) - cost(index, from)
          if (to === from || through >= costs[to]) continue
          costs[to] = through
          steps[to] = { index, from }
          changed = true
        }
      })
    }
    const whole = costs.map((each, member) => each + uneven * (2 * loads[member] + 1))
    let member = whole.indexOf(Math.min(...whole))
    loads[member]++
    while (member >= 0) {
      const { from, index } = steps[member]
      owners[index] = member
      member = from
    }
  }
  return owners
}

describe("Balance", () => {
  it("is as even as can be, and moves hardly more than must be, whatever the subscriptions", () => {
    let [moved, least] = [0, 0]
    for (let seed = 1; seed <= 300; seed++) {
      const problem = problemOf(seed)
      const ours = measure(problem, Balance.assign(problem.topics, problem.memberCount, problem.previous))
      const best = measure(problem, optimum(problem))
      assert.strictEqual(ours.squares, best.squares, `seed ${seed}`)
      assert.isAtMost(ours.moved, best.moved + 1, `seed ${seed}`)
      moved += ours.moved
      least += best.moved
    }
    assert.isAbove(least, 200)
    assert.isAtMost(moved, least * 1.02)
  })

  it("moves nothing where nothing changed", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const { memberCount, previous, topics } = problemOf(seed)
      const owners = Balance.assign(topics, memberCount, previous)
      assert.deepStrictEqual(Balance.assign(topics, memberCount, owners), owners)
    }
  })

  it("what was held back is placed without moving anything else", () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const { memberCount, previous, topics } = problemOf(seed)
      const random = randomOf(seed)
      const target = Balance.assign(topics, memberCount, previous)
      const kept = target.map((member) => (random() < 0.5 ? member : -1))
      const owners = Balance.assign(topics, memberCount, kept)
      kept.forEach((member, index) => {
        if (member >= 0) assert.strictEqual(owners[index], member, `seed ${seed}`)
      })
    }
  })
})
