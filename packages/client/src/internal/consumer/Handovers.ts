/**
 * Partitions that change hands: tells the member's owner of them, in order, and keeps what is owned in step with it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { TopicPartition } from "../../Topic.ts"
import type { MemberState } from "./MemberState.ts"
import type { Handlers } from "./Membership.ts"
import * as Rebalance from "./Rebalance.ts"

/** @internal */
export interface Handovers {
  readonly assign: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /**
   * Returns when they are given up, or everything is lost. Who is interrupted meanwhile has begun it all the same, and
   * waits for it with `revoked`.
   */
  readonly revoke: (partitions: ReadonlyArray<TopicPartition>, why: string) => Effect.Effect<void>
  /** Waits for what is being revoked. */
  readonly revoked: Effect.Effect<void>
  /** Tells of what has been lost. */
  readonly tellLost: Effect.Effect<void>
}

interface Revoking {
  readonly partitions: ReadonlyArray<TopicPartition>
  readonly fiber: Fiber.Fiber<void>
}

/** Revokes run in the scope. @internal */
export const make = (state: MemberState, handlers: Handlers, scope: Scope.Scope): Handovers => {
  let revoking: Revoking | undefined

  const revoked = Effect.suspend(() => {
    if (revoking === undefined) return Effect.void
    const { fiber, partitions } = revoking
    return Effect.raceFirst(Effect.flatMap(Fiber.await(fiber), orDie), state.hasLost.await).pipe(
      Effect.andThen(Fiber.interrupt(fiber)),
      Effect.andThen(
        Effect.sync(() => {
          revoking = undefined
          state.owned = Rebalance.without(state.owned, partitions)
        })
      )
    )
  })

  const revoke: Handovers["revoke"] = Effect.fnUntraced(function* (partitions, why) {
    if (partitions.length === 0 || state.lost.length > 0) return
    yield* state.log(`revoking partitions: ${why}`, { "kafka.partitions": Rebalance.describe(partitions) })
    const begin = Effect.map(Effect.forkIn(handlers.revoke(partitions), scope), (fiber) => {
      revoking = { partitions, fiber }
    })
    yield* Effect.uninterruptible(begin)
    yield* revoked
  })

  const tellLost = Effect.suspend(() => {
    const { lost, lostBecause } = state
    if (lost.length === 0) return Effect.void
    state.toldLost()
    const details = { "kafka.partitions": Rebalance.describe(lost) }
    return state
      .log(`partitions are lost: ${lostBecause}`, details)
      .pipe(Effect.andThen(handlers.lost(lost)), Effect.andThen(Effect.sync(() => state.tell())))
  })

  return {
    assign: (partitions) => Effect.uninterruptible(handlers.assign(partitions)),
    revoke,
    revoked,
    tellLost: Effect.uninterruptible(tellLost)
  }
}

/** A handler that was interrupted by its owner has given up: so are the partitions. */
const orDie = (exit: Exit.Exit<void>): Effect.Effect<void> =>
  Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? Effect.failCause(exit.cause) : Effect.void
