import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect } from "effect"
import * as Backoff from "../src/internal/Backoff.ts"
import { brokerError } from "../src/internal/BrokerErrors.ts"
import * as Kafka from "../src/Kafka.ts"
import type { KafkaError } from "../src/KafkaError.ts"
import { failure } from "./harness.ts"

/** Opens a connection where one was lost, and no more. */
const retryingOnce = <A>(effect: Effect.Effect<A, KafkaError>) =>
  Effect.catchIf(
    effect,
    ({ maybeSent }) => !maybeSent,
    () => effect
  )

const succeeded = (api: string, code: number): Effect.Effect<void, KafkaError> =>
  code === 0 ? Effect.void : Effect.fail(brokerError({ nodeId: -1, broker: "the broker", api, code }))

const retrying = <A>(kafka: Kafka.Kafka["Service"], effect: Effect.Effect<A, KafkaError>) =>
  Backoff.retryUntil(effect, { ...kafka.cluster.settings, timeout: 20_000 })

const releases: ReadonlyArray<readonly [version: string, source: string]> = [
  ["0.8.2.2", "0.8.2"],
  ["0.9.0.1", "0.9"],
  ["0.10.0.1", "negotiated"],
  ["0.11.0.3", "negotiated"],
  ["2.8.2", "negotiated"],
  ["3.9.1", "negotiated"]
]

describeRig("Kafka on several brokers", () => {
  it.live(
    "C33: leaders are found again when a broker is killed; one that hangs costs a timeout and no more",
    () =>
      Effect.gen(function* () {
        const running = yield* KafkaCluster.start({ nodes: 3 })
        const kafka = yield* Kafka.make({ bootstrapServers: running.bootstrapServers, requestTimeout: "3 seconds" })
        const { cluster } = kafka
        const topics = [{ name: "t", numPartitions: 1, replicationFactor: 3 }]
        const created = yield* kafka.request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
        yield* succeeded("CreateTopics", created.topics[0].errorCode)
        const t0 = { topic: "t", partition: 0 }
        const before = yield* retrying(kafka, cluster.leader(t0))
        yield* cluster.request(before.nodeId, ListGroups, {})
        yield* running.kill(before.nodeId)
        const moved = Effect.flatMap(cluster.refresh(), () => cluster.leader(t0)).pipe(
          Effect.repeat({ while: ({ nodeId }) => nodeId === before.nodeId })
        )
        const after = yield* retrying(kafka, moved)
        assert.isAbove(after.leaderEpoch, before.leaderEpoch)
        yield* running.start(before.nodeId)
        yield* running.pause(after.nodeId)
        const hung = yield* failure(retryingOnce(cluster.request(after.nodeId, ListGroups, {})), "RequestTimeout")
        assert.isTrue(hung.maybeSent)
        const others = cluster.request("any", ListGroups, {})
        assert.strictEqual((yield* retrying(kafka, others)).errorCode, 0)
        yield* running.resume(after.nodeId)
        const again = yield* retrying(kafka, cluster.request(after.nodeId, ListGroups, {}))
        assert.strictEqual(again.errorCode, 0)
      }),
    180_000
  )
})

describeRig("Kafka on brokers of other releases", () => {
  for (const [version, source] of releases) {
    it.live(
      `C14: ${version} is understood without being told its release`,
      () =>
        Effect.gen(function* () {
          const { bootstrapServers } = yield* KafkaCluster.start({ version })
          const kafka = yield* Kafka.make({ bootstrapServers })
          const { cluster } = kafka
          // These brokers create what is asked for; 0.8.2 knows of no broker before.
          const made = cluster.leader({ topic: "made", partition: 0 }, { allowAutoTopicCreation: true })
          const { nodeId } = yield* retrying(kafka, made)
          const connection = yield* cluster.connection(nodeId, "main")
          assert.strictEqual(connection.apiVersions.source, source)
          const response = yield* kafka.request("any", FindCoordinator, { key: "group" }, 0)
          assert.include([0, 15], response.errorCode)
          assert.strictEqual(yield* cluster.coordinator("group", "group"), nodeId)
          yield* cluster.refresh()
          yield* kafka.request("controller", Metadata, {})
        }),
      180_000
    )
  }
})
