/**
 * Virtual environments of Python under `.cache`, made by `pip` when they are asked for the first time.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Maven from "./Maven.ts"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

/**
 * What an environment is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The directory under `.cache`, and what messages call it. */
  readonly name: string
  /** What `pip` installs. */
  readonly packages: ReadonlyArray<string>
  /** The modules that are imported to see whether the environment is whole. */
  readonly imports: string
  /** Pythons that will do, in order; the first that runs is taken. Defaults to `python3`. */
  readonly commands?: ReadonlyArray<string>
}

/**
 * The `python` program of an environment.
 *
 * Fails with a `RigError` of reason `"Missing"` that says why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const python = (options: Options): Effect.Effect<string, RigError> =>
  Effect.gen(function* () {
    const directory = join(Maven.cacheDirectory, options.name)
    const inside = join(directory, "bin", "python")
    const imports = Program.runOrFail(inside, ["-c", `import ${options.imports}`])
    const install = Effect.gen(function* () {
      const commands = options.commands ?? ["python3"]
      // a name on the path may be a stub of a version manager, so each is run
      const base = yield* Effect.firstSuccessOf(
        commands.map((command) => Effect.as(Program.runOrFail(command, ["--version"]), command))
      )
      yield* Program.runOrFail(base, ["-m", "venv", "--clear", directory])
      yield* Program.runOrFail(inside, ["-m", "pip", "install", "--quiet", ...options.packages])
      yield* imports
    })
    yield* Effect.catch(imports, () => install)
    return inside
  }).pipe(
    Effect.mapError(
      ({ message }) =>
        new RigError({ reason: "Missing", message: `${options.name} is not installed: ${message.split("\n")[0]}` })
    )
  )
