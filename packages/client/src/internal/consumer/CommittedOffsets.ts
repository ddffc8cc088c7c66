/**
 * Asks what was committed for partitions of a group.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError, Rejected } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { TopicPartition } from "../../Topic.ts"
import { retryUntil } from "../Backoff.ts"
import { brokerError } from "../BrokerErrors.ts"
import * as CommitRequests from "./CommitRequests.ts"

/** @internal */
export interface Committed {
  readonly offset: bigint
  /** -1 where it is not known. */
  readonly leaderEpoch: number
  readonly metadata: string
}

/**
 * In the order of the partitions; undefined where nothing was committed. Tried again within `requestTimeout`. With
 * isolation `committed`, offsets of open transactions are waited for.
 *
 * @internal
 */
export const fetch = Effect.fnUntraced(function* (
  cluster: Cluster,
  groupId: string,
  partitions: ReadonlyArray<TopicPartition>,
  isolation: "committed" | "uncommitted"
): Effect.fn.Return<ReadonlyArray<Committed | undefined>, ConsumerError> {
  if (partitions.length === 0) return []
  const { requestTimeout: timeout, retryBackoff, retryBackoffMax } = cluster.settings
  const attempt = Effect.gen(function* () {
    const connection = yield* CommitRequests.connect(cluster, groupId)
    const answers = yield* CommitRequests.fetch(connection, groupId, partitions, isolation === "committed")
    const { broker, nodeId } = connection
    const error = (code: number, { partition, topic }: TopicPartition, detail?: string) =>
      brokerError({ nodeId, broker, api: "OffsetFetch", code, topic, partition, detail })
    const found: Array<Committed | undefined> = []
    for (const place of partitions) {
      const answer = answers.find(({ partition, topic }) => topic === place.topic && partition === place.partition)
      // One that is left out was not said to have nothing.
      if (answer === undefined) {
        const code = ErrorCode.codes.COORDINATOR_NOT_AVAILABLE
        return yield* error(code, place, "the response does not name the partition")
      }
      if (answer.errorCode !== ErrorCode.codes.NONE) return yield* error(answer.errorCode, place)
      found.push(answer.offset < 0 ? undefined : answer)
    }
    return found
  })
  const onError = (error: KafkaError): Effect.Effect<void> => {
    const { reason } = error
    const isMoved = reason._tag !== "BrokerError" || ErrorCode.of(reason.code).invalidates.includes("coordinator")
    return isMoved ? cluster.invalidateCoordinator("group", groupId) : Effect.void
  }
  return yield* retryUntil(Effect.tapError(attempt, onError), { retryBackoff, retryBackoffMax, timeout }).pipe(
    Effect.mapError((cause) => new ConsumerError({ reason: new Rejected({ cause }) }))
  )
})
