/**
 * What can go wrong with a record on its way to the broker: `ProducerError`, with a tagged `reason`.
 *
 * The producer retries by itself within `deliveryTimeout`; what reaches a caller is final.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { KafkaError } from "./KafkaError.ts"

/**
 * The topic could not be found (nor created) within `maxBlock`.
 *
 * @category errors
 * @since 0.1.0
 */
export class TopicUnavailable extends Schema.TaggedError<TopicUnavailable>(
  "kafka-effect/ProducerError/TopicUnavailable"
)("TopicUnavailable", { topic: Schema.String, cause: KafkaError }) {
  override get message(): string {
    return `topic ${this.topic} is not available: ${this.cause.message}`
  }
}

/**
 * The record names a partition that the topic does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPartition extends Schema.TaggedError<InvalidPartition>(
  "kafka-effect/ProducerError/InvalidPartition"
)("InvalidPartition", { topic: Schema.String, partition: Schema.Number, partitionCount: Schema.Number }) {
  override get message(): string {
    return `topic ${this.topic} has no partition ${this.partition}: it has ${this.partitionCount}, counted from 0`
  }
}

/**
 * The user's partitioner threw.
 *
 * @category errors
 * @since 0.1.0
 */
export class PartitionerFailed extends Schema.TaggedError<PartitionerFailed>(
  "kafka-effect/ProducerError/PartitionerFailed"
)("PartitionerFailed", { topic: Schema.String, cause: Schema.Defect() }) {
  override get message(): string {
    const detail = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the partitioner failed for a record of topic ${this.topic}: ${detail}`
  }
}

/**
 * The record holds what no record can: a timestamp out of range, a header's key that is no text.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRecord extends Schema.TaggedError<InvalidRecord>("kafka-effect/ProducerError/InvalidRecord")(
  "InvalidRecord",
  { topic: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `a record for topic ${this.topic} cannot be written: ${this.detail}`
  }
}

/**
 * The record is larger than a setting allows.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordTooLarge extends Schema.TaggedError<RecordTooLarge>("kafka-effect/ProducerError/RecordTooLarge")(
  "RecordTooLarge",
  {
    topic: Schema.String,
    /** Bytes in a batch, as far as they are known. */
    size: Schema.Number,
    /** The setting to change, with its value. */
    limit: Schema.String
  }
) {
  override get message(): string {
    return `a record of about ${this.size} bytes for topic ${this.topic} is larger than ${this.limit} allows`
  }
}

/**
 * The buffer had no room within `maxBlock`: the brokers take records slower than they come.
 *
 * @category errors
 * @since 0.1.0
 */
export class BufferExhausted extends Schema.TaggedError<BufferExhausted>("kafka-effect/ProducerError/BufferExhausted")(
  "BufferExhausted",
  { topic: Schema.String, bufferMemory: Schema.Number, maxBlock: Schema.Number }
) {
  override get message(): string {
    return `the buffer of ${this.bufferMemory} bytes (bufferMemory) had no room for a record of topic ${this.topic} within ${this.maxBlock} ms (maxBlock)`
  }
}

/**
 * No acknowledgement came within `deliveryTimeout`.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeliveryTimeout extends Schema.TaggedError<DeliveryTimeout>("kafka-effect/ProducerError/DeliveryTimeout")(
  "DeliveryTimeout",
  {
    topic: Schema.String,
    partition: Schema.Number,
    deliveryTimeout: Schema.Number,
    /** Whether the record was sent at least once, and may have been written. */
    maybeWritten: Schema.Boolean,
    /** The last error before the time was over, or what was waited for. */
    detail: Schema.String
  }
) {
  override get message(): string {
    const written = this.maybeWritten ? "it may have been written" : "it was not written"
    return `a record for topic ${this.topic} partition ${this.partition} was not acknowledged within ${this.deliveryTimeout} ms (deliveryTimeout), ${written}: ${this.detail}`
  }
}

/**
 * The broker refused the record, or the request with it could not be made, for a reason that no retry cures.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("kafka-effect/ProducerError/Rejected")("Rejected", {
  topic: Schema.String,
  partition: Schema.Number,
  cause: KafkaError
}) {
  override get message(): string {
    return `a record for topic ${this.topic} partition ${this.partition} was refused: ${this.cause.message}`
  }
}

/**
 * The client may not write to the topic: its principal lacks the operation Write.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAuthorized extends Schema.TaggedError<NotAuthorized>("kafka-effect/ProducerError/NotAuthorized")(
  "NotAuthorized",
  { topic: Schema.String, cause: KafkaError }
) {
  override get message(): string {
    return `this client may not write to topic ${this.topic}: grant it the operation Write (${this.cause.message})`
  }
}

/**
 * The leader's release cannot take the record: headers before Kafka 0.11, zstd before 2.1.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unsupported extends Schema.TaggedError<Unsupported>("kafka-effect/ProducerError/Unsupported")(
  "Unsupported",
  {
    topic: Schema.String,
    partition: Schema.Number,
    detail: Schema.String
  }
) {
  override get message(): string {
    return `a record for topic ${this.topic} partition ${this.partition} cannot be sent to this broker: ${this.detail}`
  }
}

/**
 * No producer id could be had, which idempotence needs.
 *
 * @category errors
 * @since 0.1.0
 */
export class IdempotenceUnavailable extends Schema.TaggedError<IdempotenceUnavailable>(
  "kafka-effect/ProducerError/IdempotenceUnavailable"
)("IdempotenceUnavailable", { detail: Schema.String, cause: KafkaError }) {
  override get message(): string {
    return `the producer cannot be idempotent: ${this.detail}`
  }
}

/**
 * The producer was closed before the record was acknowledged.
 *
 * @category errors
 * @since 0.1.0
 */
export class Closed extends Schema.TaggedError<Closed>("kafka-effect/ProducerError/Closed")("Closed", {
  topic: Schema.String,
  /** Whether the record was sent at least once, and may have been written. */
  maybeWritten: Schema.Boolean
}) {
  override get message(): string {
    const written = this.maybeWritten ? "it may have been written" : "it was not written"
    return `the producer was closed before a record for topic ${this.topic} was acknowledged; ${written}`
  }
}

/**
 * An option of the producer has a value that cannot work.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("kafka-effect/ProducerError/InvalidOption")(
  "InvalidOption",
  { option: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `the option ${this.option} ${this.detail}`
  }
}

/**
 * A record could not be written; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProducerError extends Schema.TaggedError<ProducerError>("kafka-effect/ProducerError")("ProducerError", {
  reason: Schema.Union([
    TopicUnavailable,
    InvalidPartition,
    PartitionerFailed,
    InvalidRecord,
    RecordTooLarge,
    BufferExhausted,
    DeliveryTimeout,
    Rejected,
    NotAuthorized,
    Unsupported,
    IdempotenceUnavailable,
    Closed,
    InvalidOption
  ])
}) {
  /** Whether sending the record again may succeed. */
  get isRetriable(): boolean {
    const tag = this.reason._tag
    return tag === "BufferExhausted" || tag === "DeliveryTimeout" || tag === "TopicUnavailable"
  }
  override get message(): string {
    return this.reason.message
  }
}
