/**
 * Runs other programs: where they are, and one whole run of one with its input and output.
 *
 * @since 0.1.0
 */
import { spawn } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import * as Effect from "effect/Effect"
import { RigError } from "./RigError.ts"

/**
 * What one finished run of a program left behind.
 *
 * @category models
 * @since 0.1.0
 */
export interface Output {
  /** `null` when a signal ended the program. */
  readonly exitCode: number | null
  readonly stdout: Uint8Array
  readonly stderr: string
}

/**
 * How a program is run.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** Written to the program's standard input, which is then closed. Defaults to nothing. */
  readonly stdin?: Uint8Array | string
  /** Working directory. Defaults to this program's own. */
  readonly cwd?: string
  /** Added to this program's own environment. */
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Finds an executable file of this name in a directory list such as `PATH`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = (name: string, path: string = process.env.PATH ?? ""): string | undefined => {
  for (const directory of path.split(delimiter)) {
    const candidate = join(directory, name)
    try {
      accessSync(candidate, constants.X_OK)
      if (directory !== "" && statSync(candidate).isFile()) return candidate
    } catch {
      // not in this directory
    }
  }
  return undefined
}

/**
 * Runs a program to its end and gives back what it wrote, whatever its exit code. Interruption kills it.
 *
 * Fails with a `RigError` of reason `"Tool"` when the program cannot be started at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {}
): Effect.Effect<Output, RigError> =>
  Effect.callback<Output, RigError>((resume) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd })
    })
    const stdout: Array<Uint8Array> = []
    const stderr: Array<Uint8Array> = []
    child.stdout.on("data", (chunk: Uint8Array) => stdout.push(chunk))
    child.stderr.on("data", (chunk: Uint8Array) => stderr.push(chunk))
    // a program may end without reading its input: what it made of that is told by its exit code
    child.stdin.on("error", () => {})
    child.on("error", (error) =>
      resume(Effect.fail(new RigError({ reason: "Tool", message: `${command} cannot be run: ${error.message}` })))
    )
    child.on("close", (exitCode) =>
      resume(
        Effect.succeed({ exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString("utf8") })
      )
    )
    child.stdin.end(options.stdin ?? "")
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/**
 * Like `run`, and fails with a `RigError` of reason `"Tool"`, carrying the last lines it wrote, unless it exits with 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const runOrFail = (
  command: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {}
): Effect.Effect<Output, RigError> =>
  Effect.flatMap(run(command, args, options), (output) =>
    output.exitCode === 0
      ? Effect.succeed(output)
      : Effect.fail(
          new RigError({
            reason: "Tool",
            message: `${command} ended with ${output.exitCode ?? "a signal"}\n${lastLines(
              `${Buffer.from(output.stdout).toString("utf8")}\n${output.stderr}`,
              20
            )}`
          })
        )
  )

/**
 * The last lines of a text that are not empty.
 *
 * @category combinators
 * @since 0.1.0
 */
export const lastLines = (text: string, count: number): string =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-count)
    .join("\n")
