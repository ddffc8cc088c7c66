/**
 * Turns an error code of Kafka into a `KafkaError` that names it.
 *
 * @since 0.1.0
 */
import { BrokerError, KafkaError } from "../KafkaError.ts"

// The codes that connections and metadata meet: name, text, retriable.
const known: ReadonlyMap<number, readonly [name: string, text: string, isRetriable: boolean]> = new Map([
  [3, ["UNKNOWN_TOPIC_OR_PARTITION", "the broker does not host this topic or partition", true]],
  [5, ["LEADER_NOT_AVAILABLE", "the partition has no leader now, an election may be under way", true]],
  [14, ["COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is loading", true]],
  [15, ["COORDINATOR_NOT_AVAILABLE", "the coordinator is not available", true]],
  [17, ["INVALID_TOPIC_EXCEPTION", "the topic's name is not valid", false]],
  [29, ["TOPIC_AUTHORIZATION_FAILED", "access to the topic is denied", false]],
  [35, ["UNSUPPORTED_VERSION", "the version of the request is not supported", false]],
  [42, ["INVALID_REQUEST", "the request is not valid", false]]
])

/** @internal */
export const brokerError = (options: {
  readonly nodeId: number
  readonly broker: string
  readonly api: string
  readonly code: number
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  /** The broker's own text. Defaults to Kafka's text for the code. */
  readonly detail?: string | null | undefined
}): KafkaError => {
  const [name, text, isRetriable] = known.get(options.code) ?? [`ERROR_${options.code}`, "an error", false]
  return new KafkaError({
    reason: new BrokerError({
      ...options,
      name,
      detail: options.detail ?? text,
      isRetriable
    })
  })
}
