/** The producer behind a network that splits, delays and resets. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as Transport from "../src/Transport.ts"
import * as FaultyProxy from "./FaultyProxy.ts"
import { randomOf } from "./random.ts"

const total = 200_000
const partitions = 6
const seed = 20261123

describeBrokers("Producer behind a faulty network", () => {
  it.live(
    `${total} numbered records: none lost, doubled or out of order (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const direct = yield* Kafka.make({ bootstrapServers })
        const topic = Kafka.topic(`proxy-${process.pid}-${Date.now()}`, { key: Serde.bytes, value: Serde.string })
        yield* direct.request("controller", CreateTopics, {
          topics: [{ name: topic.name, numPartitions: partitions, replicationFactor: 1 }],
          timeoutMs: 10_000
        })
        const proxy = yield* FaultyProxy.make({ random: randomOf(seed), reset: 0.04, delay: 0.2, maxDelay: 20 })
        const faulty = yield* Kafka.make({ bootstrapServers, requestTimeout: "3 seconds" }).pipe(
          Effect.provideService(Transport.Transport, proxy.transport)
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const producer = yield* Producer.make({ batchSize: 4096 })
            yield* Stream.range(0, total - 1).pipe(
              Stream.map((index) => ({ key: null, value: String(index), partition: index % partitions })),
              Stream.rechunk(500),
              Stream.run(producer.sink(topic))
            )
          }).pipe(Effect.provideService(Kafka.Kafka, faulty))
        )
        const { delays, resets, splits } = proxy.counts
        assert.isTrue(resets >= 5 && splits > 100 && delays > 20, JSON.stringify(proxy.counts))

        const next = Array.from({ length: partitions }, (_, partition) => partition)
        yield* Consumer.assign({
          partitions: next.map((_, partition) => [topic, partition, "earliest"] as const),
          until: "end"
        }).pipe(
          Stream.runForEachArray((records) =>
            Effect.sync(() => {
              for (const { partition, value } of records) {
                assert.strictEqual(Number(value), next[partition])
                next[partition] += partitions
              }
            })
          ),
          Effect.provideService(Kafka.Kafka, direct)
        )
        assert.isTrue(
          next.every((value) => value >= total),
          String(next)
        )
      }),
    { timeout: 180_000 }
  )
})
