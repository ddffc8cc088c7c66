/**
 * The main job: typed orders go through a Sink into Kafka, and come out of it as a Stream.
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Orders from "./Orders.ts"
import * as Progress from "./Progress.ts"

/** Orders per run of the Sink: it ends when all of them are acknowledged. */
const wave = 5000

/** What came of it. */
export interface Result extends Progress.Progress {
  /** Milliseconds from the first order that was produced to the last that was consumed. */
  readonly duration: number
}

/** Produces and consumes `total` orders over `partitions` partitions of a new topic. */
export const run = Effect.fnUntraced(function* (name: string, total: number, partitions: number) {
  const kafka = yield* Kafka.Kafka
  const created = yield* kafka.request("controller", CreateTopics, {
    topics: [{ name, numPartitions: partitions, replicationFactor: 1 }],
    timeoutMs: 30_000
  })
  const { errorCode, errorMessage } = created.topics[0]
  if (errorCode !== 0) yield* Effect.die(new Error(`topic ${name}: ${errorMessage ?? ErrorCode.of(errorCode).text}`))
  const topic = Orders.topic(name)
  const progress: Progress.Progress = {
    total,
    acknowledged: 0,
    consumed: 0,
    disordered: 0,
    partitions: Array.from({ length: partitions }, () => 0)
  }

  const produce = Effect.gen(function* () {
    const producer = yield* Producer.Producer
    for (let start = 0; start < total; start += wave) {
      const end = Math.min(start + wave, total)
      yield* Stream.range(start, end - 1).pipe(
        Stream.map(Orders.make),
        Stream.map((order) => ({ key: order.customer, value: order })),
        Stream.run(producer.sink(topic))
      )
      progress.acknowledged = end
    }
  })

  const next = new Map<string, number>()
  const consume = Consumer.assign({
    partitions: progress.partitions.map((_, partition) => [topic, partition, "earliest"] as const)
  }).pipe(
    Stream.take(total),
    Stream.runForEachArray((records) =>
      Effect.sync(() => {
        for (const { partition, value: order } of records) {
          if ((next.get(order.customer) ?? 0) !== order.sequence) progress.disordered++
          next.set(order.customer, order.sequence + 1)
          progress.partitions[partition]++
        }
        progress.consumed += records.length
      })
    )
  )

  const display = yield* Effect.forkChild(Progress.show(progress), { startImmediately: true })
  const start = performance.now()
  yield* Effect.all([produce, consume], { concurrency: 2, discard: true })
  const duration = performance.now() - start
  yield* Fiber.interrupt(display)
  return { ...progress, duration } satisfies Result
})
