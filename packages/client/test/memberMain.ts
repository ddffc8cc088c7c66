/**
 * A member of a group in a process of its own, which prints what it does as lines of JSON (`MemberLine`). Its settings are
 * its only argument; `SIGTERM` makes it stop in order.
 */
import { writeSync } from "node:fs"
import { Cause, Effect, Fiber, Logger, Stream } from "effect"
import * as Assignor from "../src/Assignor.ts"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Serde from "../src/Serde.ts"
import type { TopicPartition } from "../src/Topic.ts"

export interface MemberSettings {
  readonly bootstrapServers: ReadonlyArray<string>
  /** A name, or the source of a pattern between slashes. */
  readonly topic: string
  readonly groupId: string
  readonly groupInstanceId?: string
  readonly assignor?: "range" | "roundrobin" | "sticky" | "cooperative-sticky"
  /** Milliseconds, as all times here. */
  readonly sessionTimeout: number
  readonly heartbeatInterval: number
  readonly maxPollInterval: number
  readonly autoCommitInterval: number
  readonly metadataMaxAge: number
  /** What the work on an array of records takes. */
  readonly work: number
  /** The first array with a value from this number on blocks the process for so long. */
  readonly block?: { readonly from: number; readonly millis: number }
}

/** `at`: microseconds of a clock that all processes of the machine share. */
export type MemberLine = { readonly at: number } & (
  | { readonly what: "assigned" | "revoked" | "lost"; readonly partitions: ReadonlyArray<TopicPartition> }
  | {
      /** Work on these records begins; */
      readonly what: "begin"
      readonly topic: string
      readonly partition: number
      readonly offsets: ReadonlyArray<number>
      readonly values: ReadonlyArray<string>
    }
  /** Work on records up to `last` has ended. */
  | { readonly what: "done"; readonly topic: string; readonly partition: number; readonly last: number }
  | {
      readonly what: "committed"
      readonly offsets: ReadonlyArray<readonly [topic: string, partition: number, offset: number]>
    }
  | { readonly what: "log" | "failed"; readonly text: string }
  | { readonly what: "ready" | "stopped" }
)

type WithoutTime<A> = A extends unknown ? Omit<A, "at"> : never

export const machineMicros = (): number => Number(process.hrtime.bigint() / BigInt(1000))

// The standard output is a file: what was printed stays, however the process ends.
const print = (line: WithoutTime<MemberLine>): void =>
  void writeSync(1, `${JSON.stringify({ at: machineMicros(), ...line })}\n`)

const assignors = {
  range: Assignor.range,
  roundrobin: Assignor.roundRobin,
  sticky: Assignor.sticky,
  "cooperative-sticky": Assignor.cooperativeSticky
}

const say = (what: "assigned" | "revoked" | "lost") => (partitions: ReadonlyArray<TopicPartition>) =>
  Effect.sync(() => print({ what, partitions }))

const blockFor = (millis: number): void => {
  const until = machineMicros() + millis * 1000
  while (machineMicros() < until);
}

const main = Effect.fnUntraced(function* (settings: MemberSettings) {
  const { assignor = "cooperative-sticky", block, groupInstanceId, topic, work } = settings
  const serdes = { key: Serde.nullable(Serde.string), value: Serde.string }
  const topics = topic.startsWith("/")
    ? Consumer.pattern(new RegExp(topic.slice(1, -1)), serdes)
    : [Kafka.topic(topic, serdes)]
  const consumer = yield* Consumer.make({
    groupId: settings.groupId,
    groupInstanceId,
    topics,
    assignors: [assignors[assignor]],
    fallback: "earliest",
    sessionTimeout: settings.sessionTimeout,
    heartbeatInterval: settings.heartbeatInterval,
    maxPollInterval: settings.maxPollInterval,
    autoCommitInterval: settings.autoCommitInterval,
    fetchMaxWait: 200,
    listener: { onAssigned: say("assigned"), onRevoked: say("revoked"), onLost: say("lost") }
  })
  yield* consumer.events.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag !== "Committed") return
        print({
          what: "committed",
          offsets: [...event.offsets].map(({ offset, partition, topic }) => [topic, partition, Number(offset)])
        })
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  let hasBlocked = false
  const running = yield* Effect.forkChild(
    consumer.run((records) =>
      Effect.suspend(() => {
        const { partition, topic } = records[0]
        const offsets = records.map(({ offset }) => Number(offset))
        const values = records.map(({ value }) => value)
        print({ what: "begin", topic, partition, offsets, values })
        if (block !== undefined && !hasBlocked && values.some((value) => Number(value) >= block.from)) {
          hasBlocked = true
          blockFor(block.millis)
        }
        return Effect.andThen(
          work > 0 ? Effect.sleep(work) : Effect.void,
          Effect.sync(() => print({ what: "done", topic, partition, last: offsets.at(-1) ?? -1 }))
        )
      })
    )
  )
  const asked = Effect.callback<void>((resume) => {
    process.once("SIGTERM", () => resume(Effect.void))
  })
  yield* Effect.forkChild(Effect.andThen(asked, consumer.stop))
  print({ what: "ready" })
  yield* Fiber.join(running)
})

if (import.meta.main) {
  const settings: MemberSettings = JSON.parse(process.argv[2])
  const logger = Logger.make(({ message }) => print({ what: "log", text: [message].flat().join(" ") }))
  const { bootstrapServers, metadataMaxAge } = settings
  main(settings).pipe(
    Effect.scoped,
    Effect.provide(Kafka.layer({ bootstrapServers, metadataMaxAge, requestTimeout: 5000 })),
    Effect.provide(Logger.layer([logger])),
    Effect.matchCause({
      onFailure: (cause) => print({ what: "failed", text: Cause.pretty(cause) }),
      onSuccess: () => print({ what: "stopped" })
    }),
    Effect.runPromise
  )
}
