/**
 * What becomes of a batch that was sent: acknowledged, failed, tried again as it is, with new numbers, or in parts.
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
import {
  DeliveryTimeout,
  InvalidRecord,
  NotAuthorized,
  ProducerError,
  RecordTooLarge,
  Rejected
} from "../../ProducerError.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { Accumulator, Fate } from "./Accumulator.ts"
import { type Batch, unsaid } from "./Batch.ts"
import type { ProducerMetrics } from "./ProducerMetrics.ts"

const { codes } = ErrorCode

/** After these errors nothing of the batch is in the log; others say nothing, or come after the leader has appended. */
const notWritten: ReadonlySet<number> = new Set([
  codes.CORRUPT_MESSAGE,
  codes.NOT_ENOUGH_REPLICAS,
  codes.OUT_OF_ORDER_SEQUENCE_NUMBER,
  codes.UNKNOWN_PRODUCER_ID,
  codes.INVALID_PRODUCER_EPOCH
])

/** @internal */
export interface Options {
  readonly now: () => number
  readonly random: () => number
  readonly deliveryTimeout: number
  readonly metrics: ProducerMetrics
}

/** @internal */
export interface BatchOutcomes {
  /** A batch cannot be sent, or nobody asks whether it was written. */
  readonly finish: (batch: Batch, outcome: ProducerError | "unknown") => void
  /** A batch that is not in flight cannot be sent. */
  readonly refuse: (batch: Batch, error: ProducerError) => void
  /** The time of a batch is over, wherever it is; `trouble` is what kept all from being sent. */
  readonly expire: (batch: Batch, trouble: string | undefined) => void
  /** Whether a batch that was taken is still to be sent; if its time was over meanwhile, it leaves its place. */
  readonly isWanted: (batch: Batch) => boolean
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

/** What every line in the log about a batch says besides. */
const annotate = ({ attempts, partition, topic }: Batch) =>
  Effect.annotateLogs({ "kafka.topic": topic, "kafka.partition": partition, "kafka.attempts": attempts })

/** @internal */
export const make = (cluster: Cluster, accumulator: Accumulator, options: Options): BatchOutcomes => {
  const { retryBackoff, retryBackoffMax } = cluster.settings
  const { metrics } = options

  const fail = (batch: Batch, error: ProducerError): void => {
    if (accumulator.incomplete.has(batch)) metrics.failed(batch.builder.count)
    accumulator.complete(batch, Exit.fail(error))
  }

  /** Ends a batch that is in flight. */
  const finish: BatchOutcomes["finish"] = (batch, outcome) => {
    const queue = accumulator.queueOf(batch)
    if (outcome === "unknown") {
      queue.acknowledged(batch, unsaid.baseOffset)
      if (accumulator.incomplete.has(batch)) metrics.acknowledged(batch)
      accumulator.complete(batch, Exit.succeed(unsaid))
    } else {
      queue.abandon(batch)
      fail(batch, outcome)
    }
    accumulator.settle(queue)
  }

  const refuse: BatchOutcomes["refuse"] = (batch, error) => {
    const queue = accumulator.queueOf(batch)
    queue.drop(batch)
    accumulator.settle(queue)
    fail(batch, error)
  }

  const expire: BatchOutcomes["expire"] = (batch, trouble) => {
    const { partition, topic } = batch
    const queue = accumulator.queueOf(batch)
    const { deliveryTimeout } = options
    const maybeWritten = batch.maybeWritten || queue.inFlight.includes(batch)
    const hasLeader = (cluster.leaderFor(topic, partition)?.nodeId ?? -1) >= 0
    const neverSent =
      trouble ?? (hasLeader ? "no request to its leader had room for it" : "the partition had no leader")
    const detail = batch.lastError ?? (batch.attempts > 0 ? "no answer came" : neverSent)
    // One in flight stays there until its request has ended: it keeps its place in the order.
    refuse(
      batch,
      new ProducerError({ reason: new DeliveryTimeout({ topic, partition, deliveryTimeout, maybeWritten, detail }) })
    )
  }

  const isWanted: BatchOutcomes["isWanted"] = (batch) => {
    if (batch.exit === undefined) return true
    const queue = accumulator.queueOf(batch)
    queue.abandon(batch)
    accumulator.settle(queue)
    return false
  }

  const died: BatchOutcomes["died"] = (batches, cause) =>
    Effect.sync(() => {
      if (Cause.hasInterruptsOnly(cause)) return
      for (const batch of [...batches]) {
        const queue = accumulator.queueOf(batch)
        batch.maybeWritten = true
        queue.drop(batch)
        queue.abandon(batch)
        accumulator.settle(queue)
        if (accumulator.incomplete.has(batch)) metrics.failed(batch.builder.count)
        accumulator.complete(batch, Exit.failCause(cause))
      }
    })

  /** What to do with a batch that is to be sent again: `how` says with which numbers. */
  const again = (batch: Batch, why: string, how: "retry" | "restart"): void => {
    const queue = accumulator.queueOf(batch)
    batch.lastError = why
    const wait = Math.min(retryBackoffMax, retryBackoff * 2 ** Math.max(0, batch.attempts - 1))
    batch.notBefore = options.now() + wait * (0.8 + 0.4 * options.random())
    // Its callers have heard of its end already.
    if (batch.exit !== undefined) queue.abandon(batch)
    else {
      metrics.retried()
      queue[how](batch)
    }
    accumulator.settle(queue)
  }

  const failed: BatchOutcomes["failed"] = (batches, error) => {
    // What was answered or refused already is in flight no more.
    const left = batches.filter((batch) => accumulator.queueOf(batch).inFlight.includes(batch))
    for (const batch of left) {
      const { partition, topic } = batch
      if (error.maybeSent || error.reason._tag === "InvalidResponse") batch.maybeWritten = true
      if (error.isRetriable) again(batch, error.message, "retry")
      else finish(batch, new ProducerError({ reason: new Rejected({ topic, partition, cause: error }) }))
    }
    return Effect.forEach(new Set(left.map((batch) => batch.topic)), cluster.invalidate, { discard: true })
  }

  /** The batch's place is taken by smaller ones. */
  const split = (batch: Batch): void => {
    const half = batch.builder.count / 2
    batch.maybeWritten = false
    const fateOf = (index: number): number => (index < half ? 0 : 1)
    accumulator.rebuild(batch, 2, fateOf, (queue, others) => queue.abandon(batch, others))
  }

  /** The records that the broker names as not wanted (KIP-467), as far as the batch has them. */
  const refusedRecords = (batch: Batch, answer: PartitionProduceResponse) => {
    const { builder, topic } = batch
    const refused = new Map<number, Exit.Exit<never, ProducerError>>()
    for (const { batchIndex, batchIndexErrorMessage } of answer.recordErrors) {
      if (batchIndex < 0 || batchIndex >= builder.count) continue
      const detail = batchIndexErrorMessage ?? answer.errorMessage ?? "the broker calls it invalid"
      refused.set(batchIndex, Exit.fail(new ProducerError({ reason: new InvalidRecord({ topic, detail }) })))
    }
    return refused
  }

  /** The records that are not refused are sent again without the others. */
  const withoutRefused = (batch: Batch, refused: ReadonlyMap<number, Exit.Exit<never, ProducerError>>): void => {
    batch.maybeWritten = false
    metrics.failed(refused.size)
    const fateOf = (index: number): Fate => refused.get(index) ?? 0
    accumulator.rebuild(batch, 1, fateOf, (queue, others) => queue.abandon(batch, others))
  }

  const acknowledged = (batch: Batch, answer: PartitionProduceResponse): void => {
    const queue = accumulator.queueOf(batch)
    const { baseOffset, logAppendTimeMs } = answer
    const count = batch.builder.count
    // A duplicate's place in the log is not said.
    const written = answer.errorCode === codes.NONE ? { baseOffset, appendTime: Number(logAppendTimeMs) } : unsaid
    queue.acknowledged(batch, written.baseOffset < 0 ? written.baseOffset : written.baseOffset + BigInt(count - 1))
    accumulator.settle(queue)
    // One whose time was over has failed already.
    if (accumulator.incomplete.has(batch)) metrics.acknowledged(batch)
    accumulator.complete(batch, Exit.succeed(written))
    accumulator.reuse(batch)
  }

  /** The broker's count of the sequence is another than ours. */
  const outOfSequence = (batch: Batch, answer: PartitionProduceResponse, why: string): Effect.Effect<void> => {
    const queue = accumulator.queueOf(batch)
    const isLater = !queue.isFirst(batch)
    const saysNothing = answer.errorCode === codes.UNKNOWN_PRODUCER_ID && answer.logStartOffset < 0
    const isExpected = queue.hasGapBefore(batch)
    again(batch, why, isLater || saysNothing ? "retry" : "restart")
    if (isLater || saysNothing) return Effect.void
    batch.notBefore = 0
    // What is missing has failed, and its callers know.
    if (isExpected) return Effect.void
    // Records that were deleted take the producer's state with them: nothing is lost by that.
    const isDeleted = answer.errorCode === codes.UNKNOWN_PRODUCER_ID && answer.logStartOffset > queue.lastOffset
    const what = isDeleted ? "its records were deleted" : "acknowledged records may have been lost"
    const log = isDeleted ? Effect.logDebug : Effect.logWarning
    return log(`the sequence begins anew in topic ${batch.topic} partition ${batch.partition}: ${what}: ${why}`).pipe(
      annotate(batch)
    )
  }

  /** What the broker says of a batch that it did not write. */
  const decide = (batch: Batch, answer: PartitionProduceResponse, cause: KafkaError): Effect.Effect<void> => {
    const { partition, topic } = batch
    const { errorCode } = answer
    const { count } = batch.builder
    switch (errorCode) {
      case codes.OUT_OF_ORDER_SEQUENCE_NUMBER:
      case codes.UNKNOWN_PRODUCER_ID:
      case codes.INVALID_PRODUCER_EPOCH:
        if (batch.baseSequence >= 0) return outOfSequence(batch, answer, cause.message)
        break
      case codes.MESSAGE_TOO_LARGE:
      case codes.RECORD_LIST_TOO_LARGE: {
        if (count > 1 && batch.exit === undefined) {
          split(batch)
          return annotate(batch)(Effect.logDebug(`a batch of ${count} records is split in two: ${cause.message}`))
        }
        const size = batch.builder.sizeInBytes
        const reason = new RecordTooLarge({ topic, size, limit: "the topic's max.message.bytes" })
        finish(batch, new ProducerError({ reason }))
        return Effect.void
      }
      case codes.TOPIC_AUTHORIZATION_FAILED:
        finish(batch, new ProducerError({ reason: new NotAuthorized({ topic, cause }) }))
        return Effect.void
    }
    if (ErrorCode.of(errorCode).isRetriable) {
      again(batch, cause.message, "retry")
      return annotate(batch)(Effect.logDebug(`a batch is sent again: ${cause.message}`))
    }
    const refused = refusedRecords(batch, answer)
    if (refused.size > 0 && batch.exit === undefined) withoutRefused(batch, refused)
    else finish(batch, new ProducerError({ reason: new Rejected({ topic, partition, cause }) }))
    return Effect.void
  }

  /** A leader that the answer names is gone to at once (KIP-951); else the topic's leaders are asked for. */
  const follow = (
    batch: Batch,
    { currentLeader, errorCode }: PartitionProduceResponse,
    response: ProduceResponse
  ): Effect.Effect<void> => {
    const { invalidates } = ErrorCode.of(errorCode)
    if (!invalidates.includes("leader") && !invalidates.includes("topicId")) return Effect.void
    const { partition, topic } = batch
    if (currentLeader.leaderId < 0) return cluster.invalidate(topic)
    const { leaderEpoch, leaderId: nodeId } = currentLeader
    return Effect.map(
      cluster.updateLeader(topic, partition, { nodeId, leaderEpoch }, response.nodeEndpoints),
      (isNews) => {
        if (isNews) batch.notBefore = 0
      }
    )
  }

  const answered: BatchOutcomes["answered"] = (batch, answer, nodeId, response) => {
    const { partition, topic } = batch
    const broker = describeBroker(cluster, nodeId)
    const error = (code: number, detail: string | null) =>
      brokerError({ nodeId, broker, api: "Produce", code, topic, partition, detail })
    if (answer === undefined) {
      batch.maybeWritten = true
      const { message } = error(codes.UNKNOWN_SERVER_ERROR, "the response does not name the partition")
      return Effect.sync(() => again(batch, message, "retry"))
    }
    const { errorCode } = answer
    if (errorCode === codes.NONE || errorCode === codes.DUPLICATE_SEQUENCE_NUMBER) {
      return Effect.sync(() => acknowledged(batch, answer))
    }
    const isRefused = !ErrorCode.of(errorCode).isRetriable && errorCode !== codes.UNKNOWN_SERVER_ERROR
    if (!isRefused && !notWritten.has(errorCode)) batch.maybeWritten = true
    return Effect.andThen(decide(batch, answer, error(errorCode, answer.errorMessage)), follow(batch, answer, response))
  }

  return { finish, refuse, expire, isWanted, died, failed, answered }
}
