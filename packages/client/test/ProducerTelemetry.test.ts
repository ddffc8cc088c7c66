/** What a producer tells of itself: metrics, spans, trace context in headers. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import type { Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { Effect, Metric, Tracer } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import { ScriptedLog } from "./ScriptedLog.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })

const scripted = (clientId: string) =>
  Effect.gen(function* () {
    const cluster = yield* ScriptedCluster.make(1, { offered: { Produce: [0, 12] } })
    cluster.topics.set("t", { partitions: [{ leader: 1, epoch: 1 }] })
    const log = new ScriptedLog()
    log.serve(cluster.brokers[0])
    const kafka = yield* Kafka.make({
      bootstrapServers: [cluster.brokers[0].address],
      clientId,
      retryBackoff: "5 millis"
    })
    const make = (options: Producer.Options = {}) =>
      Effect.provideService(Producer.make({ linger: 0, ...options }), Kafka.Kafka, kafka)
    return { cluster, log, make }
  })

/** The producer's metrics of a client. */
const metricsOf = (clientId: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      new Map(
        all
          .filter(({ attributes }) => attributes?.["client.id"] === clientId)
          .map(({ id, state }) => [
            id.replace("kafka.producer.", ""),
            state as { count: number | bigint; value: number }
          ])
      )
  )

describe("Producer telemetry", () => {
  it.live("metrics: records, bytes, batches, fill, ratio, times, retries, errors, buffer", () =>
    Effect.gen(function* () {
      const { log, make } = yield* scripted("measured")
      const producer = yield* make({ batchSize: 500, compression: "gzip" })
      log.fault = ({ attempt, values }) => {
        if (values.includes("refused")) return { verdict: { errorCode: codes.INVALID_REQUIRED_ACKS } }
        return attempt === 1 && values.includes("0") ? { verdict: { errorCode: codes.NOT_ENOUGH_REPLICAS } } : undefined
      }
      yield* producer.sendAll(
        topic,
        Array.from({ length: 40 }, (_, index) => ({ key: null, value: String(index) }))
      )
      yield* Effect.exit(producer.send(topic, { key: null, value: "refused" }))
      const metrics = yield* metricsOf("measured")
      const countOf = (name: string) => Number(metrics.get(name)?.count)
      const batches = new Set(log.arrived.map(({ values }) => values[0])).size
      assert.strictEqual(countOf("records"), 40)
      assert.strictEqual(countOf("errors"), 1)
      assert.strictEqual(countOf("retries"), log.arrived.length - batches)
      assert.strictEqual(countOf("batches"), log.arrived.length)
      assert.strictEqual(
        countOf("bytes"),
        log.arrived.reduce((sum, { bytes }) => sum + bytes.length, 0)
      )
      for (const histogram of ["batch.fill", "compression.ratio", "queue.time"]) {
        assert.strictEqual(countOf(histogram), batches, histogram)
      }
      assert.isAbove(countOf("request.latency"), 1)
      assert.isTrue(metrics.has("buffer.used"))
    })
  )

  it.live("a span per request, after OpenTelemetry's conventions for messaging", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.gen(function* () {
        const { make } = yield* scripted("traced")
        const producer = yield* make()
        yield* producer.sendAll(topic, [
          { key: null, value: "a" },
          { key: null, value: "b" }
        ])
        // Callers go on within the request that acknowledged them.
        yield* Effect.sleep("20 millis")
      }).pipe(Effect.withTracer(tracer))
      const sent = spans.filter(({ name }) => name === "send t")
      assert.strictEqual(sent.length, 1)
      const [{ attributes, kind, status }] = sent
      assert.strictEqual(kind, "producer")
      assert.strictEqual(status._tag, "Ended")
      assert.deepInclude(Object.fromEntries(attributes), {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "t",
        "messaging.destination.partition.id": "0",
        "messaging.batch.message_count": 2,
        "messaging.client.id": "traced",
        "server.address": "127.0.0.1"
      })
    })
  )

  it.live("traceContext puts the caller's span into the headers, behind the record's own", () =>
    Effect.gen(function* () {
      const { cluster, make } = yield* scripted("headers")
      const producer = yield* make({ traceContext: true })
      const own = ["own", new Uint8Array([1])] as const
      const [traceId, spanId] = yield* Effect.gen(function* () {
        yield* producer.send(topic, { key: null, value: "a", headers: [own] })
        yield* producer.sendAll(topic, [{ key: null, value: "b" }])
        const span = yield* Effect.currentSpan
        return [span.traceId, span.spanId]
      }).pipe(Effect.withSpan("caller"))
      yield* producer.send(topic, { key: null, value: "c" })
      const headers = cluster.brokers[0].of(Produce).map(({ message }) => {
        const [batch] = Records.split(message.topicData[0].partitionData[0].records!).batches
        const [record] = Records.decode(batch) as ReadonlyArray<Record>
        return record.headers.map(([name, value]) => [name, Buffer.from(value!).toString()])
      })
      const trace = ["traceparent", `00-${traceId}-${spanId}-01`]
      assert.deepStrictEqual(headers, [[["own", "\u0001"], trace], [trace], []])
    })
  )
})
