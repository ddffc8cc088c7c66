/**
 * No membership: the partitions that the user has chosen, for as long as the scope, or all of the topics where brokers know
 * no groups (before Kafka 0.9). With a group id offsets are committed for that group, whose members must not have these
 * partitions.
 *
 * @since 0.1.0
 */
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import type { TopicPartition } from "../../Topic.ts"
import type { Handlers, Membership } from "./Membership.ts"

/** Whether the brokers know groups; they are taken to when none of them says otherwise. @internal */
export const isNeeded = (cluster: Cluster): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const [nodeId] = cluster.metadata().brokers.keys()
    if (nodeId === undefined) return Effect.succeed(false)
    return cluster.connection(nodeId, "main").pipe(
      Effect.flatMap((connection) => connection.version(JoinGroup)),
      Effect.as(false),
      Effect.catch((error) => Effect.succeed(error.reason._tag === "UnsupportedVersion"))
    )
  })

/** Every partition of topics, as far as they are known now. @internal */
export const allOf = (cluster: Cluster, topics: ReadonlyArray<string>): ReadonlyArray<TopicPartition> =>
  topics.flatMap((topic) =>
    (cluster.metadata().topics.get(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition }))
  )

const isIn = (places: ReadonlyArray<TopicPartition>, { partition, topic }: TopicPartition): boolean =>
  places.some((place) => place.topic === topic && place.partition === partition)

/** `wanted`: the partitions of now, which are looked at again when the cluster or the subscription changes. @internal */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  groupId: string | undefined,
  wanted: () => ReadonlyArray<TopicPartition>,
  handlers: Handlers
): Effect.fn.Return<Membership, never, Scope.Scope> {
  const identity =
    groupId === undefined ? undefined : { groupId, memberId: "", generation: -1, groupInstanceId: undefined }
  let assigned: ReadonlyArray<TopicPartition> = []
  let isLeaving = false
  const alone = Semaphore.makeUnsafe(1)
  const update = alone.withPermits(1)(
    Effect.suspend(() => {
      if (isLeaving) return Effect.void
      const now = wanted()
      const gone = assigned.filter((place) => !isIn(now, place))
      const added = now.filter((place) => !isIn(assigned, place))
      assigned = now
      const revoking = gone.length === 0 ? Effect.void : handlers.revoke(gone)
      return added.length === 0 ? revoking : Effect.andThen(revoking, handlers.assign(added))
    })
  )
  yield* update
  const scope = yield* Effect.scope
  yield* cluster.changes.pipe(
    Stream.runForEach(() => update),
    Effect.forkIn(scope)
  )
  return {
    identity: () => identity,
    told: Effect.void,
    assigned: () => assigned,
    rejoin: () => update,
    refused: () => {},
    failure: Effect.never,
    // Once; others wait. If who leaves is interrupted, the next goes on.
    leave: alone.withPermits(1)(
      Effect.suspend(() => {
        isLeaving = true
        return assigned.length === 0 ? Effect.void : handlers.revoke(assigned)
      }).pipe(
        Effect.andThen(
          Effect.sync(() => {
            assigned = []
          })
        )
      )
    )
  }
})
