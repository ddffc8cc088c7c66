/**
 * Virtual time for tests: under a `TestClock`, and with the network in memory, clients and cluster wait for nothing but the
 * test.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

/**
 * Runs an effect under a `TestClock`, and lets time pass, a step at a time, until it is done: what would wait for half a
 * minute ends at once. The step defaults to 5 ms.
 *
 * @category running
 * @since 0.1.0
 */
export const passing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  step: Duration.Input = "5 millis"
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(step)
      // What other threads do, as they do with large batches, takes real time.
      yield* settled
    }
    return yield* Fiber.join(fiber)
  })

const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
