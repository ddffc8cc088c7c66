/**
 * The producer id by which brokers recognise what they have written already (KIP-98): asked for when the first batch is
 * there, and again when a partition has used up its epochs. Off where the brokers are too old.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Cluster } from "../../Cluster.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { IdempotenceUnavailable, ProducerError } from "../../ProducerError.ts"
import { delay } from "../Backoff.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { Identity } from "./PartitionQueue.ts"

/** @internal */
export interface Options {
  /** Off: never asked for. Wanted: where the brokers know it. Required: an error where they do not. */
  readonly idempotence: "off" | "wanted" | "required"
}

/** @internal */
export interface ProducerIdentity {
  /** Whether batches are numbered: true until it is known that they cannot be. */
  readonly isOn: () => boolean
  readonly current: () => Identity | undefined
  /** Why there is none yet, as far as something failed. */
  readonly trouble: () => string | undefined
  /** This producer id has no epochs left for some partition: the next one is another. */
  readonly exhausted: (producerId: bigint) => void
  /**
   * Asks for an identity until there is one, or none is to be had. Fails with what no retry cures; asking again later is
   * allowed, since somebody may have granted what was missing.
   */
  readonly ask: Effect.Effect<void, ProducerError>
}

/** Of an idempotent producer no broker reads it; of a transactional one it has to be positive. */
const transactionTimeoutMs = 60_000

/** @internal */
export const make = (cluster: Cluster, options: Options): ProducerIdentity => {
  let isOn = options.idempotence !== "off"
  let current: Identity | undefined
  let trouble: string | undefined

  const request: Effect.Effect<Identity, KafkaError> = Effect.flatMap(
    cluster.request("any", InitProducerId, { transactionalId: null, transactionTimeoutMs }),
    ({ errorCode, producerEpoch, producerId }) =>
      errorCode === ErrorCode.codes.NONE
        ? Effect.succeed({ producerId, epoch: producerEpoch })
        : Effect.fail(brokerError({ nodeId: -1, broker: "a broker", api: "InitProducerId", code: errorCode }))
  )

  const failed = (cause: KafkaError): Effect.Effect<void, ProducerError> => {
    const { reason } = cause
    if (reason._tag === "UnsupportedVersion") {
      if (options.idempotence === "required") {
        const detail = "the brokers are older than Kafka 0.11; set enableIdempotence to false"
        return Effect.fail(new ProducerError({ reason: new IdempotenceUnavailable({ detail, cause }) }))
      }
      isOn = false
      return Effect.logInfo(
        "the brokers are older than Kafka 0.11 and know no idempotence: a retry may write a record twice"
      )
    }
    const isRefused = reason._tag === "BrokerError" && reason.name === "CLUSTER_AUTHORIZATION_FAILED"
    const detail = isRefused
      ? "the brokers (older than Kafka 2.8) want the permission IdempotentWrite on the cluster; grant it, or set enableIdempotence to false"
      : cause.message
    return Effect.fail(new ProducerError({ reason: new IdempotenceUnavailable({ detail, cause }) }))
  }

  const { retryBackoff, retryBackoffMax } = cluster.settings
  const ask: ProducerIdentity["ask"] = Effect.gen(function* () {
    for (let failures = 1; isOn && current === undefined; failures++) {
      const answer = yield* Effect.result(request)
      if (Result.isSuccess(answer)) current = answer.success
      else if (!answer.failure.isRetriable) yield* failed(answer.failure)
      else {
        trouble = answer.failure.message
        yield* Effect.sleep(yield* delay(retryBackoff, retryBackoffMax, failures))
      }
    }
  })

  return {
    isOn: () => isOn,
    current: () => current,
    trouble: () => (current === undefined ? trouble : undefined),
    exhausted: (producerId) => {
      if (current?.producerId === producerId) current = undefined
    },
    ask
  }
}
