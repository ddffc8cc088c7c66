import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import * as Program from "@kafka-effect/rig/Program"
import { Deferred, Effect, Exit } from "effect"

/** The program as it is started from the repository. */
export const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

/** Runs the command as a process of its own, to its end. */
export const run = (args: ReadonlyArray<string>, options?: Program.RunOptions) =>
  Program.run(process.execPath, [bin, ...args], options)

/** Runs the command, and gives what it printed; anything but status 0 and a silent standard error is a failure. */
export const runWell = (args: ReadonlyArray<string>, options?: Program.RunOptions) =>
  Effect.map(run(args, options), ({ exitCode, stderr, stdout }) => {
    assert.deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
    return Buffer.from(stdout)
  })

/** Runs the command, which fails with one line: gives the line. */
export const runBadly = (args: ReadonlyArray<string>, options?: Program.RunOptions) =>
  Effect.map(run(args, options), ({ exitCode, stderr }) => {
    assert.strictEqual(exitCode, 1, stderr)
    assert.match(stderr, /^kafka-effect: [^\n]+\n$/)
    assert.notMatch(stderr, /\bat .*\.[jt]s/)
    return stderr
  })

/** What a process that was disturbed left behind. */
export interface Ending {
  readonly exitCode: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs the command, does something as soon as it has printed something, and waits for its end. */
export const disturb = (
  args: ReadonlyArray<string>,
  act: (child: { readonly close: () => void; readonly interrupt: () => void }) => void,
  options: { readonly stdinFile?: string } = {}
) =>
  Effect.callback<Ending>((resume) => {
    const stdin = openSync(options.stdinFile ?? "/dev/null", "r")
    const child = spawn(process.execPath, [bin, ...args], { stdio: [stdin, "pipe", "pipe"] })
    closeSync(stdin)
    const stdout: Array<Buffer> = []
    const stderr: Array<Buffer> = []
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout.push(chunk)
      if (stdout.length === 1) act({ close: () => child.stdout?.destroy(), interrupt: () => child.kill("SIGINT") })
    })
    child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk))
    child.on("exit", (exitCode) => {
      resume(Effect.succeed({ exitCode, stdout: Buffer.concat(stdout), stderr: String(Buffer.concat(stderr)) }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** A command that goes on until a signal ends it. */
export interface Living {
  readonly printed: () => string
  readonly end: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => Effect.Effect<Ending>
}

/** Starts the command, for as long as the scope; waits until it has printed something. */
export const start = (args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"] })
        const stdout: Array<Buffer> = []
        const stderr: Array<Buffer> = []
        const first = Deferred.makeUnsafe<void>()
        const ended = Deferred.makeUnsafe<Ending>()
        child.stdout.on("data", (chunk: Buffer) => {
          stdout.push(chunk)
          Deferred.doneUnsafe(first, Exit.void)
        })
        child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
        child.on("close", (exitCode) => {
          const ending = { exitCode, stdout: Buffer.concat(stdout), stderr: String(Buffer.concat(stderr)) }
          Deferred.doneUnsafe(ended, Exit.succeed(ending))
          Deferred.doneUnsafe(first, Exit.void)
        })
        const living: Living = {
          printed: () => String(Buffer.concat(stdout)),
          end: (signal) =>
            Effect.andThen(
              Effect.sync(() => child.kill(signal)),
              Deferred.await(ended)
            )
        }
        return { child, first, living }
      }),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    ({ first, living }) => Effect.as(Deferred.await(first), living)
  ).pipe(Effect.flatten)
