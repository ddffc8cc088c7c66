/**
 * Standard output as bytes: written in order, each write awaited, so that a slow reader holds the writer back.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

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

/**
 * Writes bytes to standard output and waits until they are handed to the system; they must stay as they are until then.
 *
 * @category constructors
 * @since 0.1.0
 */
export const write = (bytes: Uint8Array): Effect.Effect<void, OutputClosed | OutputFailed> =>
  Effect.callback((resume) => {
    process.stdout.write(bytes, (error) => {
      if (error === undefined || error === null) resume(Effect.void)
      else resume(Effect.fail(isClosed(error) ? new OutputClosed() : new OutputFailed({ cause: error })))
    })
  })
