/**
 * What becomes of a batch that was sent: acknowledged, failed, or tried again.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import type { PartitionProduceResponse, ProduceResponse } from "@kafka-effect/protocol/messages/Produce"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Cluster } from "../../Cluster.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { ProducerError, RecordTooLarge, Rejected } from "../../ProducerError.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { Accumulator } from "./Accumulator.ts"
import type { Batch, Written } from "./Batch.ts"

/** @internal */
export interface BatchOutcomes {
  /** Gives a batch that is in flight its outcome. */
  readonly finish: (batch: Batch, exit: Exit.Exit<Written, ProducerError>) => void
  /** A mistake of this program must not leave callers waiting. */
  readonly died: (batches: Iterable<Batch>, cause: Cause.Cause<never>) => Effect.Effect<void>
  /** A request, or a connection, failed as a whole. */
  readonly failed: (batches: ReadonlyArray<Batch>, error: KafkaError) => Effect.Effect<void>
  /** A broker answered. */
  readonly answered: (
    batch: Batch,
    answer: PartitionProduceResponse | undefined,
    nodeId: number,
    response: ProduceResponse
  ) => Effect.Effect<void>
}

/** @internal */
export const make = (
  cluster: Cluster,
  accumulator: Accumulator,
  options: { readonly now: () => number; readonly random: () => number }
): BatchOutcomes => {
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const retryAt = (batch: Batch): number => {
    const wait = Math.min(retryBackoffMax, retryBackoff * 2 ** Math.max(0, batch.attempts - 1))
    return options.now() + wait * (0.8 + 0.4 * options.random())
  }

  const finish = (batch: Batch, exit: Exit.Exit<Written, ProducerError>): void => {
    accumulator.release(batch, false)
    accumulator.complete(batch, exit)
  }

  const died: BatchOutcomes["died"] = (batches, cause) =>
    Effect.sync(() => {
      if (Cause.hasInterruptsOnly(cause)) return
      for (const batch of [...batches]) if (batch.exit === undefined) finish(batch, Exit.failCause(cause))
    })

  const tryAgain = (batch: Batch, why: string): void => {
    batch.lastError = why
    batch.notBefore = retryAt(batch)
    accumulator.release(batch, true)
  }

  const failed: BatchOutcomes["failed"] = (batches, error) => {
    // What was answered or refused already is not released twice.
    const left = batches.filter((batch) => batch.exit === undefined)
    for (const batch of left) {
      const { partition, topic } = batch
      // A connection that could not be had is no attempt of the batch, but nothing may be appended to it any more.
      batch.attempts = Math.max(batch.attempts, 1)
      if (error.isRetriable) tryAgain(batch, error.message)
      else finish(batch, Exit.fail(new ProducerError({ reason: new Rejected({ topic, partition, cause: error }) })))
    }
    return Effect.forEach(new Set(left.map((batch) => batch.topic)), cluster.invalidate, { discard: true })
  }

  const answered: BatchOutcomes["answered"] = (batch, answer, nodeId, response) => {
    const { partition, topic } = batch
    if (answer?.errorCode === ErrorCode.codes.NONE) {
      finish(batch, Exit.succeed({ baseOffset: answer.baseOffset, appendTime: Number(answer.logAppendTimeMs) }))
      return Effect.void
    }
    const code = answer === undefined ? ErrorCode.codes.UNKNOWN_SERVER_ERROR : answer.errorCode
    const detail = answer === undefined ? "the response does not name the partition" : answer.errorMessage
    const broker = describeBroker(cluster, nodeId)
    const cause = brokerError({ nodeId, broker, api: "Produce", code, topic, partition, detail })
    const known = ErrorCode.of(code)
    const leader = answer?.currentLeader
    if (known.isRetriable) tryAgain(batch, cause.message)
    else if (code === ErrorCode.codes.MESSAGE_TOO_LARGE || code === ErrorCode.codes.RECORD_LIST_TOO_LARGE) {
      const limit = "the topic's max.message.bytes (lower batchSize if single records are small)"
      const reason = new RecordTooLarge({ topic, size: batch.builder.sizeInBytes, limit })
      finish(batch, Exit.fail(new ProducerError({ reason })))
    } else finish(batch, Exit.fail(new ProducerError({ reason: new Rejected({ topic, partition, cause }) })))
    if (!known.invalidates.includes("leader") && !known.invalidates.includes("topicId")) return Effect.void
    if (leader === undefined || leader.leaderId < 0) return cluster.invalidate(topic)
    const found = { nodeId: leader.leaderId, leaderEpoch: leader.leaderEpoch }
    return Effect.map(cluster.updateLeader(topic, partition, found, response.nodeEndpoints), (isNews) => {
      // Who is told where to go need not wait (KIP-951).
      if (isNews) batch.notBefore = 0
    })
  }

  return { finish, died, failed, answered }
}
