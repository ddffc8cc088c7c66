/**
 * Notices readers that have not asked for records for too long though there are some: such a partition is paused and its
 * reader fails, while the member stays in the group and the other partitions go on.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { OwnedPartition } from "./OwnedPartition.ts"

/** How often is looked, as a part of the time that readers have. */
const looks = 4

/**
 * Watches for as long as the scope; `stallTimeout` in milliseconds. `onStall` is run once for each stall.
 *
 * @internal
 */
export const watch = Effect.fnUntraced(function* (options: {
  readonly stallTimeout: number
  readonly now: () => number
  readonly all: () => ReadonlyArray<OwnedPartition>
  /** Since when the reader of all has something to do; undefined while it waits, `none` where there is no such reader. */
  readonly busySince: () => number | undefined | "none"
  /** Whether there is something to ask for. */
  readonly hasMore: (owned: OwnedPartition) => boolean
  readonly onStall: (owned: OwnedPartition, waited: number) => Effect.Effect<void>
}): Effect.fn.Return<void, never, Scope.Scope> {
  const { all, busySince, hasMore, now, onStall, stallTimeout } = options
  if (stallTimeout === Number.POSITIVE_INFINITY) return
  const look = Effect.suspend(() => {
    const ofAll = busySince()
    const stalled = all().flatMap((owned) => {
      const since = ofAll !== "none" ? ofAll : owned.isRead ? owned.busySince : undefined
      if (since === undefined || owned.failure !== undefined || !hasMore(owned)) return []
      const waited = now() - since
      return waited >= stallTimeout ? [{ owned, waited }] : []
    })
    return Effect.forEach(stalled, ({ owned, waited }) => onStall(owned, waited), { discard: true })
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(look, Math.max(1, stallTimeout / looks))))
})
