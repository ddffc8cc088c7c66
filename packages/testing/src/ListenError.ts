/**
 * A port that a broker cannot listen on.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A port that a broker cannot listen on: most often another program does.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly port: number
  readonly cause: unknown
}> {
  override get message(): string {
    const { cause, port } = this
    const why = cause instanceof Error ? cause.message : String(cause)
    return `no broker can listen on port ${port} (${why}): name another port, or end what listens there`
  }
}
