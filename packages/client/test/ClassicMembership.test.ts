import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import { Cause, Effect, Exit, Logger, Scope } from "effect"
import * as Assignor from "../src/Assignor.ts"
import type { Cluster } from "../src/Cluster.ts"
import * as ClassicMembership from "../src/internal/consumer/ClassicMembership.ts"
import type { Handlers, Membership, Options } from "../src/internal/consumer/Membership.ts"
import type { TopicPartition } from "../src/Topic.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
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

type Context = Effect.Success<typeof start>

/** A test without the log on the screen. */
const live = (
  name: string,
  test: (context: Context) => Effect.Effect<void, unknown, Scope.Scope>,
  options: { readonly timeout?: number } = {}
) => it.live(name, () => Effect.flatMap(start, test).pipe(Effect.provide(Logger.layer([]))), options.timeout)

const ids = ({ second }: Context): ReadonlyArray<string> => second.of(JoinGroup).map(({ message }) => message.memberId)

/** What ends the membership. */
const reasonOf = ({ membership }: Joined) => Effect.map(Effect.flip(membership.failure), ({ reason }) => reason)

const cooperative = [Assignor.cooperativeSticky]

describe("ClassicMembership", () => {
  live("C96 C97: joins with the id that it was told to, and heartbeats from Sync on", (context) =>
    Effect.gen(function* () {
      const { cluster, second } = context
      const member = yield* join(cluster, { heartbeatInterval: 300 })
      assert.isUndefined(member.membership.identity())
      yield* until(() => second.of(Heartbeat).length >= 2)
      assert.deepStrictEqual(member.events, ["assign a0 a1"])
      assert.deepStrictEqual(ids(context), ["", "member-1"])
      assert.deepStrictEqual(member.membership.identity(), {
        groupId: "g",
        memberId: "member-1",
        generation: 1,
        groupInstanceId: undefined
      })
      const [synced] = second.of(SyncGroup)
      const [one, two] = second.of(Heartbeat)
      assert.strictEqual(one.message.generationId, 1)
      for (const gap of [one.at - synced.at, two.at - one.at]) assert.isTrue(gap > 200 && gap < 1500, `${gap} ms`)
    })
  )

  live("C97: a Join waits for the rebalance timeout and 5 s, whatever the request timeout", ({ scripted, second }) =>
    Effect.gen(function* () {
      const cluster = yield* ScriptedCluster.connect(scripted, { requestTimeout: 300 })
      second.on(JoinGroup, () => ScriptedBroker.silence)
      yield* join(cluster, { rebalanceTimeout: 400 })
      yield* until(() => second.of(JoinGroup).length === 1)
      yield* Effect.sleep(5200)
      assert.strictEqual(second.of(JoinGroup).length, 1)
      yield* until(() => second.of(JoinGroup).length === 2)
      const [one, two] = second.of(JoinGroup)
      assert.isAtLeast(two.at - one.at, 5400)
      assert.deepStrictEqual([one.message.rebalanceTimeoutMs, one.message.sessionTimeoutMs], [400, 3000])
    })
  )

  live("C97: handlers do not delay heartbeats", ({ cluster, second }) =>
    Effect.gen(function* () {
      const member = yield* join(cluster, {
        handlers: { assign: () => Effect.sleep(600), revoke: () => Effect.sleep(600) }
      })
      yield* until(() => member.has() !== "")
      const during = Effect.gen(function* () {
        const before = second.of(Heartbeat).length
        yield* Effect.sleep(500)
        return second.of(Heartbeat).length - before
      })
      assert.isAtLeast(yield* during, 5)
      yield* Effect.sleep(200)
      yield* member.membership.rejoin("a test")
      assert.isAtLeast(yield* during, 5)
    })
  )

  for (const place of ["Heartbeat", "Join", "Sync", "Commit"] as const) {
    for (const [code, name] of [
      [codes.REBALANCE_IN_PROGRESS, "[27] keeps everything, and the id"],
      [codes.ILLEGAL_GENERATION, "[22] loses everything, and keeps the id"],
      [codes.UNKNOWN_MEMBER_ID, "[25] loses everything, and the id"]
    ] as const) {
      live(`C98: a cooperative member after ${place} ${name}`, (context) =>
        Effect.gen(function* () {
          const { cluster, coordinator, group } = context
          group.rebalanceTimeout = 200
          const member = yield* join(cluster, { assignors: cooperative })
          yield* until(() => member.has() === "a0 a1")
          const { length } = ids(context)
          const identity = member.membership.identity()!
          if (place === "Commit") member.membership.refused(identity, code)
          else {
            coordinator.next({ Heartbeat, Join: JoinGroup, Sync: SyncGroup }[place], code)
            if (place !== "Heartbeat") yield* member.membership.rejoin("a test")
          }
          const isLost = code !== codes.REBALANCE_IN_PROGRESS
          yield* until(() => member.events.length >= (isLost ? 3 : 2))
          assert.isAbove(member.membership.identity()?.generation ?? 0, 1)
          assert.strictEqual(member.has(), "a0 a1")
          const again = isLost ? ["lost a0 a1", "assign a0 a1"] : ["assign"]
          assert.deepStrictEqual(member.events, ["assign a0 a1", ...again])
          // Where Join itself is refused, the first of the new ones still has the id.
          const next = ids(context).slice(place === "Join" || place === "Sync" ? length + 1 : length)
          assert.strictEqual(next[0], code === codes.UNKNOWN_MEMBER_ID ? "" : "member-1")
        })
      )
    }
  }

  for (const place of ["Heartbeat", "Commit"] as const) {
    live(`C98: an eager member after ${place} [27] gives up everything before it joins, by its id`, (context) =>
      Effect.gen(function* () {
        const { cluster, coordinator, second } = context
        const member = yield* join(cluster)
        yield* until(() => member.has() === "a0 a1")
        if (place === "Heartbeat") coordinator.next(Heartbeat, codes.REBALANCE_IN_PROGRESS)
        else member.membership.refused(member.membership.identity()!, codes.REBALANCE_IN_PROGRESS)
        yield* until(() => member.membership.identity()?.generation === 2)
        assert.deepStrictEqual(member.events, ["assign a0 a1", "revoke a0 a1", "assign a0 a1"])
        assert.deepStrictEqual(ids(context), ["", "member-1", "member-1"])
        assert.strictEqual(second.of(SyncGroup).length, 2)
      })
    )
  }

  live("C98: what was refused with an identity of before says nothing", (context) =>
    Effect.gen(function* () {
      const { cluster } = context
      const member = yield* join(cluster)
      yield* until(() => member.has() === "a0 a1")
      const old = member.membership.identity()!
      yield* member.membership.rejoin("a test")
      yield* until(() => member.membership.identity()?.generation === 2)
      for (const code of [27, 22, 25, 82]) member.membership.refused(old, code)
      member.membership.refused(member.membership.identity()!, codes.NOT_COORDINATOR)
      member.membership.refused(member.membership.identity()!, codes.TOPIC_AUTHORIZATION_FAILED)
      yield* Effect.sleep(200)
      assert.strictEqual(member.membership.identity()?.generation, 2)
      assert.strictEqual(ids(context).length, 3)
    })
  )

  for (const api of [Heartbeat, JoinGroup, SyncGroup] as const) {
    for (const code of [codes.NOT_COORDINATOR, codes.COORDINATOR_NOT_AVAILABLE, codes.COORDINATOR_LOAD_IN_PROGRESS]) {
      live(`C99: ${api.name} [${code}] takes nothing away, and looks for the coordinator unless it loads`, (context) =>
        Effect.gen(function* () {
          const { cluster, coordinator, first, second } = context
          const member = yield* join(cluster, { assignors: cooperative })
          yield* until(() => member.has() === "a0 a1")
          const lookups = () => first.of(FindCoordinator).length + second.of(FindCoordinator).length
          const asked = () => second.received.filter((request) => request.api.key === api.key).length
          const [before, calls] = [lookups(), asked()]
          coordinator.next(api, code)
          if (api !== Heartbeat) yield* member.membership.rejoin("a test")
          yield* until(() => asked() >= calls + 2)
          yield* until(
            () => member.membership.identity()?.generation === (api === Heartbeat ? 1 : 2 + +(api === SyncGroup))
          )
          assert.strictEqual(lookups() - before, code === codes.COORDINATOR_LOAD_IN_PROGRESS ? 0 : 1)
          assert.deepStrictEqual(
            member.events.filter((event) => event !== "assign"),
            ["assign a0 a1"]
          )
          assert.strictEqual(member.has(), "a0 a1")
        })
      )
    }
  }

  live("C99: follows the coordinator to another node, and waits out lost connections", (context) =>
    Effect.gen(function* () {
      const { cluster, coordinator, first, second } = context
      const member = yield* join(cluster)
      yield* until(() => member.has() === "a0 a1")
      coordinator.moveTo(1)
      yield* until(() => first.of(Heartbeat).length >= 2)
      const { length } = first.of(Heartbeat)
      first.dropConnections()
      second.dropConnections()
      yield* until(() => first.of(Heartbeat).length >= length + 2)
      assert.deepStrictEqual(member.events, ["assign a0 a1"])
      assert.strictEqual(member.membership.identity()?.generation, 1)
    })
  )

  const finals = [
    [codes.INCONSISTENT_GROUP_PROTOCOL, "GroupRejected", "assignors (range)"],
    [codes.INVALID_GROUP_ID, "GroupRejected", "groupId"],
    [codes.INVALID_SESSION_TIMEOUT, "GroupRejected", "sessionTimeout is 3000 ms"],
    [codes.GROUP_AUTHORIZATION_FAILED, "GroupRejected", "permission Read"],
    [codes.GROUP_MAX_SIZE_REACHED, "GroupRejected", "group.max.size"],
    [codes.FENCED_INSTANCE_ID, "Fenced", "groupInstanceId"],
    [codes.UNKNOWN_SERVER_ERROR, "Rejected", "UNKNOWN_SERVER_ERROR"]
  ] as const
  for (const [code, tag, text] of finals) {
    live(`C100: Join [${code}] ends the membership as ${tag}, which says what to change`, (context) =>
      Effect.gen(function* () {
        const { cluster, coordinator, group } = context
        coordinator.next(JoinGroup, code)
        const member = yield* join(cluster)
        const reason = yield* reasonOf(member)
        assert.strictEqual(reason._tag, tag)
        assert.include(reason.message, text)
        yield* member.membership.leave
        assert.strictEqual(ids(context).length, 1)
        assert.strictEqual(group.members.size, 0)
      })
    )
  }

  for (const place of ["Heartbeat", "Commit"] as const) {
    live(`C100: ${place} [82] loses everything and ends the membership`, ({ cluster, coordinator, second }) =>
      Effect.gen(function* () {
        const member = yield* join(cluster, { groupInstanceId: "one" })
        yield* until(() => member.has() === "a0 a1")
        if (place === "Heartbeat") coordinator.next(Heartbeat, codes.FENCED_INSTANCE_ID)
        else member.membership.refused(member.membership.identity()!, codes.FENCED_INSTANCE_ID)
        assert.strictEqual((yield* reasonOf(member))._tag, "Fenced")
        assert.deepStrictEqual(member.events, ["assign a0 a1", "lost a0 a1"])
        assert.isUndefined(member.membership.identity())
        const { length } = second.of(Heartbeat)
        yield* Effect.sleep(200)
        assert.strictEqual(second.of(Heartbeat).length, length)
      })
    )
  }

  live("C100: who may not even find the coordinator is told why", ({ cluster, first, second }) =>
    Effect.gen(function* () {
      const errorCode = codes.GROUP_AUTHORIZATION_FAILED
      for (const broker of [first, second]) {
        broker.on(FindCoordinator, () =>
          ScriptedBroker.respond({ coordinators: [{ key: "g", errorCode, nodeId: -1, host: "", port: -1 }] })
        )
      }
      const reason = yield* reasonOf(yield* join(cluster))
      assert.strictEqual(reason._tag, "GroupRejected")
    })
  )

  live("C101: a static member says its name everywhere, and does not leave", ({ cluster, group, second }) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const member = yield* Scope.provide(join(cluster, { groupInstanceId: "one" }), scope)
      yield* until(() => second.of(Heartbeat).length > 0)
      assert.strictEqual(member.membership.identity()?.groupInstanceId, "one")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(member.events, ["assign a0 a1", "revoke a0 a1"])
      assert.isEmpty(second.of(LeaveGroup))
      for (const { message } of [...second.of(JoinGroup), ...second.of(SyncGroup), ...second.of(Heartbeat)]) {
        assert.strictEqual(message.groupInstanceId, "one")
      }
      const again = yield* join(cluster, { groupInstanceId: "one" })
      yield* until(() => again.has() === "a0 a1")
      assert.strictEqual(group.generation, 1)
    })
  )

  live("C101: who takes the name of a static member fences it", ({ cluster }) =>
    Effect.gen(function* () {
      const one = yield* join(cluster, { groupInstanceId: "one" })
      yield* until(() => one.has() === "a0 a1")
      const two = yield* join(cluster, { groupInstanceId: "one" })
      yield* until(() => two.has() === "a0 a1")
      const reason = yield* reasonOf(one)
      assert.strictEqual(reason._tag, "Fenced")
      assert.deepStrictEqual(one.events, ["assign a0 a1", "lost a0 a1"])
    })
  )

  live("C102: cooperative members keep what stays theirs, and a partition has one owner at a time", ({ cluster }) =>
    Effect.gen(function* () {
      const owners = new Map<string, string>()
      const owning = (name: string): Partial<Handlers> => {
        const give = (partitions: ReadonlyArray<TopicPartition>) =>
          Effect.sync(() => {
            for (const partition of partitions) owners.delete(describePartitions([partition]))
          })
        return {
          assign: (partitions) =>
            Effect.sync(() => {
              for (const partition of partitions) {
                const key = describePartitions([partition])
                assert.isUndefined(owners.get(key), `${key} has an owner`)
                owners.set(key, name)
              }
            }),
          revoke: (partitions) => Effect.andThen(Effect.sleep(100), give(partitions)),
          lost: give
        }
      }
      const one = yield* join(cluster, { assignors: cooperative, handlers: owning("one") })
      yield* until(() => owners.size === 2)
      const two = yield* join(cluster, { assignors: cooperative, handlers: owning("two") })
      yield* until(() => owners.size === 2 && new Set(owners.values()).size === 2)
      const three = yield* join(cluster, { assignors: cooperative, handlers: owning("three") })
      yield* one.membership.leave
      yield* until(() => owners.size === 2 && ![...owners.values()].includes("one"))
      assert.notStrictEqual(two.has(), three.has())
    })
  )

  live(
    "C102: a cooperative member is told only of what changes, and joins again at once for what it gave up",
    (context) =>
      Effect.gen(function* () {
        const { cluster } = context
        const one = yield* join(cluster, { assignors: cooperative })
        yield* until(() => one.has() === "a0 a1")
        yield* Effect.sleep(150)
        const two = yield* join(cluster, { assignors: cooperative })
        yield* until(() => two.has() !== "")
        const [kept, given] = [one.has(), two.has()]
        assert.deepStrictEqual([kept, given].toSorted(), ["a0", "a1"])
        yield* until(() => one.events.length === 4)
        assert.deepStrictEqual(one.events, ["assign a0 a1", "assign", `revoke ${given}`, "assign"])
        assert.deepStrictEqual(two.events, ["assign", `assign ${given}`])
        assert.strictEqual(one.membership.identity()?.generation, 3)
      })
  )

  live("C102: what is no longer subscribed to is revoked before the Join; the rest is kept", ({ cluster, second }) =>
    Effect.gen(function* () {
      let joins = -1
      const member = yield* join(cluster, {
        assignors: cooperative,
        handlers: {
          revoke: () =>
            Effect.andThen(
              Effect.sleep(100),
              Effect.sync(() => (joins = second.of(JoinGroup).length))
            )
        }
      })
      member.topics = ["a", "b"]
      yield* until(() => member.has() === "a0 a1 b0")
      const { length } = second.of(JoinGroup)
      member.topics = ["a"]
      yield* member.membership.rejoin("the subscription has changed")
      yield* until(() => second.of(SyncGroup).length === 2)
      assert.strictEqual(joins, length)
      assert.strictEqual(member.has(), "a0 a1")
      assert.strictEqual(second.of(JoinGroup).at(-1)?.message.reason, "the subscription has changed")
    })
  )

  live(
    "C102: with an eager assignor among its own, a member is eager (KIP-429's rolling upgrade)",
    ({ cluster, group }) =>
      Effect.gen(function* () {
        const old = yield* join(cluster)
        const member = yield* join(cluster, { assignors: [Assignor.cooperativeSticky, Assignor.range] })
        yield* until(() => old.has() !== "" && member.has() !== "" && old.has() !== member.has())
        assert.strictEqual(group.protocolName, "range")
        yield* old.membership.leave
        yield* until(() => member.has() === "a0 a1")
        assert.strictEqual(group.protocolName, "cooperative-sticky")
        assert.strictEqual(member.events.at(-1), "assign a0 a1")
        assert.match(member.events.at(-2)!, /^revoke a[01]$/)
      })
  )

  live(
    "C103: the leader joins again when partitions come, and only then",
    ({ cluster, partitions, scripted, second }) =>
      Effect.gen(function* () {
        const member = yield* join(cluster, { assignors: cooperative })
        yield* until(() => member.has() === "a0 a1")
        scripted.topics.get("a")!.partitions[0] = { leader: 2, epoch: 1 }
        yield* cluster.refresh()
        yield* Effect.sleep(200)
        assert.strictEqual(second.of(SyncGroup).length, 1)
        scripted.topics.set("a", { partitions: partitions(3) })
        yield* cluster.refresh()
        yield* until(() => member.has() === "a0 a1 a2")
        assert.deepStrictEqual(member.events, ["assign a0 a1", "assign a2"])
        assert.include(second.of(JoinGroup).at(-1)?.message.reason, "topic a has 3 partitions instead of 2")
      })
  )

  live("C103: a topic that comes later is shared out; one broker's ignorance is not its end", (context) =>
    Effect.gen(function* () {
      const { cluster, partitions, scripted, second } = context
      const member = yield* join(cluster, { assignors: cooperative })
      member.topics = ["a", "c"]
      yield* until(() => member.has() === "a0 a1")
      scripted.topics.set("c", { partitions: partitions(1) })
      yield* cluster.refresh()
      yield* until(() => member.has() === "a0 a1 c0")
      scripted.topics.delete("c")
      yield* cluster.refresh()
      yield* Effect.sleep(200)
      assert.strictEqual(second.of(SyncGroup).length, 2)
      yield* cluster.refresh()
      yield* cluster.refresh()
      yield* until(() => member.events.length === 5)
      assert.deepStrictEqual(member.events, ["assign a0 a1", "assign c0", "assign", "revoke c0", "assign"])
    })
  )

  live("C103: the leader asks for the topics of all members anew", ({ cluster, partitions, scripted }) =>
    Effect.gen(function* () {
      const leader = yield* join(cluster)
      yield* until(() => leader.has() === "a0 a1")
      scripted.topics.set("b", { partitions: partitions(2) })
      const other = yield* ScriptedCluster.connect(scripted)
      const member = yield* join(other)
      member.topics = ["b"]
      yield* until(() => member.has() === "b0 b1")
      scripted.topics.set("b", { partitions: partitions(3) })
      yield* cluster.refresh()
      yield* until(() => member.has() === "b0 b1 b2")
    })
  )

  live("C103: a member that does not lead joins again when its subscription has changed", ({ cluster, scripted }) =>
    Effect.gen(function* () {
      const leader = yield* join(cluster)
      yield* until(() => leader.has() === "a0 a1")
      const member = yield* join(cluster)
      yield* until(() => member.has() !== "")
      member.topics = ["a", "b"]
      scripted.topics.get("a")!.partitions[0] = { leader: 2, epoch: 1 }
      yield* cluster.refresh()
      yield* until(() => member.has().includes("b0"))
    })
  )

  live("C105: while partitions are revoked, the member beats and can commit; the Join comes after", (context) =>
    Effect.gen(function* () {
      const { cluster, coordinator, second } = context
      const seen: Array<number | undefined> = []
      const member: Joined = yield* join(cluster, {
        handlers: {
          revoke: () =>
            Effect.gen(function* () {
              const [joins, beats] = [second.of(JoinGroup).length, second.of(Heartbeat).length]
              yield* Effect.sleep(400)
              seen.push(member.membership.identity()?.generation, second.of(JoinGroup).length - joins)
              assert.isAtLeast(second.of(Heartbeat).length - beats, 4)
              assert.strictEqual(member.has(), "a0 a1")
            })
        }
      })
      yield* until(() => member.has() === "a0 a1")
      const rebalancing = Array.from({ length: 30 }, () => codes.REBALANCE_IN_PROGRESS)
      coordinator.next(Heartbeat, ...rebalancing)
      yield* until(() => member.membership.identity()?.generation === 2)
      assert.deepStrictEqual(seen, [1, 0])
    })
  )

  live("C98: a loss cuts a revoke short", ({ cluster, coordinator, group }) =>
    Effect.gen(function* () {
      group.rebalanceTimeout = 200
      let isCut = false
      const stuck = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          isCut = true
        })
      )
      const member: Joined = yield* join(cluster, {
        handlers: { revoke: () => Effect.suspend(() => (isCut ? Effect.void : stuck)) }
      })
      yield* until(() => member.has() === "a0 a1")
      yield* member.membership.rejoin("a test")
      yield* Effect.sleep(100)
      coordinator.next(Heartbeat, codes.UNKNOWN_MEMBER_ID)
      yield* until(() => member.events.length === 3)
      assert.isTrue(isCut)
      assert.deepStrictEqual(member.events, ["assign a0 a1", "lost a0 a1", "assign a0 a1"])
    })
  )

  live("C107: recovers from a Sync that is never answered", ({ scripted, coordinator, second }) =>
    Effect.gen(function* () {
      const cluster = yield* ScriptedCluster.connect(scripted, { requestTimeout: 500 })
      coordinator.next(SyncGroup, ScriptedBroker.silence)
      const member = yield* join(cluster)
      yield* until(() => member.has() === "a0 a1")
      const [one, two] = second.of(SyncGroup)
      assert.isAtLeast(two.at - one.at, 490)
      assert.strictEqual(two.message.generationId, 2)
      assert.deepStrictEqual(member.events, ["assign a0 a1"])
    })
  )

  live("C108: leaves after what it had has been revoked", ({ cluster, group, second }) =>
    Effect.gen(function* () {
      const member = yield* join(cluster, { handlers: { revoke: () => Effect.sleep(200) } })
      yield* until(() => member.has() === "a0 a1")
      const before = performance.now()
      yield* Effect.all([member.membership.leave, member.membership.leave], { concurrency: 2 })
      const [left] = second.of(LeaveGroup)
      assert.isAtLeast(left.at - before, 190)
      assert.strictEqual(left.message.members[0].memberId, "member-1")
      assert.isNotEmpty(left.message.members[0].reason)
      assert.strictEqual(second.of(LeaveGroup).length, 1)
      assert.strictEqual(group.members.size, 0)
      assert.isUndefined(member.membership.identity())
      assert.strictEqual(member.has(), "")
    })
  )

  live(
    "C108: who leaves while it revokes goes on with that, and is asked once for each partition",
    ({ cluster, second }) =>
      Effect.gen(function* () {
        const revoked: Array<string> = []
        const member = yield* join(cluster, {
          assignors: cooperative,
          handlers: {
            revoke: (partitions) =>
              Effect.andThen(
                Effect.sleep(200),
                Effect.sync(() => void revoked.push(describePartitions(partitions)))
              )
          }
        })
        member.topics = ["a", "b"]
        yield* until(() => member.has() === "a0 a1 b0")
        member.topics = ["a"]
        yield* member.membership.rejoin("a test")
        yield* Effect.sleep(50)
        yield* member.membership.leave
        assert.deepStrictEqual(revoked, ["b0", "a0 a1"])
        assert.strictEqual(second.of(LeaveGroup).length, 1)
      })
  )

  live("C108: who leaves while it joins does not wait for the others", ({ cluster, group, second }) =>
    Effect.gen(function* () {
      const one = yield* join(cluster, { handlers: { revoke: () => Effect.sleep(4000) } })
      yield* until(() => one.has() === "a0 a1")
      const two = yield* join(cluster)
      yield* until(() => second.of(JoinGroup).length === 4)
      const before = performance.now()
      yield* two.membership.leave
      assert.isBelow(performance.now() - before, 2500)
      assert.isFalse(group.members.has("member-2"))
    })
  )

  live("the end of its scope leaves the group too, within 5 s", ({ cluster, second }) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(join(cluster), scope)
      yield* until(() => one.has() === "a0 a1")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(second.of(LeaveGroup).length, 1)
      assert.deepStrictEqual(one.events, ["assign a0 a1", "revoke a0 a1"])
      const stuck = yield* Scope.make()
      const two = yield* Scope.provide(join(cluster, { handlers: { revoke: () => Effect.never } }), stuck)
      yield* until(() => two.has() === "a0 a1")
      const before = performance.now()
      yield* Scope.close(stuck, Exit.void)
      const took = performance.now() - before
      assert.isTrue(took > 4900 && took < 9500, `${took} ms`)
      const { length } = second.of(Heartbeat)
      yield* Effect.sleep(200)
      assert.strictEqual(second.of(Heartbeat).length, length)
    })
  )

  live("a session that no heartbeat keeps up is lost by the clock, and the member joins again", (context) =>
    Effect.gen(function* () {
      const { cluster, coordinator, group, second } = context
      group.rebalanceTimeout = 200
      const member = yield* join(cluster, { sessionTimeout: 900, heartbeatInterval: 100 })
      yield* until(() => second.of(Heartbeat).length >= 2)
      coordinator.next(Heartbeat, ...Array.from({ length: 100 }, () => codes.COORDINATOR_LOAD_IN_PROGRESS))
      const before = performance.now()
      yield* until(() => member.membership.identity() === undefined)
      const took = performance.now() - before
      assert.isTrue(took > 600 && took < 3000, `${took} ms`)
      yield* until(() => member.events.length >= 3)
      assert.deepStrictEqual(member.events.slice(0, 3), ["assign a0 a1", "lost a0 a1", "assign a0 a1"])
    })
  )

  live("a heartbeat that is not answered is sent again while the session lasts", ({ cluster, coordinator, second }) =>
    Effect.gen(function* () {
      const member = yield* join(cluster, { sessionTimeout: 1500, heartbeatInterval: 100 })
      yield* until(() => second.of(Heartbeat).length >= 1)
      coordinator.next(Heartbeat, ScriptedBroker.silence)
      const { length } = second.of(Heartbeat)
      yield* until(() => second.of(Heartbeat).length >= length + 4)
      assert.deepStrictEqual(member.events, ["assign a0 a1"])
    })
  )

  live("nothing can be committed after the event loop stood still for longer than the session", (context) =>
    Effect.gen(function* () {
      const { cluster, group } = context
      group.rebalanceTimeout = 200
      const member = yield* join(cluster, { sessionTimeout: 500 })
      yield* until(() => member.has() === "a0 a1")
      assert.isDefined(member.membership.identity())
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
      assert.isUndefined(member.membership.identity())
      assert.strictEqual(member.has(), "")
      yield* until(() => member.has() === "a0 a1")
      assert.deepStrictEqual(member.events, ["assign a0 a1", "lost a0 a1", "assign a0 a1"])
      assert.isAbove(member.membership.identity()!.generation, 1)
    })
  )

  live("asked to join again many times, it does so once", (context) =>
    Effect.gen(function* () {
      const { cluster } = context
      const member = yield* join(cluster)
      yield* until(() => member.has() === "a0 a1")
      const identity = member.membership.identity()!
      for (let i = 0; i < 100; i++) {
        yield* member.membership.rejoin(`test ${i}`)
        member.membership.refused(identity, codes.REBALANCE_IN_PROGRESS)
      }
      yield* until(() => member.membership.identity()?.generation === 2)
      yield* Effect.sleep(300)
      assert.strictEqual(ids(context).length, 3)
    })
  )

  live("a group that goes on rebalancing is not stormed", ({ cluster, coordinator, second }) =>
    Effect.gen(function* () {
      const count = 20
      coordinator.next(JoinGroup, ...Array.from({ length: 10_000 }, () => codes.REBALANCE_IN_PROGRESS))
      for (let i = 0; i < count; i++) yield* join(cluster)
      yield* Effect.sleep(3000)
      const joins = second.of(JoinGroup)
      // 0.1, 0.2, 0.4, 0.8 and 1 s, each shortened by at most a fifth.
      assert.isAtMost(joins.length, count * 7)
      assert.isAtLeast(joins.length, count * 3)
      // Jitter: no two members in step.
      const late = joins.slice(-count).map(({ at }) => at)
      assert.isAbove(Math.max(...late) - Math.min(...late), 100)
    })
  )

  live("a Join that waits holds up nobody else's heartbeats; its connection ends with it", ({ cluster, second }) =>
    Effect.gen(function* () {
      const one = yield* join(cluster, { groupId: "other" })
      yield* until(() => one.has() === "a0 a1")
      const two = yield* join(cluster, { handlers: { revoke: () => Effect.sleep(1500) } })
      yield* until(() => two.has() === "a0 a1")
      const waiter = yield* join(cluster)
      yield* until(() => second.of(JoinGroup).filter(({ message }) => message.groupId === "g").length === 4)
      const { length } = second.of(Heartbeat)
      yield* Effect.sleep(300)
      assert.isAtLeast(second.of(Heartbeat).length - length, 8)
      assert.strictEqual(new Set(second.of(Heartbeat).map(({ connection }) => connection)).size, 1)
      const waiting = second.of(JoinGroup).at(-1)!.connection
      assert.notInclude(
        second.of(Heartbeat).map(({ connection }) => connection),
        waiting
      )
      const open = second.open()
      yield* until(() => waiter.has() !== "" && two.has() !== "" && two.has() !== waiter.has())
      yield* until(() => second.open() === open - 1)
    })
  )

  live("a handler that dies ends the membership with its defect, and the member leaves", ({ cluster, group }) =>
    Effect.gen(function* () {
      const member = yield* join(cluster, { handlers: { revoke: () => Effect.die(new Error("a mistake")) } })
      yield* until(() => member.has() === "a0 a1")
      yield* member.membership.rejoin("a test")
      const exit = yield* Effect.exit(member.membership.failure)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      yield* until(() => group.members.size === 0)
      assert.isUndefined(member.membership.identity())
    })
  )

  live("a handler that is interrupted from outside has given its partitions up; the member goes on", ({ cluster }) =>
    Effect.gen(function* () {
      const member = yield* join(cluster, { handlers: { revoke: () => Effect.interrupt } })
      yield* until(() => member.has() === "a0 a1")
      yield* member.membership.rejoin("a test")
      yield* until(() => member.events.length === 2)
      assert.strictEqual(member.membership.identity()?.generation, 2)
    })
  )

  live("C102: what a member keeps while it cannot join is lost when the session has run out", (context) =>
    Effect.gen(function* () {
      const { cluster, coordinator, group } = context
      group.rebalanceTimeout = 200
      const member = yield* join(cluster, { assignors: cooperative, sessionTimeout: 1000 })
      yield* until(() => member.has() === "a0 a1")
      coordinator.next(JoinGroup, ...Array.from({ length: 1000 }, () => codes.COORDINATOR_LOAD_IN_PROGRESS))
      yield* member.membership.rejoin("a test")
      yield* Effect.sleep(300)
      assert.strictEqual(member.membership.identity()?.generation, 1)
      yield* until(() => member.events.includes("lost a0 a1"))
      assert.isUndefined(member.membership.identity())
    })
  )

  live("C105: what is kept can be committed until Join is answered, and not before Sync is", (context) =>
    Effect.gen(function* () {
      const { cluster, coordinator, group } = context
      const member = yield* join(cluster, { assignors: cooperative })
      yield* until(() => member.has() === "a0 a1")
      const identity = member.membership.identity()!
      // A second member that does not come back holds up the Join.
      const answer = group.join({ ...group.members.get("member-1")!.request, memberId: "", groupInstanceId: "b" }, 0)
      yield* until(() => member.membership.identity()?.generation === 2)
      yield* Effect.promise(() => answer)
      group.rebalanceTimeout = 600
      coordinator.next(SyncGroup, ScriptedBroker.silence)
      yield* member.membership.rejoin("a test")
      yield* Effect.sleep(300)
      assert.strictEqual(member.membership.identity()?.generation, 2)
      member.membership.refused(member.membership.identity()!, codes.ILLEGAL_GENERATION)
      assert.strictEqual(member.membership.identity()?.memberId, identity.memberId)
      yield* until(() => group.generation === 3)
      yield* until(() => member.membership.identity() === undefined)
      assert.notStrictEqual(member.has(), "")
      assert.notInclude(member.events.join(), "lost")
    })
  )

  live(
    "an assignor that throws ends the membership with its name, and the member leaves",
    ({ cluster, group, second }) =>
      Effect.gen(function* () {
        const assignor: Assignor.Assignor = {
          name: "mine",
          protocol: "eager",
          assign: () => {
            throw new Error("out of luck")
          }
        }
        const reason = yield* reasonOf(yield* join(cluster, { assignors: [assignor] }))
        assert.strictEqual(reason.message, "the assignor mine of group g failed: out of luck")
        assert.strictEqual(reason._tag, "AssignorFailed")
        assert.strictEqual(second.of(LeaveGroup).length, 1)
        assert.strictEqual(group.members.size, 0)
      })
  )

  live("an assignor that gives what there is not, or twice, ends the membership", ({ cluster }) =>
    Effect.gen(function* () {
      const assignor: Assignor.Assignor = {
        name: "mine",
        protocol: "eager",
        assign: ([{ memberId }]) => new Map([[memberId, { partitions: [{ topic: "a", partition: 7 }] }]])
      }
      const reason = yield* reasonOf(yield* join(cluster, { assignors: [assignor] }))
      assert.include(reason.message, "but the topic has 2 partitions")
    })
  )

  live("assignors exchange bytes of their own, and hear what they were given", ({ cluster }) =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const assignor: Assignor.Assignor = {
        name: "mine",
        protocol: "eager",
        userData: ({ generation, topics }) => new TextEncoder().encode(`${topics} ${generation}`),
        assign: ([{ memberId, userData }]) =>
          new Map([[memberId, { partitions: [{ topic: "a", partition: 1 }], userData }]]),
        onAssigned: ({ userData }, generation) => heard.push(new TextDecoder().decode(userData!), generation)
      }
      const member = yield* join(cluster, { assignors: [assignor] })
      yield* until(() => member.has() === "a1")
      yield* member.membership.rejoin("a test")
      yield* until(() => heard.length === 4)
      assert.deepStrictEqual(heard, ["a -1", 1, "a 1", 2])
    })
  )

  it.live("says in the log why it joins, what it was given and what it lost", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(`${message}`))
    return Effect.gen(function* () {
      const { cluster, coordinator, group } = yield* start
      group.rebalanceTimeout = 200
      const member = yield* join(cluster)
      yield* until(() => member.has() === "a0 a1")
      yield* member.membership.rejoin("somebody asked")
      yield* until(() => member.membership.identity()?.generation === 2)
      coordinator.next(Heartbeat, codes.UNKNOWN_MEMBER_ID)
      yield* until(() => member.events.includes("lost a0 a1"))
      yield* member.membership.leave
      const log = lines.join("\n")
      for (const text of [
        "joining: the member is new",
        "revoking partitions: somebody asked",
        "joining: somebody asked"
      ]) {
        assert.include(log, text)
      }
      assert.match(log, /partitions are lost: .*UNKNOWN_MEMBER_ID/)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

describe("ClassicMembership with brokers of every age", () => {
  const newest = Math.max(JoinGroup.highestStableVersion, SyncGroup.highestStableVersion)
  for (let version = 0; version <= newest; version++) {
    it.live(`joins, beats, joins again and leaves by version ${version} of each request, or the newest below`, () =>
      Effect.gen(function* () {
        const only = (highest: number) => [Math.min(version, highest), Math.min(version, highest)] as const
        const scripted = yield* ScriptedCluster.make(1, {
          offered: {
            JoinGroup: only(JoinGroup.highestStableVersion),
            SyncGroup: only(SyncGroup.highestStableVersion),
            Heartbeat: only(Heartbeat.highestStableVersion),
            LeaveGroup: only(LeaveGroup.highestStableVersion)
          }
        })
        scripted.topics.set("a", { partitions: [{ leader: 1, epoch: 0 }] })
        const coordinator = yield* ScriptedGroup.make(scripted)
        const cluster = yield* ScriptedCluster.connect(scripted)
        const member = yield* join(cluster, { assignors: cooperative })
        yield* until(() => scripted.brokers[0].of(Heartbeat).length > 0)
        assert.strictEqual(member.has(), "a0")
        yield* member.membership.rejoin("a test")
        yield* until(() => member.membership.identity()?.generation === 2)
        assert.strictEqual(scripted.brokers[0].of(JoinGroup).length, version >= 4 ? 3 : 2)
        yield* member.membership.leave
        assert.strictEqual(coordinator.group("g").members.size, 0)
        assert.deepStrictEqual(member.events, ["assign a0", "assign", "revoke a0"])
      }).pipe(Effect.provide(Logger.layer([])))
    )
  }
})
