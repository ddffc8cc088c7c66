/** Settings of topics and brokers: what is told of them, and which changes are refused. */
import { AlterConfigs } from "@kafka-effect/protocol/messages/AlterConfigs"
import { DescribeConfigs } from "@kafka-effect/protocol/messages/DescribeConfigs"
import { IncrementalAlterConfigs } from "@kafka-effect/protocol/messages/IncrementalAlterConfigs"
import { Effect } from "effect"
import type { Conversation } from "./Conversation.ts"

const [topicType, brokerType, groupType] = [2, 4, 32]
const [set, remove, append, subtract] = [0, 1, 2, 3]

const describing =
  (ask: Conversation["askIfOffered"]) =>
  (what: string, name: string, keys: ReadonlyArray<string>, version = 2) => {
    const resources = [{ resourceType: topicType, resourceName: name, configurationKeys: keys }]
    return ask(what, DescribeConfigs, { resources, includeSynonyms: version > 0 }, version)
  }

/** @internal */
export const describeConfigs = Effect.fnUntraced(function* ({ ask, askIfOffered, node, topic }: Conversation) {
  yield* topic("described")
  const describe = describing(askIfOffered)
  const keys = ["cleanup.policy", "retention.ms", "max.message.bytes", "compression.type"]
  for (const version of [0, 1, 2, 3, 4]) yield* describe(`v${version}`, "described", keys, version)
  yield* describe("an unknown setting", "described", ["no.such", "retention.ms"])
  yield* describe("no setting", "described", [])
  yield* describe("an unknown topic", "unknown", keys)
  yield* describe("a bad name", "bad name", keys)
  const others = [
    ["a broker", brokerType, String(node), ["num.partitions", "message.max.bytes"]],
    ["all brokers", brokerType, "", ["num.partitions"]],
    ["an unknown broker", brokerType, "77", ["num.partitions"]],
    ["a broker's name", brokerType, "one", ["num.partitions"]],
    ["an unknown type", 99, "x", []]
  ] as const
  for (const [what, resourceType, resourceName, configurationKeys] of others) {
    yield* ask(what, DescribeConfigs, { resources: [{ resourceType, resourceName, configurationKeys }] }, 2)
  }
})

/** @internal */
export const incrementalAlterConfigs = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("altered")
  const describe = describing(askIfOffered)
  const alter = (
    what: string,
    changes: ReadonlyArray<readonly [name: string, configOperation: number, value: string | null]>,
    resourceName = "altered",
    resourceType = topicType,
    validateOnly = false
  ) => {
    const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
    return ask(what, IncrementalAlterConfigs, { resources: [{ resourceType, resourceName, configs }], validateOnly }, 1)
  }
  yield* alter("set", [["retention.ms", set, "1000"]])
  yield* alter("only validated", [["retention.ms", set, "2000"]], "altered", topicType, true)
  yield* alter("a list", [["cleanup.policy", append, "compact"]])
  yield* alter("what is there", [["cleanup.policy", append, "compact"]])
  yield* describe("both", "altered", ["retention.ms", "cleanup.policy"])
  yield* alter("less", [["cleanup.policy", subtract, "delete"]])
  yield* alter("no list", [["retention.ms", append, "1"]])
  yield* alter("a bad value", [["retention.ms", set, "soon"]])
  yield* alter("too small", [["retention.ms", set, "-5"]])
  yield* alter("a bad policy", [["cleanup.policy", set, "burn"]])
  yield* alter("null", [["retention.ms", set, null]])
  yield* alter("unknown", [["no.such", set, "1"]])
  yield* alter("twice", [
    ["retention.ms", set, "1"],
    ["retention.ms", remove, null]
  ])
  yield* alter("an unknown operation", [["retention.ms", 9, "1"]])
  yield* alter("nothing", [])
  yield* alter("of an unknown topic", [["retention.ms", set, "1"]], "unknown")
  yield* alter("of an unknown broker", [["num.partitions", set, "1"]], "77", brokerType)
  yield* alter("of an unknown type", [["retention.ms", set, "1"]], "x", 99)
  yield* alter("remove", [["retention.ms", remove, null]])
  yield* alter("remove what is not there", [["segment.ms", remove, null]])
  yield* alter("remove the unknown", [["no.such", remove, null]])
  yield* describe("in the end", "altered", ["retention.ms", "cleanup.policy"])
})

/** @internal */
export const alterConfigs = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("replaced")
  const describe = describing(askIfOffered)
  const replace = (
    what: string,
    settings: ReadonlyArray<readonly [name: string, value: string | null]>,
    name = "replaced"
  ) => {
    const configs = settings.map(([name, value]) => ({ name, value }))
    return ask(what, AlterConfigs, { resources: [{ resourceType: topicType, resourceName: name, configs }] }, 1)
  }
  yield* replace("one", [["retention.ms", "1000"]])
  yield* replace("another", [["segment.ms", "1000000"]])
  yield* describe("the other", "replaced", ["retention.ms", "segment.ms"])
  yield* replace("a bad one", [["retention.ms", "soon"]])
  yield* replace("null", [["retention.ms", null]])
  yield* replace("unknown", [["no.such", "1"]])
  yield* replace("twice", [
    ["retention.ms", "1"],
    ["retention.ms", "2"]
  ])
  yield* replace("of an unknown topic", [], "unknown")
  yield* replace("nothing", [])
  yield* describe("in the end", "replaced", ["retention.ms", "segment.ms"])
})

/** @internal */
export const groupConfigs = Effect.fnUntraced(function* ({ ask }: Conversation) {
  const resources = [{ resourceType: groupType, resourceName: "g", configurationKeys: ["consumer.session.timeout.ms"] }]
  yield* ask("of a group", DescribeConfigs, { resources, includeSynonyms: true }, 2)
})
