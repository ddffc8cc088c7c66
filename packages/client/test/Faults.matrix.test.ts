/** A cluster of three nodes that loses its leaders while records go in and come out. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Fiber, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"

const partitions = 3
const total = 60_000

describeRig("faults", () => {
  it.live(
    "a leader is killed, comes back, and another is paused: every record arrives, in order per partition",
    () =>
      Effect.gen(function* () {
        const rig = yield* KafkaCluster.start({ nodes: 3 })
        const kafka = yield* Kafka.make({ bootstrapServers: rig.bootstrapServers, requestTimeout: "3 seconds" })
        const topic = Kafka.topic("faults", { key: Serde.bytes, value: Serde.string })
        yield* kafka.request("controller", CreateTopics, {
          topics: [{ name: topic.name, numPartitions: partitions, replicationFactor: 3 }],
          timeoutMs: 20_000
        })

        let acknowledged = 0
        const produce = Effect.gen(function* () {
          const producer = yield* Producer.make()
          yield* Stream.range(0, total - 1).pipe(
            Stream.map((index) => ({ key: null, value: String(index), partition: index % partitions })),
            Stream.rechunk(300),
            // slow enough for the faults to meet it
            Stream.mapArrayEffect((records) => Effect.as(Effect.sleep("100 millis"), records)),
            producer.through(topic, (record) => record),
            Stream.runForEachArray((pairs) => Effect.sync(() => (acknowledged += pairs.length)))
          )
        })

        const highest = Array.from({ length: partitions }, () => -1)
        const seen = new Set<number>()
        let disordered = 0
        const consume = Consumer.assign({
          partitions: highest.map((_, partition) => [topic, partition, "earliest"] as const)
        }).pipe(
          Stream.mapArray((records) => {
            for (const { partition, value } of records) {
              const index = Number(value)
              // A retry may write a batch twice; what is new has to come in order.
              if (!seen.has(index) && index < highest[partition]) disordered++
              seen.add(index)
              highest[partition] = Math.max(highest[partition], index)
            }
            return records
          }),
          Stream.takeUntil(() => seen.size === total),
          Stream.runDrain
        )

        const leaderOf = (partition: number) =>
          kafka.cluster.metadata().topics.get(topic.name)!.partitions[partition].leader
        const faults = Effect.gen(function* () {
          yield* Effect.sleep("3 seconds")
          const killed = leaderOf(0)
          yield* rig.kill(killed)
          yield* Effect.sleep("5 seconds")
          yield* rig.start(killed)
          const paused = leaderOf(1)
          yield* rig.pause(paused)
          yield* Effect.sleep("5 seconds")
          yield* rig.resume(paused)
        })

        const client = Effect.provideService(Effect.all([produce, consume], { concurrency: 2 }), Kafka.Kafka, kafka)
        const running = yield* Effect.forkChild(client)
        yield* faults
        yield* Fiber.join(running).pipe(Effect.timeout("2 minutes"))
        assert.strictEqual(acknowledged, total)
        assert.strictEqual(seen.size, total)
        assert.strictEqual(disordered, 0)
      }),
    { timeout: 240_000 }
  )
})
