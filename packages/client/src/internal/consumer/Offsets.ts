/**
 * Looks up offsets of partitions: the first, the next to be written, the first at or after a time.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError, InvalidPartition, Rejected } from "../../ConsumerError.ts"
import { KafkaError } from "../../KafkaError.ts"
import type { TopicPartition } from "../../Topic.ts"
import { retryUntil } from "../Backoff.ts"
import { brokerError, describeBroker } from "../BrokerErrors.ts"

/** What the protocol writes instead of a time, for the ends of the log. @internal */
export const latest = BigInt(-1)

/** @internal */
export const earliest = BigInt(-2)

/** The first version that knows transactions (KIP-98). */
const isolationVersion = 2

/** The first version that finds records by their time (Kafka 0.10.1); before it, an answer is where a segment begins. @internal */
export const timeVersion = 1

/** A partition, and the time to look for: milliseconds since 1970, `latest` or `earliest`. @internal */
export interface Query extends TopicPartition {
  readonly timestamp: bigint
}

/**
 * The offsets of all queries, in their order, each partition once; -1 where no record is as new as the time asked for. Retried within
 * `requestTimeout`. With isolation `committed`, `latest` is the last stable offset. `minVersion`: fails where a broker does
 * not know it.
 *
 * @internal
 */
export const list = Effect.fnUntraced(function* (
  cluster: Cluster,
  queries: ReadonlyArray<Query>,
  isolation: "committed" | "uncommitted",
  minVersion = 0
): Effect.fn.Return<ReadonlyArray<bigint>, ConsumerError> {
  const found: Array<bigint> = new Array(queries.length)
  const open = new Set(queries.keys())
  const { requestTimeout: timeout, retryBackoff, retryBackoffMax } = cluster.settings
  const attempt = Effect.suspend(() => {
    const left = [...open]
    return Effect.flatMap(
      Effect.forEach(left, (index) => cluster.leader(queries[index])),
      (leaders) => {
        const byNode = new Map<number, Array<number>>()
        leaders.forEach(({ nodeId }, place) => {
          const indices = byNode.get(nodeId)
          if (indices === undefined) byNode.set(nodeId, [left[place]])
          else indices.push(left[place])
        })
        return Effect.forEach(
          byNode,
          ([nodeId, indices]) =>
            Effect.flatMap(ask(cluster, nodeId, queries, indices, isolation, minVersion), (answers) => {
              let failure: KafkaError | undefined
              for (const [index, answer] of answers) {
                if (answer instanceof KafkaError) {
                  failure = failure?.isRetriable === false ? failure : answer
                  continue
                }
                found[index] = answer
                open.delete(index)
              }
              return failure === undefined ? Effect.void : Effect.fail(failure)
            }),
          { concurrency: "unbounded", discard: true }
        )
      }
    )
  })
  yield* retryUntil(attempt, { retryBackoff, retryBackoffMax, timeout }).pipe(Effect.mapError(toConsumerError))
  return found
})

const toConsumerError = (error: KafkaError): ConsumerError => {
  const { reason } = error
  if (reason._tag !== "UnknownPartition") return new ConsumerError({ reason: new Rejected({ cause: error }) })
  const { partition, partitionCount, topic } = reason
  return new ConsumerError({ reason: new InvalidPartition({ topic, partition, partitionCount }) })
}

/**
 * Asks one broker, once, for the queries with these indices: by index an offset, or why there is none. What a lost leader
 * proves wrong is refreshed.
 *
 * @internal
 */
export const ask = Effect.fnUntraced(function* (
  cluster: Cluster,
  nodeId: number,
  queries: ReadonlyArray<Query>,
  indices: Iterable<number>,
  isolation: "committed" | "uncommitted",
  minVersion = 0
): Effect.fn.Return<ReadonlyMap<number, bigint | KafkaError>, KafkaError> {
  const topics = new Map<string, Map<number, number>>()
  for (const index of indices) {
    const { partition, topic } = queries[index]
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, new Map([[partition, index]]))
    else partitions.set(partition, index)
  }
  const connection = yield* cluster.connection(nodeId, "main")
  const version = yield* connection.version(ListOffsets, { minVersion })
  const response = yield* connection.request(ListOffsets, {
    replicaId: -1,
    // Brokers without the field have no transactions either.
    isolationLevel: isolation === "committed" && version >= isolationVersion ? 1 : 0,
    timeoutMs: cluster.settings.requestTimeout,
    topics: [...topics].map(([name, partitions]) => ({
      name,
      partitions: [...partitions].map(([partitionIndex, index]) => ({
        partitionIndex,
        currentLeaderEpoch: cluster.leaderFor(name, partitionIndex)?.leaderEpoch ?? -1,
        timestamp: queries[index].timestamp,
        maxNumOffsets: 1
      }))
    }))
  })
  const broker = describeBroker(cluster, nodeId)
  const failed = (code: number, topic: string, partition: number, detail?: string) =>
    brokerError({ nodeId, broker, api: "ListOffsets", code, topic, partition, detail })
  const answers = new Map<number, bigint | KafkaError>()
  for (const { name: topic, partitions } of response.topics) {
    for (const { errorCode, offset, oldStyleOffsets, partitionIndex: partition } of partitions) {
      const index = topics.get(topic)?.get(partition)
      if (index === undefined) continue
      if (errorCode !== ErrorCode.codes.NONE) {
        if (ErrorCode.of(errorCode).invalidates.includes("leader")) yield* cluster.invalidate(topic)
        answers.set(index, failed(errorCode, topic, partition))
        continue
      }
      // Version 0 gives a list, newest first, which may be empty.
      const found = oldStyleOffsets.length > 0 ? oldStyleOffsets[0] : offset
      const isTime = queries[index].timestamp >= 0
      const isMissing = found < (isTime ? -1 : 0)
      const { UNKNOWN_SERVER_ERROR } = ErrorCode.codes
      answers.set(
        index,
        isMissing ? failed(UNKNOWN_SERVER_ERROR, topic, partition, "the answer names no offset") : found
      )
    }
  }
  for (const [topic, partitions] of topics) {
    for (const [partition, index] of partitions) {
      if (answers.has(index)) continue
      const detail = "the response does not name the partition"
      answers.set(index, failed(ErrorCode.codes.LEADER_NOT_AVAILABLE, topic, partition, detail))
    }
  }
  return answers
})
