/** Whole consumers in a scripted group: one broker that leads the topic's partitions and coordinates the group. */
import { it } from "@effect/vitest"
import { Effect, Logger, Scope, Stream } from "effect"
import type * as Consumer from "../src/Consumer.ts"
import * as ConsumerService from "../src/internal/consumer/ConsumerService.ts"
import * as Serde from "../src/Serde.ts"
import * as Topic from "../src/Topic.ts"
import type { Offered } from "./ScriptedBroker.ts"
import { append, make } from "./ScriptedFetches.ts"
import * as ScriptedGroup from "./ScriptedGroup.ts"
import * as ScriptedOffsets from "./ScriptedOffsets.ts"

/** Values that begin with `!` cannot be decoded. */
const picky: Serde.Serde<string> = {
  ...Serde.string,
  decode: (bytes, context) => {
    const text = Serde.string.decode(bytes, context)
    if (text.startsWith("!")) throw new Error("poison")
    return text
  }
}

export const topic = Topic.topic("t", { key: Serde.bytes, value: picky })

export type Options = Partial<Consumer.Options<typeof topic>>

/** A topic of so many partitions, led by one broker that coordinates too. */
export const start = (partitions: number, offered?: Offered) =>
  Effect.gen(function* () {
    const self = yield* make(1, partitions, offered === undefined ? {} : { offered })
    const coordinator = yield* ScriptedGroup.make(self.scripted)
    const offsets = ScriptedOffsets.make(self.scripted)
    const [broker] = self.scripted.brokers
    const consume = (options: Options = {}) =>
      Effect.gen(function* () {
        const seen: Array<Consumer.ConsumerEvent> = []
        const events: Array<string> = []
        const consumer = yield* ConsumerService.make(self.cluster, {
          groupId: "g",
          ...(options.partitions === undefined ? { topics: [topic] } : {}),
          fallback: "earliest",
          heartbeatInterval: "40 millis",
          sessionTimeout: "3 seconds",
          maxPollInterval: "4 seconds",
          drainTimeout: "1 second",
          autoCommitInterval: "50 millis",
          fetchMaxWait: "30 millis",
          ...options
        })
        yield* consumer.events.pipe(
          Stream.runForEach((event) =>
            Effect.sync(() => {
              seen.push(event)
              events.push(event._tag)
            })
          ),
          Effect.forkScoped({ startImmediately: true })
        )
        return Object.assign(consumer, { events_: events, seen })
      })
    /** In a scope of its own. */
    const consumeIn = (scope: Scope.Scope, options?: Options) => Scope.provide(consume(options), scope)
    const write = (partition: number, from: number, count: number, perBatch = count) => {
      for (let at = from; at < from + count; at += perBatch)
        append(
          self.logs[partition],
          Array.from({ length: perBatch }, (_, index) => String(at + index))
        )
    }
    return Object.assign(self, {
      coordinator,
      group: coordinator.group("g"),
      offsets,
      broker,
      consume,
      consumeIn,
      write
    })
  })

export type Context = Effect.Success<ReturnType<typeof start>>

export const live = (
  name: string,
  partitions: number,
  test: (context: Context) => Effect.Effect<void, unknown, Scope.Scope>,
  timeout = 15_000,
  offered?: Offered
) =>
  it.live(name, () => Effect.flatMap(start(partitions, offered), test).pipe(Effect.provide(Logger.layer([]))), timeout)

export const assigned = (consumer: Consumer.Consumer<typeof topic>, count: number) =>
  Effect.gen(function* () {
    while ((yield* consumer.assignment).length !== count) yield* Effect.sleep(5)
  }).pipe(Effect.timeout("8 seconds"))
