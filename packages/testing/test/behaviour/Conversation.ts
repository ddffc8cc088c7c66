/** A conversation with a broker, in a form in which two brokers can be compared. */
import type { Api } from "@kafka-effect/protocol/Api"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect } from "effect"
import * as Kafka from "kafka-effect/Kafka"

/** What is of this run and not of the behaviour: places, ids, times. */
const ofTheRun = new Set([
  "host",
  "port",
  "clusterId",
  "throttleTimeMs",
  "sessionId",
  "producerId",
  "clientHost",
  "rack"
])
const brokerIds = new Set(["nodeId", "leaderId", "controllerId", "brokerId", "replicaNodes", "isrNodes"])
const names = new Set(["topicId", "memberId", "leader"])
/** Lists that brokers keep in hash tables. */
const unordered = new Set(["topics", "partitions", "responses", "groups", "members", "results", "apiKeys"])

/** @internal */
export interface Step {
  readonly asked: string
  readonly answer: unknown
}

/** @internal */
export interface Conversation {
  readonly kafka: Kafka.Kafka["Service"]
  /** The one broker's id. */
  readonly node: number
  /** Asks, keeps what was answered for the comparison, and gives it. */
  readonly ask: <Request, Response>(
    asked: string,
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    version?: number
  ) => Effect.Effect<Response, unknown>
  /** Creates a topic, and waits until the broker leads it. */
  readonly topic: (name: string, partitions?: number) => Effect.Effect<void, unknown>
  readonly steps: ReadonlyArray<Step>
}

/** Begins a conversation with a cluster of one broker. @internal */
export const start = Effect.fnUntraced(function* (bootstrapServers: ReadonlyArray<string>) {
  const kafka = yield* Kafka.make({ bootstrapServers, requestTimeout: "10 seconds" })
  const { brokers } = yield* kafka.request("any", Metadata, { topics: [] })
  const [{ nodeId: node }] = brokers
  const steps: Array<Step> = []
  const seen = new Map<string, string>()
  const named = (text: string) => {
    if (text === "" || /^A+$/.test(text)) return text
    const name = seen.get(text) ?? `id ${seen.size}`
    seen.set(text, name)
    return name
  }
  const comparable = (value: unknown, key: string): unknown => {
    if (ofTheRun.has(key)) return `<${key}>`
    if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
    if (Array.isArray(value)) {
      const all = value.map((one) => comparable(one, key))
      const text = (one: unknown) => JSON.stringify(one, (_, inner) => (typeof inner === "bigint" ? `${inner}` : inner))
      return unordered.has(key) ? all.sort((a, b) => (text(a) < text(b) ? -1 : 1)) : all
    }
    if (typeof value === "number" && brokerIds.has(key)) return value < 0 ? value : value - node
    if (typeof value === "string" && names.has(key)) return named(value)
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([inner, one]) => [inner, comparable(one, inner)]))
    }
    return value
  }
  const conversation: Conversation = {
    kafka,
    node,
    steps,
    topic: Effect.fnUntraced(function* (name, numPartitions = 1) {
      const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }]
      yield* kafka.request("controller", CreateTopics, { topics }, 4)
      const told = kafka.request(node, Metadata, { topics: [{ name }], allowAutoTopicCreation: false }, 9)
      const isThere = ({ topics: [found] }: { readonly topics: ReadonlyArray<{ readonly errorCode: number }> }) =>
        found?.errorCode === 0
      yield* told.pipe(Effect.delay("20 millis"), Effect.repeat({ until: isThere }), Effect.timeout("10 seconds"))
    }),
    ask: (asked, api, message, version) =>
      kafka.request(node, api, message, version).pipe(
        Effect.tap((answer) => Effect.sync(() => steps.push({ asked, answer: comparable(answer, "") }))),
        Effect.tapError((error) => Effect.sync(() => steps.push({ asked, answer: `fails: ${String(error)}` })))
      )
  }
  return conversation
})
