/** Offsets of groups, kept by brokers of every generation: in a topic of theirs, and in ZooKeeper. */
import { assert, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect } from "effect"
import type { Connection } from "../src/Connection.ts"
import * as CommitRequests from "../src/internal/consumer/CommitRequests.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as OffsetStorage from "./OffsetStorage.ts"

/** The newest versions that a broker and this client share, and whether v0 goes to a ZooKeeper. */
const generations = [
  { version: "0.8.2.2", commit: 1, fetch: 1, hasZooKeeper: true },
  { version: "0.9.0.1", commit: 2, fetch: 1, hasZooKeeper: true },
  { version: "0.10.2.1", commit: 2, fetch: 2, hasZooKeeper: true },
  { version: "1.1.1", commit: 3, fetch: 3, hasZooKeeper: true },
  { version: "2.8.2", commit: 8, fetch: 7, hasZooKeeper: true },
  { version: "3.9.1", commit: 9, fetch: 9, hasZooKeeper: false }
] as const

const topic = Kafka.topic("kept", { key: Serde.nullable(Serde.string), value: Serde.string })
const at = (offset: number, metadata?: string) => ({ topic: "kept", partition: 0, offset: BigInt(offset), metadata })

const nobody = { memberId: "", generation: -1, groupInstanceId: undefined }

/** What a broker that has no coordinators is asked by: v0, and ZooKeeper's answers. */
const inZooKeeper = Effect.fnUntraced(function* (connection: Connection) {
  const old: Connection = { ...connection, version: () => Effect.succeed(0) }
  const groupId = "of-zookeeper"
  const place = { topic: "kept", partition: 0 }
  const [none] = yield* CommitRequests.fetch(old, groupId, [place], true)
  assert.deepInclude(none, { ...place, errorCode: 0, offset: -1n })
  const entries = Offsets.entriesOf(Offsets.from([at(5, "m")]))
  const [done] = yield* CommitRequests.commit(old, { groupId, ...nobody }, entries)
  assert.strictEqual(done.errorCode, codes.NONE)
  const [some] = yield* CommitRequests.fetch(old, groupId, [place], true)
  assert.deepInclude(some, { ...place, errorCode: 0, offset: 5n })
})

describeRig("Offset storage", () => {
  for (const { commit, fetch, hasZooKeeper, version } of generations) {
    it.live(
      `C92 C104 ${version}: commits by v${commit}, reads by v${fetch}${hasZooKeeper ? ", and v0" : ""}`,
      () =>
        Effect.gen(function* () {
          const { bootstrapServers } = yield* KafkaCluster.start({ version })
          const kafka = yield* Kafka.make({ bootstrapServers })
          const producer = yield* Producer.make({ linger: 0 }).pipe(Effect.provideService(Kafka.Kafka, kafka))
          yield* producer.send(topic, { key: null, value: "1" })
          const storage = yield* OffsetStorage.make(kafka.cluster, "of-topic")
          assert.deepStrictEqual(yield* storage.read("kept", 1), [undefined])
          yield* storage.commit(Offsets.from([at(7, "größe")]))
          assert.deepStrictEqual(yield* storage.read("kept", 1), [[7n, "größe"]])
          yield* storage.commit(Offsets.from([at(0)]))
          assert.deepStrictEqual(yield* storage.read("kept", 1), [[0n, ""]])
          const connection = yield* CommitRequests.connect(kafka.cluster, "of-topic")
          assert.strictEqual(yield* connection.version(OffsetCommit, { maxVersion: 9 }), commit)
          assert.strictEqual(yield* connection.version(OffsetFetch, { maxVersion: 9 }), fetch)
          if (hasZooKeeper) yield* inZooKeeper(connection)
        }),
      { timeout: 120_000 }
    )
  }
})
