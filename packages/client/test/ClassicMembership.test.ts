import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import { Effect, type Scope } from "effect"
import * as Assignor from "../src/Assignor.ts"
import type { Cluster } from "../src/Cluster.ts"
import * as ClassicMembership from "../src/internal/consumer/ClassicMembership.ts"
import type { Handlers, Membership, Options } from "../src/internal/consumer/Membership.ts"
import type { TopicPartition } from "../src/Topic.ts"
import { until } from "./harness.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import * as ScriptedGroup from "./ScriptedGroup.ts"

const describePartitions = (partitions: ReadonlyArray<TopicPartition>): string =>
  partitions
    .map(({ partition, topic }) => `${topic}${partition}`)
    .sort()
    .join(" ")

interface Joined {
  readonly membership: Membership
  /** What the handlers were told, in order. */
  readonly events: Array<string>
  topics: ReadonlyArray<string>
  readonly has: () => string
}

/** A member with short times. */
const join = (
  cluster: Cluster,
  options: Partial<Options> & { readonly handlers?: Partial<Handlers> } = {}
): Effect.Effect<Joined, never, Scope.Scope> =>
  Effect.gen(function* () {
    const events: Array<string> = []
    const tell = (name: string) => (partitions: ReadonlyArray<TopicPartition>) =>
      Effect.sync(() => void events.push(`${name} ${describePartitions(partitions)}`.trim()))
    const joined: { topics: ReadonlyArray<string> } = { topics: ["a"] }
    const membership: Membership = yield* ClassicMembership.make(
      cluster,
      {
        groupId: "g",
        groupInstanceId: undefined,
        sessionTimeout: 3000,
        heartbeatInterval: 50,
        rebalanceTimeout: 4000,
        assignors: [Assignor.range],
        subscription: () => joined.topics,
        clientRack: undefined,
        ...options
      },
      { assign: tell("assign"), revoke: tell("revoke"), lost: tell("lost"), ...options.handlers }
    )
    const has = () => describePartitions(membership.assigned())
    return Object.assign(joined, { membership, events, has })
  })

/** A cluster whose second node coordinates, with topics `a` of 2 partitions and `b` of 1. */
const start = Effect.gen(function* () {
  const scripted = yield* ScriptedCluster.make(2)
  const partitions = (count: number) => Array.from({ length: count }, () => ({ leader: 1, epoch: 0 }))
  scripted.topics.set("a", { partitions: partitions(2) })
  scripted.topics.set("b", { partitions: partitions(1) })
  const coordinator = yield* ScriptedGroup.make(scripted)
  const cluster = yield* ScriptedCluster.connect(scripted)
  const [first, second] = scripted.brokers
  return { scripted, coordinator, group: coordinator.group("g"), cluster, first, second, partitions }
})

describe("ClassicMembership", () => {
  it.live("C96 C97: joins with the id that it was told to, and heartbeats from Sync on", () =>
    Effect.gen(function* () {
      const { cluster, group, second } = yield* start
      const member = yield* join(cluster)
      assert.isUndefined(member.membership.identity())
      yield* until(() => second.of(Heartbeat).length >= 3)
      assert.deepStrictEqual(member.events, ["assign a0 a1"])
      assert.deepStrictEqual(
        second.of(JoinGroup).map(({ message }) => message.memberId),
        ["", "member-1"]
      )
      assert.deepStrictEqual(member.membership.identity(), {
        groupId: "g",
        memberId: "member-1",
        generation: 1,
        groupInstanceId: undefined
      })
      assert.strictEqual(second.of(Heartbeat)[0].message.generationId, 1)
      assert.strictEqual(group.members.size, 1)
    })
  )

  it.live("C108: leaves after what it had has been revoked", () =>
    Effect.gen(function* () {
      const { cluster, group, second } = yield* start
      const member = yield* join(cluster, {
        handlers: { revoke: () => Effect.sleep(200) }
      })
      yield* until(() => member.has() === "a0 a1")
      const before = performance.now()
      yield* Effect.all([member.membership.leave, member.membership.leave], { concurrency: 2 })
      const [left] = second.of(LeaveGroup)
      assert.isAtLeast(left.at - before, 190)
      assert.deepStrictEqual(left.message.members[0].memberId, "member-1")
      assert.isNotEmpty(left.message.members[0].reason)
      assert.strictEqual(second.of(LeaveGroup).length, 1)
      assert.strictEqual(group.members.size, 0)
      assert.isUndefined(member.membership.identity())
      assert.strictEqual(member.has(), "")
    })
  )

  it.live("C98: a rebalance in a heartbeat: eager members give up everything, and join again by their id", () =>
    Effect.gen(function* () {
      const { cluster, second } = yield* start
      const one = yield* join(cluster)
      yield* until(() => one.has() === "a0 a1")
      const other = yield* join(cluster)
      yield* until(() => one.has().length + other.has().length === 4)
      assert.deepStrictEqual(one.events, ["assign a0 a1", "revoke a0 a1", `assign ${one.has()}`])
      assert.notStrictEqual(one.has(), other.has())
      const ids = second.of(JoinGroup).map(({ message }) => message.memberId)
      assert.deepStrictEqual(ids.toSorted(), ["", "", "member-1", "member-1", "member-2"])
      assert.isEmpty(second.of(SyncGroup).filter(({ message }) => message.generationId > 2))
    })
  )
})

void codes
