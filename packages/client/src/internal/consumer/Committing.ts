/**
 * A sink that commits the records that come to it: after so many, after so long, and at its end.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Semaphore from "effect/Semaphore"
import * as Sink from "effect/Sink"
import type { CommitError } from "../../CommitError.ts"
import * as Offsets from "../../Offsets.ts"
import type { ConsumerRecord } from "../../Topic.ts"

// biome-ignore lint/suspicious/noExplicitAny: keys and values do not matter for commits, whatever their types
type AnyRecord = ConsumerRecord<string, any, any>

/** @internal */
export const sink = (
  commit: (offsets: Offsets.Offsets) => Effect.Effect<void, CommitError>,
  every: Duration.Input,
  most: number
): Sink.Sink<void, AnyRecord, never, CommitError> =>
  Sink.unwrap(
    Effect.gen(function* () {
      let due = Offsets.empty
      let count = 0
      let failure: Exit.Exit<never, CommitError> | undefined
      const some = Latch.makeUnsafe()
      // Who comes to the end waits for the commit that is under way, and meets its failure.
      const turn = Semaphore.makeUnsafe(1)

      const commitNow: Effect.Effect<void, CommitError> = Effect.suspend(() => {
        if (failure !== undefined) return failure
        if (due.size === 0) return Effect.void
        const offsets = due
        due = Offsets.empty
        count = 0
        some.closeUnsafe()
        // What was taken away meanwhile is read again by others: no reason to end the stream.
        return Effect.catch(commit(offsets), (error) =>
          error.reason._tag === "PartitionLost" ? Effect.logDebug(error.message) : Effect.fail(error)
        )
      })
      const commitDue = turn.withPermits(1)(commitNow)
      const later = some.await.pipe(
        Effect.andThen(Effect.sleep(every)),
        Effect.andThen(commitDue),
        Effect.catch((error) =>
          Effect.sync(() => {
            failure = Exit.fail(error)
          })
        )
      )
      yield* Effect.forkScoped(Effect.forever(later))

      return Sink.forEachArray((records: ReadonlyArray<AnyRecord>) => {
        due = Offsets.merge(due, Offsets.of(records))
        count += records.length
        some.openUnsafe()
        return count >= most || failure !== undefined ? commitDue : Effect.void
      }).pipe(Sink.mapEffect(() => commitDue))
    })
  )
