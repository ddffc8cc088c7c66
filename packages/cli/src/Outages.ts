/**
 * Says on standard error when no connection to a broker can be had, once until one can: the client goes on trying, and a
 * person who waits should know for what.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Kafka from "kafka-effect/Kafka"

/**
 * Watches the client's connections for as long as the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const report: Effect.Effect<void, never, Kafka.Kafka | Scope.Scope> = Effect.gen(function* () {
  const { cluster } = yield* Kafka.Kafka
  let isTold = false
  yield* cluster.connectionEvents.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "Ready") isTold = false
        if (event._tag !== "Failed" || isTold) return
        isTold = true
        process.stderr.write(`${event.error.message}; trying again\n`)
      })
    ),
    Effect.forkScoped
  )
})
