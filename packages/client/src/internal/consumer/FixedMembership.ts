/**
 * No membership: the partitions that the user has chosen, for as long as the scope. With a group id offsets are committed
 * for that group, whose members must not have these partitions.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { TopicPartition } from "../../Topic.ts"
import type { Handlers, Membership } from "./Membership.ts"

/** @internal */
export const make = Effect.fnUntraced(function* (
  groupId: string | undefined,
  partitions: ReadonlyArray<TopicPartition>,
  handlers: Handlers
): Effect.fn.Return<Membership> {
  const identity =
    groupId === undefined ? undefined : { groupId, memberId: "", generation: -1, groupInstanceId: undefined }
  let assigned = partitions
  const leaving = Semaphore.makeUnsafe(1)
  yield* handlers.assign(partitions)
  return {
    identity: () => identity,
    assigned: () => assigned,
    rejoin: () => Effect.void,
    refused: () => {},
    failure: Effect.never,
    // Once; others wait. If who leaves is interrupted, the next goes on.
    leave: leaving.withPermits(1)(
      Effect.suspend(() => (assigned.length === 0 ? Effect.void : handlers.revoke(assigned))).pipe(
        Effect.andThen(
          Effect.sync(() => {
            assigned = []
          })
        )
      )
    )
  }
})
