/** What a consumer tells of itself: metrics, and spans with links to the producers'. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Deferred, Effect, Fiber, Metric, Tracer } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

const name = `telemetry-${process.pid}-${Math.round(performance.timeOrigin)}`
const topic = Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })

const consumed = (clientId: string) =>
  Effect.gen(function* () {
    const { request } = yield* Kafka.Kafka
    const topics = [{ name, numPartitions: 1, replicationFactor: 1 }]
    yield* request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    const producer = yield* Producer.make({ linger: 0, traceContext: true })
    const records = Array.from({ length: 100 }, (_, index) => ({ key: null, value: String(index) }))
    const traceId = yield* Effect.withSpan(
      Effect.andThen(
        producer.sendAll(topic, records),
        Effect.map(Effect.currentSpan, (span) => span.traceId)
      ),
      "caller"
    )
    const consumer = yield* Consumer.make({
      groupId: `${name}-${clientId}`,
      topics: [topic],
      fallback: "earliest",
      heartbeatInterval: "100 millis"
    })
    const done = yield* Deferred.make<void>()
    let count = 0
    const running = yield* Effect.forkChild(
      consumer.run((found) =>
        Effect.suspend(() => {
          count += found.length
          return count >= 100 ? Effect.asVoid(Deferred.succeed(done, undefined)) : Effect.void
        })
      )
    )
    yield* Deferred.await(done)
    const lag = yield* consumer.lag
    // Lags are measured every five seconds.
    yield* Effect.sleep("5200 millis")
    yield* consumer.stop
    yield* Fiber.join(running)
    return { lag, traceId }
  }).pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrapServers, clientId })))

describeBrokers("Consumer telemetry", () => {
  it.live("metrics of fetches, records, commits, rebalances, heartbeats and lag; spans with links", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const { lag, traceId } = yield* Effect.withTracer(consumed("measured-consumer"), tracer)
      assert.deepStrictEqual(lag, [{ topic: name, partition: 0, lag: 0n }])
      const all = (yield* Metric.snapshot).filter(
        ({ attributes }) => attributes?.["client.id"] === "measured-consumer" && attributes?.group !== undefined
      )
      const state = (id: string) =>
        // Counters and histograms have a count, gauges a value.
        all.find((metric) => metric.id === `kafka.consumer.${id}`)?.state as
          | { readonly count: number; readonly value: number }
          | undefined
      assert.strictEqual(Number(state("records")?.count), 100)
      for (const id of ["bytes", "fetches", "commits", "rebalances", "heartbeats", "fetch.size", "fetch.latency"]) {
        assert.isAbove(Number(state(id)?.count), 0, id)
      }
      assert.strictEqual(Number(state("lag")?.value), 0)
      const processed = spans.filter((span) => span.name === `process ${name}`)
      assert.isAtLeast(processed.length, 1)
      const [{ attributes, kind, links }] = processed
      assert.strictEqual(kind, "consumer")
      assert.isTrue(links.length > 0 && links.every(({ span }) => span.traceId === traceId))
      assert.deepInclude(Object.fromEntries(attributes), {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": name,
        "messaging.consumer.group.name": `${name}-measured-consumer`
      })
      assert.isAbove(spans.filter((span) => span.name === `receive ${name}`).length, 0)
    })
  )
})
