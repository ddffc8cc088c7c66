/**
 * No membership: the partitions that the user has chosen, for as long as the scope. With a group id offsets are committed
 * for that group, whose members must not have these partitions.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
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
  yield* handlers.assign(partitions)
  return {
    identity: () => identity,
    told: Effect.void,
    assigned: () => assigned,
    rejoin: () => Effect.void,
    refused: () => {},
    failure: Effect.never,
    leave: Effect.suspend(() => {
      const leaving = assigned
      assigned = []
      return leaving.length === 0 ? Effect.void : handlers.revoke(leaving)
    })
  }
})
