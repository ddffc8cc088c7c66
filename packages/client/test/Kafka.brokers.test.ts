import { assert, it } from "@effect/vitest"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { bootstrapServers, describeBrokers, describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect } from "effect"
import * as Backoff from "../src/internal/Backoff.ts"
import { brokerError } from "../src/internal/BrokerErrors.ts"
import * as Kafka from "../src/Kafka.ts"
import type { KafkaError } from "../src/KafkaError.ts"
import { failure } from "./harness.ts"

const topicName = (name: string): string => `${name}-${process.pid}-${Math.round(performance.timeOrigin)}`

/** Fails with what the broker answered. */
const createTopic = (kafka: Kafka.Kafka["Service"], name: string, numPartitions = 1) =>
  Effect.gen(function* () {
    const topics = [{ name, numPartitions, replicationFactor: 1 }]
    const response = yield* kafka.request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    yield* succeeded("CreateTopics", response.topics[0].errorCode)
  })

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

describeBrokers("Kafka", () => {
  it.live("sends any request to any broker, by every version of Metadata and ApiVersions that both have", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const connection = yield* kafka.cluster.connection(kafka.cluster.metadata().controllerId, "main")
      assert.strictEqual(connection.apiVersions.source, "negotiated")
      for (const api of [Metadata, ApiVersions]) {
        const offered = connection.apiVersions.ranges.get(api.key)!
        for (let version = offered.min; version <= Math.min(offered.max, api.highestStableVersion); version++) {
          const message = api === ApiVersions ? { clientSoftwareName: "test", clientSoftwareVersion: "1" } : {}
          const response = yield* kafka.request<unknown, { readonly errorCode: number }>("any", api, message, version)
          assert.strictEqual(response.errorCode, 0, `${api.name} v${version}`)
        }
      }
    })
  )

  it.live("finds leaders, with epoch and topic id, of a topic that was just created", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const name = topicName("leaders")
      yield* createTopic(kafka, name, 3)
      for (const partition of [0, 1, 2]) {
        const leader = yield* retrying(kafka, kafka.cluster.leader({ topic: name, partition }))
        assert.isTrue(kafka.cluster.metadata().brokers.has(leader.nodeId))
        const partitions = [{ partitionIndex: partition, currentLeaderEpoch: leader.leaderEpoch, timestamp: -1n }]
        const offset = kafka
          .request(leader.nodeId, ListOffsets, { replicaId: -1, topics: [{ name, partitions }] })
          .pipe(
            Effect.map(({ topics }) => topics[0].partitions[0]),
            Effect.tap(({ errorCode }) => succeeded("ListOffsets", errorCode)),
            Effect.map(({ offset }) => offset)
          )
        // The broker may not yet know that it leads.
        assert.strictEqual(yield* retrying(kafka, offset), 0n)
      }
      const { id } = yield* kafka.cluster.topic(name)
      assert.strictEqual(kafka.cluster.metadata().topicNames.get(id), name)
    })
  )

  it.live("C5 29: an invalid topic name is an error of that topic alone", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const reason = yield* failure(kafka.cluster.topic("b@d name"), "BrokerError")
      assert.strictEqual(reason.name, "INVALID_TOPIC_EXCEPTION")
      yield* kafka.cluster.refresh()
    })
  )

  it.live("C5 30: a topic that was deleted and created again is another", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const name = topicName("recreated")
      yield* createTopic(kafka, name)
      const before = yield* retrying(kafka, kafka.cluster.topic(name))
      const names = { topicNames: [name], timeoutMs: 10_000 }
      const deleted = yield* kafka.request("controller", DeleteTopics, names, 4)
      yield* succeeded("DeleteTopics", deleted.responses[0].errorCode)
      // The name stays taken for a moment after the deletion was acknowledged, and the old topic known for another.
      yield* Effect.eventually(Effect.andThen(Effect.sleep(20), createTopic(kafka, name)))
      yield* Effect.repeat(Effect.andThen(Effect.sleep(20), kafka.cluster.refresh()), {
        while: ({ topics }) => topics.get(name)?.id === before.id
      })
      assert.notStrictEqual((yield* kafka.cluster.topic(name)).id, before.id)
      assert.strictEqual(kafka.cluster.metadata().topicNames.has(before.id), false)
    })
  )

  it.live("finds the coordinator of a group", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const nodeId = yield* kafka.cluster.coordinator("group", topicName("group"))
      const response = yield* kafka.request(nodeId, Heartbeat, { groupId: topicName("group"), memberId: "none" })
      assert.notStrictEqual(response.errorCode, 16, "NOT_COORDINATOR")
    })
  )
})

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
    "C5 33: leaders are found again when a broker is killed; one that hangs costs a timeout and no more",
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
      `C5 14: ${version} is understood without being told its release`,
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
