/**
 * Commits what has been finished, every interval and when partitions are given back.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CommitError } from "../../CommitError.ts"
import type { LeasedEntry } from "../../Offsets.ts"
import * as Offsets from "../../Offsets.ts"
import type { TopicPartition } from "../../Topic.ts"
import type { Ended } from "./Committer.ts"
import type { OwnedPartition } from "./OwnedPartition.ts"

/** @internal */
export interface AutoCommit {
  /** Commits what these have finished and not committed; what fails is told, and tried again next time. */
  readonly commit: (partitions: ReadonlyArray<OwnedPartition>) => Effect.Effect<void>
}

/**
 * Commits for as long as the scope; `interval` in milliseconds.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  all: () => ReadonlyArray<OwnedPartition>,
  send: (offsets: Offsets.Offsets, ended: Ended) => Effect.Effect<void, CommitError>,
  interval: number,
  onFailure: (error: CommitError) => void
): Effect.fn.Return<AutoCommit, never, Scope.Scope> {
  const scope = yield* Effect.scope
  /** Those whose turn is not over: what they have finished since goes with the next. */
  const underWay = new Set<OwnedPartition>()

  const commit: AutoCommit["commit"] = Effect.fnUntraced(function* (partitions) {
    const due = new Map<
      string,
      { readonly owned: OwnedPartition; readonly jumps: number; readonly entry: LeasedEntry }
    >()
    for (const owned of partitions) {
      const { committable, lease, partition, topic } = owned
      if (committable === undefined || committable.offset === owned.committed || !lease.isActive) continue
      const { leaderEpoch, offset } = committable
      const entry = { topic, partition, stretch: lease.stretch, offset, leaderEpoch }
      due.set(keyOf(owned), { owned, jumps: lease.jumps, entry })
      underWay.add(owned)
    }
    if (due.size === 0) return
    const ended: Ended = (place, reason) => {
      const { entry, jumps, owned } = due.get(keyOf(place))!
      underWay.delete(owned)
      if (reason === undefined && jumps === owned.lease.jumps) owned.committed = entry.offset
    }
    yield* send(Offsets.from([...due.values()].map(({ entry }) => entry)), ended).pipe(
      Effect.catch((error) => {
        onFailure(error)
        return Effect.logWarning(`what has been finished could not be committed: ${error.message}`)
      })
    )
  })
  // One that has to wait does not hold up the others.
  const turn = Effect.suspend(() => Effect.forkIn(commit(all().filter((owned) => !underWay.has(owned))), scope))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(turn, interval)))
  return { commit }
})

const keyOf = ({ partition, topic }: TopicPartition): string => `${partition} ${topic}`
