/** `kafka-effect broker` as a process of its own, with the other commands as its clients. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Broker from "../src/Broker.ts"
import { runBadly, runWell, start } from "./cli.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kafka-effect-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** Starts it on free ports, and gives where it listens. */
const broker = (...args: ReadonlyArray<string>) =>
  Effect.map(start(["broker", "--port", "0", ...args]), (living) => {
    const [, servers] = /^Kafka at ([^;]+);/.exec(living.printed()) ?? assert.fail(living.printed())
    return { living, server: servers.split(",")[0], servers }
  })

describe("kafka-effect broker", () => {
  it("says where it listens, and what to do next", () => {
    const text = Broker.greeting(["127.0.0.1:9092", "127.0.0.1:9093"], { a: 2 }, false, Option.none())
    assert.include(text, "Kafka at 127.0.0.1:9092,127.0.0.1:9093; nothing is kept")
    assert.include(text, "topics: a (2)")
    assert.include(text, "not made on first use")
    assert.include(Broker.greeting(["127.0.0.1:9092"], {}, true, Option.some("./kafka")), "all is kept in ./kafka")
  })

  it.live(
    "is a Kafka to its clients, refuses a port that is taken, and ends well on Ctrl-C",
    () =>
      Effect.gen(function* () {
        const { living, server, servers } = yield* broker("--brokers", "2", "--topics", "a:2")
        assert.lengthOf(servers.split(","), 2)
        yield* runWell(["produce", "orders", "-K", ":", "-b", server], { stdin: Buffer.from("1:x\n1:y\n") })
        const read = yield* runWell(["consume", "orders", "-e", "-K", ":", "-b", server])
        assert.strictEqual(String(read), "1:x\n1:y\n")
        const inGroup = yield* runWell(["consume", "orders", "-e", "-g", "g", "-b", server])
        assert.strictEqual(String(inGroup), "x\ny\n")
        const again = yield* runWell(["consume", "orders", "-e", "-g", "g", "-b", server])
        assert.strictEqual(String(again), "")
        const metadata = String(yield* runWell(["metadata", "-b", server]))
        assert.include(metadata, "2 brokers, 2 topics")
        assert.include(metadata, "topic orders, 4 partitions")
        assert.match(
          yield* runBadly(["broker", "--port", server.split(":")[1]]),
          /no broker can listen on port .*name another port/
        )
        const { exitCode } = yield* living.end("SIGINT")
        assert.strictEqual(exitCode, 0)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "finds what it had in its directory again, though it was killed",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const first = yield* broker("--data", directory)
        const { server } = first
        yield* runWell(["produce", "orders", "-b", server], { stdin: Buffer.from("x\ny\n") })
        yield* runWell(["consume", "orders", "-e", "-g", "g", "-b", server])
        assert.match(yield* runBadly(["broker", "--port", "0", "--data", directory]), /in use \(by process \d+\): end/)
        yield* runWell(["produce", "orders", "-b", server], { stdin: Buffer.from("z\n") })
        yield* Effect.sleep("100 millis")
        yield* first.living.end("SIGKILL")

        const second = yield* broker("--data", directory)
        const read = String(yield* runWell(["consume", "orders", "-e", "-b", second.server]))
        assert.sameMembers(read.trim().split("\n"), ["x", "y", "z"])
        assert.strictEqual(String(yield* runWell(["consume", "orders", "-e", "-g", "g", "-b", second.server])), "z\n")
        assert.include(String(yield* runWell(["metadata", "-b", second.server])), "topic orders, 4 partitions")
      }).pipe(Effect.scoped),
    60_000
  )
})
