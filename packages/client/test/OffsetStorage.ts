/** Commits for a group without members, and what is kept of them: what the tests of real brokers share. */
import { Effect, type Scope } from "effect"
import type { Cluster } from "../src/Cluster.ts"
import type { CommitError } from "../src/CommitError.ts"
import type { ConsumerError } from "../src/ConsumerError.ts"
import * as CommittedOffsets from "../src/internal/consumer/CommittedOffsets.ts"
import * as Committer from "../src/internal/consumer/Committer.ts"
import type * as Offsets from "../src/Offsets.ts"

export interface OffsetStorage {
  readonly commit: (offsets: Offsets.Offsets) => Effect.Effect<void, CommitError>
  /** Of the topic's partitions from 0 on: offset and metadata; undefined where nothing was committed. */
  readonly read: (
    topic: string,
    count: number
  ) => Effect.Effect<ReadonlyArray<readonly [offset: bigint, metadata: string] | undefined>, ConsumerError>
}

export const make = (
  cluster: Cluster,
  groupId: string,
  commitTimeout = 30_000
): Effect.Effect<OffsetStorage, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { commit } = yield* Committer.make(cluster, groupId, {
      identity: () => ({ groupId, memberId: "", generation: -1, groupInstanceId: undefined }),
      refused: () => {},
      leaseOf: () => undefined,
      isAlone: true,
      onCommitted: () => {},
      commitTimeout
    })
    return {
      commit,
      read: (topic, count) => {
        const places = Array.from({ length: count }, (_, partition) => ({ topic, partition }))
        return Effect.map(CommittedOffsets.fetch(cluster, groupId, places, "committed"), (found) =>
          found.map((one) => (one === undefined ? undefined : ([one.offset, one.metadata] as const)))
        )
      }
    }
  })
