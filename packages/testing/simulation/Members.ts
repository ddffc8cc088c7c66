/** Applications that consume: members of groups, each a process of its own, which begin again when they have failed. */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Assignor from "kafka-effect/Assignor"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Offsets from "kafka-effect/Offsets"
import type { RecordOf, TopicPartition } from "kafka-effect/Topic"
import type { Transport } from "kafka-effect/Transport"
import * as Cable from "./Cable.ts"
import * as Chance from "./Chance.ts"
import { type Handed, partitionsOf } from "./History.ts"
import type { GroupPlan, MemberPlan } from "./Plan.ts"
import { client, type Surroundings, topic } from "./Producers.ts"

type Record = RecordOf<typeof topic>

/** The application has failed to do its work on records. */
class WorkFailed extends Data.TaggedError("WorkFailed")<{ readonly member: string }> {}

/** How long a process takes to begin again after a failure, in milliseconds. */
const restartDelay = 500

/** A process that consumes. */
export interface Member {
  readonly name: string
  readonly cable: Cable.Cable
  readonly fiber: Fiber.Fiber<void>
  /** Ends its consumer in order. */
  readonly stop: Effect.Effect<void>
  /** From now on it does nothing more, and nobody hears of it. */
  readonly die: () => void
}

export interface Options {
  readonly surroundings: Surroundings
  readonly transport: Transport
  readonly tally: Cable.Tally
  readonly group: GroupPlan
  readonly member: MemberPlan
  /** Counts the processes of this member. */
  readonly process: number
  /** Whether faults are over: from then on no work fails, and nobody ends of himself. */
  readonly isWhole: () => boolean
  readonly onProblem: (problem: string) => void
}

const assignors = {
  "cooperative-sticky": Assignor.cooperativeSticky,
  range: Assignor.range,
  roundrobin: Assignor.roundRobin
} as const

const handed = ({ key, offset, partition, value }: Record): Handed => ({
  partition,
  offset: Number(offset),
  key,
  value
})

/** Starts the process, in the scope of the run. */
export const start = ({
  group,
  isWhole,
  member,
  onProblem,
  process,
  surroundings,
  tally,
  transport
}: Options): Effect.Effect<Member, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { history, plan, seed } = surroundings
    const cable = Cable.make(transport, tally, Chance.make(surroundings.seed, `${member.name} ${process} cable`))
    const chance = Chance.make(seed, `${member.name} ${process}`)
    const isPerKey = member.mode.kind === "run per key"
    const isRun = member.mode.kind === "run" || isPerKey
    let isDead = false
    let isStopping = false
    let stop: Effect.Effect<void> = Effect.void
    let attempts = 0

    /** What the dead do is not done. */
    const alive = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => (isDead ? Effect.never : effect))

    const work = (name: string, arrived: ReadonlyArray<Record>): Effect.Effect<void, WorkFailed> =>
      Effect.gen(function* () {
        const records = arrived.map(handed)
        history.add({ kind: "handed", group: group.name, member: name, records, isPerKey, isRun })
        const act = Effect.gen(function* () {
          const slowness = isWhole() ? 1 : chance.next()
          if (slowness < group.slow / 20) yield* Effect.sleep(chance.between(8000, 14_000))
          else if (slowness < group.slow) yield* Effect.sleep(chance.between(500, 4000))
          else if (chance.happens(0.5)) yield* Effect.sleep(chance.between(1, 50))
          if (chance.happens(group.failing) && !isWhole()) return yield* new WorkFailed({ member: name })
          yield* alive(Effect.void)
        })
        const end = (exit: Exit.Exit<void, WorkFailed>): Effect.Effect<void> =>
          Effect.sync(() => {
            const kind = Exit.isSuccess(exit) ? "finished" : "dropped"
            if (!isDead) history.add({ kind, group: group.name, member: name, records })
          })
        yield* Effect.onExit(act, end)
      })

    const consume = (name: string, consumer: Consumer.Consumer<typeof topic>) => {
      const doIt = (records: ReadonlyArray<Record>) => alive(work(name, records))
      const byHand = (records: ReadonlyArray<Record>) =>
        Effect.andThen(
          doIt(records),
          // What is another's by now is not committed, and was told.
          Effect.catchReason(consumer.commit(Offsets.of(records)), "CommitError", "PartitionLost", () => Effect.void)
        )
      const { mode } = member
      switch (mode.kind) {
        case "run":
          return consumer.run(doIt, { retry: Schedule.spaced("200 millis") })
        case "run per key":
          return consumer.run(doIt, { retry: Schedule.spaced("200 millis"), concurrency: { perKey: mode.keys } })
        case "records, committing by hand":
          return Stream.runForEachArray(consumer.records, byHand)
        case "records, into the committing sink":
          return consumer.records.pipe(
            Stream.mapArrayEffect((records) => Effect.as(doIt(records), records)),
            Stream.run(consumer.committing({ every: "500 millis" })),
            Effect.catchReason("CommitError", "PartitionLost", () => Effect.void)
          )
        case "records, committing by itself":
          return Stream.runForEachArray(consumer.records, doIt)
      }
    }

    const once = Effect.gen(function* () {
      const name = `${member.name}.${process}.${attempts++}`
      const told = (kind: "assigned" | "revoked" | "lost") => (places: ReadonlyArray<TopicPartition>) =>
        alive(
          Effect.sync(() => history.add({ kind, group: group.name, member: name, partitions: partitionsOf(places) }))
        )
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (!isDead) history.add({ kind: "gone", group: group.name, member: name })
        })
      )
      const kafka = yield* client(surroundings, cable, name)
      const consumer = yield* Consumer.make({
        groupId: group.name,
        topics: [topic],
        fallback: "earliest",
        assignors: [assignors[group.assignor]],
        sessionTimeout: group.sessionTimeout,
        heartbeatInterval: "1500 millis",
        autoCommitInterval: "1 second",
        commitTimeout: "20 seconds",
        maxPollInterval: "20 seconds",
        fetchMaxWait: plan.fetchMaxWait,
        maxPollRecords: group.maxPollRecords,
        prefetchBytes: group.prefetchBytes,
        enableAutoCommit: member.mode.kind === "records, committing by itself",
        ...(group.isStatic ? { groupInstanceId: member.name } : {}),
        listener: { onAssigned: told("assigned"), onRevoked: told("revoked"), onLost: told("lost") }
      }).pipe(Effect.provideService(Kafka.Kafka, kafka))
      stop = consumer.stop
      yield* consume(name, consumer)
    }).pipe(Effect.scoped)

    const failed = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
      if (isDead || Cause.hasInterruptsOnly(cause)) return Effect.void
      history.note(() => `${member.name} has failed: ${Cause.prettyErrors(cause)[0]?.message}`)
      // Work that failed before may take until now to come to its end.
      const isWork = Cause.squash(cause) instanceof WorkFailed
      if (isWhole() && !isWork) onProblem(`${member.name} has ended though nothing was wrong: ${Cause.pretty(cause)}`)
      if (Cause.hasDies(cause)) onProblem(`${member.name} has a defect: ${Cause.pretty(cause)}`)
      return Effect.sleep(restartDelay)
    }

    const living: Effect.Effect<void> = Effect.gen(function* () {
      while (!isStopping && !isDead) {
        const exit = yield* Effect.exit(once)
        if (Exit.isFailure(exit)) yield* failed(exit.cause)
        else if (!isStopping) {
          onProblem(`${member.name} has ended of itself`)
          return
        }
      }
    })
    const fiber = yield* Effect.forkScoped(living)
    return {
      name: member.name,
      cable,
      fiber,
      stop: Effect.suspend(() => {
        isStopping = true
        return stop
      }),
      die: () => {
        isDead = true
        history.add({ kind: "gone", group: group.name, member: `${member.name}.${process}.${attempts - 1}` })
      }
    }
  })
