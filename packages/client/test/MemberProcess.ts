/** Members of groups in processes of their own (`memberMain.ts`), for tests that end or pause them. */
import { spawn } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type MemberLine, type MemberSettings, machineMicros } from "./memberMain.ts"

export class MemberProcess {
  readonly name: string
  /** When it was killed or asked to end, in microseconds of the machine's clock. */
  killedAt: number | undefined
  /** When it was paused and went on. */
  readonly pauses: Array<{ readonly from: number; to: number }> = []
  hasEnded = false
  private readonly child
  private readonly file: string
  private readonly printed: Array<MemberLine> = []
  private bytes = 0

  constructor(name: string, directory: string, command: string, args: ReadonlyArray<string>) {
    this.name = name
    this.file = join(directory, `${name}.jsonl`)
    const out = openSync(this.file, "w")
    this.child = spawn(command, args, { stdio: ["ignore", out, "inherit"] })
    closeSync(out)
    this.child.once("exit", () => {
      this.hasEnded = true
    })
    // It could not be started at all, or not be signalled.
    this.child.on("error", (error) => {
      this.hasEnded ||= this.child.pid === undefined
      this.printed.push({ at: machineMicros(), what: "failed", text: error.message })
    })
  }

  /** What it has printed so far. */
  lines(): ReadonlyArray<MemberLine> {
    const text = readFileSync(this.file).subarray(this.bytes)
    const whole = text.lastIndexOf(10) + 1
    this.bytes += whole
    for (const line of text.subarray(0, whole).toString().split("\n"))
      if (line !== "") this.printed.push(JSON.parse(line))
    return this.printed
  }

  /** What it owns by what it has said so far, as `topic:partition`. */
  owned(): ReadonlySet<string> {
    const owned = new Set<string>()
    for (const line of this.lines()) {
      if (line.what !== "assigned" && line.what !== "revoked" && line.what !== "lost") continue
      for (const { partition, topic } of line.partitions) {
        if (line.what === "assigned") owned.add(`${topic}:${partition}`)
        else owned.delete(`${topic}:${partition}`)
      }
    }
    return owned
  }

  /** In order: finishes, commits, leaves. */
  stop(): void {
    this.child.kill("SIGTERM")
  }

  kill(): void {
    this.killedAt ??= machineMicros()
    this.child.kill("SIGKILL")
  }

  pause(): void {
    this.pauses.push({ from: machineMicros(), to: Number.POSITIVE_INFINITY })
    this.child.kill("SIGSTOP")
  }

  resume(): void {
    const last = this.pauses.at(-1)
    if (last !== undefined) last.to = machineMicros()
    this.child.kill("SIGCONT")
  }

  readonly ended: Effect.Effect<void> = Effect.suspend(() =>
    this.hasEnded ? Effect.void : Effect.andThen(Effect.sleep(20), this.ended)
  )
}

/** Starts members for as long as the scope; what is left of them is killed. */
export const make: Effect.Effect<
  {
    readonly start: (name: string, settings: MemberSettings) => MemberProcess
    /** Another program that prints `MemberLine`s. */
    readonly startOther: (name: string, command: string, args: ReadonlyArray<string>) => MemberProcess
    readonly all: () => ReadonlyArray<MemberProcess>
  },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const directory = mkdtempSync(join(tmpdir(), "members-"))
  const members: Array<MemberProcess> = []
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      for (const member of members) if (!member.hasEnded) member.kill()
      for (const member of members) yield* member.ended
      rmSync(directory, { recursive: true, force: true })
    })
  )
  const startOther = (name: string, command: string, args: ReadonlyArray<string>): MemberProcess => {
    const member = new MemberProcess(name, directory, command, args)
    members.push(member)
    return member
  }
  const script = join(import.meta.dirname, "memberMain.ts")
  return {
    start: (name, settings) => startOther(name, process.execPath, [script, JSON.stringify(settings)]),
    startOther,
    all: () => members
  }
})
