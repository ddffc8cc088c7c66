/**
 * Options that do not go together.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Options that cannot both be meant, or that mean nothing here.
 *
 * @category errors
 * @since 0.1.0
 */
export class Contradiction extends Data.TaggedError("Contradiction")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}
