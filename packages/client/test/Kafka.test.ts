import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import * as Software from "../src/internal/Software.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Transport from "../src/Transport.ts"
import { failure } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

describe("Kafka", () => {
  it.live("the layer gives a client; requests are typed by their schema", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const program = Effect.gen(function* () {
        const kafka = yield* Kafka.Kafka
        const response = yield* kafka.request("any", Metadata, { topics: null }, 9)
        return [response.clusterId, kafka.cluster.settings.clientId]
      })
      const bootstrapServers = [scripted.brokers[0].address]
      assert.deepStrictEqual(yield* Effect.provide(program, Kafka.layer({ bootstrapServers })), [
        "scripted",
        "kafka-effect"
      ])
      assert.strictEqual(scripted.asked()[1].version, 9)
      const config = Kafka.layerConfig({
        bootstrapServers: Config.succeed(bootstrapServers),
        clientId: Config.String("ID")
      })
      const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ ID: "from-config" }))
      assert.deepStrictEqual(yield* Effect.provide(program, Layer.provide(config, provider)), [
        "scripted",
        "from-config"
      ])
    })
  )

  it.live("options that cannot work are refused by name", () =>
    Effect.gen(function* () {
      const bootstrapServers = ["localhost:9092"]
      const wrong: ReadonlyArray<readonly [Kafka.Options, option: string, part: string]> = [
        [{ bootstrapServers: [] }, "bootstrapServers", "at least one host:port"],
        [{ bootstrapServers: ["localhost"] }, "bootstrapServers", "lacks a port"],
        [{ bootstrapServers: [""] }, "bootstrapServers", "empty"],
        [{ bootstrapServers: ["a:9092,b:9092"] }, "bootstrapServers", "an element of its own"],
        [{ bootstrapServers: ["PLAINTEXT://a:9092"] }, "bootstrapServers", "protocol"],
        [{ bootstrapServers: ["::1:9092"] }, "bootstrapServers", "brackets"],
        [{ bootstrapServers: ["a:0"] }, "bootstrapServers", "1 to 65535"],
        [{ bootstrapServers: ["a:65536"] }, "bootstrapServers", "1 to 65535"],
        [{ bootstrapServers, requestTimeout: -1 }, "requestTimeout", "not negative"],
        [{ bootstrapServers, requestTimeout: "-3 seconds" }, "requestTimeout", "not negative"],
        [{ bootstrapServers, requestTimeout: Number.POSITIVE_INFINITY }, "requestTimeout", "finite"],
        [{ bootstrapServers, metadataMaxAge: Number.NaN }, "metadataMaxAge", "not negative"],
        [{ bootstrapServers, reconnectBackoff: -5 }, "reconnectBackoff", "not negative"],
        [{ bootstrapServers, maxInFlight: 0 }, "maxInFlight", "from 1 to"],
        [{ bootstrapServers, receiveMaxBytes: 1.5 }, "receiveMaxBytes", "whole number"]
      ]
      for (const [options, option, part] of wrong) {
        const reason = yield* failure(Effect.scoped(Kafka.make(options)), "InvalidOption")
        assert.strictEqual(reason.option, option)
        assert.include(reason.message, part)
        assert.isFalse(reason.isRetriable)
      }
    })
  )

  it.live("an unreachable cluster fails the layer, with each server and the reason", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      yield* broker.stop
      const reason = yield* failure(
        Effect.scoped(Kafka.make({ bootstrapServers: [broker.address, "[::1]:1"] })),
        "Unreachable"
      )
      assert.deepStrictEqual(new Set(reason.attempts.map(({ broker }) => broker)), new Set([broker.address, "[::1]:1"]))
      assert.include(reason.message, "ECONNREFUSED")
      assert.include(reason.message, "bootstrapServers")
    })
  )

  it.live("resolveCanonicalBootstrapServers connects by the names that the addresses have", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [{ port }] = scripted.brokers
      const asked: Array<string> = []
      const transport: Transport.Transport = {
        resolve: (host) =>
          Effect.sync(() => {
            asked.push(host)
            return host === "alias" ? ["10.0.0.7"] : ["127.0.0.1"]
          }),
        canonicalName: (ip) => Effect.succeed(`real-${ip}`),
        open: Transport.plaintext.open
      }
      yield* Kafka.make({ bootstrapServers: [`alias:${port}`], resolveCanonicalBootstrapServers: true }).pipe(
        Effect.provideService(Transport.Transport, transport)
      )
      assert.deepStrictEqual(asked.slice(0, 2), ["alias", "real-10.0.0.7"])
    })
  )

  it("C16: the software's name and version are what brokers accept, and this package's own", () => {
    const accepted = /^[a-zA-Z0-9]([a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/
    assert.match(Software.name, accepted)
    assert.match(Software.version, accepted)
    const packageJson = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    assert.deepStrictEqual([packageJson.name, packageJson.version], [Software.name, Software.version])
  })
})
