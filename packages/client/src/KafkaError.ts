/**
 * What can go wrong between this client and a cluster: `KafkaError`, with a tagged `reason`.
 *
 * The client retries by itself what a retry can cure, where a deadline bounds it. What reaches a caller says which
 * broker, API, topic and partition it was about, whether a retry may help (`isRetriable`), and whether the broker may
 * have acted on the request although no answer came (`maybeSent`).
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const brokerFields = {
  /** The broker's node id; -1 for a bootstrap server, whose id is not known yet. */
  nodeId: Schema.Number,
  /** `host:port` of the broker. */
  broker: Schema.String
}

const versionRange = Schema.Struct({ min: Schema.Number, max: Schema.Number })

const describeBroker = (self: { readonly nodeId: number; readonly broker: string }): string =>
  self.nodeId >= 0 ? `broker ${self.nodeId} (${self.broker})` : self.broker

const describeRange = ({ max, min }: { readonly min: number; readonly max: number }): string =>
  min === max ? `version ${min}` : `versions ${min} to ${max}`

const outcome = (maybeSent: boolean): string =>
  maybeSent ? "; the broker may have acted on the request" : "; the request was not sent"

/**
 * An option of the client has a value that cannot work.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("kafka-effect/KafkaError/InvalidOption")(
  "InvalidOption",
  {
    /** Name of the option, for example `bootstrapServers`. */
    option: Schema.String,
    detail: Schema.String
  }
) {
  get isRetriable(): boolean {
    return false
  }
  override get message(): string {
    return `the option ${this.option} ${this.detail}`
  }
}

/**
 * None of the servers that the client knows could be reached: each is named with why.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedError<Unreachable>("kafka-effect/KafkaError/Unreachable")("Unreachable", {
  attempts: Schema.Array(Schema.Struct({ broker: Schema.String, detail: Schema.String }))
}) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    const attempts = this.attempts.map(({ broker, detail }) => `${broker}: ${detail}`).join("; ")
    return `no broker could be reached (${attempts}). Check bootstrapServers, and that the brokers' advertised.listeners can be reached from here`
  }
}

/**
 * A connection to a broker could not be opened: each address of it is named with why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectFailed extends Schema.TaggedError<ConnectFailed>("kafka-effect/KafkaError/ConnectFailed")(
  "ConnectFailed",
  {
    ...brokerFields,
    detail: Schema.String
  }
) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    return `no connection to ${describeBroker(this)}: ${this.detail}`
  }
}

/**
 * The connection ended before the answer came.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>("kafka-effect/KafkaError/ConnectionLost")(
  "ConnectionLost",
  {
    ...brokerFields,
    /** Who or what ended it. */
    closedBy: Schema.Literals(["broker", "network", "timeout", "idle", "replaced", "client"]),
    detail: Schema.String,
    /** True when the request had been written: the broker may have acted on it. */
    maybeSent: Schema.Boolean
  }
) {
  get isRetriable(): boolean {
    return this.closedBy !== "client"
  }
  override get message(): string {
    return `the connection to ${describeBroker(this)} ended: ${this.detail}${outcome(this.maybeSent)}`
  }
}

/**
 * No answer came in time. A connection on which that happens is closed, since the answer could still come later.
 *
 * @category errors
 * @since 0.1.0
 */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>("kafka-effect/KafkaError/RequestTimeout")(
  "RequestTimeout",
  {
    ...brokerFields,
    api: Schema.String,
    version: Schema.Number,
    /** How long was waited, in milliseconds. */
    timeout: Schema.Number,
    maybeSent: Schema.Boolean
  }
) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    const waited = `within ${this.timeout} ms (requestTimeout)`
    return this.maybeSent
      ? `${describeBroker(this)} did not answer ${this.api} v${this.version} ${waited}${outcome(true)}`
      : `${this.api} v${this.version} could not be sent to ${describeBroker(this)} ${waited}`
  }
}

/**
 * A response came out of turn; nothing behind it on the connection can be trusted, so the connection was closed.
 *
 * @category errors
 * @since 0.1.0
 */
export class CorrelationMismatch extends Schema.TaggedError<CorrelationMismatch>(
  "kafka-effect/KafkaError/CorrelationMismatch"
)("CorrelationMismatch", {
  ...brokerFields,
  /** The correlation id of the oldest request in flight; -1 when none was. */
  expected: Schema.Number,
  received: Schema.Number,
  maybeSent: Schema.Boolean
}) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    const expected = this.expected < 0 ? "none was expected" : `${this.expected} was expected`
    return `${describeBroker(this)} answered with correlation id ${this.received} where ${expected}${outcome(this.maybeSent)}`
  }
}

/**
 * The broker announced a response larger than the limit; the connection was closed.
 *
 * @category errors
 * @since 0.1.0
 */
export class FrameTooLarge extends Schema.TaggedError<FrameTooLarge>("kafka-effect/KafkaError/FrameTooLarge")(
  "FrameTooLarge",
  {
    ...brokerFields,
    /** Size of the response in bytes, as announced. */
    size: Schema.Number,
    /** The limit in bytes: the option `receiveMaxBytes`. */
    limit: Schema.Number,
    maybeSent: Schema.Boolean
  }
) {
  get isRetriable(): boolean {
    return false
  }
  override get message(): string {
    return `${describeBroker(this)} announced a response of ${this.size} bytes, more than receiveMaxBytes (${this.limit}) allows. Raise receiveMaxBytes, or ask for less at once`
  }
}

/**
 * What came back are not frames of Kafka's protocol: most often a TLS or an HTTP port, or another service.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotKafka extends Schema.TaggedError<NotKafka>("kafka-effect/KafkaError/NotKafka")("NotKafka", {
  ...brokerFields,
  detail: Schema.String,
  maybeSent: Schema.Boolean
}) {
  get isRetriable(): boolean {
    return false
  }
  override get message(): string {
    return `${describeBroker(this)} does not speak Kafka's protocol on a plaintext connection: ${this.detail}`
  }
}

/**
 * A response could not be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidResponse extends Schema.TaggedError<InvalidResponse>("kafka-effect/KafkaError/InvalidResponse")(
  "InvalidResponse",
  {
    ...brokerFields,
    api: Schema.String,
    version: Schema.Number,
    detail: Schema.String,
    cause: Schema.Defect()
  }
) {
  get isRetriable(): boolean {
    return false
  }
  get maybeSent(): boolean {
    return true
  }
  override get message(): string {
    return `the answer of ${describeBroker(this)} to ${this.api} v${this.version} cannot be read: ${this.detail}`
  }
}

/**
 * A request cannot be written: a value does not fit its wire type, or the version cannot carry it.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>("kafka-effect/KafkaError/InvalidRequest")(
  "InvalidRequest",
  {
    api: Schema.String,
    version: Schema.Number,
    detail: Schema.String,
    cause: Schema.Defect()
  }
) {
  get isRetriable(): boolean {
    return false
  }
  override get message(): string {
    return `${this.api} v${this.version} cannot be written: ${this.detail}`
  }
}

/**
 * Client and broker have no version of an API in common, or the broker lacks the API.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedVersion extends Schema.TaggedError<UnsupportedVersion>(
  "kafka-effect/KafkaError/UnsupportedVersion"
)("UnsupportedVersion", {
  ...brokerFields,
  api: Schema.String,
  /** What the client can use for this call. */
  clientRange: versionRange,
  /** What the broker offers; null when it lacks the API. */
  brokerRange: Schema.NullOr(versionRange)
}) {
  get isRetriable(): boolean {
    return false
  }
  override get message(): string {
    const offered = this.brokerRange === null ? "it lacks the API" : `it offers ${describeRange(this.brokerRange)}`
    return `${describeBroker(this)} cannot serve ${this.api}: the client needs ${describeRange(this.clientRange)}, ${offered}. Use a broker of another release, or do without`
  }
}

/**
 * A broker answered with an error code.
 *
 * @category errors
 * @since 0.1.0
 */
export class BrokerError extends Schema.TaggedError<BrokerError>("kafka-effect/KafkaError/BrokerError")("BrokerError", {
  ...brokerFields,
  /** Kafka's number of the error. */
  code: Schema.Number,
  /** Kafka's name of the error, for example `NOT_LEADER_OR_FOLLOWER`. */
  name: Schema.String,
  api: Schema.String,
  topic: Schema.optional(Schema.String),
  partition: Schema.optional(Schema.Number),
  /** What the error means, or the broker's own text. */
  detail: Schema.String,
  isRetriable: Schema.Boolean
}) {
  get maybeSent(): boolean {
    return true
  }
  override get message(): string {
    const topic = this.topic === undefined ? "" : ` for topic ${this.topic}`
    const partition = this.partition === undefined ? "" : ` partition ${this.partition}`
    return `${describeBroker(this)} answered ${this.api}${topic}${partition} with ${this.name}: ${this.detail}`
  }
}

/**
 * The cluster's metadata knows no broker of this id.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownBroker extends Schema.TaggedError<UnknownBroker>("kafka-effect/KafkaError/UnknownBroker")(
  "UnknownBroker",
  {
    nodeId: Schema.Number,
    /** The ids that are known. */
    known: Schema.Array(Schema.Number)
  }
) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    return `the cluster has no broker ${this.nodeId}; it has ${this.known.length === 0 ? "none" : this.known.join(", ")}`
  }
}

/**
 * A topic has no partition of this number, as far as the cluster's metadata goes.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPartition extends Schema.TaggedError<UnknownPartition>("kafka-effect/KafkaError/UnknownPartition")(
  "UnknownPartition",
  {
    topic: Schema.String,
    partition: Schema.Number,
    /** How many partitions the topic has. */
    partitionCount: Schema.Number
  }
) {
  get isRetriable(): boolean {
    return true
  }
  override get message(): string {
    return `topic ${this.topic} has no partition ${this.partition}: it has ${this.partitionCount}, counted from 0`
  }
}

/**
 * Every reason of a `KafkaError`.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason =
  | InvalidOption
  | Unreachable
  | ConnectFailed
  | ConnectionLost
  | RequestTimeout
  | CorrelationMismatch
  | FrameTooLarge
  | NotKafka
  | InvalidResponse
  | InvalidRequest
  | UnsupportedVersion
  | BrokerError
  | UnknownBroker
  | UnknownPartition

/**
 * Something between this client and a cluster went wrong; `reason` says what.
 *
 * @category errors
 * @since 0.1.0
 */
export class KafkaError extends Schema.TaggedError<KafkaError>("kafka-effect/KafkaError")("KafkaError", {
  reason: Schema.Union([
    InvalidOption,
    Unreachable,
    ConnectFailed,
    ConnectionLost,
    RequestTimeout,
    CorrelationMismatch,
    FrameTooLarge,
    NotKafka,
    InvalidResponse,
    InvalidRequest,
    UnsupportedVersion,
    BrokerError,
    UnknownBroker,
    UnknownPartition
  ])
}) {
  /** Whether the same call may succeed later. */
  get isRetriable(): boolean {
    return this.reason.isRetriable
  }
  /** Whether a broker may have acted on the request although the call failed. */
  get maybeSent(): boolean {
    return "maybeSent" in this.reason && this.reason.maybeSent
  }
  override get message(): string {
    return this.reason.message
  }
}
