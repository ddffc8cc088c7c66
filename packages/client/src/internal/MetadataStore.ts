/**
 * The newest metadata, and a stream of its changes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ClusterMetadata, empty, isSame, type Leader } from "../ClusterMetadata.ts"

/** @internal */
export interface MetadataStore {
  readonly current: () => ClusterMetadata
  readonly set: (next: ClusterMetadata) => void
  /** The current metadata, then each that differs from the one before; a slow reader misses states in between. */
  readonly changes: Stream.Stream<ClusterMetadata>
  /** A partition's leader as far as it is known now. */
  readonly leaderFor: (topic: string, partition: number) => Leader | undefined
}

/** @internal */
export const make: Effect.Effect<MetadataStore, never, Scope.Scope> = Effect.gen(function* () {
  const changes = yield* PubSub.sliding<ClusterMetadata>({ capacity: 16, replay: 1 })
  yield* Effect.addFinalizer(() => PubSub.shutdown(changes))
  let current = empty
  return {
    current: () => current,
    set: (next) => {
      const isNew = !isSame(current, next)
      current = next
      if (isNew) PubSub.publishUnsafe(changes, next)
    },
    changes: Stream.fromPubSub(changes),
    leaderFor: (topic, partition) => {
      const found = current.topics.get(topic)?.partitions[partition]
      return found === undefined || found.leader < 0
        ? undefined
        : { nodeId: found.leader, leaderEpoch: found.leaderEpoch }
    }
  }
})
