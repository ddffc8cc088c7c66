/**
 * One run: producers and a group over a cluster, faults, and what has to hold when they are over. All of it is drawn from
 * the seed.
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as Control from "../src/Control.ts"
import * as TestBroker from "../src/TestBroker.ts"
import type { VirtualTime } from "./VirtualTime.ts"

const topic = Kafka.topic("t", { key: Serde.string, value: Serde.string })
const groupId = "g"
const brokers = 3

/** How long faults last, and how long all may take to come to rest afterwards: virtual milliseconds. */
const faultsEnd = 12_000
const restWithin = 180_000
const healing = 60_000

export type Fault = { readonly at: number } & (
  | { readonly kind: "move leader"; readonly partition: number; readonly node: number }
  | { readonly kind: "move coordinator"; readonly node: number }
  | { readonly kind: "stop broker"; readonly node: number; readonly duration: number }
  | { readonly kind: "lose answer" | "close" | "refuse" | "silence"; readonly api: keyof typeof apis }
  | { readonly kind: "rebalance" }
  | { readonly kind: "clock jump"; readonly milliseconds: number }
)

const apis = { Produce, Fetch, Metadata, Heartbeat, OffsetCommit } as const

/** The error code that a broker may give each of them at any time. */
const refusals = {
  Produce: codes.NOT_LEADER_OR_FOLLOWER,
  Fetch: codes.NOT_LEADER_OR_FOLLOWER,
  Metadata: codes.LEADER_NOT_AVAILABLE,
  Heartbeat: codes.NOT_COORDINATOR,
  OffsetCommit: codes.COORDINATOR_NOT_AVAILABLE
} as const

export interface Plan {
  readonly partitions: number
  readonly producers: number
  readonly records: number
  readonly members: number
  /** Keys that are worked on at a time; 0 for arrays. */
  readonly perKey: number
  readonly faults: ReadonlyArray<Fault>
}

/** Draws what a run is like. */
export const plan = Effect.gen(function* () {
  const random = yield* Random.Random
  const below = (count: number): number => Math.floor(random.nextDoubleUnsafe() * count)
  const of = <A>(all: ReadonlyArray<A>): A => all[below(all.length)]
  const partitions = 1 + below(4)
  const faults = Array.from({ length: below(12) }, (): Fault => {
    const at = below(faultsEnd)
    const kind = of([
      "move leader",
      "move coordinator",
      "stop broker",
      "answer",
      "answer",
      "answer",
      "answer",
      "rebalance",
      "clock jump"
    ])
    const node = below(brokers)
    if (kind === "move leader") return { at, kind, node, partition: below(partitions) }
    if (kind === "move coordinator") return { at, kind, node }
    if (kind === "stop broker") return { at, kind, node, duration: 100 + below(6000) }
    if (kind === "rebalance") return { at, kind }
    if (kind === "clock jump") return { at, kind, milliseconds: (below(2) === 0 ? -1 : 1) * below(3_600_000) }
    const api = of([...(Object.keys(apis) as ReadonlyArray<keyof typeof apis>), "Produce", "OffsetCommit"] as const)
    return { at, kind: of(["lose answer", "close", "refuse", "silence"] as const), api }
  }).sort((a, b) => a.at - b.at)
  const drawn: Plan = {
    partitions,
    producers: 1 + below(2),
    records: 20 + below(60),
    members: 1 + below(3),
    perKey: below(2) * (1 + below(4)),
    faults
  }
  return drawn
})

/** What a run has seen. */
export interface History {
  readonly lines: Array<string>
}

/** Runs a plan; gives what does not hold. */
export const run = (drawn: Plan, time: VirtualTime, history: History): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.gen(function* () {
    const note = (line: string): void => void history.lines.push(`${time.now().toFixed(1).padStart(10)} ${line}`)
    const broker = yield* TestBroker.TestBroker
    const random = yield* Random.Random
    const acknowledged = new Set<string>()
    const processed = new Map<string, number>()
    const orders = new Map<string, Array<number>>()
    const problems: Array<string> = []

    yield* broker.requests.pipe(
      Stream.runForEach(({ api, connection, node, version }) =>
        Effect.sync(() => note(`request ${api} v${version} to ${node} on ${connection}`))
      ),
      Effect.forkScoped({ startImmediately: true })
    )

    const produce = (name: string) =>
      Effect.gen(function* () {
        const producer = yield* Producer.make({ deliveryTimeout: "2 minutes" })
        for (let index = 0; index < drawn.records; index++) {
          const value = `${name}-${index}`
          yield* Effect.sleep(Math.floor(random.nextDoubleUnsafe() * 600))
          const exit = yield* Effect.exit(producer.send(topic, { key: name, value }))
          note(`${Exit.isSuccess(exit) ? "acknowledged" : "failed"} ${value}`)
          if (Exit.isSuccess(exit)) acknowledged.add(value)
        }
      }).pipe(Effect.scoped)

    const member = (name: string) =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.make({
          groupId,
          topics: [topic],
          fallback: "earliest",
          sessionTimeout: "10 seconds",
          heartbeatInterval: "1 second",
          autoCommitInterval: "2 seconds",
          maxPollInterval: "60 seconds"
        })
        const work = (records: ReadonlyArray<{ readonly key: string; readonly value: string }>) =>
          Effect.gen(function* () {
            yield* Effect.sleep(Math.floor(random.nextDoubleUnsafe() * 50))
            for (const { key, value } of records) {
              note(`processed ${value} by ${name}`)
              processed.set(value, (processed.get(value) ?? 0) + 1)
              const seen = orders.get(key)
              const index = Number(value.slice(value.lastIndexOf("-") + 1))
              if (seen === undefined) orders.set(key, [index])
              else seen.push(index)
            }
          })
        yield* consumer.run(work, drawn.perKey === 0 ? {} : { concurrency: { perKey: drawn.perKey } })
      }).pipe(Effect.scoped)

    const strike = (fault: Fault) =>
      Effect.gen(function* () {
        yield* Effect.sleep(fault.at)
        note(`fault ${JSON.stringify(fault)}`)
        switch (fault.kind) {
          case "move leader":
            // A broker that is down cannot lead.
            return yield* Effect.exit(broker.moveLeader("t", fault.partition, fault.node))
          case "move coordinator":
            return yield* broker.moveCoordinator("group", groupId, fault.node)
          case "stop broker":
            yield* broker.stopBroker(fault.node)
            yield* Effect.sleep(fault.duration)
            note(`broker ${fault.node} is back`)
            return yield* broker.startBroker(fault.node)
          case "rebalance":
            return yield* Effect.exit(broker.rebalance(groupId))
          case "clock jump":
            return time.jump(fault.milliseconds)
          default: {
            const reply = {
              "lose answer": Control.loseAnswer,
              close: Control.close,
              silence: Control.silence,
              refuse: Control.fail(refusals[fault.api])
            }[fault.kind]
            const scope = yield* Scope.make()
            yield* Scope.provide(broker.on<unknown, unknown>(apis[fault.api] as never, reply as never), scope)
            yield* Effect.sleep(5000)
            // That no such request came is no mistake here.
            return yield* Effect.exit(Scope.close(scope, Exit.void))
          }
        }
      })

    const members = yield* Effect.forEach(
      Array.from({ length: drawn.members }, (_, index) => `m${index}`),
      (name) => Effect.forkChild(member(name))
    )
    const producers = yield* Effect.forEach(
      Array.from({ length: drawn.producers }, (_, index) => `p${index}`),
      (name) => Effect.forkChild(produce(name))
    )
    const faults = yield* Effect.forkChild(
      Effect.forEach(drawn.faults, strike, { concurrency: "unbounded", discard: true })
    )
    yield* Fiber.join(faults)
    yield* Fiber.await(producers[0])
    for (const one of producers) yield* Fiber.await(one)
    note("all is produced, and nothing is wrong any more")
    const written = Effect.map(
      Effect.forEach(
        Array.from({ length: drawn.partitions }, (_, index) => index),
        (partition) => broker.records("t", partition)
      ),
      (all) => all.map((records) => records.map(({ value }) => Buffer.from(value!).toString()))
    )
    const values = (yield* written).flat()
    const until = time.now() + restWithin
    while (values.some((value) => !processed.has(value)) && time.now() < until) yield* Effect.sleep(100)
    for (const one of members) {
      const ended = one.pollUnsafe()
      if (ended !== undefined) problems.push(`a member has ended: ${JSON.stringify(ended)}`)
    }
    // What was never answered is given up meanwhile, and what was finished is committed.
    yield* Effect.sleep(healing)
    yield* Fiber.interruptAll(members)
    note("all members have left")

    const count = new Map<string, number>()
    for (const value of values) count.set(value, (count.get(value) ?? 0) + 1)
    for (const value of acknowledged) {
      if (count.get(value) !== 1)
        problems.push(`${value} was acknowledged, and is in the log ${count.get(value) ?? 0} times`)
    }
    for (const [value, times] of count) {
      if (times > 1) problems.push(`${value} is in the log ${times} times`)
      if (!processed.has(value)) problems.push(`${value} was never processed`)
    }
    for (const partition of yield* written) {
      for (let producer = 0; producer < drawn.producers; producer++) {
        const own = partition
          .filter((value) => value.startsWith(`p${producer}-`))
          .map((value) => Number(value.slice(3)))
        if (own.some((value, index) => index > 0 && value < own[index - 1])) {
          problems.push(`what producer p${producer} sent is in the log out of order: ${own}`)
        }
      }
    }
    const kafka = yield* Kafka.Kafka
    const reader = yield* Consumer.make({
      groupId,
      partitions: Array.from({ length: drawn.partitions }, (_, partition) => [topic, partition] as const),
      fallback: "earliest"
    }).pipe(Effect.provideService(Kafka.Kafka, kafka))
    const places = Array.from({ length: drawn.partitions }, (_, partition) => ({ topic: "t", partition }))
    const logs = yield* written
    for (const { offset, partition } of yield* reader.committed(places)) {
      if (offset !== undefined && Number(offset) > logs[partition].length) {
        problems.push(`partition ${partition} is committed at ${offset}, behind its end ${logs[partition].length}`)
      }
      if (offset === undefined || Number(offset) < logs[partition].length) {
        if (logs[partition].length > 0)
          problems.push(
            `partition ${partition} is committed at ${offset}, but all of its ${logs[partition].length} records have been finished`
          )
      }
    }
    return problems
  }).pipe(
    Effect.scoped,
    Effect.provide(
      TestBroker.layerKafka({
        brokers,
        network: "memory",
        topics: { t: drawn.partitions },
        settings: { "default.replication.factor": "3", "group.min.session.timeout.ms": "1000" }
      }).pipe(Layer.provideMerge(Logger.layer([])))
    )
  )
