import { assert, it } from "@effect/vitest"
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
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

  it.live("C29: an invalid topic name is an error of that topic alone", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers })
      const reason = yield* failure(kafka.cluster.topic("b@d name"), "BrokerError")
      assert.strictEqual(reason.name, "INVALID_TOPIC_EXCEPTION")
      yield* kafka.cluster.refresh()
    })
  )

  it.live("C30: a topic that was deleted and created again is another", () =>
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
      const groupId = topicName("group")
      const heartbeat = Effect.gen(function* () {
        const nodeId = yield* kafka.cluster.coordinator("group", groupId)
        const { errorCode } = yield* kafka.request(nodeId, Heartbeat, { groupId, memberId: "none" })
        if (ErrorCode.of(errorCode).invalidates.includes("coordinator")) {
          yield* kafka.cluster.invalidateCoordinator("group", groupId)
        }
        yield* succeeded("Heartbeat", errorCode)
      })
      // A broker that has just become the coordinator takes a moment to know it.
      const reason = yield* failure(retrying(kafka, heartbeat), "BrokerError")
      assert.strictEqual(reason.name, "UNKNOWN_MEMBER_ID")
    })
  )
})
