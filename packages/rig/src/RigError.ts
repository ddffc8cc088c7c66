/**
 * The one error of the rig.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Something outside this program did not do what was asked of it.
 *
 * **Details**
 *
 * `reason` is `"Missing"` when a program (Java, Maven, kcat) is not installed, `"Maven"` when Maven could not resolve
 * the artifacts, `"Broker"` when a broker did not start, stop or exist, `"Tool"` when a command-line tool failed.
 * `message` says what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RigError extends Data.TaggedError("RigError")<{
  readonly reason: "Missing" | "Maven" | "Broker" | "Tool"
  readonly message: string
}> {}
