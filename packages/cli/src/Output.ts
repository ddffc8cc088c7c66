/**
 * Standard output as bytes: written in order, each write awaited, so that a slow reader holds the writer back.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Whoever read standard output has gone, as `head` does when it has enough.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutputClosed extends Data.TaggedError("OutputClosed") {}

/**
 * Standard output cannot be written, for example because the disk is full.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutputFailed extends Data.TaggedError("OutputFailed")<{ readonly cause: Error }> {
  override get message(): string {
    return `standard output cannot be written: ${this.cause.message}`
  }
}

const isClosed = (error: Error): boolean =>
  "code" in error && (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED")

/** Who does not read for so long after an interruption does not get the rest. */
const patience = "5 seconds"

/**
 * Writes bytes to standard output and waits until they are handed to the system; they must stay as they are until then.
 * What is being written when it is interrupted is waited for, 5 seconds at most. `onWritten` is called as soon as all is
 * written, after an interruption too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const write = (
  bytes: Uint8Array,
  onWritten: () => void = () => {}
): Effect.Effect<void, OutputClosed | OutputFailed> =>
  Effect.callback((resume) => {
    const done = Deferred.makeUnsafe<void>()
    process.stdout.write(bytes, (error) => {
      const isWritten = error === undefined || error === null
      if (isWritten) onWritten()
      Deferred.doneUnsafe(done, Exit.void)
      if (isWritten) resume(Effect.void)
      else resume(Effect.fail(isClosed(error) ? new OutputClosed() : new OutputFailed({ cause: error })))
    })
    return Effect.asVoid(Effect.timeoutOption(Deferred.await(done), patience))
  })
