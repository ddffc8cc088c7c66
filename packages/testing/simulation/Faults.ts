/** What goes wrong: drawn from the seed, and brought about through the levers of the cluster, or by the clients' own ends. */
import type { AnyApi } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Control from "../src/Control.ts"
import type * as TestBroker from "../src/TestBroker.ts"
import type { Chance } from "./Chance.ts"

export const topic = "t"

/** How long faults begin, in virtual milliseconds from the start. */
const faultsEnd = 12_000

/** Most requests that a scripted answer waits for, in milliseconds: then it is forgotten. */
const patience = 5000

/** APIs whose requests are answered otherwise, with the error codes that a broker may give at any time. */
const apis = {
  Produce: { api: Produce, codes: [codes.NOT_LEADER_OR_FOLLOWER, codes.NOT_ENOUGH_REPLICAS, codes.REQUEST_TIMED_OUT] },
  Fetch: { api: Fetch, codes: [codes.NOT_LEADER_OR_FOLLOWER, codes.FENCED_LEADER_EPOCH, codes.UNKNOWN_LEADER_EPOCH] },
  Metadata: { api: Metadata, codes: [codes.LEADER_NOT_AVAILABLE] },
  FindCoordinator: { api: FindCoordinator, codes: [codes.COORDINATOR_NOT_AVAILABLE] },
  InitProducerId: { api: InitProducerId, codes: [codes.COORDINATOR_LOAD_IN_PROGRESS] },
  ListOffsets: { api: ListOffsets, codes: [codes.NOT_LEADER_OR_FOLLOWER] },
  JoinGroup: { api: JoinGroup, codes: [codes.NOT_COORDINATOR, codes.COORDINATOR_LOAD_IN_PROGRESS] },
  SyncGroup: { api: SyncGroup, codes: [codes.REBALANCE_IN_PROGRESS, codes.NOT_COORDINATOR] },
  Heartbeat: { api: Heartbeat, codes: [codes.NOT_COORDINATOR, codes.REBALANCE_IN_PROGRESS, codes.UNKNOWN_MEMBER_ID] },
  OffsetCommit: { api: OffsetCommit, codes: [codes.COORDINATOR_NOT_AVAILABLE, codes.NOT_COORDINATOR] },
  OffsetFetch: { api: OffsetFetch, codes: [codes.NOT_COORDINATOR, codes.COORDINATOR_LOAD_IN_PROGRESS] }
} as const

type ApiName = keyof typeof apis

/** Those that matter most come most often. */
const often: ReadonlyArray<ApiName> = [
  ...(Object.keys(apis) as ReadonlyArray<ApiName>),
  "Produce",
  "Produce",
  "Produce",
  "Produce",
  "Produce",
  "Produce",
  "Produce",
  "Fetch",
  "Heartbeat",
  "OffsetCommit",
  "OffsetCommit"
]

export type Fault = { readonly at: number } & (
  | { readonly kind: "move leader"; readonly partition: number; readonly node: number }
  | { readonly kind: "bump leader epoch"; readonly partition: number }
  | { readonly kind: "move coordinator"; readonly group: string; readonly node: number }
  | { readonly kind: "stop broker"; readonly node: number; readonly duration: number }
  | { readonly kind: "lose answer" | "close" | "silence"; readonly api: ApiName; readonly times: number }
  | { readonly kind: "refuse"; readonly api: ApiName; readonly code: number; readonly times: number }
  | { readonly kind: "delay"; readonly api: ApiName; readonly times: number; readonly milliseconds: number }
  | { readonly kind: "rebalance"; readonly group: string }
  | { readonly kind: "expire session"; readonly member: string }
  | {
      readonly kind: "isolate"
      readonly how: "dumb" | "deaf"
      readonly client: string
      readonly duration: number
    }
  | { readonly kind: "kill"; readonly member: string; readonly restartAfter: number | undefined }
  | {
      readonly kind: "leave"
      readonly member: string
      readonly by: "stop" | "scope"
      readonly restartAfter: number | undefined
    }
  | { readonly kind: "join"; readonly group: string }
  | { readonly kind: "clock jump"; readonly milliseconds: number }
  | { readonly kind: "slow network"; readonly client: string; readonly latency: number; readonly duration: number }
  | {
      readonly kind: "crash broker"
      readonly node: number
      /** How far followers are behind, and for how long, before it happens. */
      readonly behind: number
      readonly before: number
      readonly duration: number
    }
  | { readonly kind: "throttle"; readonly node: number; readonly milliseconds: number; readonly duration: number }
)

/** What there is that faults can strike. */
export interface Targets {
  readonly partitions: number
  readonly brokers: number
  readonly groups: ReadonlyArray<{ readonly name: string; readonly members: ReadonlyArray<string> }>
  readonly producers: ReadonlyArray<string>
}

const answerOf = (chance: Chance, at: number): Fault => {
  const kind = chance.of(["lose answer", "close", "silence", "refuse", "refuse", "delay"] as const)
  const api = chance.of(often)
  const times = chance.of([1, 1, 2, 4])
  if (kind === "refuse") return { at, kind, api, times, code: chance.of<number>(apis[api].codes) }
  if (kind === "delay") return { at, kind, api, times, milliseconds: chance.between(1, 4900) }
  return { at, kind, api, times }
}

const one = (chance: Chance, targets: Targets): Fault => {
  const at = chance.below(faultsEnd)
  const kind = chance.of([
    "move leader",
    "move leader",
    "bump leader epoch",
    "move coordinator",
    "stop broker",
    "answer",
    "answer",
    "answer",
    "answer",
    "answer",
    "answer",
    "rebalance",
    "expire session",
    "expire session",
    "isolate",
    "isolate",
    "kill",
    "leave",
    "join",
    "clock jump"
  ] as const)
  const group = chance.of(targets.groups)
  const member = chance.of(group.members)
  const node = chance.below(targets.brokers)
  const partition = chance.below(targets.partitions)
  const restartAfter = chance.of([undefined, chance.below(3000), chance.below(12_000)])
  switch (kind) {
    case "answer":
      return answerOf(chance, at)
    case "move leader":
      return { at, kind, partition, node }
    case "bump leader epoch":
      return { at, kind, partition }
    case "move coordinator":
      return { at, kind, group: group.name, node }
    case "stop broker":
      return { at, kind, node, duration: chance.between(100, 6000) }
    case "isolate":
      return {
        at,
        kind,
        how: chance.of(["dumb", "deaf"]),
        client: chance.of([member, member, ...targets.producers]),
        duration: chance.between(100, 15_000)
      }
    case "kill":
      return { at, kind, member, restartAfter }
    case "leave":
      return { at, kind, member, by: chance.of(["stop", "scope"]), restartAfter }
    case "clock jump":
      return { at, kind, milliseconds: (chance.happens(0.5) ? -1 : 1) * chance.below(3_600_000) }
    case "expire session":
      return { at, kind, member }
    default:
      return { at, kind, group: group.name }
  }
}

/** Of the network, of disks and of quotas. */
const another = (chance: Chance, targets: Targets): Fault => {
  const at = chance.below(faultsEnd)
  const kind = chance.of(["slow network", "slow network", "crash broker", "crash broker", "throttle"] as const)
  const node = chance.below(targets.brokers)
  switch (kind) {
    case "slow network": {
      const clients = [...targets.groups.flatMap(({ members }) => members), ...targets.producers]
      return {
        at,
        kind,
        client: chance.of(clients),
        latency: chance.of([1, 20, 300]),
        duration: chance.between(500, 10_000)
      }
    }
    case "crash broker":
      return {
        at,
        kind,
        node,
        behind: chance.of([0, 50, 2000]),
        before: chance.between(1, 1000),
        duration: chance.between(100, 6000)
      }
    case "throttle":
      return { at, kind, node, milliseconds: chance.of([20, 500]), duration: chance.between(500, 4000) }
  }
}

/** Draws faults, in the order in which they begin. */
export const draw = (chance: Chance, otherChance: Chance, targets: Targets): ReadonlyArray<Fault> =>
  [
    ...Array.from({ length: chance.below(12) }, () => one(chance, targets)),
    ...Array.from({ length: otherChance.below(4) }, () => another(otherChance, targets))
  ].sort((a, b) => a.at - b.at)

/** Where faults strike. */
export interface World {
  readonly broker: TestBroker.Service
  readonly note: (line: () => string) => void
  readonly jump: (milliseconds: number) => void
  readonly isolate: (client: string, how: "dumb" | "deaf", milliseconds: number) => Effect.Effect<void>
  readonly slow: (client: string, latency: number, duration: number) => Effect.Effect<void>
  readonly kill: (member: string) => Effect.Effect<void>
  readonly leave: (member: string, by: "stop" | "scope") => Effect.Effect<void>
  readonly restart: (member: string) => Effect.Effect<void>
  readonly join: (group: string) => Effect.Effect<void>
  /** As the group knows a member. */
  readonly idOf: (member: string) => { readonly groupId: string; readonly memberId: string } | undefined
}

const replyOf = (fault: Extract<Fault, { readonly api: ApiName }>): Control.Reply<never> => {
  switch (fault.kind) {
    case "refuse":
      return Control.fail(fault.code)
    case "delay":
      return Control.delay(fault.milliseconds)
    case "lose answer":
      return Control.loseAnswer
    case "close":
      return Control.close
    case "silence":
      return Control.silence
  }
}

/** What cannot be done just now (a broker that is down cannot lead) is left undone. */
const ifPossible = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<void> => Effect.asVoid(Effect.exit(effect))

const restart = (world: World, member: string, after: number | undefined): Effect.Effect<void> =>
  after === undefined ? Effect.void : Effect.delay(world.restart(member), after)

/** Brings a fault about at its time; ends when it is over. */
export const strike = (world: World, fault: Fault): Effect.Effect<void> =>
  Effect.sleep(fault.at).pipe(
    Effect.andThen(Effect.sync(() => world.note(() => `fault ${JSON.stringify(fault)}`))),
    Effect.andThen(happen(world, fault))
  )

const happen = (world: World, fault: Fault): Effect.Effect<void> => {
  const { broker } = world
  switch (fault.kind) {
    case "move leader":
      return ifPossible(broker.moveLeader(topic, fault.partition, fault.node))
    case "bump leader epoch":
      return broker.bumpLeaderEpoch(topic, fault.partition)
    case "move coordinator":
      return broker.moveCoordinator("group", fault.group, fault.node)
    case "stop broker":
      return Effect.andThen(
        broker.stopBroker(fault.node),
        Effect.delay(ifPossible(broker.startBroker(fault.node)), fault.duration)
      )
    case "rebalance":
      return ifPossible(broker.rebalance(fault.group))
    case "expire session":
      return Effect.suspend(() => {
        const id = world.idOf(fault.member)
        return id === undefined ? Effect.void : ifPossible(broker.expireSession(id.groupId, id.memberId))
      })
    case "isolate":
      return world.isolate(fault.client, fault.how, fault.duration)
    case "kill":
      return Effect.andThen(world.kill(fault.member), restart(world, fault.member, fault.restartAfter))
    case "leave":
      return Effect.andThen(world.leave(fault.member, fault.by), restart(world, fault.member, fault.restartAfter))
    case "join":
      return world.join(fault.group)
    case "clock jump":
      return Effect.sync(() => world.jump(fault.milliseconds))
    case "slow network":
      return world.slow(fault.client, fault.latency, fault.duration)
    case "crash broker":
      return broker
        .delayReplication(fault.behind)
        .pipe(
          Effect.andThen(Effect.sleep(fault.before)),
          Effect.andThen(broker.crashBroker(fault.node)),
          Effect.andThen(broker.delayReplication(0)),
          Effect.andThen(Effect.sleep(fault.duration)),
          Effect.andThen(ifPossible(broker.startBroker(fault.node)))
        )
    case "throttle":
      return Effect.scoped(
        Effect.andThen(broker.throttle("all", fault.milliseconds, { node: fault.node }), Effect.sleep(fault.duration))
      )
    default:
      return Effect.gen(function* () {
        const scope = yield* Scope.make()
        // One list has the APIs of many messages; a reply of these kinds goes with each.
        const api = apis[fault.api].api as AnyApi as never
        yield* Scope.provide(broker.on(api, replyOf(fault), { times: fault.times }), scope)
        yield* Effect.sleep(patience)
        // That no such request came is no mistake here.
        yield* Effect.exit(Scope.close(scope, Exit.void))
      })
  }
}
