/**
 * What can go wrong when offsets are committed: `CommitError`, with a tagged `reason`, and the partitions that it is
 * about. The other partitions of the same commit were committed.
 *
 * Lost connections, moved coordinators and rebalances are not among them as long as time is left: the commit waits.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { KafkaError } from "./KafkaError.ts"

const Place = Schema.Struct({ topic: Schema.String, partition: Schema.Number })

const group = { groupId: Schema.String }

/**
 * The partitions do not belong to this consumer any more: others read them, from what was committed before.
 *
 * @category errors
 * @since 0.1.0
 */
export class PartitionLost extends Schema.TaggedError<PartitionLost>("kafka-effect/CommitError/PartitionLost")(
  "PartitionLost",
  group
) {
  override get message(): string {
    return `they do not belong to this member of group ${this.groupId} any more; their records are given to another, or anew`
  }
}

/**
 * The client may not commit for the group, or not read the topic.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotAuthorized extends Schema.TaggedError<NotAuthorized>("kafka-effect/CommitError/NotAuthorized")(
  "NotAuthorized",
  { ...group, cause: KafkaError }
) {
  override get message(): string {
    return `the client may not: grant it the permission Read on group ${this.groupId} and on the topics (${this.cause.message})`
  }
}

/**
 * The text with an offset is longer than the brokers allow.
 *
 * @category errors
 * @since 0.1.0
 */
export class MetadataTooLarge extends Schema.TaggedError<MetadataTooLarge>("kafka-effect/CommitError/MetadataTooLarge")(
  "MetadataTooLarge",
  { cause: KafkaError }
) {
  override get message(): string {
    return "the metadata is longer than the brokers' offset.metadata.max.bytes: give a shorter one"
  }
}

/**
 * The time for the commit was over. `maybeCommitted`: some attempt may have been carried out, though no one said so.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommitTimeout extends Schema.TaggedError<CommitTimeout>("kafka-effect/CommitError/CommitTimeout")(
  "CommitTimeout",
  { timeout: Schema.Number, maybeCommitted: Schema.Boolean, detail: Schema.String }
) {
  override get message(): string {
    const outcome = this.maybeCommitted ? "it may have been carried out" : "it was not carried out"
    return `not within ${this.timeout} ms (commitTimeout); ${outcome}: ${this.detail}`
  }
}

/**
 * The consumer has no group, so there is nothing to commit for.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoGroup extends Schema.TaggedError<NoGroup>("kafka-effect/CommitError/NoGroup")("NoGroup", {}) {
  override get message(): string {
    return "the consumer has no group: give it a groupId"
  }
}

/**
 * The group's coordinator has refused, for a reason that no retry cures.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>("kafka-effect/CommitError/Rejected")("Rejected", {
  cause: KafkaError
}) {
  override get message(): string {
    return this.cause.message
  }
}

/**
 * Offsets could not be committed; `reason` says why, for the first of the partitions.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommitError extends Schema.TaggedError<CommitError>("kafka-effect/CommitError")("CommitError", {
  partitions: Schema.Array(Place),
  reason: Schema.Union([PartitionLost, NotAuthorized, MetadataTooLarge, CommitTimeout, NoGroup, Rejected])
}) {
  /** Whether the same commit may succeed later. */
  get isRetriable(): boolean {
    const { reason } = this
    return reason._tag === "CommitTimeout" || (reason._tag === "Rejected" && reason.cause.isRetriable)
  }
  override get message(): string {
    const [first, ...others] = this.partitions
    const more = others.length === 0 ? "" : ` and ${others.length} more`
    const what = first === undefined ? "" : ` of topic ${first.topic} partition ${first.partition}${more}`
    return `offsets${what} could not be committed: ${this.reason.message}`
  }
}
