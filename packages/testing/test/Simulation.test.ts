/** The simulation itself: one seed is one history, and its checks can fail. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as Checks from "../simulation/Checks.ts"
import type { Event, Handed } from "../simulation/History.ts"
import * as Plan from "../simulation/Plan.ts"
import * as Run from "../simulation/Run.ts"
import { shrink } from "../simulation/Shrinking.ts"
import * as VirtualTime from "../simulation/VirtualTime.ts"

const main = fileURLToPath(new URL("../simulation/main.ts", import.meta.url))

describe("Simulation", () => {
  it("one seed is one history, in one process and in two", async () => {
    const plan = Plan.draw("4")
    const first = await Run.run("4", plan, true)
    const second = await Run.run("4", plan, true)
    assert.isAbove(first.lines.length, 200)
    assert.deepStrictEqual(first.problems, [])
    assert.deepStrictEqual(second, first)
    const args = [main, "--seed", "3", "--runs", "2", "--history", "--workers", "2"]
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 })
    assert.include(stdout, `seed 4: ${JSON.stringify(plan)}\n${first.lines.join("\n")}\n2 of 2 seeds from 3 on hold\n`)
  })

  it("seeds hold", async () => {
    for (const seed of ["5", "6", "7", "8"]) {
      assert.deepStrictEqual((await Run.run(seed, Plan.draw(seed), false)).problems, [])
    }
  })

  it("what is left behind is counted", async () => {
    const clean = await VirtualTime.run("1", 1000, () => Effect.delay(Effect.succeed("done"), "10 millis"))
    assert.deepStrictEqual(clean, { exit: Exit.succeed("done"), fibers: 0, timers: 0 })
    const leaking = Effect.forkDetach(Effect.sleep("1 hour"), { startImmediately: true })
    const left = await VirtualTime.run("1", 1000, () => Effect.asVoid(leaking))
    assert.deepStrictEqual(left, { exit: Exit.succeed(undefined), fibers: 1, timers: 1 })
    const stuck = await VirtualTime.run("1", 1000, () => Effect.never)
    assert.deepStrictEqual(stuck, { exit: undefined, fibers: 1, timers: 0 })
  })

  it("faults that a failure does not need are left out", async () => {
    const plan = {
      ...Plan.draw("1"),
      faults: [1, 2, 3, 4, 5, 6, 7].map((at) => ({ at, kind: "clock jump", milliseconds: 1 }))
    }
    const needs = async ({ faults }: Plan.Plan): Promise<boolean> =>
      [3, 6].every((needed) => faults.some(({ at }) => at === needed))
    const { faults } = await shrink(plan as Plan.Plan, needs)
    assert.deepStrictEqual(
      faults.map(({ at }) => at),
      [3, 6]
    )
  })
})

describe("Checks of the simulation", () => {
  const drawn = Plan.draw("1")
  const producer: Plan.ProducerPlan = { ...drawn.producers[0], name: "p", isIdempotent: true, deliveryTimeout: 120_000 }
  const plan: Plan.Plan = {
    ...drawn,
    producers: [producer],
    groups: [{ ...drawn.groups[0], name: "g", isStatic: false }],
    partitions: 1
  }
  /** Values p-0, p-1 …, whose keys alternate. */
  const log = (...values: ReadonlyArray<string>): ReadonlyArray<Checks.Logged> =>
    values.map((value, offset) => ({ offset, key: `k${offset % 2}`, value }))
  const outcome = (events: ReadonlyArray<Event>, ...values: ReadonlyArray<string>): Checks.Outcome => ({
    plan,
    events,
    healedAt: 0,
    logs: [log(...values)]
  })
  const sent = (value: string): Event => ({ kind: "sent", producer: "p", value, at: 0 })
  const acknowledged = (value: string, offset: number, at = 1): Event => ({
    kind: "acknowledged",
    producer: "p",
    value,
    at,
    partition: 0,
    offset
  })
  const failed = (value: string, maybeWritten: boolean, reason = "DeliveryTimeout"): Event => ({
    kind: "failed",
    producer: "p",
    value,
    at: 1,
    maybeWritten,
    reason,
    message: ""
  })
  const record = (offset: number): Handed => ({ partition: 0, offset, key: `k${offset % 2}`, value: `p-${offset}` })
  const handed = (...offsets: ReadonlyArray<number>): Event => ({
    kind: "handed",
    group: "g",
    member: "m",
    records: offsets.map(record),
    isPerKey: false,
    isRun: true
  })
  const finished = (...offsets: ReadonlyArray<number>): Event => ({
    kind: "finished",
    group: "g",
    member: "m",
    records: offsets.map(record)
  })
  const commit = (offset: number): Event => ({ kind: "commit", group: "g", member: "m", partition: 0, offset })
  const owns = (member: string, kind: "assigned" | "revoked" | "lost"): Event => ({
    kind,
    group: "g",
    member,
    partitions: [0]
  })
  const joined = (member: string, generation: number): Event => ({ kind: "joined", group: "g", member, generation })

  const holds = (check: (outcome: Checks.Outcome) => ReadonlyArray<string>, given: Checks.Outcome): void =>
    void assert.deepStrictEqual(check(given), [])
  const fails = (check: (outcome: Checks.Outcome) => ReadonlyArray<string>, given: Checks.Outcome): void =>
    void assert.isNotEmpty(check(given))

  it("acknowledgements", () => {
    const both = [sent("p-0"), sent("p-1")]
    holds(Checks.acknowledgements, outcome([...both, acknowledged("p-0", 0), failed("p-1", true)], "p-0", "p-1"))
    fails(Checks.acknowledgements, outcome([...both, acknowledged("p-0", 0), failed("p-1", false)], "p-0", "p-1"))
    fails(Checks.acknowledgements, outcome([sent("p-0"), acknowledged("p-0", 0)]))
    fails(Checks.acknowledgements, outcome([sent("p-0"), acknowledged("p-0", 1)], "p-0"))
    fails(Checks.acknowledgements, outcome([sent("p-0"), acknowledged("p-0", 0)], "p-0", "p-0"))
    fails(Checks.acknowledgements, outcome([sent("p-0"), acknowledged("p-0", 0, 30_000)], "p-0"))
    fails(Checks.acknowledgements, outcome([sent("p-0"), failed("p-0", true, "InvalidRecord")]))
    fails(Checks.acknowledgements, outcome([sent("p-0")], "p-0"))
    fails(Checks.acknowledgements, outcome([], "p-0"))
  })

  it("the order of a producer", () => {
    holds(Checks.producerOrder, outcome([], "p-0", "p-2", "p-2", "p-3"))
    fails(Checks.producerOrder, outcome([], "p-0", "p-2", "p-1"))
  })

  it("processing", () => {
    holds(Checks.processing, outcome([handed(0), finished(0)], "p-0"))
    fails(Checks.processing, outcome([handed(0)], "p-0"))
    fails(Checks.processing, outcome([handed(0), finished(0)], "p-1"))
  })

  it("the order of processing", () => {
    holds(Checks.processingOrder, outcome([handed(0, 1), finished(0, 1), handed(2)], "p-0", "p-1", "p-2"))
    fails(Checks.processingOrder, outcome([handed(0), finished(0), handed(2)], "p-0", "p-1", "p-2"))
    const perKey = { ...handed(2), isPerKey: true } as Event
    holds(Checks.processingOrder, outcome([handed(0), finished(0), perKey], "p-0", "p-1", "p-2"))
    fails(Checks.processingOrder, outcome([handed(0), perKey], "p-0", "p-1", "p-2"))
  })

  it("commits", () => {
    holds(Checks.commits, outcome([handed(0), finished(0), commit(1)], "p-0", "p-1"))
    fails(Checks.commits, outcome([handed(0), commit(1), finished(0)], "p-0", "p-1"))
    fails(Checks.commits, outcome([handed(0), finished(0), commit(2)], "p-0"))
    const committed = (offset: number): Event => ({ kind: "committed", group: "g", partition: 0, offset })
    holds(Checks.committedOnwards, outcome([committed(1), committed(1), committed(2)]))
    fails(Checks.committedOnwards, outcome([committed(2), committed(1)]))
  })

  it("no work is done twice under one ownership", () => {
    const again = [owns("m", "assigned"), handed(0), finished(0)]
    holds(Checks.onwards, outcome([...again, owns("m", "revoked"), owns("m", "assigned"), handed(0)], "p-0"))
    fails(Checks.onwards, outcome([...again, handed(0)], "p-0"))
  })

  it("revocation", () => {
    holds(Checks.revocation, outcome([handed(0), finished(0), owns("m", "revoked")], "p-0"))
    fails(Checks.revocation, outcome([handed(0), owns("m", "revoked")], "p-0"))
  })

  it("owners at the end", () => {
    holds(Checks.unowned, outcome([owns("a", "assigned"), owns("a", "revoked"), owns("b", "assigned")]))
    fails(Checks.unowned, outcome([owns("a", "assigned"), owns("a", "revoked")]))
    fails(Checks.unowned, outcome([owns("a", "assigned"), owns("b", "assigned")]))
  })

  it("owners", () => {
    const one = [joined("a", 1), owns("a", "assigned")]
    holds(Checks.owners, outcome([...one, owns("a", "revoked"), joined("b", 1), owns("b", "assigned")]))
    holds(Checks.owners, outcome([...one, joined("b", 2), owns("b", "assigned")]))
    holds(
      Checks.owners,
      outcome([...one, { kind: "gone", group: "g", member: "a" }, joined("b", 1), owns("b", "assigned")])
    )
    fails(Checks.owners, outcome([...one, joined("b", 1), owns("b", "assigned")]))
    holds(Checks.owners, outcome([joined("m", 1), owns("m", "assigned"), handed(0)], "p-0"))
    fails(Checks.owners, outcome([joined("m", 1), owns("m", "assigned"), owns("m", "lost"), handed(0)], "p-0"))
  })
})
