/**
 * The work of `run`: a fiber per partition hands arrays of records to the user's function, in order, or, by key, several
 * at a time; what it has finished is what is committed.
 *
 * What fails is tried again as the schedule says. Then the records are tried one by one, and those that fail are put
 * aside (dead letters), or the work ends with the failure.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { SerdeError } from "../../Serde.ts"
import type * as Delivery from "./Delivery.ts"
import * as KeyedWork from "./KeyedWork.ts"
import type { OwnedPartition } from "./OwnedPartition.ts"

/** What is done with an array of records: the user's function, with its retries and dead letters. @internal */
export interface Task<A, E, R> {
  readonly process: (delivered: Delivery.Delivered<A>) => Effect.Effect<void, E, R>
  /** Several keys of a partition at a time; undefined for one array after the other. */
  readonly perKey: number | undefined
  /** Most records of an array. */
  readonly maxPollRecords: number
}

/**
 * Works on all partitions that there are and that come, until they end, or the work on one fails.
 *
 * @internal
 */
export const run = <A, E, R, R2>(
  arrivals: Queue.Dequeue<OwnedPartition, ConsumerError | Cause.Done>,
  delivery: Delivery.Delivery<A, R2>,
  task: Task<A, E, R>
): Effect.Effect<void, E | ConsumerError | SerdeError, R | R2> =>
  Effect.scoped(
    Effect.gen(function* () {
      const workers = yield* FiberSet.make<void, never>()
      const failed = yield* Deferred.make<never, E | ConsumerError | SerdeError>()

      const work = (
        owned: OwnedPartition,
        end: { reason: "given up" | ConsumerError | undefined }
      ): Effect.Effect<void, never, R | R2> =>
        workOn(owned, delivery, task).pipe(
          Effect.ensuring(
            Effect.sync(() => {
              owned.isRead = false
              owned.interrupt = () => {}
              if (owned.isEnding) owned.release()
            })
          ),
          // Also when it is interrupted, which ends all that comes behind.
          Effect.onExit((exit) => {
            const { reason } = end
            // Nobody would go on with a partition whose work has stalled.
            if (reason !== undefined && reason !== "given up") return Effect.asVoid(Deferred.fail(failed, reason))
            // An interrupt of the user's own making is a failure like others: the partition would stand still.
            if (Exit.isFailure(exit) && reason === undefined)
              return Effect.asVoid(Deferred.failCause(failed, exit.cause))
            return Effect.void
          }),
          Effect.exit,
          Effect.asVoid
        )

      const startAll: Effect.Effect<void, ConsumerError, R | R2> = Effect.gen(function* () {
        while (true) {
          const owned = yield* Queue.take(arrivals)
          if (owned.isEnding || owned.isRead) continue
          owned.isRead = true
          // Who takes a partition away does not wait for ever.
          const end: { reason: "given up" | ConsumerError | undefined } = { reason: undefined }
          const fiber = yield* FiberSet.run(workers, work(owned, end))
          owned.interrupt = () => {
            end.reason = owned.failure ?? "given up"
            fiber.interruptUnsafe()
          }
        }
      }).pipe(
        // No more will come: those that are at work come to their ends.
        Effect.catchTag("Done", () => FiberSet.awaitEmpty(workers))
      )
      yield* Effect.raceFirst(startAll, Deferred.await(failed))
    })
  )

const workOn = <A, E, R, R2>(
  owned: OwnedPartition,
  delivery: Delivery.Delivery<A, R2>,
  { maxPollRecords, perKey, process }: Task<A, E, R>
): Effect.Effect<void, E | ConsumerError | SerdeError, R | R2> =>
  perKey !== undefined
    ? KeyedWork.run(owned, delivery, process, { keys: perKey, maxPollRecords })
    : Effect.suspend(() => {
        const { lease } = owned
        const next = delivery.nextOf(owned)
        return Effect.gen(function* () {
          while (true) {
            const delivered = yield* next
            if (delivered === undefined) return
            const { jumps } = lease
            yield* process(delivered)
            // What was finished before a seek is not where the group is now.
            if (jumps === lease.jumps) owned.finished = delivered.end
            owned.openFrom = undefined
          }
        }).pipe(
          // What was not finished is for the next who works on the partition.
          Effect.ensuring(
            Effect.sync(() => {
              if (owned.openFrom !== undefined && !owned.isEnding) owned.handAgain(owned.openFrom)
            })
          )
        )
      })
