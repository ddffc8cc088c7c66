/**
 * A temporary directory and the processes that live in it, which end together: when the scope closes, and also when
 * this program ends in any other way, killed included, because a shell that keeps the place waits for that.
 *
 * @since 0.1.0
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, fstatSync, openSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { RigError } from "./RigError.ts"

/**
 * A process of the workplace.
 *
 * @category models
 * @since 0.1.0
 */
export interface Running {
  readonly pid: number
  /** All that it has written so far; what a process of the same name wrote before it is left out. */
  readonly readLog: () => Promise<string>
  /** Settles when the process has ended, with its exit code or the signal's name. */
  readonly ended: Promise<string>
  readonly hasEnded: () => boolean
  readonly signal: (name: NodeJS.Signals) => void
}

/**
 * A temporary directory and the processes in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Workplace {
  readonly directory: string
  /** Starts a process whose output is appended to `<name>.log`. */
  readonly spawn: (name: string, command: string, args: ReadonlyArray<string>) => Effect.Effect<Running, RigError>
}

/**
 * Waits on its standard input, whose end means that the rig is gone, however it went; then kills what the `.pid` files
 * name and removes the directory. The loop is for files that a dying process still writes.
 */
const keeper = `
trap '' INT TERM HUP
while read -r line; do :; done
for file in "$1"/*.pid; do [ -f "$file" ] && kill -9 "$(cat "$file")"; done
for attempt in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && break; sleep 0.1; done
`

const spawnIn = async (
  directory: string,
  name: string,
  command: string,
  args: ReadonlyArray<string>
): Promise<Running> => {
  const logFile = join(directory, `${name}.log`)
  const log = openSync(logFile, "a")
  const logStart = fstatSync(log).size
  // detached: Ctrl-C in a terminal must reach the rig first, which then ends its processes in order
  const child = spawn(command, args, { cwd: directory, detached: true, stdio: ["ignore", log, log] })
  closeSync(log)
  let hasEnded = false
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      hasEnded = true
      resolve(String(code ?? signal))
    })
  })
  await once(child, "spawn")
  const pid = child.pid!
  const pidFile = join(directory, `${name}.pid`)
  await writeFile(pidFile, String(pid))
  // a process that has ended must not be named any more: its number may come again
  const forgotten = ended.then(async (how) => {
    await rm(pidFile, { force: true })
    return how
  })
  return {
    pid,
    readLog: async () => (await readFile(logFile)).subarray(logStart).toString("utf8"),
    ended: forgotten,
    hasEnded: () => hasEnded,
    signal: (signal) => child.kill(signal)
  }
}

interface Open {
  readonly directory: string
  readonly processes: Set<Running>
  readonly keeping: ChildProcess
  readonly kept: Promise<unknown>
}

const open = async (): Promise<Open> => {
  const directory = await mkdtemp(join(tmpdir(), "kafka-rig-"))
  const keeping = spawn("sh", ["-c", keeper, "keeper", directory], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  const kept = new Promise((resolve) => keeping.once("exit", resolve))
  await once(keeping, "spawn")
  return { directory, processes: new Set(), keeping, kept }
}

const close = async ({ keeping, kept, processes }: Open): Promise<void> => {
  // waited for here, so that ports are free and nothing writes any more when the scope has closed
  for (const running of processes) running.signal("SIGKILL")
  await Promise.all(Array.from(processes, (running) => running.ended))
  keeping.stdin?.end()
  await kept
}

/**
 * Makes a workplace that lasts as long as the scope. Needs a POSIX shell.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Workplace, RigError, Scope.Scope> = Effect.acquireRelease(
  Effect.tryPromise({
    try: open,
    catch: (error) => new RigError({ reason: "Broker", message: `No workplace for brokers: ${error}` })
  }),
  (opened) => Effect.promise(() => close(opened))
).pipe(
  Effect.map(({ directory, processes }) => ({
    directory,
    spawn: (name, command, args) =>
      // not interruptible: a process that nobody knows of could not be ended
      Effect.uninterruptible(
        Effect.tryPromise({
          try: async () => {
            const running = await spawnIn(directory, name, command, args)
            processes.add(running)
            running.ended.then(() => processes.delete(running))
            return running
          },
          catch: (error) => new RigError({ reason: "Broker", message: `${command} cannot be run: ${error}` })
        })
      )
  }))
)
