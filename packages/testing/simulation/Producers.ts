/** Applications that produce: bursts of records, each with its outcome. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import type { ProducerError } from "kafka-effect/ProducerError"
import * as Serde from "kafka-effect/Serde"
import type { RecordMetadata } from "kafka-effect/Topic"
import * as Transport from "kafka-effect/Transport"
import type * as Cable from "./Cable.ts"
import * as Chance from "./Chance.ts"
import * as Faults from "./Faults.ts"
import type { History } from "./History.ts"
import type { Plan, ProducerPlan } from "./Plan.ts"

export const topic = Kafka.topic(Faults.topic, { key: Serde.string, value: Serde.string })

/** How long a client waits for an answer: short, so that a run need not be long. */
export const requestTimeout = 5000

/** What all clients of a run have in common. */
export interface Surroundings {
  readonly seed: string
  readonly plan: Plan
  readonly history: History
  readonly now: () => number
  readonly bootstrapServers: ReadonlyArray<string>
}

/** A client at the end of a cable, for as long as the scope. */
export const client = ({ bootstrapServers }: Surroundings, { transport }: Cable.Cable, clientId: string) =>
  Kafka.make({ bootstrapServers, clientId, requestTimeout }).pipe(Effect.provideService(Transport.Transport, transport))

/** Whether the record may be in the log, as far as the error says. */
const mayBeWritten = ({ reason }: ProducerError): boolean => ("maybeWritten" in reason ? reason.maybeWritten : false)

/** Sends all its records, waits until it is time for the last, and sends one to each partition. */
export const run = (
  { history, now, plan, seed, ...surroundings }: Surroundings,
  cable: Cable.Cable,
  { burst, duration, name, records, ...options }: ProducerPlan,
  untilLast: Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const chance = Chance.make(seed, name)
    const kafka = yield* client({ history, now, plan, seed, ...surroundings }, cable, name)
    const producer = yield* Producer.make({
      acks: options.acks,
      enableIdempotence: options.isIdempotent,
      linger: options.linger,
      batchSize: options.batchSize,
      bufferMemory: options.bufferMemory,
      deliveryTimeout: options.deliveryTimeout
    }).pipe(Effect.provideService(Kafka.Kafka, kafka))

    const noteOutcome = (value: string, exit: Exit.Exit<RecordMetadata, ProducerError | Serde.SerdeError>): void => {
      const at = now()
      if (Exit.isSuccess(exit)) {
        const { offset, partition } = exit.value
        const known = Option.isSome(offset) && offset.value >= 0 ? Number(offset.value) : undefined
        return void history.add({ kind: "acknowledged", producer: name, value, at, partition, offset: known })
      }
      const error = Option.getOrUndefined(Exit.findErrorOption(exit))
      history.add({
        kind: "failed",
        producer: name,
        value,
        at,
        maybeWritten: error?._tag === "ProducerError" ? mayBeWritten(error) : true,
        reason: error?._tag === "ProducerError" ? error.reason._tag : "",
        message: error?.message ?? "it was interrupted"
      })
    }

    let sent = 0
    /** Sends one; gives its outcome, which is noted when it is there. */
    const send = Effect.fnUntraced(function* (partition?: number) {
      const value = `${name}-${sent++}`
      const key = `k${chance.below(plan.keys)}`
      history.add({ kind: "sent", producer: name, value, at: now() })
      const outcome = yield* Effect.exit(producer.enqueue(topic, { key, value, partition }))
      if (Exit.isFailure(outcome)) {
        noteOutcome(value, Exit.failCause(outcome.cause))
        return Effect.void
      }
      const waiting = yield* Effect.forkChild(
        Effect.map(Effect.exit(outcome.value), (exit) => noteOutcome(value, exit)),
        { startImmediately: true }
      )
      return Fiber.join(waiting)
    })

    const bursts = Math.ceil((2 * records) / (burst + 1))
    const outcomes: Array<Effect.Effect<void>> = []
    while (sent < records) {
      const together = Math.min(chance.between(1, burst), records - sent)
      for (let index = 0; index < together; index++) outcomes.push(yield* send())
      yield* Effect.sleep(chance.next() * ((2 * duration) / bursts))
    }
    yield* Effect.all(outcomes, { discard: true })
    yield* untilLast
    const last = yield* Effect.forEach(
      Array.from({ length: plan.partitions }, (_, partition) => partition),
      send
    )
    yield* Effect.all(last, { discard: true })
  }).pipe(Effect.scoped)
