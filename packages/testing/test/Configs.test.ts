import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { AlterConfigs } from "@kafka-effect/protocol/messages/AlterConfigs"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DescribeConfigs } from "@kafka-effect/protocol/messages/DescribeConfigs"
import { IncrementalAlterConfigs } from "@kafka-effect/protocol/messages/IncrementalAlterConfigs"
import { ListConfigResources } from "@kafka-effect/protocol/messages/ListConfigResources"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
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

  for (const [actAs, isTold] of [
    ["2.6", true],
    ["3.9", false]
  ] as const) {
    it.live(
      `tells in version 0 ${isTold ? "only whether it is a default" : "not even that, since 2.7"}: ${actAs}`,
      () =>
        Effect.gen(function* () {
          const { configs } = yield* describeConfigs(2, "orders", { version: 0 })
          const told = configs.filter(({ isDefault }) => isDefault).map(({ name }) => name)
          assert.strictEqual(told.includes("retention.ms"), isTold)
          assert.isFalse(told.includes("retention.bytes"))
        }).pipe(
          Effect.provide(TestBroker.layerKafka({ actAs, topics: { orders: { configs: { "retention.bytes": "70" } } } }))
        )
    )
  }

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

type Change = readonly [name: string, operation: number, value: string | null]

const [set, remove, append, subtract] = [0, 1, 2, 3]

const alter = Effect.fnUntraced(function* (
  resourceType: number,
  resourceName: string,
  changes: ReadonlyArray<Change>,
  validateOnly = false
) {
  const kafka = yield* Kafka.Kafka
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
  const resources = [{ resourceType, resourceName, configs }]
  const { responses } = yield* kafka.request(0, IncrementalAlterConfigs, { resources, validateOnly })
  const [{ errorCode, errorMessage }] = responses
  return [errorCode, errorMessage] as const
})

const done = [codes.NONE, null] as const

describe("IncrementalAlterConfigs", () => {
  it.live("sets, takes back, appends and subtracts", () =>
    Effect.gen(function* () {
      const value = (name: string) => valueOf(2, "others", name)
      assert.deepStrictEqual(yield* alter(2, "others", [["retention.ms", set, "5000"]]), done)
      assert.strictEqual(yield* value("retention.ms"), "5000")
      assert.deepStrictEqual(yield* alter(2, "others", [["cleanup.policy", append, "compact"]]), done)
      assert.strictEqual(yield* value("cleanup.policy"), "delete,compact")
      assert.strictEqual(yield* value("retention.ms"), "5000")
      assert.deepStrictEqual(yield* alter(2, "others", [["cleanup.policy", subtract, "delete"]]), done)
      assert.strictEqual(yield* value("cleanup.policy"), "compact")
      assert.deepStrictEqual(yield* alter(2, "others", [["retention.ms", remove, null]]), done)
      assert.strictEqual(yield* value("retention.ms"), "7200000")
      assert.deepStrictEqual(yield* alter(2, "others", [["retention.ms", set, "1"]], true), done)
      assert.strictEqual(yield* value("retention.ms"), "7200000")
    }).pipe(Effect.provide(cluster))
  )

  it.live("is in force at once", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const producer = yield* Producer.make({ enableIdempotence: false })
      const topic = Kafka.topic("others", { key: Serde.string, value: Serde.string })
      yield* producer.send(topic, { partition: 0, key: "a", value: "x".repeat(200) })
      yield* alter(2, "others", [["max.message.bytes", set, "100"]])
      const failed = yield* Effect.flip(producer.send(topic, { partition: 0, key: "a", value: "x".repeat(200) }))
      assert.include(failed.message, "large")
      assert.strictEqual((yield* kafka.request(0, Metadata, { topics: [{ name: "others" }] })).topics.length, 1)
    }).pipe(Effect.scoped, Effect.provide(cluster))
  )

  it.live("changes what brokers have while they run", () =>
    Effect.gen(function* () {
      const found = Effect.map(describeConfigs(2, "others", { keys: ["retention.bytes"] }), ({ configs }) => [
        configs[0].value,
        configs[0].configSource,
        configs[0].synonyms.map(({ source }) => source)
      ])
      assert.deepStrictEqual(yield* found, ["-1", 5, [5]])
      assert.deepStrictEqual(yield* alter(4, "", [["log.retention.bytes", set, "88"]]), done)
      assert.deepStrictEqual(yield* found, ["88", 3, [3, 5]])
      assert.deepStrictEqual(yield* alter(4, "0", [["log.retention.bytes", set, "77"]]), done)
      assert.deepStrictEqual(yield* found, ["77", 2, [2, 3, 5]])
      const { configs } = yield* describeConfigs(4, "")
      assert.deepStrictEqual(
        configs.map(({ name, value }) => [name, value]),
        [["log.retention.bytes", "88"]]
      )
    }).pipe(Effect.provide(cluster))
  )

  it.live("keeps settings of groups and of client metrics", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      assert.deepStrictEqual(yield* alter(32, "g", [["consumer.session.timeout.ms", set, "50000"]]), done)
      assert.strictEqual(yield* valueOf(32, "g", "consumer.session.timeout.ms"), "50000")
      assert.strictEqual(yield* valueOf(32, "h", "consumer.session.timeout.ms"), "45000")
      assert.deepStrictEqual(yield* alter(16, "m", [["interval.ms", set, "1000"]]), done)
      assert.strictEqual(yield* valueOf(16, "m", "interval.ms"), "1000")
      const list = (resourceTypes: ReadonlyArray<number>) => kafka.request(0, ListConfigResources, { resourceTypes })
      const { configResources } = yield* list([])
      assert.deepStrictEqual(
        configResources.map(({ resourceName, resourceType }) => `${resourceType} ${resourceName}`).sort(),
        ["16 m", "2 orders", "2 others", "32 g", "4 0", "4 1", "8 0", "8 1"]
      )
      assert.strictEqual((yield* list([16])).configResources.length, 1)
      assert.strictEqual((yield* list([99])).errorCode, codes.UNSUPPORTED_VERSION)
    }).pipe(Effect.provide(cluster))
  )

  it.live("refuses what is wrong, and changes nothing of it", () =>
    Effect.gen(function* () {
      const { INVALID_CONFIG, INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION } = codes
      const cases: ReadonlyArray<readonly [number, string, ReadonlyArray<Change>, number, RegExp]> = [
        [
          2,
          "orders",
          [["retention.ms", append, "1"]],
          INVALID_CONFIG,
          /Can't APPEND to key retention.ms because its type/
        ],
        [2, "orders", [["retention.ms", subtract, "1"]], INVALID_CONFIG, /Can't SUBTRACT/],
        [2, "orders", [["cleanup.policy", append, "x"]], INVALID_CONFIG, /String must be one of: compact, delete/],
        [
          2,
          "orders",
          [
            ["flush.ms", set, "1"],
            ["none", set, "1"]
          ],
          INVALID_CONFIG,
          /Unknown topic config name: none/
        ],
        [2, "orders", [["flush.ms", set, null]], INVALID_REQUEST, /Null value not supported for : flush.ms/],
        [
          2,
          "orders",
          [
            ["flush.ms", set, "1"],
            ["flush.ms", set, "2"]
          ],
          INVALID_REQUEST,
          /duplicate config keys/
        ],
        [2, "none", [["flush.ms", set, "1"]], UNKNOWN_TOPIC_OR_PARTITION, /The topic 'none' does not exist/],
        [2, "bad name", [["flush.ms", set, "1"]], INVALID_TOPIC_EXCEPTION, /Topic name is invalid/],
        [2, "", [["flush.ms", set, "1"]], INVALID_REQUEST, /Default topic resources are not allowed/],
        [4, "0", [["num.partitions", set, "1"]], INVALID_REQUEST, /dynamically: \[num.partitions\]/],
        [4, "", [["log.retention.bytes", set, "x"]], INVALID_REQUEST, /Not a number of type LONG/],
        [4, "1", [["log.retention.bytes", set, "1"]], INVALID_REQUEST, /Unexpected broker id, expected 0/],
        [4, "x", [["log.retention.bytes", set, "1"]], INVALID_REQUEST, /Node id must be an integer/],
        [8, "0", [["root", set, "DEBUG"]], INVALID_REQUEST, /no loggers/],
        [3, "x", [["a", set, "1"]], INVALID_REQUEST, /Unknown resource type 3/],
        [32, "g", [["none", set, "1"]], INVALID_CONFIG, /Unknown group config name/],
        [32, "", [["consumer.session.timeout.ms", set, "1"]], INVALID_REQUEST, /Default group resources/],
        [16, "m", [["none", set, "1"]], INVALID_REQUEST, /Unknown client metrics configuration/]
      ]
      for (const [type, name, changes, code, text] of cases) {
        const [errorCode, errorMessage] = yield* alter(type, name, changes)
        assert.strictEqual(errorCode, code, `${text}`)
        assert.match(errorMessage ?? "", text)
      }
      const { configs } = yield* describeConfigs(2, "orders")
      const own = configs.filter(({ configSource }) => configSource === 1).map(({ name }) => name)
      assert.deepStrictEqual(own, ["cleanup.policy"])
    }).pipe(Effect.provide(cluster))
  )
})

describe("AlterConfigs", () => {
  it.live("takes back what is not named, and refuses what is named twice", () =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.Kafka
      const ask = (name: string, value: string | null, times = 1) => {
        const resource = { resourceType: 2, resourceName: "orders", configs: [{ name, value }] }
        const asked = kafka.request(0, AlterConfigs, { resources: Array(times).fill(resource), validateOnly: false })
        return Effect.map(asked, ({ responses }) => responses.map(({ errorCode }) => errorCode))
      }
      assert.deepStrictEqual(yield* ask("flush.ms", "11"), [codes.NONE])
      assert.strictEqual(yield* valueOf(2, "orders", "flush.ms"), "11")
      assert.strictEqual(yield* valueOf(2, "orders", "cleanup.policy"), "delete")
      assert.deepStrictEqual(yield* ask("flush.ms", null), [codes.INVALID_REQUEST])
      assert.deepStrictEqual(yield* ask("none", "1"), [codes.INVALID_CONFIG])
      assert.deepStrictEqual(yield* ask("flush.ms", "12", 2), [codes.INVALID_REQUEST, codes.INVALID_REQUEST])
      assert.strictEqual(yield* valueOf(2, "orders", "flush.ms"), "11")
    }).pipe(Effect.provide(cluster))
  )
})
