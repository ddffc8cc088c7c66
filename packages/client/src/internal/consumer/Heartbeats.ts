/**
 * Keeps a member alive in the classic protocol, and hears first of what happens to the group.
 *
 * It runs beside everything else: no handler, join or commit holds it up. The session is watched here too: what ends it
 * is the clock, not an answer.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Cluster } from "../../Cluster.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { delay, monotonicMillis } from "../Backoff.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { ClassicRequests } from "./ClassicRequests.ts"
import * as GroupErrors from "./GroupErrors.ts"
import type { MemberState } from "./MemberState.ts"
import type { MemberIdentity, Options } from "./Membership.ts"

/** Sends heartbeats while there is a membership; ends with its fiber. @internal */
export const run = (
  cluster: Cluster,
  options: Options,
  state: MemberState,
  requests: ClassicRequests
): Effect.Effect<never> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const now = (): number => monotonicMillis(clock)
    const { retryBackoff, retryBackoffMax } = cluster.settings
    let failures = 0

    /** Waits, but no longer than the session lasts; less if there is no time to lose. */
    const pause = (millis: number) =>
      Effect.suspend(() => {
        if (state.phase !== "member") return Effect.void
        state.hurry.closeUnsafe()
        return Effect.raceFirst(Effect.sleep(Math.max(0, Math.min(millis, state.remaining()))), state.hurry.await)
      })

    const failed = Effect.fnUntraced(function* (error: KafkaError) {
      const meaning = apply(state, options, error)
      if (meaning !== "coordinator" && meaning !== "wait") return
      failures++
      if (failures === 1) yield* Effect.logInfo(`a heartbeat failed: ${error.message}`)
      if (meaning === "coordinator") yield* cluster.invalidateCoordinator("group", options.groupId)
      yield* pause(yield* delay(retryBackoff, retryBackoffMax, failures))
    })

    const beat = Effect.gen(function* () {
      const identity = state.identity()
      if (identity === undefined) return
      const sentAt = now()
      const answer = yield* requests
        .heartbeat(identity)
        .pipe(Effect.result, Effect.timeoutOption(Math.max(0, state.remaining())))
      // An answer to who it was before says nothing.
      if (state.phase !== "member" || !state.isCurrent(identity)) return
      if (Option.isNone(answer)) return state.expire()
      const result = answer.value
      if (Result.isSuccess(result) || isRebalancing(result.failure)) {
        failures = 0
        options.onHeartbeat?.(now() - sentAt)
        state.heard(sentAt, Result.isSuccess(result))
      }
      if (Result.isFailure(result)) yield* failed(result.failure)
      if (failures === 0) yield* pause(sentAt + options.heartbeatInterval - now())
    })

    return state.isAlive.await.pipe(
      Effect.andThen(
        Effect.suspend(() => {
          failures = 0
          return pause(options.heartbeatInterval)
        })
      ),
      Effect.andThen(Effect.whileLoop({ while: () => state.phase === "member", body: () => beat, step: () => {} })),
      Effect.forever
    )
  })

const isRebalancing = ({ reason }: KafkaError): boolean =>
  reason._tag === "BrokerError" && reason.code === codes.REBALANCE_IN_PROGRESS

/** A commit was refused; what that means was said of the identity that it carried. @internal */
export const refused = (state: MemberState, options: Options, identity: MemberIdentity, code: number): void => {
  // While it joins the generation may have ended already: the answer to Join tells more. But who leaves joins no more, and
  // whom the group does not know any more is told nothing.
  const isForgotten = code === codes.UNKNOWN_MEMBER_ID || code === codes.FENCED_INSTANCE_ID
  const isSaid = state.phase === "member" || (state.phase === "joining" && (state.isLeaving || isForgotten))
  if (!isSaid || !state.isCurrent(identity)) return
  const error = brokerError({ nodeId: -1, broker: "the coordinator", api: "OffsetCommit", code })
  if (GroupErrors.ofCode(code) !== undefined) apply(state, options, error)
  // A heartbeat finds the new coordinator, or hears of the end.
  state.hurry.openUnsafe()
}

/** Changes the state as the error says; gives what it means. */
const apply = (state: MemberState, options: Options, error: KafkaError): GroupErrors.Meaning => {
  const meaning = GroupErrors.ofError(error)
  if (meaning === "rejoin") state.want("the group rebalances")
  else if (meaning === "lost" || meaning === "unknown") state.lose(error.message, { forget: meaning === "unknown" })
  else if (meaning === "final") state.fail(GroupErrors.final(error, options))
  return meaning
}
