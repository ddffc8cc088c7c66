/** One run: a plan is carried out over a cluster in virtual time; what does not hold afterwards is what it gives. */
import { OffsetCommit, type OffsetCommitRequest } from "@kafka-effect/protocol/messages/OffsetCommit"
import { SyncGroup, type SyncGroupRequest } from "@kafka-effect/protocol/messages/SyncGroup"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestBroker from "../src/TestBroker.ts"
import * as Cable from "./Cable.ts"
import * as Chance from "./Chance.ts"
import * as Checks from "./Checks.ts"
import * as Faults from "./Faults.ts"
import * as History from "./History.ts"
import * as Plan from "./Plan.ts"
import * as Producers from "./Producers.ts"
import * as Troupe from "./Troupe.ts"
import * as VirtualTime from "./VirtualTime.ts"

/** Virtual milliseconds after which a run is stuck. */
const limit = 600_000

/** How long all may take to come to rest once nothing is wrong any more, and new records then: virtual milliseconds. */
const restWithin = 60_000
const settleWithin = 11_000
const quietWithin = 5000

export interface Result {
  readonly problems: ReadonlyArray<string>
  readonly lines: ReadonlyArray<string>
}

/** What requests tell of members: how they are known, and what they commit. */
const watch = (
  broker: TestBroker.Service,
  history: History.History,
  ids: Map<string, { readonly groupId: string; readonly memberId: string }>
): Effect.Effect<void, never, Scope.Scope> => {
  const noteCommit = (member: string, { groupId, topics }: OffsetCommitRequest): Effect.Effect<void> => {
    for (const { partitions } of topics) {
      for (const { committedOffset, partitionIndex: partition } of partitions) {
        history.add({ kind: "commit", group: groupId, member, partition, offset: Number(committedOffset) })
      }
    }
    return Effect.map(broker.committed(groupId), (all) => {
      for (const { offset, partition } of all) {
        history.add({ kind: "committed", group: groupId, partition, offset: Number(offset) })
      }
    })
  }
  return broker.requests.pipe(
    Stream.runForEach(({ api, clientId, connection, message, node, version }) => {
      const name = clientId ?? ""
      history.note(() => `${name} asks ${node} for ${api} v${version} on ${connection}`)
      // The API's name says what its message is.
      if (api === OffsetCommit.name) return noteCommit(name, message as OffsetCommitRequest)
      if (api === SyncGroup.name) {
        const { generationId: generation, groupId, memberId } = message as SyncGroupRequest
        ids.set(name.slice(0, name.indexOf(".")), { groupId, memberId })
        history.add({ kind: "joined", group: groupId, member: name, generation })
      }
      return Effect.void
    }),
    Effect.forkScoped({ startImmediately: true }),
    Effect.asVoid
  )
}

const logsOf = (broker: TestBroker.Service, partitions: number) =>
  Effect.forEach(
    Array.from({ length: partitions }, (_, partition) => partition),
    (partition) =>
      Effect.map(broker.records(Faults.topic, partition), (records) =>
        records.map(
          ({ key, offset, value }): Checks.Logged => ({
            offset: Number(offset),
            key: Buffer.from(key!).toString(),
            value: Buffer.from(value!).toString()
          })
        )
      )
  )

const isLoss = (event: History.Event, group: string, partition: number): boolean =>
  event.kind === "lost" && event.group === group && event.partitions.includes(partition)

/** What is not at rest yet: records that a group has not finished, or not committed. */
const unrest = Effect.fnUntraced(function* (broker: TestBroker.Service, plan: Plan.Plan, history: History.History) {
  const logs = yield* logsOf(broker, plan.partitions)
  const problems: Array<string> = [...Checks.processing({ plan, logs, events: history.events, healedAt: 0 })]
  for (const { name } of plan.groups) {
    const committed = yield* broker.committed(name)
    for (const [partition, log] of logs.entries()) {
      const end = log.length === 0 ? 0 : log[log.length - 1].offset + 1
      const offset = committed.find((one) => one.partition === partition)?.offset
      // Who has lost a partition before anything was committed goes on where he stood, if it comes back to him.
      if (offset === undefined && history.events.some((event) => isLoss(event, name, partition))) continue
      if (Number(offset ?? 0) < end) {
        problems.push(`${name} has committed ${partition}/${offset}, and the log ends at ${end}`)
      }
    }
  }
  return [...problems, ...Checks.unowned({ plan, events: history.events })]
})

const comeToRest = Effect.fnUntraced(function* (
  { broker, plan, time }: { broker: TestBroker.Service; plan: Plan.Plan; time: VirtualTime.VirtualTime },
  history: History.History,
  within: number
) {
  const until = time.now() + within
  while (true) {
    const problems = yield* unrest(broker, plan, history)
    if (problems.length === 0) return []
    if (time.now() >= until) return problems.map((problem) => `${within} ms after all was well: ${problem}`)
    yield* Effect.sleep(250)
  }
})

const scenario = (
  seed: string,
  plan: Plan.Plan,
  time: VirtualTime.VirtualTime,
  history: History.History,
  tally: Cable.Tally,
  problems: Array<string>
) =>
  Effect.gen(function* () {
    const { note } = history
    const broker = yield* TestBroker.TestBroker
    const { bootstrapServers, transport } = broker
    const surroundings: Producers.Surroundings = { seed, plan, history, now: time.now, bootstrapServers }
    const ids = new Map<string, { readonly groupId: string; readonly memberId: string }>()
    yield* watch(broker, history, ids)

    let isWhole = false
    let healedAt = 0
    let producing = plan.producers.length
    const produced = yield* Deferred.make<void>()
    const last = yield* Deferred.make<void>()
    const untilLast = Effect.suspend(() => {
      if (--producing === 0) Deferred.doneUnsafe(produced, Exit.void)
      return Deferred.await(last)
    })
    const onProblem = (problem: string): void => void problems.push(problem)
    const troupe = yield* Troupe.make({ surroundings, transport, tally, isWhole: () => isWhole, onProblem })
    for (const group of plan.groups) for (const member of group.members) yield* troupe.start(group, member)
    const cables = new Map(
      plan.producers.map(({ name }) => [name, Cable.make(transport, tally, Chance.make(seed, `${name} cable`))])
    )
    const cableOf = (client: string): Cable.Cable | undefined => cables.get(client) ?? troupe.living.get(client)?.cable
    const producers = yield* Effect.forEach(plan.producers, (producer) =>
      Effect.forkScoped(
        Producers.run(surroundings, cables.get(producer.name)!, producer, untilLast).pipe(
          Effect.catchCause((cause) =>
            Effect.sync(() => void problems.push(`${producer.name} has failed: ${Cause.pretty(cause)}`))
          )
        )
      )
    )
    yield* Effect.forEach(
      plan.faults,
      (fault) =>
        Faults.strike(
          {
            ...troupe,
            broker,
            note,
            jump: time.jump,
            idOf: (member) => ids.get(member),
            slow: (client, latency, duration) => cableOf(client)?.slow(latency, duration) ?? Effect.void,
            isolate: (client, how, milliseconds) => cableOf(client)?.isolate(how, milliseconds) ?? Effect.void
          },
          fault
        ),
      { concurrency: "unbounded", discard: true }
    )
    isWhole = true
    healedAt = time.now()
    yield* troupe.atLeastOne
    note(() => "nothing is wrong any more")
    yield* Deferred.await(produced)
    problems.push(...(yield* comeToRest({ broker, plan, time }, history, restWithin)))
    // Fetches that are under way when partitions move may hold up what comes first, and the dead are missed late.
    yield* Effect.sleep(settleWithin)
    note(() => "a last record goes to each partition")
    yield* Deferred.succeed(last, undefined)
    const started = time.now()
    yield* Fiber.awaitAll(producers)
    if (time.now() - started > quietWithin) problems.push(`the last records took ${time.now() - started} ms`)
    problems.push(...(yield* comeToRest({ broker, plan, time }, history, quietWithin)))
    yield* troupe.end
    // While brokers are there still: what they cut when they go proves nothing.
    if (tally.sockets > 0) problems.push(`${tally.sockets} sockets are open though their clients have ended`)
    note(() => "all have left")
    const logs = yield* logsOf(broker, plan.partitions)
    problems.push(...Checks.all.flatMap((check) => check({ plan, events: history.events, logs, healedAt })))
  }).pipe(
    Effect.scoped,
    Effect.provide(
      TestBroker.layer({
        brokers: Plan.brokers,
        network: "memory",
        topics: { [Faults.topic]: plan.partitions },
        settings: { "default.replication.factor": "3", "group.min.session.timeout.ms": "1000" }
      })
    ),
    Effect.provide(Logger.layer([]))
  )

/** Carries out a plan under a seed. */
export const run = async (seed: string, plan: Plan.Plan, isRead: boolean): Promise<Result> => {
  const tally: Cable.Tally = { sockets: 0 }
  const problems: Array<string> = []
  const resources = process.getActiveResourcesInfo().length
  let lines: ReadonlyArray<string> = []
  const { exit, fibers, timers } = await VirtualTime.run(seed, limit, (time) => {
    const history = History.make(time.now, isRead)
    lines = history.lines
    return scenario(seed, plan, time, history, tally, problems)
  })
  if (exit === undefined) return { problems: [...problems, "nobody goes on: it is stuck"], lines }
  if (Exit.isFailure(exit)) return { problems: [...problems, Cause.pretty(exit.cause)], lines }
  const left = {
    fibers,
    timers,
    sockets: tally.sockets,
    resources: process.getActiveResourcesInfo().length - resources
  }
  for (const [what, count] of Object.entries(left)) if (count > 0) problems.push(`${count} ${what} are left behind`)
  return { problems, lines }
}
