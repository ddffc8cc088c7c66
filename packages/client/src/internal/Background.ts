/**
 * Work that belongs to the client and not to the caller who happened to ask first: it runs in the client's scope and
 * context, goes on when that caller is interrupted, and every caller who waits for it hears of the end.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { ConnectionLost, KafkaError } from "../KafkaError.ts"

/** @internal */
export interface Background {
  /** Starts the work at once; the deferred gets its outcome, or `clientClosed` when the scope ends before it. */
  readonly into: <A>(
    work: Effect.Effect<A, KafkaError>,
    deferred: Deferred.Deferred<A, KafkaError>
  ) => Effect.Effect<void>
}

/** The client's scope has ended. @internal */
export const clientClosed = (): KafkaError => {
  const detail = "the client is closed"
  const cluster = { nodeId: -1, broker: "the cluster" }
  return new KafkaError({ reason: new ConnectionLost({ ...cluster, closedBy: "client", detail, maybeSent: false }) })
}

/** @internal */
export const isClientClosed = ({ reason }: KafkaError): boolean =>
  reason._tag === "ConnectionLost" && reason.closedBy === "client"

/** @internal */
export const make: Effect.Effect<Background, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  return {
    into: <A>(work: Effect.Effect<A, KafkaError>, deferred: Deferred.Deferred<A, KafkaError>) =>
      Effect.suspend(() => {
        if (scope.state._tag === "Closed") {
          Deferred.doneUnsafe(deferred, Exit.fail(clientClosed()))
          return Effect.void
        }
        return work.pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => {
              const isCut = Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
              Deferred.doneUnsafe(deferred, isCut ? Exit.fail(clientClosed()) : exit)
            })
          ),
          Effect.exit,
          // The caller's clock, spans and references are not the client's.
          Effect.updateContext((_: Context.Context<never>) => context),
          Effect.forkIn(scope, { startImmediately: true }),
          Effect.asVoid
        )
      })
  }
})
