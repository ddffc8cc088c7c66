import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import * as Program from "../src/Program.ts"

describe("Program", () => {
  it("finds executable files only", () => {
    assert.match(Program.find("sh") ?? "", /\/sh$/)
    assert.isUndefined(Program.find("sh", ""))
    assert.isUndefined(Program.find("package.json", process.cwd()))
    assert.isUndefined(Program.find("packages", process.cwd()))
  })

  it.live("hands over input and gives back both outputs as they were", () =>
    Effect.gen(function* () {
      const stdin = Uint8Array.from({ length: 300_000 }, (_, index) => index & 0xff)
      const output = yield* Program.run("sh", ["-c", "cat; echo oops >&2; exit 3"], { stdin })
      assert.strictEqual(Buffer.compare(output.stdout, stdin), 0)
      assert.strictEqual(output.stderr, "oops\n")
      assert.strictEqual(output.exitCode, 3)
    })
  )

  it.live("fails with the last lines of a program that fails", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Program.runOrFail("sh", ["-c", "seq 100; exit 3"]))
      assert.strictEqual(error.reason, "Tool")
      assert.match(error.message, /^sh ended with 3\n81\n/)
      const unknown = yield* Effect.flip(Program.run("/no/such/program", []))
      assert.match(unknown.message, /cannot be run/)
    })
  )

  it.live("kills the program when it is interrupted", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "kafka-rig-test-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const pidFile = join(directory, "pid")
      const fiber = yield* Effect.forkChild(Program.run("sh", ["-c", 'echo $$ >"$0"; exec sleep 30', pidFile]))
      const pid = yield* Effect.sync(() => Number(readFileSync(pidFile, "utf8") || "none")).pipe(
        Effect.sandbox,
        Effect.filterOrFail((number) => number > 0),
        Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 200 })
      )
      const isAlive = Effect.isSuccess(Effect.try({ try: () => process.kill(pid, 0), catch: () => "gone" }))
      assert.isTrue(yield* isAlive)
      yield* Fiber.interrupt(fiber)
      yield* Effect.retry(
        Effect.filterOrFail(isAlive, (alive) => !alive),
        {
          schedule: Schedule.spaced("20 millis"),
          times: 200
        }
      )
    })
  )
})
