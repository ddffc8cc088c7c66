/** Offsets of groups, committed to a real broker and read again. */
import { assert, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect, type Scope, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as OffsetStorage from "./OffsetStorage.ts"

let serial = 0
const uniqueName = (): string => `offsets-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`

const start = Effect.gen(function* () {
  const { cluster, request } = yield* Kafka.Kafka
  const topic = uniqueName()
  const topics = [{ name: topic, numPartitions: 3, replicationFactor: 1 }]
  const created = yield* request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
  assert.strictEqual(created.topics[0].errorCode, 0)
  const groupId = uniqueName()
  const storage = yield* OffsetStorage.make(cluster, groupId)
  const at = (partition: number, offset: number) => ({ topic, partition, offset: BigInt(offset) })
  return { ...storage, topic, groupId, at }
})

describeBrokers("Offset storage", () => {
  const live = <E>(
    name: string,
    test: (context: Effect.Success<typeof start>) => Effect.Effect<void, E, Kafka.Kafka | Scope.Scope>
  ) =>
    it.live(
      name,
      () => Effect.provide(Effect.scoped(Effect.flatMap(start, test)), Kafka.layer({ bootstrapServers })),
      60_000
    )

  live("C92 a group that nobody knows has nothing, which is not 0", ({ read, topic }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read(topic, 3), [undefined, undefined, undefined])
    })
  )

  live("C92 offsets come back with their metadata, those of other partitions stay as they were", (context) =>
    Effect.gen(function* () {
      const { at, commit, read, topic } = context
      yield* commit(Offsets.from([{ ...at(0, 0), metadata: "größe" }, at(2, 9)]))
      assert.deepStrictEqual(yield* read(topic, 3), [[0n, "größe"], undefined, [9n, ""]])
      yield* commit(Offsets.from([at(2, 4)]))
      assert.deepStrictEqual(yield* read(topic, 3), [[0n, "größe"], undefined, [4n, ""]])
    })
  )

  live("C104 of many commits at once the furthest stays", ({ at, commit, read, topic }) =>
    Effect.gen(function* () {
      const commits = Array.from({ length: 300 }, (_, index) => commit(Offsets.from([at(index % 3, index)])))
      yield* Effect.all(commits, { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* read(topic, 3), [
        [297n, ""],
        [298n, ""],
        [299n, ""]
      ])
    })
  )

  live("C104 [12] metadata that is too long fails its partition alone", ({ at, commit, read, topic }) =>
    Effect.gen(function* () {
      const tooLong = { ...at(1, 5), metadata: "x".repeat(5000) }
      const error = yield* Effect.flip(commit(Offsets.from([at(0, 3), tooLong])))
      assert.strictEqual(error.reason._tag, "MetadataTooLarge")
      assert.deepStrictEqual(error.partitions, [{ topic, partition: 1 }])
      assert.deepStrictEqual(yield* read(topic, 2), [[3n, ""], undefined])
    })
  )

  live("C104 who is no member cannot commit for a group that has some", ({ at, commit, groupId, read, topic }) =>
    Effect.gen(function* () {
      const typed = Kafka.topic(topic, { key: Serde.nullable(Serde.string), value: Serde.string })
      const producer = yield* Producer.make({ linger: 0 })
      yield* producer.send(typed, { key: null, value: "1", partition: 0 })
      const consumer = yield* Consumer.make({ groupId, topics: [typed], fallback: "earliest" })
      const records = yield* consumer.records.pipe(Stream.take(1), Stream.runCollect)
      const error = yield* Effect.flip(commit(Offsets.from([at(0, 7)])))
      const { reason } = error
      const cause = reason._tag === "Rejected" ? reason.cause.reason : undefined
      assert.strictEqual(cause?._tag === "BrokerError" && cause.code, codes.UNKNOWN_MEMBER_ID)
      yield* consumer.commit(Offsets.withMetadata(Offsets.of(records), "of a member"))
      assert.deepStrictEqual(yield* read(topic, 1), [[1n, "of a member"]])
    })
  )
})
