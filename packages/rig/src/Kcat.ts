/**
 * kcat, the command-line tool on librdkafka: a second measure beside Kafka's own tools.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Maven from "./Maven.ts"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

/**
 * The `kcat` program: the first on `PATH`, else the private copy that `bin/install-kcat.sh` makes; `undefined` without.
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = (): string | undefined =>
  Program.find("kcat") ?? Program.find("kcat", join(Maven.cacheDirectory, "kcat", "bin"))

/**
 * The `kcat` program.
 *
 * Fails with a `RigError` of reason `"Missing"` that says how to get it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const executable: Effect.Effect<string, RigError> = Effect.suspend(() => {
  const found = find()
  return found === undefined
    ? Effect.fail(
        new RigError({
          reason: "Missing",
          message: "kcat is not installed: get it by packages/rig/bin/install-kcat.sh or apt-get install kcat"
        })
      )
    : Effect.succeed(found)
})

/**
 * Runs kcat with these arguments. Interruption kills it.
 *
 * Fails with a `RigError`: `"Missing"` without kcat, `"Tool"` with the last lines that it wrote unless it exits with 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = (
  args: ReadonlyArray<string>,
  options: Program.RunOptions = {}
): Effect.Effect<Program.Output, RigError> =>
  Effect.flatMap(executable, (kcat) => Program.runOrFail(kcat, args, options))
