import { assert, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { bootstrapServers, describeBrokers, describeRig } from "../src/brokers.ts"
import * as KafkaCluster from "../src/KafkaCluster.ts"
import * as KafkaTools from "../src/KafkaTools.ts"
import * as Kcat from "../src/Kcat.ts"
import { RigError } from "../src/RigError.ts"
import { apiVersions } from "./ApiVersions.ts"

const hasKcat = Kcat.find() !== undefined
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8")
const freshTopic = (name: string) => `rig-${name}-${process.pid}-${Date.now()}`

const pairs = Array.from({ length: 200 }, (_, index) => `ключ-${index % 7}\tзначение ${index} ☃`)
const input = `${pairs.join("\n")}\n`
const sorted = (bytes: Uint8Array) => text(bytes).trimEnd().split("\n").sort()

describeBrokers("the shared Kafka", () => {
  it.live("answers raw ApiVersions bytes with the APIs that a broker has", () =>
    Effect.gen(function* () {
      for (const address of bootstrapServers) {
        const keys = yield* apiVersions(address)
        for (const key of [0, 1, 2, 3, 18]) assert.include(keys, key)
      }
    })
  )

  it.live.skipIf(!hasKcat)("takes records from kcat and gives them back", () =>
    Effect.gen(function* () {
      const brokers = ["-b", bootstrapServers.join(","), "-t", freshTopic("kcat")]
      yield* Kcat.run([...brokers, "-P", "-K", "\t"], { stdin: input })
      const { stdout } = yield* Kcat.run([...brokers, "-C", "-e", "-q", "-f", "%k\t%s\n"])
      assert.deepStrictEqual(sorted(stdout), pairs.toSorted())
    })
  )
})

describeRig("Kafka's console tools", () => {
  it.live("create, fill, read, describe and delete a topic", () =>
    Effect.gen(function* () {
      const target = { bootstrapServers, topic: freshTopic("tools") }
      yield* KafkaTools.topics.create({ ...target, partitions: 3, configs: { "retention.ms": "3600000" } })
      const description = yield* KafkaTools.topics.describe(target)
      assert.match(description, /PartitionCount: 3/)
      assert.match(description, /retention\.ms=3600000/)
      yield* KafkaTools.consoleProducer({ ...target, input, keySeparator: "\t", compression: "zstd" })
      const printed = yield* KafkaTools.consoleConsumer({ ...target, maxMessages: 200, keySeparator: "\t" })
      assert.deepStrictEqual(sorted(printed), pairs.toSorted())
      yield* KafkaTools.topics.delete(target)
      const error = yield* Effect.flip(KafkaTools.topics.describe(target))
      assert.match(error.message, /does not exist/)
    })
  )
})

describeRig("a cluster of a test's own", () => {
  it.live("stops, dies, starts again with its data, pauses and goes on", () =>
    Effect.gen(function* () {
      const cluster = yield* KafkaCluster.start({ partitions: 2 })
      const address = cluster.bootstrapServers[0]!
      const answers = Effect.isSuccess(Effect.timeout(apiVersions(address), "2 seconds"))
      yield* KafkaTools.topics.create({ bootstrapServers: cluster.bootstrapServers, topic: "kept" })
      assert.match(yield* cluster.log(1), /started/)

      yield* cluster.stop(1)
      assert.isFalse(yield* answers)
      assert.match((yield* Effect.flip(cluster.kill(1))).message, /not running/)
      yield* cluster.start(1)
      assert.isTrue(yield* answers)
      assert.match((yield* Effect.flip(cluster.start(1))).message, /running already/)

      yield* cluster.kill(1)
      assert.isFalse(yield* answers)
      yield* cluster.start(1)
      const kept = yield* KafkaTools.topics.describe({ bootstrapServers: cluster.bootstrapServers, topic: "kept" })
      assert.match(kept, /PartitionCount: 2/)

      yield* cluster.pause(1)
      assert.isFalse(yield* answers)
      yield* cluster.resume(1)
      assert.isTrue(yield* answers)
      assert.match((yield* Effect.flip(cluster.stop(2))).message, /no node 2/)
    })
  )

  it.live("is gone when its scope closes, a paused node included", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const cluster = yield* Scope.provide(KafkaCluster.start(), scope)
      yield* cluster.pause(1)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(apiVersions(cluster.bootstrapServers[0]!))
      assert.strictEqual(error.code, "ECONNREFUSED")
    })
  )

  // under a test's virtual clock too: processes take real time
  it.effect("fails with the broker's own words when it cannot start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(KafkaCluster.start({ properties: { "log.retention.ms": "soon" } }))
      assert.instanceOf(error, RigError)
      assert.strictEqual(error.reason, "Broker")
      assert.match(error.message, /Invalid value soon for configuration log\.retention\.ms/)
      const late = yield* Effect.flip(KafkaCluster.start({ startTimeout: "1 millis" }))
      assert.match(late.message, /^Node 1 of Kafka .* was not ready in time/)
      const unknown = yield* Effect.flip(KafkaCluster.start({ version: "latest" }))
      assert.match(unknown.message, /latest is not a version of Apache Kafka/)
    })
  )
})
