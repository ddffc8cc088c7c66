/** Members in processes of their own, and what time does to them: slow work, a blocked process, restarts, growth. */
import { assert, it } from "@effect/vitest"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, type Scope } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as GroupObserver from "./GroupObserver.ts"
import * as MemberProcess from "./MemberProcess.ts"
import type { MemberSettings } from "./memberMain.ts"
import { examine } from "./memberReport.ts"

const sessionTimeout = 2000

const until = (holds: () => boolean, seconds = 30): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(50), until(holds)))).pipe(
    Effect.timeoutOrElse({
      duration: seconds * 1000,
      orElse: () => Effect.die(new Error(`waited ${seconds} s in vain until ${holds}`))
    })
  )

const started = Effect.gen(function* () {
  const { bootstrapServers } = yield* KafkaCluster.start({ properties: { "group.min.session.timeout.ms": "1000" } })
  const kafka = yield* Kafka.make({ bootstrapServers })
  const processes = yield* MemberProcess.make
  const create = (name: string, numPartitions: number) =>
    kafka.request("controller", CreateTopics, {
      topics: [{ name, numPartitions, replicationFactor: 1 }],
      timeoutMs: 20_000
    })
  const grow = Effect.fnUntraced(function* (name: string, count: number) {
    const topics = [{ name, count, assignments: null }]
    yield* kafka.request("controller", CreatePartitions, { topics, timeoutMs: 20_000 })
    yield* Effect.repeat(Effect.andThen(Effect.sleep(50), kafka.cluster.refresh([name])), {
      until: ({ topics }) => topics.get(name)?.partitions.length === count
    })
  })
  const producer = yield* Producer.make().pipe(Effect.provideService(Kafka.Kafka, kafka))
  /** Numbers, one after the other into each of the partitions. */
  const produce = (name: string, from: number, count: number, partitions: number) =>
    producer.sendAll(
      Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string }),
      Array.from({ length: count }, (_, index) => ({
        key: null,
        value: String(from + index),
        partition: (from + index) % partitions
      }))
    )
  const join = (name: string, settings: Pick<MemberSettings, "groupId" | "topic"> & Partial<MemberSettings>) =>
    processes.start(name, {
      ...{ bootstrapServers, sessionTimeout, heartbeatInterval: 200, maxPollInterval: 10_000 },
      ...{ autoCommitInterval: 200, metadataMaxAge: 500, work: 0 },
      ...settings
    })
  const values = () => examine(processes.all(), { sessionTimeout }).values
  return { kafka, processes, create, grow, produce, join, values }
})

const joins = (member: MemberProcess.MemberProcess): number =>
  member.lines().filter((line) => line.what === "log" && line.text.startsWith("joining")).length

/** How often anything of a rebalance has happened to a member. */
const disturbed = (member: MemberProcess.MemberProcess) => [
  joins(member),
  happened(member, "assigned"),
  happened(member, "revoked"),
  happened(member, "lost")
]

const happened = (member: MemberProcess.MemberProcess, what: "assigned" | "revoked" | "lost"): number =>
  member.lines().filter((line) => line.what === what).length

describeRig("Groups and time", () => {
  const live = <E>(name: string, body: () => Effect.Effect<void, E, Scope.Scope>) => it.live(name, body, 120_000)

  live("work that takes three times the session timeout: no rebalance, and its commits are taken", () =>
    Effect.gen(function* () {
      const { create, join, kafka, processes, produce } = yield* started
      yield* create("slow", 2)
      yield* produce("slow", 0, 10, 2)
      const groupId = "slow"
      const member = join("slow", { groupId, topic: "slow", work: 3 * sessionTimeout })
      const observer = yield* GroupObserver.watch(kafka, groupId)
      const done = () => member.lines().filter(({ what }) => what === "done").length
      yield* until(() => done() === 2)
      yield* produce("slow", 10, 10, 2)
      yield* until(() => done() === 4)
      yield* Effect.sleep(sessionTimeout)
      assert.deepStrictEqual([joins(member), happened(member, "revoked"), happened(member, "lost")], [1, 0, 0])
      assert.deepStrictEqual([...(yield* observer.committed).values()], [10, 10])
      const { sightings } = observer
      assert.deepStrictEqual(examine(processes.all(), { sessionTimeout, sightings }).faults, [])
    })
  )

  live(
    "a process that is blocked for longer than the session: others go on, it joins again, commits nothing stale",
    () =>
      Effect.gen(function* () {
        const { create, join, kafka, processes, produce, values } = yield* started
        yield* create("blocked", 4)
        const groupId = "blocked"
        const block = { from: 200, millis: 3 * sessionTimeout }
        const one = join("blocked", { groupId, topic: "blocked", block })
        const two = join("other", { groupId, topic: "blocked" })
        const observer = yield* GroupObserver.watch(kafka, groupId)
        yield* until(() => one.owned().size === 2 && two.owned().size === 2)
        yield* produce("blocked", 0, 200, 4)
        yield* until(() => values().size === 200)
        yield* Effect.sleep(500)
        yield* produce("blocked", 200, 40, 4)
        yield* until(() => two.owned().size === 4)
        // It was dead for the group from then on, as if it had been paused.
        const begun = one
          .lines()
          .find((line) => line.what === "begin" && line.values.some((value) => Number(value) >= 200))
        assert.isDefined(begun)
        one.pauses.push({ from: begun.at, to: begun.at + block.millis * 1000 })
        yield* until(() => values().size === 240)
        yield* until(() => one.owned().size === 2 && two.owned().size === 2)
        yield* produce("blocked", 240, 40, 4)
        yield* until(() => values().size === 280)
        yield* Effect.sleep(500)
        assert.deepStrictEqual([happened(one, "lost"), happened(two, "lost")], [1, 0])
        assert.deepStrictEqual([...(yield* observer.committed).values()], [70, 70, 70, 70])
        const { faults } = examine(processes.all(), { sessionTimeout, sightings: observer.sightings })
        assert.deepStrictEqual(faults, [])
      })
  )

  live("C101 a static member that restarts within the session gets back what it had; the others notice nothing", () =>
    Effect.gen(function* () {
      const { create, join, processes, produce, values } = yield* started
      yield* create("static", 6)
      const group = { groupId: "static", topic: "static", sessionTimeout: 10_000 }
      const names = ["a", "b", "c"]
      const first = names.map((name) => join(name, { ...group, groupInstanceId: name }))
      yield* until(() => first.every((member) => member.owned().size === 2))
      yield* produce("static", 0, 600, 6)
      yield* until(() => values().size === 600)
      const [a, ...others] = first
      const before = a.owned()
      const disturbedBefore = others.map(disturbed)
      a.stop()
      yield* a.ended
      yield* produce("static", 600, 600, 6)
      const again = join("a again", { ...group, groupInstanceId: "a" })
      yield* until(() => again.owned().size === 2)
      assert.deepStrictEqual([...again.owned()].sort(), [...before].sort())
      yield* until(() => values().size === 1200)
      // Longer than a rebalance of the others would wait to show.
      yield* Effect.sleep(2000)
      assert.deepStrictEqual(others.map(disturbed), disturbedBefore)
      const { faults, repeated } = examine(processes.all(), { sessionTimeout: 10_000 })
      assert.deepStrictEqual(faults, [])
      assert.strictEqual(repeated, 0)
    })
  )

  live("C101 a killed static member comes back under its name: it has its partitions at once", () =>
    Effect.gen(function* () {
      const { create, join, produce, values } = yield* started
      yield* create("static", 4)
      const group = { groupId: "static", topic: "static", sessionTimeout: 20_000 }
      const a = join("a", { ...group, groupInstanceId: "a" })
      const b = join("b", { ...group, groupInstanceId: "b" })
      yield* until(() => a.owned().size === 2 && b.owned().size === 2)
      yield* produce("static", 0, 400, 4)
      yield* until(() => values().size === 400)
      const before = a.owned()
      const disturbedBefore = disturbed(b)
      a.kill()
      yield* a.ended
      yield* produce("static", 400, 400, 4)
      const again = join("a again", { ...group, groupInstanceId: "a" })
      yield* until(() => again.owned().size === 2, 10)
      assert.deepStrictEqual([...again.owned()].sort(), [...before].sort())
      yield* until(() => values().size === 800)
      assert.deepStrictEqual(disturbed(b), disturbedBefore)
    })
  )

  live("C103 new partitions, and new topics of a pattern, are shared out and read from their beginning", () =>
    Effect.gen(function* () {
      const { create, grow, join, processes, produce, values } = yield* started
      yield* create("grow-1", 2)
      yield* create("other", 2)
      const group = { groupId: "grow", topic: "/^grow-/" }
      const members = ["a", "b"].map((name) => join(name, group))
      const owned = () => members.map((member) => member.owned().size)
      yield* until(() => owned().join() === "1,1")
      yield* produce("grow-1", 0, 100, 2)
      yield* until(() => values().size === 100)
      yield* grow("grow-1", 6)
      yield* produce("grow-1", 100, 600, 6)
      yield* until(() => owned().join() === "3,3")
      yield* until(() => values().size === 700)
      yield* create("grow-2", 4)
      yield* produce("grow-2", 700, 400, 4)
      yield* until(() => owned().join() === "5,5")
      yield* until(() => values().size === 1100)
      const { faults, repeated } = examine(processes.all(), { sessionTimeout })
      assert.deepStrictEqual(faults, [])
      assert.strictEqual(repeated, 0)
      for (const member of members) assert.strictEqual(happened(member, "lost"), 0)
    })
  )
})
