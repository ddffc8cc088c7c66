/** kcat, which is librdkafka, unchanged against the broker inside the process. */
import { assert, describe, it } from "@effect/vitest"
import * as Kcat from "@kafka-effect/rig/Kcat"
import { Effect } from "effect"
import * as TestBroker from "../src/TestBroker.ts"

const hasKcat = Kcat.find() !== undefined

if (!hasKcat) process.stderr.write("kcat is not installed: its tests are left out (packages/rig/bin/install-kcat.sh)\n")

const lines = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `${from + index}:value ${from + index}`)

describe("kcat", () => {
  const kcatIt = it.live.skipIf(!hasKcat)
  for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
    kcatIt(`writes with ${codec}, idempotently, and reads it`, () =>
      Effect.gen(function* () {
        const { bootstrapServers } = yield* TestBroker.make({ brokers: 3, topics: { t: 3 } })
        const brokers = ["-b", bootstrapServers.join(",")]
        const sent = lines(500)
        const producing = [...brokers, "-P", "-t", "t", "-K:", "-z", codec, "-X", "enable.idempotence=true"]
        yield* Kcat.run(producing, { stdin: `${sent.join("\n")}\n` })
        const { stdout } = yield* Kcat.run([...brokers, "-C", "-t", "t", "-e", "-q", "-K:"])
        assert.deepStrictEqual(String(stdout).trim().split("\n").sort(), [...sent].sort())
      })
    )
  }

  for (const [actAs, ...options] of [
    ["0.8.2", "api.version.request=false", "broker.version.fallback=0.8.2.2"],
    ["0.9", "api.version.request=false", "broker.version.fallback=0.9.0.1"],
    ["0.10.0"],
    ["0.11"],
    ["2.8"]
  ] as const) {
    for (const codec of ["none", "gzip", "snappy", "lz4"]) {
      kcatIt(`writes with ${codec} to ${actAs}, and reads it`, () =>
        Effect.gen(function* () {
          const { bootstrapServers } = yield* TestBroker.make({ actAs, topics: { t: 3 } })
          const brokers = ["-b", bootstrapServers.join(","), ...options.flatMap((option) => ["-X", option])]
          const sent = lines(500)
          yield* Kcat.run([...brokers, "-P", "-t", "t", "-K:", "-z", codec], { stdin: `${sent.join("\n")}\n` })
          const { stdout } = yield* Kcat.run([...brokers, "-C", "-t", "t", "-e", "-q", "-K:"])
          assert.deepStrictEqual(String(stdout).trim().split("\n").sort(), [...sent].sort())
        })
      )
    }
  }

  kcatIt("reads in a group, commits, and goes on where it was", () =>
    Effect.gen(function* () {
      const { bootstrapServers } = yield* TestBroker.make({ brokers: 3, topics: { t: 3 } })
      const brokers = ["-b", bootstrapServers.join(",")]
      const produce = (some: ReadonlyArray<string>) =>
        Kcat.run([...brokers, "-P", "-t", "t", "-K:"], { stdin: `${some.join("\n")}\n` })
      const consume = Effect.map(
        Kcat.run([...brokers, "-G", "g", "-e", "-q", "-K:", "-X", "auto.offset.reset=earliest", "t"]),
        ({ stdout }) => String(stdout).trim().split("\n").sort()
      )
      yield* produce(lines(100))
      assert.deepStrictEqual(yield* consume, lines(100).sort())
      yield* produce(lines(50, 100))
      assert.deepStrictEqual(yield* consume, lines(50, 100).sort())
    })
  )
})
