import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { describeRig } from "../src/brokers.ts"
import { apiVersions } from "./ApiVersions.ts"

const script = join(import.meta.dirname, "..", "src", "main.ts")

/** The command in a process of its own, up to the line with the address of its broker. */
const started = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = spawn(process.execPath, [script, "--partitions", "2"], { stdio: ["ignore", "pipe", "inherit"] })
    const exit = once(child, "exit")
    const [line] = (await once(child.stdout, "data")) as [Buffer] // a data event carries a Buffer
    return { child, exit, address: line.toString("utf8").trim() }
  }),
  ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
)

const isGone = (address: string) =>
  Effect.flip(apiVersions(address)).pipe(
    Effect.filterOrFail((error) => error.code === "ECONNREFUSED"),
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 })
  )

describeRig("the command that starts a cluster", () => {
  it.live("ends its broker on Ctrl-C", () =>
    Effect.gen(function* () {
      const { address, child, exit } = yield* started
      assert.include(yield* apiVersions(address), 18)
      child.kill("SIGINT")
      assert.deepStrictEqual(yield* Effect.promise(() => exit), [130, null])
      const error = yield* Effect.flip(apiVersions(address))
      assert.strictEqual(error.code, "ECONNREFUSED")
    })
  )

  it.live("leaves no broker behind when it is killed", () =>
    Effect.gen(function* () {
      const { address, child } = yield* started
      assert.include(yield* apiVersions(address), 18)
      child.kill("SIGKILL")
      yield* isGone(address)
    })
  )
})
