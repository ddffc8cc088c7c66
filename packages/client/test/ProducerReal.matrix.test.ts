/** The producer against brokers of its own: held back by a stopped one, and refused in every way that there is. */
import { assert, it } from "@effect/vitest"
import { CreateAcls } from "@kafka-effect/protocol/messages/CreateAcls"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import type { ProducerError } from "../src/ProducerError.ts"
import * as Serde from "../src/Serde.ts"

const plain = (name: string) => Kafka.topic(name, { key: Serde.bytes, value: Serde.string })

const createTopic = (
  kafka: Kafka.Kafka["Service"],
  name: string,
  configs: ReadonlyArray<{ readonly name: string; readonly value: string }> = []
) =>
  kafka.request("controller", CreateTopics, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, configs }],
    timeoutMs: 20_000
  })

// Codes of Kafka's protocol: resource topic, pattern literal, operations write and describe, permission allow.
const acl = (topic: string, principal: string, operation: number) => ({
  resourceType: 2,
  resourceName: topic,
  resourcePatternType: 3,
  principal,
  host: "*",
  operation,
  permissionType: 3
})

const reasonOf = (error: ProducerError | Serde.SerdeError): string =>
  error._tag === "SerdeError" ? error._tag : error.reason._tag

describeRig("Producer and a broker of its own", () => {
  it.live(
    "a stopped broker holds a fast source back at bufferMemory; everything arrives when it returns",
    () =>
      Effect.gen(function* () {
        const rig = yield* KafkaCluster.start()
        const kafka = yield* Kafka.make({ bootstrapServers: rig.bootstrapServers, requestTimeout: "5 seconds" })
        const topic = plain("memory")
        yield* createTopic(kafka, topic.name)
        const bufferMemory = 4 * 1024 * 1024
        const valueSize = 1000
        const total = 30_000
        const producer = yield* Effect.provideService(Producer.make({ bufferMemory }), Kafka.Kafka, kafka)
        let pulled = 0
        const source = Stream.range(0, total - 1).pipe(
          Stream.rechunk(100),
          Stream.map((index) => {
            pulled = index + 1
            return { key: null, value: String(index).padEnd(valueSize, ".") }
          })
        )
        yield* producer.send(topic, { key: null, value: "-1" })
        yield* rig.pause(1)
        const memoryBefore = process.memoryUsage().rss
        const running = yield* Effect.forkChild(Stream.run(source, producer.sink(topic)))
        yield* Effect.sleep("4 seconds")
        const held = pulled
        // What fits, and the array for which there was no room.
        assert.isTrue(held * valueSize > bufferMemory * 0.8 && held * valueSize < bufferMemory + 200_000, String(held))
        yield* Effect.sleep("4 seconds")
        assert.strictEqual(pulled, held)
        assert.isBelow(process.memoryUsage().rss - memoryBefore, 100 * 1024 * 1024)
        assert.isUndefined(running.pollUnsafe())
        yield* rig.resume(1)
        yield* Fiber.join(running)
        const values = yield* Consumer.assign({ partitions: [[topic, 0, "earliest"]], until: "end" }).pipe(
          Stream.map(({ value }) => Number.parseInt(value, 10)),
          Stream.runCollect,
          Effect.provideService(Kafka.Kafka, kafka)
        )
        assert.deepStrictEqual(
          values,
          Array.from({ length: total + 1 }, (_, index) => index - 1)
        )
      }),
    { timeout: 120_000 }
  )

  it.live(
    "each typed error",
    () =>
      Effect.gen(function* () {
        const rig = yield* KafkaCluster.start({
          autoCreateTopics: false,
          properties: {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true"
          }
        })
        const kafka = yield* Kafka.make({ bootstrapServers: rig.bootstrapServers, requestTimeout: "1 second" })
        const make = (options: Producer.Options = {}) =>
          Effect.provideService(Producer.make(options), Kafka.Kafka, kafka)
        const producer = yield* make({ maxBlock: "2 seconds" })
        yield* createTopic(kafka, "open")
        yield* createTopic(kafka, "small", [{ name: "max.message.bytes", value: "2000" }])
        for (const topic of ["secret", "read-only"]) yield* createTopic(kafka, topic)
        const created = yield* kafka.request("controller", CreateAcls, {
          creations: [
            acl("secret", "User:alice", 4),
            acl("read-only", "User:alice", 4),
            acl("read-only", "User:ANONYMOUS", 8)
          ]
        })
        assert.isTrue(created.results.every(({ errorCode }) => errorCode === 0))
        const fails = (name: string, record: Partial<{ value: string; partition: number }> = {}, using = producer) =>
          Effect.flip(using.send(plain(name), { key: null, value: "v", ...record }))

        const missing = yield* fails("missing")
        assert.strictEqual(reasonOf(missing), "TopicUnavailable")
        assert.include(missing.message, "UNKNOWN_TOPIC_OR_PARTITION")

        const wrongName = yield* fails("not a topic")
        assert.include(wrongName.message, "INVALID_TOPIC_EXCEPTION")

        const tooLarge = yield* fails("open", { value: "x".repeat(2_000_000) })
        assert.strictEqual(reasonOf(tooLarge), "RecordTooLarge")
        assert.include(tooLarge.message, "maxRequestSize (1048576)")

        const refused = yield* fails("small", { value: "x".repeat(3000) })
        assert.strictEqual(reasonOf(refused), "RecordTooLarge")
        assert.include(refused.message, "max.message.bytes")

        const badPartition = yield* fails("open", { partition: 7 })
        assert.strictEqual(reasonOf(badPartition), "InvalidPartition")
        assert.include(badPartition.message, "topic open has no partition 7: it has 1")

        for (const topic of ["secret", "read-only"]) {
          const denied = yield* fails(topic)
          assert.strictEqual(reasonOf(denied), "NotAuthorized", topic)
          assert.include(denied.message, `may not write to topic ${topic}`)
        }

        const broken = Kafka.topic("open", {
          key: Serde.bytes,
          value: {
            ...Serde.string,
            encode: () => {
              throw new Error("no such shape")
            }
          }
        })
        const unencodable = yield* Effect.flip(producer.send(broken, { key: null, value: "v" }))
        assert.strictEqual(reasonOf(unencodable), "SerdeError")
        assert.include(unencodable.message, "the value of a record of topic open cannot be encoded: no such shape")

        // C49: what is too large together fits in parts, and keeps its order.
        const values = Array.from({ length: 300 }, (_, index) => `${index} `.padEnd(200, "."))
        const outcomes = yield* producer.sendAll(
          plain("small"),
          values.map((value) => ({ key: null, value }))
        )
        assert.deepStrictEqual(
          outcomes.map((outcome) => (Exit.isSuccess(outcome) ? Number(Option.getOrThrow(outcome.value.offset)) : -1)),
          values.map((_, index) => index)
        )

        const closed = yield* Effect.scoped(make())
        assert.strictEqual(reasonOf(yield* fails("open", {}, closed)), "Closed")

        const hasty = yield* make({ deliveryTimeout: "2 seconds", linger: 0, closeTimeout: 0 })
        yield* hasty.send(plain("open"), { key: null, value: "v" })
        yield* rig.pause(1)
        const late = yield* fails("open", {}, hasty)
        assert.strictEqual(reasonOf(late), "DeliveryTimeout")
        assert.include(late.message, "it may have been written")
        yield* rig.resume(1)
      }),
    { timeout: 120_000 }
  )
})
