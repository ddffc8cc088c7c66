/** A conversation with a broker, in a form in which two brokers can be compared. */
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, Schedule } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import type { KafkaError } from "kafka-effect/KafkaError"

/** What is of this run and not of the behaviour: places, ids, times. */
const ofTheRun = new Set([
  "host",
  "port",
  "clusterId",
  "throttleTimeMs",
  "sessionId",
  "producerId",
  "clientHost",
  "rack",
  "transactionStartTimeMs",
  "lastTimestamp",
  "finalizedFeaturesEpoch"
])
const brokerIds = new Set(["nodeId", "leaderId", "controllerId", "brokerId", "replicaNodes", "isrNodes"])
const names = new Set(["topicId", "memberId", "leader"])
/** Lists that brokers keep in hash tables. */
const unordered = new Set([
  "topics",
  "partitions",
  "responses",
  "groups",
  "members",
  "results",
  "resultsByTopicV3AndBelow"
])
/** Lists of what has a name, which is where it is found. */
const named = new Set(["configs", "supportedFeatures", "finalizedFeatures"])

/** What passes by itself: a coordinator that is being made, and markers of a transaction that are being written. */
const passing: ReadonlySet<unknown> = new Set([
  codes.COORDINATOR_LOAD_IN_PROGRESS,
  codes.COORDINATOR_NOT_AVAILABLE,
  codes.NOT_COORDINATOR,
  codes.CONCURRENT_TRANSACTIONS,
  codes.UNSTABLE_OFFSET_COMMIT
])

const passes = (answer: unknown): boolean => {
  if (typeof answer !== "object" || answer === null || ArrayBuffer.isView(answer)) return false
  return Object.entries(answer).some(([key, value]) => {
    if (key === "errorCode" || key === "partitionErrorCode") return passing.has(value)
    return key === "transactionState" ? String(value).startsWith("Prepare") : passes(value)
  })
}

/** Asked again for as long as it passes, for five seconds. */
const settled = <A, E, R>(answer: Effect.Effect<A, E, R>) =>
  answer.pipe(Effect.repeat({ until: (one) => !passes(one), schedule: Schedule.spaced("20 millis"), times: 250 }))

/** Whether a producer that is in a transaction, or a coordinator, wrote its first batch of format 2. */
const isOfTransactions = (bytes: Uint8Array): boolean =>
  bytes.length > 61 && bytes[16] === 2 && (bytes[22]! & 0b110000) !== 0

/** Batches whose bytes are the same for each broker; of transactions, whose producer and times are of the run, their fields. */
const recordsOf = (bytes: Uint8Array): unknown => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const batches: Array<unknown> = []
  for (let at = 0; at + 61 <= bytes.length; at += 12 + view.getInt32(at + 8)) {
    const attributes = view.getInt16(at + 21)
    batches.push({
      baseOffset: view.getBigInt64(at),
      leaderEpoch: view.getInt32(at + 12),
      attributes,
      lastOffsetDelta: view.getInt32(at + 23),
      producerEpoch: view.getInt16(at + 51),
      baseSequence: view.getInt32(at + 53),
      records: Buffer.from(bytes.subarray(at + 57, at + 12 + view.getInt32(at + 8))).toString("hex")
    })
  }
  return batches
}

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
  ) => Effect.Effect<Response, KafkaError>
  /** The same by another client: a broker answers the requests of a connection one after the other. */
  readonly askAside: Conversation["ask"]
  /** The same, of a release that may lack the API or its version: undefined then. */
  readonly askIfOffered: <Request, Response>(
    asked: string,
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    version: number
  ) => Effect.Effect<Response | undefined, KafkaError>
  /** Creates a topic, and waits until the broker leads it. */
  readonly topic: (
    name: string,
    partitions?: number,
    configs?: Readonly<Record<string, string>>
  ) => Effect.Effect<void, unknown>
  readonly steps: ReadonlyArray<Step>
}

/** Begins a conversation with a cluster of one broker. @internal */
export const start = Effect.fnUntraced(function* (bootstrapServers: ReadonlyArray<string>) {
  const kafka = yield* Kafka.make({ bootstrapServers, requestTimeout: "10 seconds" })
  const { brokers } = yield* kafka.request("any", Metadata, { topics: [] })
  const [{ nodeId: node }] = brokers
  // A real broker makes the topics of its coordinators at the first question for them.
  for (const keyType of [0, 1]) yield* settled(kafka.request(node, FindCoordinator, { key: "any", keyType }, 2))
  const steps: Array<Step> = []
  const seen = new Map<string, string>()
  const nameOf = (text: string) => {
    if (text === "" || /^A+$/.test(text)) return text
    const name = seen.get(text) ?? `id ${seen.size}`
    seen.set(text, name)
    return name
  }
  const comparable = (value: unknown, key: string): unknown => {
    if (ofTheRun.has(key)) return `<${key}>`
    if (value instanceof Uint8Array && isOfTransactions(value)) return recordsOf(value)
    if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
    if (key === "apiKeys" && Array.isArray(value)) {
      return Object.fromEntries(
        value.map(({ apiKey, maxVersion, minVersion }) => [apiKey, `${minVersion}-${maxVersion}`])
      )
    }
    if (named.has(key) && Array.isArray(value)) {
      return Object.fromEntries(value.map((one) => [one.name, comparable(one, "")]))
    }
    if (Array.isArray(value)) {
      const all = value.map((one) => comparable(one, key))
      const text = (one: unknown) => JSON.stringify(one, (_, inner) => (typeof inner === "bigint" ? `${inner}` : inner))
      return unordered.has(key) ? all.sort((a, b) => (text(a) < text(b) ? -1 : 1)) : all
    }
    if (typeof value === "number" && brokerIds.has(key)) return value === node ? 0 : value
    if (key === "resourceName" && value === `${node}`) return "<node>"
    if (typeof value === "string" && /errorMessage$/i.test(key)) return value.replace(/-?\d{13,}/g, "<time>")
    if (key === "logAppendTimeMs") return value === -1n ? value : "<time>"
    if (typeof value === "string" && names.has(key)) return nameOf(value)
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([inner, one]) => [inner, comparable(one, inner)]))
    }
    return value
  }
  const askBy =
    (client: typeof kafka): Conversation["ask"] =>
    (asked, api, message, version) =>
      Effect.suspend(() => {
        // In the order of the questions, whichever is answered first.
        const index = steps.push({ asked, answer: undefined }) - 1
        const keep = (answer: unknown) => Effect.sync(() => (steps[index] = { asked, answer }))
        return settled(client.request(node, api, message, version)).pipe(
          Effect.tap((answer) => keep(comparable(answer, ""))),
          Effect.tapError((error) => keep(`fails: ${error.reason._tag}`))
        )
      })
  const ask = askBy(kafka)
  const conversation: Conversation = {
    kafka,
    node,
    steps,
    ask,
    askAside: askBy(yield* Kafka.make({ bootstrapServers, requestTimeout: "20 seconds" })),
    askIfOffered: (asked, api, message, version) =>
      ask(asked, api, message, version).pipe(
        Effect.catchIf(
          (error) => error.reason._tag === "UnsupportedVersion",
          () => Effect.undefined
        )
      ),
    topic: Effect.fnUntraced(function* (name, numPartitions = 1, settings = {}) {
      const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
      const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs }]
      yield* kafka.request("controller", CreateTopics, { topics }, 4)
      const told = kafka.request(node, Metadata, { topics: [{ name }], allowAutoTopicCreation: false }, 9)
      const isThere = ({ topics: [found] }: { readonly topics: ReadonlyArray<{ readonly errorCode: number }> }) =>
        found?.errorCode === 0
      yield* told.pipe(Effect.delay("20 millis"), Effect.repeat({ until: isThere }), Effect.timeout("10 seconds"))
    })
  }
  return conversation
})
