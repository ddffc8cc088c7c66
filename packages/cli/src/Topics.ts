/**
 * Looks a topic up before anything is read or written, so that a wrong name is an error at once.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as ClusterMetadata from "kafka-effect/ClusterMetadata"
import * as Kafka from "kafka-effect/Kafka"
import type { KafkaError } from "kafka-effect/KafkaError"

/**
 * There is no such topic.
 *
 * @category errors
 * @since 0.1.0
 */
export class TopicMissing extends Data.TaggedError("TopicMissing")<{
  readonly topic: string
  /** Whether the brokers were asked to create it, and did not. */
  readonly isCreationRefused: boolean
}> {
  override get message(): string {
    return this.isCreationRefused
      ? `topic ${this.topic} does not exist, and the brokers do not create it (auto.create.topics.enable); create it first`
      : `topic ${this.topic} does not exist; kafka-effect metadata lists the topics that there are`
  }
}

/**
 * No topic has a name that matches.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoTopicMatches extends Data.TaggedError("NoTopicMatches")<{ readonly patterns: ReadonlyArray<RegExp> }> {
  override get message(): string {
    return `no topic matches ${this.patterns.join(" or ")}; kafka-effect metadata lists the topics that there are`
  }
}

const isUnknown = ({ reason }: KafkaError): boolean =>
  reason._tag === "BrokerError" && reason.name === "UNKNOWN_TOPIC_OR_PARTITION"

// A topic that is being created is unknown, or without leaders, for a moment.
const patience = Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 seconds" }))

/**
 * The topic as the cluster describes it, created where that is asked for and the brokers allow it. Waits up to 10 seconds
 * for a topic that is being created; fails at once where a topic is unknown and was not to be created.
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = Effect.fnUntraced(function* (
  name: string,
  options: { readonly isCreated: boolean }
): Effect.fn.Return<ClusterMetadata.Topic, KafkaError | TopicMissing, Kafka.Kafka> {
  const { cluster } = yield* Kafka.Kafka
  return yield* cluster.topic(name, { allowAutoTopicCreation: options.isCreated }).pipe(
    Effect.retry({
      schedule: patience,
      while: (error) => error.isRetriable && (options.isCreated || !isUnknown(error))
    }),
    Effect.mapError((error) =>
      isUnknown(error) ? new TopicMissing({ topic: name, isCreationRefused: options.isCreated }) : error
    )
  )
})
