/**
 * Programs in Go, for tests of clients that are written in it.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { cacheDirectory } from "./Maven.ts"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

/**
 * Builds the module in a directory into `.cache/go` under the repository's root, and gives the program. The first time, the
 * modules that it needs are downloaded.
 *
 * Fails with a `RigError` of reason `"Missing"` that says why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const build = (directory: string, name: string): Effect.Effect<string, RigError> =>
  Effect.suspend(() => {
    const go = Program.find("go")
    if (go === undefined) {
      return Effect.fail(
        new RigError({ reason: "Missing", message: "Go is not installed: get it, e.g. apt-get install golang-go" })
      )
    }
    const program = join(cacheDirectory, "go", name)
    return Program.runOrFail(go, ["build", "-o", program, "."], { cwd: directory }).pipe(
      Effect.as(program),
      Effect.mapError(
        (error) =>
          new RigError({ reason: "Missing", message: `${name} could not be built: ${error.message.slice(0, 500)}` })
      )
    )
  })
