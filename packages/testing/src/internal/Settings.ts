/**
 * The settings that brokers and topics have: Kafka's names, types, defaults and bounds. Plain data: what is in force is in
 * `Configs.ts`.
 *
 * @since 0.1.0
 */

/** Kafka's types, and their numbers in DescribeConfigs. @internal */
export const typeNumbers = { boolean: 1, string: 2, int: 3, short: 4, long: 5, double: 6, list: 7 } as const

/** @internal */
export type SettingType = keyof typeof typeNumbers

/** @internal */
export interface Setting {
  readonly name: string
  readonly type: SettingType
  /** The default, as text; null for nothing. */
  readonly otherwise: string | null
  readonly least: bigint
  readonly most: bigint
  /** The texts that it may have, or that each element of a list may have. */
  readonly oneOf: ReadonlyArray<string> | undefined
  /** What brokers call a topic's setting: the first that is set counts. */
  readonly brokerNames: ReadonlyArray<string>
  /** Whether brokers take a change while they run. */
  readonly isDynamic: boolean
}

interface Limits {
  readonly least?: bigint | number
  readonly most?: bigint | number
  readonly oneOf?: ReadonlyArray<string>
  readonly brokerNames?: ReadonlyArray<string>
  readonly isDynamic?: boolean
}

const one = BigInt(1)
const longest = (one << BigInt(63)) - one
const integers = { int: (one << BigInt(31)) - one, short: BigInt(32767), long: longest }

const setting = (
  name: string,
  type: SettingType,
  otherwise: string | number | bigint | boolean | null,
  { brokerNames = [], isDynamic = false, least, most, oneOf }: Limits = {}
): Setting => {
  const greatest = type === "int" || type === "short" || type === "long" ? integers[type] : longest
  return {
    name,
    type,
    otherwise: otherwise === null ? null : String(otherwise),
    least: least === undefined ? -greatest - one : BigInt(least),
    most: most === undefined ? greatest : BigInt(most),
    oneOf,
    brokerNames,
    isDynamic
  }
}

const compressions = ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]
const policies = ["compact", "delete"]
const timestampTypes = ["CreateTime", "LogAppendTime"]
const day = 86_400_000

const log = (name: string) => [`log.${name}`]
const cleaner = (name: string) => [`log.cleaner.${name}`]

/** Of topics: all that Kafka 4.4 has. @internal */
export const topicSettings: ReadonlyArray<Setting> = [
  setting("cleanup.policy", "list", "delete", { oneOf: policies, brokerNames: log("cleanup.policy") }),
  setting("compression.gzip.level", "int", -1, { least: -1, most: 9, brokerNames: ["compression.gzip.level"] }),
  setting("compression.lz4.level", "int", 9, { least: 1, most: 17, brokerNames: ["compression.lz4.level"] }),
  setting("compression.type", "string", "producer", { oneOf: compressions, brokerNames: ["compression.type"] }),
  setting("compression.zstd.level", "int", 3, { least: -131_072, most: 22, brokerNames: ["compression.zstd.level"] }),
  setting("delete.retention.ms", "long", day, { least: 0, brokerNames: cleaner("delete.retention.ms") }),
  setting("errors.deadletterqueue.group.enable", "boolean", false),
  setting("file.delete.delay.ms", "long", 60_000, { least: 0, brokerNames: log("segment.delete.delay.ms") }),
  setting("flush.messages", "long", longest, { least: 1, brokerNames: log("flush.interval.messages") }),
  setting("flush.ms", "long", longest, { least: 0, brokerNames: log("flush.interval.ms") }),
  setting("follower.replication.throttled.replicas", "list", ""),
  setting("index.interval.bytes", "int", 4096, { least: 0, brokerNames: log("index.interval.bytes") }),
  setting("leader.replication.throttled.replicas", "list", ""),
  setting("local.retention.bytes", "long", -2, { least: -2, brokerNames: log("local.retention.bytes") }),
  setting("local.retention.ms", "long", -2, { least: -2, brokerNames: log("local.retention.ms") }),
  setting("max.compaction.lag.ms", "long", longest, { least: 1, brokerNames: cleaner("max.compaction.lag.ms") }),
  setting("max.decompressed.message.bytes", "int", 2_147_483_639, {
    least: 1,
    brokerNames: ["max.decompressed.message.bytes"]
  }),
  setting("max.message.bytes", "int", 1_048_588, { least: 0, brokerNames: ["message.max.bytes"] }),
  setting("message.timestamp.after.max.ms", "long", 3_600_000, {
    least: 0,
    brokerNames: log("message.timestamp.after.max.ms")
  }),
  setting("message.timestamp.before.max.ms", "long", longest, {
    least: 0,
    brokerNames: log("message.timestamp.before.max.ms")
  }),
  setting("message.timestamp.type", "string", "CreateTime", {
    oneOf: timestampTypes,
    brokerNames: log("message.timestamp.type")
  }),
  setting("min.cleanable.dirty.ratio", "double", "0.5", {
    least: 0,
    most: 1,
    brokerNames: cleaner("min.cleanable.ratio")
  }),
  setting("min.compaction.lag.ms", "long", 0, { least: 0, brokerNames: cleaner("min.compaction.lag.ms") }),
  setting("min.insync.replicas", "int", 1, { least: 1, brokerNames: ["min.insync.replicas"] }),
  setting("preallocate", "boolean", false, { brokerNames: log("preallocate") }),
  setting("remote.copy.lag.bytes", "long", -1, { least: -1, brokerNames: log("remote.copy.lag.bytes") }),
  setting("remote.copy.lag.ms", "long", 0, { least: -1, brokerNames: log("remote.copy.lag.ms") }),
  setting("remote.log.copy.disable", "boolean", false),
  setting("remote.log.delete.on.disable", "boolean", false),
  setting("remote.storage.enable", "boolean", false),
  setting("retention.bytes", "long", -1, { brokerNames: log("retention.bytes") }),
  setting("retention.ms", "long", 7 * day, {
    least: -1,
    brokerNames: ["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
  }),
  setting("segment.bytes", "int", 1_073_741_824, { least: 1_048_576, brokerNames: log("segment.bytes") }),
  setting("segment.index.bytes", "int", 10_485_760, { least: 4, brokerNames: log("index.size.max.bytes") }),
  setting("segment.jitter.ms", "long", 0, {
    least: 0,
    brokerNames: ["log.roll.jitter.ms", "log.roll.jitter.hours"]
  }),
  setting("segment.ms", "long", 7 * day, { least: 1, brokerNames: ["log.roll.ms", "log.roll.hours"] }),
  setting("unclean.leader.election.enable", "boolean", false, { brokerNames: ["unclean.leader.election.enable"] })
]

/** What brokers say in another unit, or say nothing of until they are asked: defaults of their own. */
const brokerDefaults: ReadonlyMap<string, string | null> = new Map([
  ["log.retention.ms", null],
  ["log.retention.minutes", null],
  ["log.retention.hours", "168"],
  ["log.flush.interval.ms", null],
  ["log.roll.ms", null],
  ["log.roll.hours", "168"],
  ["log.roll.jitter.ms", null],
  ["log.roll.jitter.hours", "0"]
])

/** In how many milliseconds a broker's setting of a time is told. @internal */
export const millisecondsOf = (name: string): bigint =>
  BigInt(name.endsWith(".hours") ? 3_600_000 : name.endsWith(".minutes") ? 60_000 : 1)

const isOtherUnit = (name: string): boolean => millisecondsOf(name) !== one

/** Of brokers, as what topics have that say nothing themselves. */
const topicDefaults: ReadonlyArray<Setting> = topicSettings.flatMap((topic) =>
  topic.brokerNames.map((name) => ({
    ...topic,
    name,
    type: isOtherUnit(name) ? "int" : topic.type,
    otherwise: brokerDefaults.has(name) ? (brokerDefaults.get(name) ?? null) : topic.otherwise,
    brokerNames: [],
    isDynamic: !isOtherUnit(name)
  }))
)

/** Of brokers: those that these honour. @internal */
export const brokerSettings: ReadonlyArray<Setting> = [
  setting("auto.create.topics.enable", "boolean", true),
  setting("default.replication.factor", "int", 1, { least: 1 }),
  setting("delete.topic.enable", "boolean", true),
  setting("group.consumer.assignment.interval.ms", "int", 0, { least: 0, isDynamic: true }),
  setting("group.consumer.assignors", "list", "uniform,range"),
  setting("group.consumer.heartbeat.interval.ms", "int", 5000, { least: 1 }),
  setting("group.consumer.max.size", "int", 2_147_483_647, { least: 1 }),
  setting("group.consumer.regex.refresh.interval.ms", "int", 600_000, { least: 10_000 }),
  setting("group.consumer.session.timeout.ms", "int", 45_000, { least: 1 }),
  setting("group.coordinator.rebalance.protocols", "list", "classic,consumer", {
    oneOf: ["classic", "consumer", "share", "streams"]
  }),
  setting("group.initial.rebalance.delay.ms", "int", 0),
  setting("group.max.session.timeout.ms", "int", 1_800_000),
  setting("group.max.size", "int", 2_147_483_647, { least: 1 }),
  setting("group.min.session.timeout.ms", "int", 6000),
  setting("num.partitions", "int", 1, { least: 1 }),
  setting("offset.metadata.max.bytes", "int", 4096),
  setting("offsets.retention.minutes", "int", 10_080, { least: 1 }),
  setting("transaction.max.timeout.ms", "int", 900_000, { least: 1 }),
  ...topicDefaults
]

/** Of groups: those that these honour. */
export const groupSettings: ReadonlyArray<Setting> = [
  setting("consumer.heartbeat.interval.ms", "int", 5000, {
    least: 1,
    brokerNames: ["group.consumer.heartbeat.interval.ms"]
  }),
  setting("consumer.session.timeout.ms", "int", 45_000, {
    least: 1,
    brokerNames: ["group.consumer.session.timeout.ms"]
  })
]

/** Of subscriptions of client metrics (KIP-714), which are kept, and nothing more. */
export const clientMetricsSettings: ReadonlyArray<Setting> = [
  setting("interval.ms", "int", 300_000, { least: 100 }),
  setting("match", "list", ""),
  setting("metrics", "list", "")
]

const byName = (settings: ReadonlyArray<Setting>): ReadonlyMap<string, Setting> =>
  new Map(settings.map((setting) => [setting.name, setting]))

/** @internal */
export const ofTopics = byName(topicSettings)

/** @internal */
export const ofBrokers = byName(brokerSettings)

/** @internal */
export const ofGroups = byName(groupSettings)

/** @internal */
export const ofClientMetrics = byName(clientMetricsSettings)

/** The one setting that may not be what lies between its bounds. */
const gzipLevels = "Value must be between 1 and 9 or equal to -1"

const integerProblem = (text: string, { least, most, name, type }: Setting): string | undefined => {
  if (!/^[+-]?[0-9]+$/.test(text)) return `Not a number of type ${type.toUpperCase()}`
  const value = BigInt(text.replace(/^\+/, ""))
  if (value === BigInt(0) && name === "compression.gzip.level") return gzipLevels
  // Only three types come here.
  const greatest = integers[type as keyof typeof integers]
  if (value > greatest || value < -greatest - one) return `Not a number of type ${type.toUpperCase()}`
  if (value < least) return `Value must be at least ${least}`
  return value > most ? `Value must be no more than ${most}` : undefined
}

const doubleProblem = (text: string, { least, most }: Setting): string | undefined => {
  const value = text === "" ? Number.NaN : Number(text)
  if (Number.isNaN(value)) return "Not a number of type DOUBLE"
  if (value < Number(least)) return `Value must be at least ${least}`
  return value > Number(most) ? `Value must be no more than ${most}` : undefined
}

const textProblem = (text: string, { oneOf }: Setting): string | undefined =>
  oneOf === undefined || oneOf.includes(text) ? undefined : `String must be one of: ${oneOf.join(", ")}`

/** The elements of a list. @internal */
export const elements = (text: string): ReadonlyArray<string> =>
  text.trim() === "" ? [] : text.split(",").map((element) => element.trim())

const valueProblem = (text: string, setting: Setting): string | undefined => {
  switch (setting.type) {
    case "boolean":
      return /^(true|false)$/i.test(text) ? undefined : "Expected value to be either true or false"
    case "int":
    case "long":
    case "short":
      return integerProblem(text, setting)
    case "double":
      return doubleProblem(text, setting)
    case "list":
    case "string":
      return textProblem(text, setting)
  }
}

/** What is wrong with a value, in Kafka's words; undefined for nothing. @internal */
export const problem = (setting: Setting, value: string): string | undefined => {
  for (const text of setting.type === "list" ? elements(value) : [value]) {
    const detail = valueProblem(text.trim(), setting)
    if (detail !== undefined) return `Invalid value ${text} for configuration ${setting.name}: ${detail}`
  }
  return undefined
}

/** What is wrong with the settings of a topic; undefined for nothing. @internal */
export const topicProblem = (configs: ReadonlyMap<string, string>): string | undefined => {
  for (const name of configs.keys()) if (!ofTopics.has(name)) return `Unknown topic config name: ${name}`
  for (const [name, value] of configs) {
    const found = problem(ofTopics.get(name)!, value)
    if (found !== undefined) return found
  }
  return undefined
}
