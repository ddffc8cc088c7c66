/**
 * What becomes of a partition whose fetch failed: it is tried again, goes on elsewhere, or ends with an error.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import type { FetchResponse, PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError, Rejected, TopicRecreated, Truncated } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import type { Fallback } from "./StartPosition.ts"

/** Why reading went on elsewhere. @internal */
export type ResetCause = "out-of-range" | "truncation" | "recreated"

/** @internal */
export interface Options {
  readonly isolation: "committed" | "uncommitted"
  /** Where to go on when the position does not exist (any more). */
  readonly fallback: Fallback
  /** Hears that a partition is read on elsewhere than it was. */
  readonly onReset?: ((partition: FetchedPartition, from: bigint, to: bigint, cause: ResetCause) => void) | undefined
}

/** @internal */
export interface Clock {
  /** Milliseconds; only goes forward. */
  readonly now: () => number
  /** Milliseconds since 1970. */
  readonly today: () => number
  readonly random: () => number
}

/** @internal */
export interface FetchOutcomes {
  /** Lets a partition wait before a broker is asked about it again, longer each time in a row. */
  readonly backOff: (partition: FetchedPartition) => void
  /** Lets partitions that failed together wait, and be tried again, together. */
  readonly backOffAll: (partitions: Iterable<FetchedPartition>) => void
  /** What a broker said about a partition is an error: it is tried again, or ends with it. */
  readonly refused: (partition: FetchedPartition, cause: KafkaError) => void
  /** Whether a partition's topic is still the one that its position belongs to; else it begins anew, as asked, or ends. */
  readonly isSameTopic: (partition: FetchedPartition) => boolean
  /** Reads on elsewhere, and tells so. */
  readonly reset: (partition: FetchedPartition, to: bigint, epoch: number, cause: ResetCause) => void
  /**
   * The log of the leader ends an epoch here. False when records that were read are not in it: then the partition goes on
   * at the divergence, or ends. An offset or epoch of -1 says that the leader does not know: nothing is concluded.
   */
  readonly isInLog: (partition: FetchedPartition, leaderEpoch: number, endOffset: bigint) => boolean
  /** A broker answered a fetch of a partition with an error code. */
  readonly failedPartition: (
    partition: FetchedPartition,
    data: PartitionData,
    nodeId: number,
    response: FetchResponse
  ) => Effect.Effect<void>
  /** A request, or a connection, failed as a whole. */
  readonly failed: (asked: Iterable<FetchedPartition>, cause: KafkaError) => Effect.Effect<void>
}

/** Whether a code says what is wrong: a broker that does not know may do better the next time. @internal */
export const isUnderstood = (code: number): boolean =>
  code !== ErrorCode.codes.UNKNOWN_SERVER_ERROR && Object.values<number>(ErrorCode.codes).includes(code)

/** @internal */
export const make = (cluster: Cluster, options: Options, clock: Clock): FetchOutcomes => {
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const waitLonger = (partition: FetchedPartition, now: number, random: number): void => {
    partition.failures++
    const wait = Math.min(retryBackoffMax, retryBackoff * 2 ** (partition.failures - 1))
    partition.notBefore = now + wait * (0.8 + 0.4 * random)
  }
  const backOff = (partition: FetchedPartition): void => waitLonger(partition, clock.now(), clock.random())
  const backOffAll: FetchOutcomes["backOffAll"] = (partitions) => {
    // The same moment for all: they are asked for together again.
    const [now, random] = [clock.now(), clock.random()]
    for (const partition of partitions) waitLonger(partition, now, random)
  }

  const refused: FetchOutcomes["refused"] = (partition, cause) => {
    const { reason } = cause
    // With another text it is this client that could not make sense of an answer.
    const isMystery =
      reason._tag === "BrokerError" && !isUnderstood(reason.code) && reason.detail === ErrorCode.of(reason.code).text
    if (cause.isRetriable || isMystery) backOff(partition)
    else partition.error = new ConsumerError({ reason: new Rejected({ cause }) })
  }

  const isSameTopic: FetchOutcomes["isSameTopic"] = (partition) => {
    const { partition: number, topic, topicId, unsettled } = partition
    const id = cluster.metadata().topics.get(topic)?.id ?? zeroUuid
    if (id === topicId || id === zeroUuid) return true
    partition.topicId = id
    // Offsets of the topic that had the name before say nothing about this one (KIP-516).
    if (topicId === zeroUuid || unsettled?._tag === "Start") return true
    if (options.fallback !== "fail") partition.unsettled = { _tag: "Recreated" }
    else partition.error = new ConsumerError({ reason: new TopicRecreated({ topic, partition: number }) })
    return false
  }

  const reset: FetchOutcomes["reset"] = (partition, to, epoch, cause) => {
    const { origin, position } = partition
    partition.moveTo(to, epoch)
    // What lies before the cut is the same as before.
    if (cause === "truncation" && origin !== undefined && origin < to) partition.origin = origin
    options.onReset?.(partition, position, to, cause)
  }

  const isInLog: FetchOutcomes["isInLog"] = (partition, leaderEpoch, endOffset) => {
    if (leaderEpoch < 0 || endOffset < 0) {
      partition.epoch = -1
      return true
    }
    const { partition: number, position: offset, topic } = partition
    // What was there when reading began is not any more.
    if (partition.end !== undefined && partition.end > endOffset && endOffset < offset) partition.end = endOffset
    if (endOffset >= offset) {
      partition.epoch = Math.min(partition.epoch, leaderEpoch)
      return true
    }
    if (options.fallback === "fail") {
      const reason = new Truncated({ topic, partition: number, offset, divergentOffset: endOffset })
      partition.error = new ConsumerError({ reason })
    } else reset(partition, endOffset, leaderEpoch, "truncation")
    return false
  }

  const failedPartition: FetchOutcomes["failedPartition"] = Effect.fnUntraced(
    function* (partition, data, nodeId, response) {
      const { errorCode, currentLeader } = data
      const { partition: number, topic } = partition
      if (errorCode === ErrorCode.codes.OFFSET_OUT_OF_RANGE) {
        partition.unsettled = { _tag: "OutOfRange" }
        return
      }
      const known = ErrorCode.of(errorCode)
      // Damaged on the broker's disk: no retry cures it, though for other requests the same code is about the wire.
      const isFinal = errorCode === ErrorCode.codes.CORRUPT_MESSAGE
      if (!isUnderstood(errorCode)) {
        const broker = describeBroker(cluster, nodeId)
        yield* Effect.logWarning(
          `broker ${nodeId} (${broker}) answers a fetch of topic ${topic} partition ${number} with ${known.name} [${errorCode}]: it is asked again`
        )
      } else if (isFinal || (!known.isRetriable && !known.invalidates.includes("leader"))) {
        const broker = describeBroker(cluster, nodeId)
        const cause = brokerError({ nodeId, broker, api: "Fetch", code: errorCode, topic, partition: number })
        partition.error = new ConsumerError({ reason: new Rejected({ cause }) })
        return
      }
      backOff(partition)
      if (currentLeader.leaderId < 0) {
        yield* cluster.invalidate(topic)
        return
      }
      const leader = { nodeId: currentLeader.leaderId, leaderEpoch: currentLeader.leaderEpoch }
      const isNews = yield* cluster.updateLeader(topic, number, leader, response.nodeEndpoints)
      // Who is told where to go need not wait (KIP-951).
      if (isNews) partition.notBefore = 0
    }
  )

  const failed: FetchOutcomes["failed"] = (asked, cause) => {
    const topics = new Set<string>()
    const partitions = [...asked]
    if (cause.isRetriable) backOffAll(partitions)
    for (const partition of partitions) {
      if (!cause.isRetriable) refused(partition, cause)
      partition.replica = undefined
      topics.add(partition.topic)
    }
    return Effect.forEach(topics, (topic) => cluster.invalidate(topic), { discard: true })
  }

  return { backOff, backOffAll, refused, isSameTopic, reset, isInLog, failedPartition, failed }
}
