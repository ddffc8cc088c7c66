/**
 * Turns an error code of Kafka into a `KafkaError` that names it.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import type { Cluster } from "../Cluster.ts"
import { BrokerError, KafkaError } from "../KafkaError.ts"

/** `host:port` of a node, as far as it is known. @internal */
export const describeBroker = (cluster: Cluster, nodeId: number): string => {
  const broker = cluster.metadata().brokers.get(nodeId)
  return broker === undefined ? `node ${nodeId}` : `${broker.host}:${broker.port}`
}

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
  /** Defaults to what the code says. */
  readonly isRetriable?: boolean | undefined
}): KafkaError => {
  const { name, text, ...known } = ErrorCode.of(options.code)
  const { detail = text, isRetriable = known.isRetriable } = options
  return new KafkaError({ reason: new BrokerError({ ...options, name, detail: detail ?? text, isRetriable }) })
}
