/**
 * What can go wrong while records are read: `ConsumerError`, with a tagged `reason`.
 *
 * Lost connections and moved leaders are not among them: the consumer waits and goes on.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { KafkaError } from "./KafkaError.ts"

const place = { topic: Schema.String, partition: Schema.Number }

const describePlace = ({ partition, topic }: { readonly topic: string; readonly partition: number }): string =>
  `topic ${topic} partition ${partition}`

/**
 * The topic could not be found.
 *
 * @category errors
 * @since 0.1.0
 */
export class TopicUnavailable extends Schema.TaggedError<TopicUnavailable>(
  "kafka-effect/ConsumerError/TopicUnavailable"
)("TopicUnavailable", { topic: Schema.String, cause: KafkaError }) {
  override get message(): string {
    return `topic ${this.topic} is not available: ${this.cause.message}`
  }
}

/**
 * The topic does not have the partition that was asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPartition extends Schema.TaggedError<InvalidPartition>(
  "kafka-effect/ConsumerError/InvalidPartition"
)("InvalidPartition", { ...place, partitionCount: Schema.Number }) {
  override get message(): string {
    return `topic ${this.topic} has no partition ${this.partition}: it has ${this.partitionCount}, counted from 0`
  }
}

/**
 * The partition does not have the offset: its records were deleted, or not written yet.
 *
 * @category errors
 * @since 0.1.0
 */
export class OffsetOutOfRange extends Schema.TaggedError<OffsetOutOfRange>(
  "kafka-effect/ConsumerError/OffsetOutOfRange"
)("OffsetOutOfRange", {
  ...place,
  offset: Schema.BigInt,
  /** The first offset that there is. */
  earliest: Schema.BigInt,
  /** The offset that the next record will get. */
  latest: Schema.BigInt
}) {
  override get message(): string {
    return `${describePlace(this)} has no offset ${this.offset}: it has ${this.earliest} to ${this.latest}. Start elsewhere, or set fallback`
  }
}

/**
 * Records that were read are no longer in the partition: its log was cut back when it got another leader (unclean leader
 * election, KIP-320), and other records may have their offsets now.
 *
 * @category errors
 * @since 0.1.0
 */
export class Truncated extends Schema.TaggedError<Truncated>("kafka-effect/ConsumerError/Truncated")("Truncated", {
  ...place,
  /** Where reading would have gone on. */
  offset: Schema.BigInt,
  /** The first offset whose record may be another one now. */
  divergentOffset: Schema.BigInt
}) {
  override get message(): string {
    return `${describePlace(this)} was cut back to offset ${this.divergentOffset}, after it had been read up to offset ${this.offset}. Begin anew there, or set fallback`
  }
}

/**
 * The topic was deleted and created again while it was read: the offsets of the old one mean nothing in the new one.
 *
 * @category errors
 * @since 0.1.0
 */
export class TopicRecreated extends Schema.TaggedError<TopicRecreated>("kafka-effect/ConsumerError/TopicRecreated")(
  "TopicRecreated",
  place
) {
  override get message(): string {
    return `${describePlace(this)}: the topic was deleted and created again while it was read. Begin anew, or set fallback`
  }
}

/**
 * A broker refused to give records or offsets, for a reason that no retry cures.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("kafka-effect/ConsumerError/Rejected")("Rejected", {
  cause: KafkaError
}) {
  override get message(): string {
    return this.cause.message
  }
}

/**
 * The records that a broker gave are damaged: a wrong checksum, a format or a compression that is not known.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRecords extends Schema.TaggedError<InvalidRecords>("kafka-effect/ConsumerError/InvalidRecords")(
  "InvalidRecords",
  {
    ...place,
    /** Where in the partition the damage is, or begins. */
    offset: Schema.BigInt,
    detail: Schema.String,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return `the records of ${describePlace(this)} from offset ${this.offset} on cannot be read: ${this.detail}`
  }
}

/**
 * An option of the consumer has a value that cannot work.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("kafka-effect/ConsumerError/InvalidOption")(
  "InvalidOption",
  { option: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `the option ${this.option} ${this.detail}`
  }
}

/**
 * Another member has taken the `groupInstanceId` of this one (KIP-345): this one has lost its partitions for good.
 *
 * @category errors
 * @since 0.1.0
 */
export class Fenced extends Schema.TaggedError<Fenced>("kafka-effect/ConsumerError/Fenced")("Fenced", {
  groupId: Schema.String,
  groupInstanceId: Schema.String,
  cause: KafkaError
}) {
  override get message(): string {
    return `another member of group ${this.groupId} has taken the groupInstanceId ${this.groupInstanceId}: give each running member one of its own`
  }
}

/**
 * The group does not take this member; `detail` says what to change.
 *
 * @category errors
 * @since 0.1.0
 */
export class GroupRejected extends Schema.TaggedError<GroupRejected>("kafka-effect/ConsumerError/GroupRejected")(
  "GroupRejected",
  { groupId: Schema.String, detail: Schema.String, cause: KafkaError }
) {
  override get message(): string {
    return `group ${this.groupId} does not take this member: ${this.detail} (${this.cause.message})`
  }
}

/**
 * The group has committed nothing for the partition, and `fallback` does not say where to begin then.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoCommittedOffset extends Schema.TaggedError<NoCommittedOffset>(
  "kafka-effect/ConsumerError/NoCommittedOffset"
)("NoCommittedOffset", { ...place, groupId: Schema.String }) {
  override get message(): string {
    const who =
      this.groupId === ""
        ? "there is no group to have committed anything"
        : `group ${this.groupId} has committed nothing`
    return `${who} for ${describePlace(this)}: set fallback to say where to begin, for example to "earliest"`
  }
}

/**
 * The partition is not this consumer's, now.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAssigned extends Schema.TaggedError<NotAssigned>("kafka-effect/ConsumerError/NotAssigned")(
  "NotAssigned",
  place
) {
  override get message(): string {
    return `${describePlace(this)} is not assigned to this consumer now: assignment tells which are, and events when that changes`
  }
}

/**
 * Somebody reads already: a consumer has one `records`, `partitions` or `run` at a time.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyRead extends Schema.TaggedError<AlreadyRead>("kafka-effect/ConsumerError/AlreadyRead")(
  "AlreadyRead",
  {}
) {
  override get message(): string {
    return "this consumer is being read already, by records, partitions or run: end that first, or make another consumer"
  }
}

/**
 * The reader of a partition has not asked for more within `stallTimeout`, though there was more. The member is in the
 * group still, and has the partition.
 *
 * @category errors
 * @since 0.1.0
 */
export class Stalled extends Schema.TaggedError<Stalled>("kafka-effect/ConsumerError/Stalled")("Stalled", {
  ...place,
  /** Milliseconds. */
  waited: Schema.Number
}) {
  override get message(): string {
    return `nobody has asked for records of ${describePlace(this)} for ${this.waited} ms, though there are some: finish sooner, or raise stallTimeout`
  }
}

/**
 * The group's partitions could not be shared out: an assignor failed, or gave what cannot be, or what members wrote for
 * it cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class AssignorFailed extends Schema.TaggedError<AssignorFailed>("kafka-effect/ConsumerError/AssignorFailed")(
  "AssignorFailed",
  {
    groupId: Schema.String,
    /** Name of the assignor. */
    assignor: Schema.String,
    detail: Schema.String,
    /** What was thrown, if something was. */
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return `the assignor ${this.assignor} of group ${this.groupId} failed: ${this.detail}`
  }
}

/**
 * Records could not be read; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConsumerError extends Schema.TaggedError<ConsumerError>("kafka-effect/ConsumerError")("ConsumerError", {
  reason: Schema.Union([
    TopicUnavailable,
    InvalidPartition,
    OffsetOutOfRange,
    Truncated,
    TopicRecreated,
    Rejected,
    InvalidRecords,
    InvalidOption,
    Fenced,
    GroupRejected,
    AssignorFailed,
    NoCommittedOffset,
    NotAssigned,
    AlreadyRead,
    Stalled
  ])
}) {
  /** Whether the same call may succeed later. */
  get isRetriable(): boolean {
    const { reason } = this
    return (reason._tag === "TopicUnavailable" || reason._tag === "Rejected") && reason.cause.isRetriable
  }
  override get message(): string {
    return this.reason.message
  }
}
