/**
 * Exponential backoff with jitter, as Kafka's clients do it (KIP-144, KIP-580): doubled with each failure up to a
 * limit, then scaled by a factor between 0.8 and 1.2.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { KafkaError } from "../KafkaError.ts"

/** The wait before the next attempt in milliseconds, after so many failures in a row. @internal */
export const delay = (initial: number, max: number, failures: number): Effect.Effect<number> =>
  Effect.map(Random.next, (random) => Math.min(max, initial * 2 ** Math.max(0, failures - 1)) * (0.8 + 0.4 * random))

/** Milliseconds of a clock that only goes forward. @internal */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / nanosPerMilli)

const nanosPerMilli = BigInt(1_000_000)

/**
 * Repeats what fails with a retriable error, with backoff in between, until the deadline: one deadline over all tries.
 * The last error is what the caller sees.
 *
 * @internal
 */
export const retryUntil = <A, R>(
  effect: Effect.Effect<A, KafkaError, R>,
  options: {
    readonly retryBackoff: number
    readonly retryBackoffMax: number
    readonly timeout: number
    /** Which errors to try again after. Defaults to those that are retriable. */
    readonly while?: ((error: KafkaError) => boolean) | undefined
  }
): Effect.Effect<A, KafkaError, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const deadline = monotonicMillis(clock) + options.timeout
    const goesOn = options.while ?? ((error) => error.isRetriable)
    const attempt = (failures: number): Effect.Effect<A, KafkaError, R> =>
      Effect.catch(effect, (error) =>
        Effect.flatMap(delay(options.retryBackoff, options.retryBackoffMax, failures + 1), (wait) =>
          goesOn(error) && monotonicMillis(clock) + wait < deadline
            ? Effect.andThen(Effect.sleep(wait), attempt(failures + 1))
            : Effect.fail(error)
        )
      )
    return attempt(0)
  })
