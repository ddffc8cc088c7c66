import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DescribeConfigs } from "@kafka-effect/protocol/messages/DescribeConfigs"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as TestBroker from "../src/TestBroker.ts"

const cluster = TestBroker.layerKafka({
  brokers: 2,
  topics: { orders: { partitions: 2, replicationFactor: 2, configs: { "cleanup.policy": "compact" } }, others: {} },
  settings: { "log.retention.hours": "2", "log.segment.bytes": "2000000", "num.partitions": "3" }
})

const describeConfigs = Effect.fnUntraced(function* (
  resourceType: number,
  resourceName: string,
  options: { readonly keys?: ReadonlyArray<string>; readonly synonyms?: boolean; readonly version?: number } = {}
) {
  const kafka = yield* Kafka.Kafka
  const { keys = null, synonyms = true, version } = options
  const resources = [{ resourceType, resourceName, configurationKeys: keys }]
  const asked = { resources, ...(version === 0 ? {} : { includeSynonyms: synonyms }) }
  const { results } = yield* kafka.request(0, DescribeConfigs, asked, version)
  return results[0]
})

const valueOf = Effect.fnUntraced(function* (resourceType: number, resourceName: string, key: string) {
  const { configs } = yield* describeConfigs(resourceType, resourceName, { keys: [key] })
  return configs[0]?.value
})

const createTopic = Effect.fnUntraced(function* (
  name: string,
  configs: Record<string, string | null>,
  validateOnly = false
) {
  const kafka = yield* Kafka.Kafka
  const entries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  const asked = { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: entries }
  const { topics } = yield* kafka.request("controller", CreateTopics, { topics: [asked], validateOnly })
  return topics[0]
})

describe("the settings of a cluster", () => {
  for (const [name, options, setting, topic] of [
    ["an unknown setting of brokers", { settings: { "log.retention": "1" } }, "log.retention", null],
    ["a bad value of brokers", { settings: { "num.partitions": "many" } }, "num.partitions", null],
    [
      "an unknown setting of a topic",
      { topics: { a: { configs: { "log.retention.ms": "1" } } } },
      "log.retention.ms",
      "a"
    ],
    ["a bad value of a topic", { topics: { a: { configs: { "retention.ms": "-2" } } } }, "retention.ms", "a"]
  ] as const) {
    it.live(`cannot have ${name}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(TestBroker.make(options))
        assert.strictEqual(error._tag, "SettingError")
        if (error._tag !== "SettingError") return
        assert.deepStrictEqual([error.setting, error.topic], [setting, topic])
        assert.include(error.message, setting)
      }).pipe(Effect.scoped)
    )
  }

  it.live("begins with topics as they are described", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const { topics } = yield* kafka.request(0, Metadata, { topics: [{ name: "orders" }, { name: "others" }] })
      const shapes = topics.map(({ partitions }) => [partitions.length, partitions[0].replicaNodes.length])
      assert.deepStrictEqual(shapes, [
        [2, 2],
        [3, 1]
      ])
    }).pipe(Effect.provide(cluster))
  )
})

describe("DescribeConfigs", () => {
  it.live("tells what a topic has, and where that comes from", () =>
    Effect.gen(function* () {
      const { configs, errorCode } = yield* describeConfigs(2, "orders")
      assert.strictEqual(errorCode, codes.NONE)
      assert.strictEqual(configs.length, 37)
      const told = (name: string) => {
        const { configSource, configType, isSensitive, readOnly, synonyms, value } = configs.find(
          (config) => config.name === name
        )!
        assert.deepStrictEqual([isSensitive, readOnly], [false, false])
        return [
          value,
          configSource,
          configType,
          synonyms.map(({ name, source, value }) => `${name}=${value}:${source}`)
        ]
      }
      const policy = ["cleanup.policy=compact:1", "log.cleanup.policy=delete:5"]
      assert.deepStrictEqual(told("cleanup.policy"), ["compact", 1, 7, policy])
      const segment = ["log.segment.bytes=2000000:4", "log.segment.bytes=1073741824:5"]
      assert.deepStrictEqual(told("segment.bytes"), ["2000000", 4, 3, segment])
      // Hours of brokers are milliseconds of topics, and no synonym is told.
      assert.deepStrictEqual(told("retention.ms"), ["7200000", 5, 5, []])
      const ratio = ["log.cleaner.min.cleanable.ratio=0.5:5"]
      assert.deepStrictEqual(told("min.cleanable.dirty.ratio"), ["0.5", 5, 6, ratio])
      assert.deepStrictEqual(told("preallocate"), ["false", 5, 1, ["log.preallocate=false:5"]])
      assert.deepStrictEqual(told("message.timestamp.type"), [
        "CreateTime",
        5,
        2,
        ["log.message.timestamp.type=CreateTime:5"]
      ])
    }).pipe(Effect.provide(cluster))
  )

  it.live("tells what is asked for, in the version that asks", () =>
    Effect.gen(function* () {
      const keys = ["retention.bytes", "cleanup.policy", "none"]
      const few = yield* describeConfigs(2, "orders", { keys, synonyms: false })
      assert.sameMembers(
        few.configs.map(({ name }) => name),
        ["retention.bytes", "cleanup.policy"]
      )
      assert.isTrue(few.configs.every(({ synonyms }) => synonyms.length === 0))
      for (const version of [1, 2, 3, 4]) {
        const { configs } = yield* describeConfigs(2, "orders", { keys: ["cleanup.policy"], version })
        const [{ configSource, configType, synonyms }] = configs
        assert.deepStrictEqual([configSource, configType, synonyms.length], [1, version < 3 ? 0 : 7, 2])
      }
    }).pipe(Effect.provide(cluster))
  )

  it.live("tells in version 0 only whether it is a default", () =>
    Effect.gen(function* () {
      const { configs } = yield* describeConfigs(2, "orders", { version: 0 })
      const told = configs.filter(({ isDefault }) => !isDefault).map(({ name, value }) => `${name}=${value}`)
      assert.deepStrictEqual(told, ["retention.bytes=70"])
    }).pipe(
      Effect.provide(
        TestBroker.layerKafka({ actAs: "3.9", topics: { orders: { configs: { "retention.bytes": "70" } } } })
      )
    )
  )

  it.live("tells of a broker that is asked itself", () =>
    Effect.gen(function* () {
      const { configs } = yield* describeConfigs(4, "0")
      const told = (name: string) => {
        const { configSource, readOnly, value } = configs.find((config) => config.name === name)!
        return [value, configSource, readOnly]
      }
      assert.deepStrictEqual(told("broker.id"), ["0", 5, true])
      assert.deepStrictEqual(told("num.partitions"), ["3", 4, true])
      assert.deepStrictEqual(told("log.retention.hours"), ["2", 4, true])
      assert.deepStrictEqual(told("log.retention.ms"), [null, 5, false])
      assert.deepStrictEqual((yield* describeConfigs(4, "")).configs, [])
    }).pipe(Effect.provide(cluster))
  )

  it.live("refuses what is wrong", () =>
    Effect.gen(function* () {
      const codeOf = (type: number, name: string) =>
        Effect.map(describeConfigs(type, name), ({ configs, errorCode }) => {
          assert.strictEqual(configs.length, 0)
          return errorCode
        })
      assert.strictEqual(yield* codeOf(2, "none"), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* codeOf(2, "bad name"), codes.INVALID_TOPIC_EXCEPTION)
      assert.strictEqual(yield* codeOf(4, "1"), codes.INVALID_REQUEST)
      assert.strictEqual(yield* codeOf(4, "x"), codes.INVALID_REQUEST)
      assert.strictEqual(yield* codeOf(8, "0"), codes.INVALID_REQUEST)
      assert.strictEqual(yield* codeOf(3, "x"), codes.INVALID_REQUEST)
    }).pipe(Effect.provide(cluster))
  )
})

describe("CreateTopics", () => {
  it.live("sets what is allowed, and tells of it", () =>
    Effect.gen(function* () {
      const created = yield* createTopic("made", { "retention.ms": "5000" })
      assert.strictEqual(created.errorCode, codes.NONE)
      const told = created.configs?.find(({ name }) => name === "retention.ms")
      assert.deepStrictEqual([told?.value, told?.configSource], ["5000", 1])
      const started = created.configs?.find(({ name }) => name === "segment.bytes")
      assert.deepStrictEqual([started?.value, started?.configSource], ["2000000", 4])
      assert.strictEqual(yield* valueOf(2, "made", "retention.ms"), "5000")
    }).pipe(Effect.provide(cluster))
  )

  for (const [name, value, text] of [
    ["log.retention.ms", "1", "Unknown topic config name: log.retention.ms"],
    ["retention.ms", "long", "Invalid value long for configuration retention.ms: Not a number of type LONG"],
    ["retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"],
    [
      "segment.bytes",
      "3000000000",
      "Invalid value 3000000000 for configuration segment.bytes: Not a number of type INT"
    ],
    [
      "min.cleanable.dirty.ratio",
      "1.5",
      "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
    ],
    [
      "preallocate",
      "yes",
      "Invalid value yes for configuration preallocate: Expected value to be either true or false"
    ],
    [
      "compression.type",
      "brotli",
      "Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"
    ],
    [
      "cleanup.policy",
      "compact,keep",
      "Invalid value keep for configuration cleanup.policy: String must be one of: compact, delete"
    ],
    [
      "compression.gzip.level",
      "0",
      "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"
    ],
    ["retention.ms", null, "Null value not supported for topic configs: retention.ms"]
  ] as const) {
    it.live(`refuses ${name}=${value}`, () =>
      Effect.gen(function* () {
        const refused = yield* createTopic("made", { "flush.ms": "1", [name]: value }, true)
        assert.deepStrictEqual([refused.errorCode, refused.errorMessage], [codes.INVALID_CONFIG, text])
        assert.strictEqual((yield* describeConfigs(2, "made")).errorCode, codes.UNKNOWN_TOPIC_OR_PARTITION)
      }).pipe(Effect.provide(cluster))
    )
  }
})
