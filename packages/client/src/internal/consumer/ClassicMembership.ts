/**
 * Membership by the classic group protocol: Join, Sync, Heartbeat, Leave.
 *
 * One fiber is the state machine: it revokes, joins, tells its owner what came, and waits for a reason to do so again.
 * A second one sends heartbeats, whatever the first and the owner's handlers are at. Others leave notes in `MemberState`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { Cluster } from "../../Cluster.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import * as Backoff from "../Backoff.ts"
import * as ClassicRebalance from "./ClassicRebalance.ts"
import * as ClassicRequests from "./ClassicRequests.ts"
import * as Handovers from "./Handovers.ts"
import * as Heartbeats from "./Heartbeats.ts"
import { MemberState } from "./MemberState.ts"
import type { Handlers, Membership, Options } from "./Membership.ts"

/** How long Leave may take, and everything that a closed scope still does, in milliseconds. */
const leaveTimeout = 5000

/**
 * Joins the group, and stays in it for as long as the scope.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  options: Options,
  handlers: Handlers
): Effect.fn.Return<Membership, never, Scope.Scope> {
  // Ends after the finalizer below has left the group, which forks too.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const clock = yield* Clock.Clock
  const state = new MemberState(options, () => Backoff.monotonicMillis(clock))
  const requests = ClassicRequests.make(cluster, options)
  const handovers = Handovers.make(state, handlers, scope)
  const rebalance = ClassicRebalance.make(cluster, options, state, requests, handovers)
  const leaving = Latch.makeUnsafe()
  const failure = Deferred.makeUnsafe<never, ConsumerError>()
  const left = Deferred.makeUnsafe<void>()

  const step = Effect.suspend(() => {
    state.changed.closeUnsafe()
    if (state.lost.length > 0) return handovers.tellLost
    return state.wanted === undefined ? state.changed.await : rebalance.once
  })

  const stay = Effect.gen(function* () {
    while (state.failure === undefined) yield* step
    yield* handovers.tellLost
    yield* state.log(`the membership has ended: ${state.failure.message}`)
    yield* depart(state.failure.message)
  })

  /** What a member that goes gives back: first its partitions, then its place. */
  const goodbye = Effect.gen(function* () {
    // Nothing can be committed before Sync is answered, which may take as long as the slowest member.
    if (state.phase === "syncing") state.lose("the member left before the group had shared out its partitions")
    yield* handovers.revoked
    yield* handovers.revoke(state.owned, "the member leaves")
    yield* handovers.tellLost
    state.end()
    yield* depart("the consumer was closed")
  })

  const depart = (reason: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (state.memberId === "" || options.groupInstanceId !== undefined) return Effect.void
      return state.log(`leaving the group: ${reason}`).pipe(
        Effect.andThen(requests.leave(state.memberId, reason)),
        Effect.timeout(leaveTimeout),
        Effect.catch((error) => Effect.logDebug(`the group was left without an answer: ${error.message}`))
      )
    })

  /** A mistake of this program, or of a handler, must not leave the owner waiting. */
  const ended = (exit: Exit.Exit<void>): void => {
    state.end()
    if (state.failure !== undefined) Deferred.doneUnsafe(failure, Exit.fail(state.failure))
    else if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
      Deferred.doneUnsafe(failure, Exit.failCause(exit.cause))
    }
    Deferred.doneUnsafe(left, Exit.void)
    state.told.openUnsafe()
  }

  const life = Effect.raceFirst(stay, Effect.andThen(leaving.await, Effect.succeed("leaving"))).pipe(
    Effect.flatMap((outcome) => (outcome === "leaving" ? goodbye : Effect.void)),
    Effect.catchDefect((defect) => {
      state.die()
      // A listener that has died may die again.
      const told = Effect.exit(handovers.tellLost)
      return Effect.andThen(Effect.andThen(told, depart("the member failed")), Effect.die(defect))
    }),
    Effect.onExit((exit) => Effect.sync(() => ended(exit)))
  )

  const leave = Effect.suspend(() => {
    state.isLeaving = true
    leaving.openUnsafe()
    return Deferred.await(left)
  })

  const start = (effect: Effect.Effect<void>) =>
    Effect.forkIn(Effect.annotateLogs(effect, { "kafka.group": options.groupId }), scope)
  yield* Effect.addFinalizer(() => requests.joined)
  yield* start(Heartbeats.run(cluster, options, state, requests))
  yield* start(rebalance.watch)
  yield* start(
    Effect.forever(
      Effect.delay(
        Effect.sync(() => state.pulse()),
        options.sessionTimeout / 4
      )
    )
  )
  yield* start(life)
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(leave), leaveTimeout))

  return {
    identity: () => state.identity(),
    told: Effect.suspend(() => {
      state.expire()
      return state.told.await
    }),
    assigned: () => {
      state.expire()
      return state.owned
    },
    rejoin: (reason) => Effect.sync(() => state.want(reason)),
    refused: (identity, errorCode) => Heartbeats.refused(state, options, identity, errorCode),
    failure: Deferred.await(failure),
    leave
  }
})
