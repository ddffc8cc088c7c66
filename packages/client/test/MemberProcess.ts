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

  constructor(name: string, directory: string, settings: MemberSettings) {
    this.name = name
    this.file = join(directory, `${name}.jsonl`)
    const out = openSync(this.file, "w")
    const args = [join(import.meta.dirname, "memberMain.ts"), JSON.stringify(settings)]
    this.child = spawn(process.execPath, args, { stdio: ["ignore", out, "inherit"] })
    closeSync(out)
    this.child.once("exit", () => {
      this.hasEnded = true
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
  return {
    start: (name, settings) => {
      const member = new MemberProcess(name, directory, settings)
      members.push(member)
      return member
    },
    all: () => members
  }
})
