/**
 * A setting that a cluster cannot have.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A setting that a cluster cannot have: there is none of that name, or its value is not allowed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SettingError extends Data.TaggedError("SettingError")<{
  /** Kafka's name. */
  readonly setting: string
  readonly value: string
  /** The topic that it is for; null for brokers. */
  readonly topic: string | null
  readonly detail: string
}> {
  override get message(): string {
    const { detail, setting, topic } = this
    return `the setting ${setting} of ${topic === null ? "brokers" : `topic ${topic}`} cannot be used: ${detail}`
  }
}
