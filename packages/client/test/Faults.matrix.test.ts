/** A cluster of three nodes that loses its leaders, one after the other, while records go in and come out. */
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
const total = 150_000

describeRig("faults", () => {
  it.live(
    "a leader is killed, one is paused for 10 s, all restart in turn: every record is stored once, in order",
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

        const next = Array.from({ length: partitions }, (_, partition) => partition)
        let seen = 0
        const wrong: Array<string> = []
        const consume = Consumer.assign({
          partitions: next.map((_, partition) => [topic, partition, "earliest"] as const)
        }).pipe(
          Stream.mapArray((records) => {
            for (const { offset, partition, value } of records) {
              if (Number(value) !== next[partition])
                wrong.push(`${value} at ${partition}/${offset}, not ${next[partition]}`)
              next[partition] = Number(value) + partitions
            }
            seen += records.length
            return records
          }),
          Stream.takeUntil(() => seen >= total),
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
          yield* Effect.sleep("10 seconds")
          yield* rig.resume(paused)
          for (const node of [1, 2, 3]) {
            yield* rig.stop(node)
            yield* rig.start(node)
          }
        })

        const client = Effect.provideService(Effect.all([produce, consume], { concurrency: 2 }), Kafka.Kafka, kafka)
        const running = yield* Effect.forkChild(client)
        yield* faults
        yield* Fiber.join(running).pipe(Effect.timeout("2 minutes"))
        assert.strictEqual(acknowledged, total)
        assert.deepStrictEqual(wrong, [])
        assert.strictEqual(seen, total)
      }),
    { timeout: 240_000 }
  )
})
