/**
 * Commits what has been finished, every interval and when partitions are given back.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CommitError } from "../../CommitError.ts"
import * as Offsets from "../../Offsets.ts"
import type { OwnedPartition } from "./OwnedPartition.ts"

/** @internal */
export interface AutoCommit {
  /** Commits what these have finished and not committed; what fails is told in the log, and tried again next time. */
  readonly commit: (partitions: ReadonlyArray<OwnedPartition>) => Effect.Effect<void>
}

/**
 * Commits for as long as the scope; `interval` in milliseconds.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  all: () => ReadonlyArray<OwnedPartition>,
  send: (offsets: Offsets.Offsets) => Effect.Effect<void, CommitError>,
  interval: number
): Effect.fn.Return<AutoCommit, never, Scope.Scope> {
  const commit: AutoCommit["commit"] = Effect.fnUntraced(function* (partitions) {
    const due = partitions.flatMap((owned) => {
      const { finished, lease, partition, topic } = owned
      if (finished === undefined || finished.offset === owned.committed || !lease.isActive) return []
      const { leaderEpoch, offset } = finished
      return [{ owned, jumps: lease.jumps, entry: { topic, partition, stretch: lease.stretch, offset, leaderEpoch } }]
    })
    if (due.length === 0) return
    yield* send(Offsets.from(due.map(({ entry }) => entry))).pipe(
      Effect.andThen(
        Effect.sync(() => {
          for (const { entry, jumps, owned } of due) if (jumps === owned.lease.jumps) owned.committed = entry.offset
        })
      ),
      Effect.catch((error) => Effect.logWarning(`what has been finished could not be committed: ${error.message}`))
    )
  })
  const again = Effect.delay(
    Effect.suspend(() => commit(all())),
    interval
  )
  yield* Effect.forkScoped(Effect.forever(again))
  return { commit }
})
