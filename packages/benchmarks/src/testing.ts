/**
 * The broker inside the process, with a client in the same process, over TCP: how long it takes to start, and 1,000,000
 * records of 100 bytes with 10-byte keys in and out of 6 partitions. Each way runs in a process of its own, several rounds
 * in turn.
 *
 * Run it with `node packages/benchmarks/src/testing.ts`.
 */
import * as TestBroker from "@kafka-effect/testing/TestBroker"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { inChild, type Measured, measured, serve, type Way } from "./Rounds.ts"

const total = 1_000_000
const partitions = 6
const rounds = 3

const topic = Kafka.topic("bench", { key: Serde.bytes, value: Serde.bytes })

const records = Array.from({ length: 1000 }, (_, index) => ({
  key: Buffer.from(String(index).padStart(10, "0")),
  value: Buffer.from(`order ${index} `.padEnd(100, "abcdefghij"))
}))

const produce = (count: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make()
    yield* Stream.range(1, count / records.length).pipe(
      Stream.flatMap(() => Stream.fromArray(records)),
      Stream.run(producer.sink(topic))
    )
  }).pipe(Effect.scoped)

const consume = (count: number) =>
  Effect.gen(function* () {
    let read = 0
    yield* Consumer.assign({
      partitions: Array.from({ length: partitions }, (_, partition) => [topic, partition, "earliest"] as const),
      until: "end"
    }).pipe(
      Stream.runForEachArray((records) =>
        Effect.sync(() => {
          read += records.length
        })
      )
    )
    if (read !== count) throw new Error(`${read} records of ${count} were read`)
  })

/** What is timed, behind what comes before it: both against one cluster. */
const against = <E, E2>(
  before: Effect.Effect<void, E, Kafka.Kafka>,
  work: Effect.Effect<void, E2, Kafka.Kafka>
): Promise<Measured> =>
  Effect.gen(function* () {
    yield* before
    const services = yield* Effect.context<Kafka.Kafka>()
    return yield* Effect.promise(() =>
      measured(total, () => Effect.runPromise(Effect.as(Effect.provideContext(work, services), undefined)))
    )
  }).pipe(Effect.provide(TestBroker.layerKafka({ topics: { bench: partitions } })), Effect.runPromise)

const starts = 100

const ways: Record<string, Way> = {
  // The first one compiles and is not counted.
  "start and stop": async () => {
    const once = () => Effect.runPromise(Effect.scoped(TestBroker.make({ brokers: 1, topics: { bench: partitions } })))
    await once()
    return measured(starts, async () => {
      for (let index = 0; index < starts; index++) await once()
      return undefined
    })
  },
  "in: sink": () => against(Effect.void, produce(total)),
  "out: assign, by arrays": () => against(produce(total), consume(total))
}

const main = async (): Promise<void> => {
  const best = new Map<string, Measured>()
  for (let round = 0; round < rounds; round++) {
    for (const way of Object.keys(ways)) {
      const result = await inChild(import.meta.filename, way, [])
      const other = best.get(way)
      if (other === undefined || result.recordsPerSecond > other.recordsPerSecond) best.set(way, result)
    }
  }
  console.table(
    [...best].map(([way, { cpuMicros, recordsPerSecond, rssMegabytes }]) => ({
      way,
      "per second": Math.round(recordsPerSecond).toLocaleString("en"),
      "CPU µs each": cpuMicros.toFixed(2),
      "peak MB": Math.round(rssMegabytes)
    }))
  )
}

if (!(await serve(ways))) await main()
