import { Effect, Stream, Exit } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
const [, , mode, address, countText] = process.argv
const count = Number(countText ?? 1_000_000)
const keys = Array.from({ length: 10_000 }, (_, i) => Buffer.from(String(i).padStart(10, "0")))
const values = Array.from({ length: 10_000 }, (_, i) => Buffer.from(`order ${i} `.padEnd(100, "abcdefghij")))
const arrayOf = (length: number, from: number) => Array.from({ length }, (_, i) => ({ key: keys[(from + i) % 10000], value: values[(from + i) % 10000] }))
const name = "p" + Date.now().toString(36)
const topic = Kafka.topic(name, { key: Serde.bytes, value: Serde.bytes })
await Effect.gen(function* () {
  const kafka = yield* Kafka.make({ bootstrapServers: [address] })
  yield* kafka.request("controller", CreateTopics, { topics: [{ name, numPartitions: 6, replicationFactor: 1 }], timeoutMs: 10000 })
  const producer = yield* Effect.provideService(Producer.make({ bufferMemory: Number(process.env.BUF ?? 33554432), linger: Number(process.env.LINGER ?? 5) }), Kafka.Kafka, kafka)
  const run = (records: number): Effect.Effect<unknown, any> =>
    mode === "sink" ? Stream.range(0, records / 1000 - 1).pipe(Stream.flatMap((c) => Stream.fromArray(arrayOf(1000, c * 1000))), Stream.run(producer.sink(topic)))
    : mode === "sendAll" ? Effect.forEach(Array.from({ length: records / 1000 }, (_, i) => i), (i) => producer.sendAll(topic, arrayOf(1000, i * 1000)), { concurrency: 16, discard: true })
    : Effect.forEach(Array.from({ length: 1000 }, (_, i) => i), (f) => Effect.forEach(Array.from({ length: records / 1000 }, (_, i) => i), (i) => { const at = (f * 7919 + i) % 10000; return producer.send(topic, { key: keys[at], value: values[at] }) }, { discard: true }), { concurrency: "unbounded", discard: true })
  for (let r = 0; r < 4; r++) {
    const cpu = process.cpuUsage(); const s = performance.now()
    yield* run(count)
    const t = performance.now() - s; const c = process.cpuUsage(cpu)
    console.log(mode, Math.round(count / t * 1000).toLocaleString(), "rec/s", ((c.user + c.system) / count).toFixed(2), "µs/rec")
  }
}).pipe(Effect.scoped, Effect.runPromise)
import * as Metric from "effect/Metric"
const snap = await Effect.runPromise(Metric.snapshot)
for (const m of snap) if (m.id.startsWith("kafka.producer")) { const st: any = m.state; console.log(m.id, st.count, st.sum ?? st.value ?? "", st.min, st.max) }
