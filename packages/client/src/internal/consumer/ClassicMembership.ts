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
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Assigned } from "../../Assignor.ts"
import type { Cluster } from "../../Cluster.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { TopicPartition } from "../../Topic.ts"
import * as Backoff from "../Backoff.ts"
import * as ClassicJoin from "./ClassicJoin.ts"
import * as ClassicRequests from "./ClassicRequests.ts"
import * as GroupErrors from "./GroupErrors.ts"
import * as Heartbeats from "./Heartbeats.ts"
import { MemberState } from "./MemberState.ts"
import type { Handlers, Membership, Options } from "./Membership.ts"
import * as Rebalance from "./Rebalance.ts"

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
  const joiner = ClassicJoin.make(cluster, options, state, requests)
  const cooperative = Rebalance.isCooperative(options.assignors)
  const leaving = Latch.makeUnsafe()
  const failure = Deferred.makeUnsafe<never, ConsumerError>()
  const left = Deferred.makeUnsafe<void>()
  let draining: { readonly partitions: ReadonlyArray<TopicPartition>; readonly fiber: Fiber.Fiber<void> } | undefined

  const { retryBackoff, retryBackoffMax } = cluster.settings

  /** Waits for the revoke that is under way, or its loss. */
  const drained = Effect.suspend(() => {
    if (draining === undefined) return Effect.void
    const { fiber, partitions } = draining
    return Effect.raceFirst(Fiber.join(fiber), state.hasLost.await).pipe(
      Effect.andThen(Fiber.interrupt(fiber)),
      Effect.andThen(
        Effect.sync(() => {
          draining = undefined
          state.owned = Rebalance.without(state.owned, partitions)
        })
      )
    )
  })

  /** In a fiber of its own: who leaves meanwhile waits for it, and does not begin it anew. */
  const drain = Effect.fnUntraced(function* (partitions: ReadonlyArray<TopicPartition>, why: string) {
    yield* log(state, `revoking partitions: ${why}`, { partitions: Rebalance.describe(partitions) })
    draining = { partitions, fiber: yield* Effect.forkIn(handlers.revoke(partitions), scope) }
    yield* drained
  })

  const tellLost = Effect.uninterruptible(
    Effect.suspend(() => {
      const lost = state.takeLost()
      if (lost.length === 0) return Effect.void
      const why = state.failure?.message ?? state.wanted ?? ""
      return log(state, `partitions are lost: ${why}`, { partitions: Rebalance.describe(lost) }).pipe(
        Effect.andThen(handlers.lost(lost)),
        Effect.andThen(Effect.sync(() => state.tell()))
      )
    })
  )

  const failed = Effect.fnUntraced(function* (error: KafkaError, reason: string) {
    const meaning = GroupErrors.ofError(error)
    state.failures++
    state.wanted ??= reason
    // Once per series: a coordinator that is away is told of by its connections too.
    if (meaning !== "rejoin" && state.failures === 1) yield* log(state, `could not join: ${error.message}`)
    if (meaning === "coordinator") yield* cluster.invalidateCoordinator("group", options.groupId)
    else if (meaning === "lost" || meaning === "unknown") state.lose(error.message, { forget: meaning === "unknown" })
    else if (meaning === "final") state.fail(GroupErrors.final(error, options))
  })

  const accept = Effect.fnUntraced(function* (assigned: Assigned) {
    // A topic may have been unsubscribed from meanwhile; the next Join says so.
    const wanted = new Set(options.subscription())
    const partitions = assigned.partitions.filter(({ topic }) => wanted.has(topic))
    const added = Rebalance.without(partitions, state.owned)
    const revoked = Rebalance.without(state.owned, partitions)
    state.owned = [...state.owned, ...added]
    state.accept(assigned)
    yield* requests.joined
    yield* log(state, "the group has shared out its partitions", {
      partitions: Rebalance.describe(partitions),
      added: Rebalance.describe(added),
      revoked: Rebalance.describe(revoked)
    })
    // Before the revoke, which may take long: they are nobody else's.
    yield* Effect.uninterruptible(handlers.assign(added))
    if (revoked.length > 0) {
      yield* drain(revoked, "the group gives them to others")
      state.wanted ??= `gave up partitions: ${Rebalance.describe(revoked)}`
    }
    joiner.check()
  })

  const rebalance = Effect.gen(function* () {
    const givenUp = Rebalance.beforeJoin(state.owned, options.subscription(), cooperative)
    if (givenUp.length > 0) return yield* drain(givenUp, state.wanted ?? "")
    if (state.failures > 0) {
      yield* Effect.sleep(yield* Backoff.delay(retryBackoff, retryBackoffMax, state.failures))
      state.expireKept()
      // Meanwhile it may have lost all, or unsubscribed from some of what it keeps.
      const isReady = Rebalance.beforeJoin(state.owned, options.subscription(), cooperative).length === 0
      if (state.lost.length > 0 || state.failure !== undefined || !isReady) return
    }
    const reason = state.join()
    yield* log(state, `joining: ${reason}`)
    const joined = yield* Effect.result(joiner.join(reason))
    // What it kept may have been lost meanwhile, and even the place that it was given.
    yield* tellLost
    if (Result.isSuccess(joined)) {
      if (state.phase === "syncing") yield* accept(joined.success)
    } else if (joined.failure._tag === "KafkaError") yield* failed(joined.failure, reason)
    else state.fail(joined.failure)
  })

  const step = Effect.suspend(() => {
    state.changed.closeUnsafe()
    if (state.lost.length > 0) return tellLost
    return state.wanted === undefined ? state.changed.await : rebalance
  })

  const run = Effect.gen(function* () {
    while (state.failure === undefined) yield* step
    yield* tellLost
  })

  /** What a member that goes gives back: first its partitions, then its place. */
  const goodbye = Effect.gen(function* () {
    // Nothing could be committed before Sync is answered, which may take as long as the slowest member.
    if (state.phase === "syncing") state.lose("left the group before it had shared out its partitions")
    yield* drained
    if (state.owned.length > 0) yield* drain(state.owned, "leaving")
    yield* tellLost
    state.end()
    yield* depart("the consumer was closed")
  })

  const depart = (reason: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isFenced = state.failure?.reason._tag === "Fenced"
      if (state.memberId === "" || options.groupInstanceId !== undefined || isFenced) return requests.joined
      return log(state, `leaving the group: ${reason}`).pipe(
        Effect.andThen(requests.leave(state.memberId, reason)),
        Effect.timeout(leaveTimeout),
        Effect.catch((error) => Effect.logDebug(`the group was left without an answer: ${error.message}`)),
        Effect.andThen(requests.joined)
      )
    })

  const life = Effect.raceFirst(run, leaving.await).pipe(
    Effect.andThen(Effect.suspend(() => (state.failure === undefined ? goodbye : depart(state.failure.message)))),
    Effect.catchDefect((defect) => {
      state.end()
      return Effect.andThen(depart("the member failed"), Effect.die(defect))
    }),
    Effect.onExit((exit) =>
      Effect.sync(() => {
        state.end()
        if (state.failure !== undefined) Deferred.doneUnsafe(failure, Exit.fail(state.failure))
        // A mistake of this program, or of a handler, must not leave the owner waiting.
        else if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
          Deferred.doneUnsafe(failure, Exit.failCause(exit.cause))
        }
        Deferred.doneUnsafe(left, Exit.void)
        state.told.openUnsafe()
      })
    )
  )

  const leave = Effect.suspend(() => {
    state.isLeaving = true
    leaving.openUnsafe()
    return Deferred.await(left)
  })

  const start = (effect: Effect.Effect<void>) =>
    Effect.forkIn(Effect.annotateLogs(effect, { "kafka.group": options.groupId }), scope)
  yield* start(Heartbeats.run(cluster, options, state, requests))
  yield* start(joiner.watch)
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

/** Logs a change of the member's state. */
const log = (state: MemberState, message: string, details: Record<string, string> = {}): Effect.Effect<void> =>
  Effect.logInfo(message).pipe(
    Effect.annotateLogs({
      "kafka.member": state.memberId,
      "kafka.generation": state.generation,
      ...details
    })
  )
