/**
 * A rebalance from the member's side: gives up what it must, joins, and takes in what it was given; after a failure,
 * what the error asks for. One at a time, with backoff between those that fail.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Assigned } from "../../Assignor.ts"
import type { Cluster } from "../../Cluster.ts"
import type { KafkaError } from "../../KafkaError.ts"
import * as Backoff from "../Backoff.ts"
import * as ClassicJoin from "./ClassicJoin.ts"
import type { ClassicRequests } from "./ClassicRequests.ts"
import * as GroupErrors from "./GroupErrors.ts"
import type { Handovers } from "./Handovers.ts"
import type { MemberState } from "./MemberState.ts"
import type { Options } from "./Membership.ts"
import * as Rebalance from "./Rebalance.ts"

/** @internal */
export interface ClassicRebalance {
  /** One step towards a new assignment; whether another is needed, the state says. */
  readonly once: Effect.Effect<void>
  /** Asks for a rebalance when metadata shows that the last one is out of date. */
  readonly watch: Effect.Effect<void>
}

/** @internal */
export const make = (
  cluster: Cluster,
  options: Options,
  state: MemberState,
  requests: ClassicRequests,
  handovers: Handovers
): ClassicRebalance => {
  const joiner = ClassicJoin.make(cluster, options, state, requests)
  const cooperative = Rebalance.isCooperative(options.assignors)
  const { retryBackoff, retryBackoffMax } = cluster.settings
  let isTold = false

  const mustGo = () => Rebalance.beforeJoin(state.owned, options.subscription(), cooperative)

  const failed = Effect.fnUntraced(function* (error: KafkaError, reason: string) {
    const meaning = GroupErrors.ofError(error)
    state.failures++
    state.wanted ??= reason
    // Once per series: the rest is more of the same.
    if (isTold) yield* Effect.logDebug(`could not join: ${error.message}`)
    else yield* state.log(`could not join: ${error.message}`)
    isTold = true
    if (meaning === "coordinator") yield* cluster.invalidateCoordinator("group", options.groupId)
    else if (meaning === "lost" || meaning === "unknown") state.lose(error.message, { forget: meaning === "unknown" })
    else if (meaning === "final") state.fail(GroupErrors.final(error, options))
  })

  /** Gives what is to be given up. */
  const accept = Effect.fnUntraced(function* (assigned: Assigned) {
    isTold = false
    // A topic may have been unsubscribed from meanwhile; the next Join says so.
    const wanted = new Set(options.subscription())
    const partitions = assigned.partitions.filter(({ topic }) => wanted.has(topic))
    const added = Rebalance.without(partitions, state.owned)
    const revoked = Rebalance.without(state.owned, partitions)
    state.owned = [...state.owned, ...added]
    state.accept(assigned)
    yield* requests.joined
    yield* state.log("the group has shared out its partitions", {
      "kafka.partitions": Rebalance.describe(partitions),
      "kafka.added": Rebalance.describe(added),
      "kafka.revoked": Rebalance.describe(revoked)
    })
    // Before the revoke, which may take long: they are nobody else's.
    yield* handovers.assign(added)
    return revoked
  })

  const once = Effect.gen(function* () {
    const givenUp = mustGo()
    if (givenUp.length > 0) return yield* handovers.revoke(givenUp, state.wanted ?? "")
    if (state.failures > 0) {
      yield* Effect.sleep(yield* Backoff.delay(retryBackoff, retryBackoffMax, state.failures))
      state.expireKept()
      // Meanwhile it may have lost all, or unsubscribed from some of what it keeps.
      if (state.lost.length > 0 || state.failure !== undefined || mustGo().length > 0) return
    }
    const reason = state.join()
    yield* state.log(`joining: ${reason}`)
    // Who has lost what he kept has lost his place: the answer may never come.
    const lost = Effect.as(state.hasLost.await, undefined)
    const joined = yield* Effect.raceFirst(Effect.result(joiner.join(reason)), lost)
    // What it kept may have been lost meanwhile, and even the place that it was given.
    yield* handovers.tellLost
    // Behind a request that is not answered the coordinator takes no other.
    if (joined === undefined) return yield* requests.joined
    if (Result.isFailure(joined)) {
      if (joined.failure._tag === "KafkaError") return yield* failed(joined.failure, reason)
      return state.fail(joined.failure)
    }
    if (state.phase !== "syncing") return
    // What it owns its owner has been told of: who leaves meanwhile gives it back.
    const revoked = yield* Effect.uninterruptible(accept(joined.success))
    if (revoked.length > 0) {
      yield* handovers.revoke(revoked, "the group gives them to others")
      state.wanted ??= `gave up partitions: ${Rebalance.describe(revoked)}`
    }
    joiner.check()
  })

  return { once, watch: joiner.watch }
}
