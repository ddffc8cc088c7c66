/**
 * A directory that a cluster cannot keep its data in.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

const told = {
  InUse: { trouble: "is in use", advice: "end what uses it, or name another" },
  Foreign: { trouble: "has something else in it", advice: "name an empty or a new one" },
  Damaged: { trouble: "is damaged", advice: "mend or remove it, or name another" },
  Inaccessible: { trouble: "cannot be used", advice: "mend its permissions, or name another" }
}

/**
 * A directory that a cluster cannot keep its data in. `InUse`: another process keeps its own there; `Foreign`: something
 * else is there; `Damaged`: what the cluster wrote cannot be read; `Inaccessible`: the system refuses.
 *
 * @category errors
 * @since 0.1.0
 */
export class DataDirectoryError extends Data.TaggedError("DataDirectoryError")<{
  readonly reason: keyof typeof told
  readonly directory: string
  readonly detail: string
}> {
  override get message(): string {
    const { detail, directory, reason } = this
    const { advice, trouble } = told[reason]
    return `the data directory ${directory} ${trouble} (${detail}): ${advice}`
  }
}
