/** The fetcher on several brokers: followers, leaders that die, elections that lose records. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Stream } from "effect"
import { FetchedPartition } from "../src/internal/consumer/FetchedPartition.ts"
import * as Fetcher from "../src/internal/consumer/Fetcher.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import { until } from "./harness.ts"

const options: Fetcher.Options = {
  isolation: "committed",
  fallback: "earliest",
  fetchMinBytes: 1,
  fetchMaxBytes: 50 * 1024 * 1024,
  fetchMaxWait: 200,
  prefetchBytes: 64 * 1024 * 1024,
  staysOpen: true
}

const started = Effect.gen(function* () {
  const running = yield* KafkaCluster.start({
    nodes: 3,
    properties: { "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector" }
  })
  const kafka = yield* Kafka.make({ bootstrapServers: running.bootstrapServers, requestTimeout: "5 seconds" })
  const create = (name: string, replicas: ReadonlyArray<number>, configs: Record<string, string> = {}) =>
    Effect.gen(function* () {
      const response = yield* kafka.request("controller", CreateTopics, {
        topics: [
          {
            name,
            numPartitions: -1,
            replicationFactor: -1,
            assignments: [{ partitionIndex: 0, brokerIds: replicas }],
            configs: Object.entries(configs).map(([name, value]) => ({ name, value }))
          }
        ],
        timeoutMs: 10_000
      })
      assert.deepStrictEqual([response.topics[0].errorCode, response.topics[0].errorMessage], [0, null])
      return Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })
    })
  const producer = yield* Producer.make({ acks: "all" }).pipe(Effect.provideService(Kafka.Kafka, kafka))
  return { running, kafka, create, producer }
})

const leaderOf = (kafka: Kafka.Kafka["Service"], topic: string) =>
  Effect.map(kafka.cluster.refresh([topic]), () => kafka.cluster.leaderFor(topic, 0)?.nodeId)

const untilLeader = (kafka: Kafka.Kafka["Service"], topic: string, isIt: (nodeId: number | undefined) => boolean) =>
  Effect.ignore(leaderOf(kafka, topic)).pipe(
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.repeat({ while: () => !isIt(kafka.cluster.leaderFor(topic, 0)?.nodeId) }),
    Effect.timeout("40 seconds")
  )

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ key: null, value: String(from + index), partition: 0 }))

describeRig("Fetcher on several brokers", () => {
  it.live(
    "C88 records come from the follower in the client's rack, and from the leader when it is lost",
    () =>
      Effect.gen(function* () {
        const { create, kafka, producer, running } = yield* started
        const topic = yield* create("near", [1, 2, 3])
        yield* producer.sendAll(topic, numbers(0, 1000))
        const nodes: Array<number> = []
        yield* kafka.cluster.connectionEvents.pipe(
          Stream.runForEach((event) =>
            Effect.sync(() => {
              if (event._tag === "Ready" && event.purpose.startsWith("fetch")) nodes.push(event.nodeId)
            })
          ),
          Effect.forkScoped({ startImmediately: true })
        )
        const fetcher = yield* Fetcher.make(kafka.cluster, { ...options, clientRack: "rack-3" })
        const one = new FetchedPartition({ topic: "near", partition: 0, start: 0n, maxBytes: 10_000 })
        fetcher.add([one])
        const readTo = (offset: bigint) =>
          Effect.gen(function* () {
            while (one.delivered! < offset) yield* Effect.timeout(fetcher.takeFrom(one), "30 seconds")
          })
        yield* readTo(1000n)
        assert.strictEqual(one.replica?.nodeId, 3)
        assert.deepStrictEqual(nodes, [1, 3])
        yield* running.kill(3)
        yield* producer.sendAll(topic, numbers(1000, 2000))
        yield* readTo(2000n)
        assert.isUndefined(one.error)
      }),
    180_000
  )

  it.live(
    "C89 a leader that dies loses nothing; an election that loses records is noticed",
    () =>
      Effect.gen(function* () {
        const { create, kafka, producer, running } = yield* started
        const configs = { "min.insync.replicas": "1", "unclean.leader.election.enable": "true" }
        const topic = yield* create("cut", [1, 2], configs)
        yield* producer.sendAll(topic, numbers(0, 100))
        const resets: Array<readonly [bigint, bigint, string]> = []
        const onReset: Fetcher.Options["onReset"] = (_, from, to, cause) => void resets.push([from, to, cause])
        const fetcher = yield* Fetcher.make(kafka.cluster, { ...options, onReset })
        const one = new FetchedPartition({ topic: "cut", partition: 0, start: 0n, maxBytes: 10_000 })
        fetcher.add([one])
        const seen: Array<bigint> = []
        const readTo = (offset: bigint) =>
          Effect.gen(function* () {
            while (one.delivered! < offset) {
              const taken = yield* Effect.timeout(fetcher.takeFrom(one), "40 seconds")
              for (let next = taken!.from; next <= taken!.batch.lastOffset; next++) seen.push(next)
            }
          })
        yield* readTo(100n)
        // A clean election: 2 has everything.
        yield* running.kill(1)
        yield* untilLeader(kafka, "cut", (nodeId) => nodeId === 2)
        yield* producer.sendAll(topic, numbers(100, 200))
        yield* readTo(200n)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 200 }, (_, index) => BigInt(index))
        )
        assert.deepStrictEqual(resets, [])
        // Now 1 comes back alone: what only 2 had is lost.
        yield* running.kill(2)
        yield* running.start(1)
        yield* untilLeader(kafka, "cut", (nodeId) => nodeId === 1)
        yield* until(() => resets.length > 0)
        assert.deepStrictEqual(resets, [[200n, 100n, "truncation"]])
        yield* producer.sendAll(topic, numbers(1000, 1010))
        seen.length = 0
        yield* readTo(110n)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 10 }, (_, index) => BigInt(100 + index))
        )
      }),
    240_000
  )
})
