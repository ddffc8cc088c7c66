/**
 * Lets the event loop turn while batch after batch is taken and decoded, so that timers, heartbeats and sockets are served:
 * whoever has had its slice waits for the next turn of the loop, and all who share it with him.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

/** @internal */
export interface LoopTurns {
  /** Whether the slice is used up: then `next` is due. */
  readonly isOver: () => boolean
  /** Bytes were given out to be decoded. */
  readonly spend: (bytes: number) => void
  /** Someone has waited for something else: the loop has turned. */
  readonly turned: () => void
  /** Waits until the loop has turned. */
  readonly next: Effect.Effect<void>
}

const sliceBytes = 1024 * 1024

/** In milliseconds. */
const sliceTime = 5

/** @internal */
export const make = (now: () => number): LoopTurns => {
  let since = now()
  let bytes = 0
  let turning: Latch.Latch | undefined
  const turned = (): void => {
    since = now()
    bytes = 0
  }
  // Whoever is interrupted here leaves no turn behind that never ends.
  const begin = Effect.uninterruptible(
    Effect.suspend(() => {
      const latch = Latch.makeUnsafe()
      turning = latch
      // The scheduler goes on by setImmediate: timers and sockets come before it.
      return Effect.map(Effect.yieldNow, () => {
        turning = undefined
        turned()
        latch.openUnsafe()
      })
    })
  )
  return {
    isOver: () => turning !== undefined || bytes >= sliceBytes || now() - since >= sliceTime,
    spend: (more) => {
      bytes += more
    },
    turned,
    next: Effect.suspend(() => (turning === undefined ? begin : turning.await))
  }
}
