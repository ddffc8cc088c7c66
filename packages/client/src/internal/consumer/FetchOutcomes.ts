/**
 * What becomes of a partition whose fetch failed: it is tried again, goes on elsewhere, or ends with an error.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import type { FetchResponse, PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError, OffsetOutOfRange, Rejected, TopicRecreated } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import * as Offsets from "./Offsets.ts"

/** @internal */
export interface Options {
  readonly isolation: "committed" | "uncommitted"
  /** Where to go on when the position does not exist (any more). */
  readonly fallback: "earliest" | "latest" | "fail"
}

/** @internal */
export interface FetchOutcomes {
  /** Lets a partition wait before it is fetched again, longer each time in a row. */
  readonly backOff: (partition: FetchedPartition) => void
  /** Whether a partition's topic is still the one that its position belongs to; else it begins anew, as asked, or ends. */
  readonly isSameTopic: (partition: FetchedPartition) => Effect.Effect<boolean>
  /** A broker answered for a partition with an error code. */
  readonly failedPartition: (
    partition: FetchedPartition,
    data: PartitionData,
    nodeId: number,
    response: FetchResponse
  ) => Effect.Effect<void>
  /** A request, or a connection, failed as a whole. */
  readonly failed: (fetched: ReadonlyArray<FetchedPartition>, cause: KafkaError) => Effect.Effect<void>
}

/** @internal */
export const make = (
  cluster: Cluster,
  options: Options,
  clock: { readonly now: () => number; readonly random: () => number }
): FetchOutcomes => {
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const backOff = (partition: FetchedPartition): void => {
    partition.failures++
    const wait = Math.min(retryBackoffMax, retryBackoff * 2 ** (partition.failures - 1))
    partition.notBefore = clock.now() + wait * (0.8 + 0.4 * clock.random())
  }

  const ends = Effect.fnUntraced(function* ({ partition: number, topic }: FetchedPartition) {
    const look = (timestamp: bigint) =>
      Effect.map(
        Offsets.list(cluster, [{ topic, partition: number, timestamp }], options.isolation),
        ([offset]) => offset
      )
    return { earliest: yield* look(Offsets.earliest), latest: yield* look(Offsets.latest) }
  })

  const outOfRange = Effect.fnUntraced(function* (partition: FetchedPartition) {
    const { partition: number, position, topic } = partition
    const { earliest, latest } = yield* ends(partition)
    if (position >= earliest && position <= latest) backOff(partition)
    else if (options.fallback === "fail") {
      const reason = new OffsetOutOfRange({ topic, partition: number, offset: position, earliest, latest })
      partition.error = new ConsumerError({ reason })
    } else partition.position = options.fallback === "earliest" ? earliest : latest
  })

  const isSameTopic: FetchOutcomes["isSameTopic"] = Effect.fnUntraced(function* (partition) {
    const { partition: number, topic, topicId } = partition
    const id = cluster.metadata().topics.get(topic)?.id ?? zeroUuid
    if (id === topicId || id === zeroUuid) return true
    partition.topicId = id
    if (topicId === zeroUuid) return true
    // Offsets of the topic that had the name before say nothing about this one (KIP-516).
    if (options.fallback === "fail") {
      partition.error = new ConsumerError({ reason: new TopicRecreated({ topic, partition: number }) })
      return false
    }
    const looked = yield* Effect.result(ends(partition))
    if (Result.isFailure(looked)) {
      partition.topicId = topicId
      if (looked.failure.isRetriable) backOff(partition)
      else partition.error = looked.failure
      return false
    }
    const { earliest, latest } = looked.success
    partition.position = options.fallback === "earliest" ? earliest : latest
    if (partition.end !== undefined) partition.end = latest
    return !partition.isComplete
  })

  const failedPartition: FetchOutcomes["failedPartition"] = Effect.fnUntraced(
    function* (partition, data, nodeId, response) {
      const { errorCode, currentLeader } = data
      const { partition: number, topic } = partition
      if (errorCode === ErrorCode.codes.OFFSET_OUT_OF_RANGE) {
        const looked = yield* Effect.result(outOfRange(partition))
        if (Result.isSuccess(looked)) return
        if (looked.failure.isRetriable) backOff(partition)
        else partition.error = looked.failure
        return
      }
      const known = ErrorCode.of(errorCode)
      if (!known.isRetriable && !known.invalidates.includes("leader")) {
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

  const failed: FetchOutcomes["failed"] = (fetched, cause) => {
    for (const partition of fetched) {
      if (cause.isRetriable) backOff(partition)
      else partition.error = new ConsumerError({ reason: new Rejected({ cause }) })
    }
    return Effect.forEach(new Set(fetched.map(({ topic }) => topic)), (topic) => cluster.invalidate(topic), {
      discard: true
    })
  }

  return { backOff, isSameTopic, failedPartition, failed }
}
