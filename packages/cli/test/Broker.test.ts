/** `kafka-effect broker` as a process of its own, with the other commands as its clients. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as Broker from "../src/Broker.ts"
import { disturb, runBadly, runWell } from "./cli.ts"

/** A port that is most likely free, and so are the two behind it. */
const port = 20_000 + (process.pid % 20_000)
const server = `localhost:${port}`

describe("kafka-effect broker", () => {
  it("says where it listens, and what to do next", () => {
    const text = Broker.greeting(["127.0.0.1:9092", "127.0.0.1:9093"], { a: 2 }, false)
    assert.include(text, "Kafka at 127.0.0.1:9092,127.0.0.1:9093;")
    assert.include(text, "topics: a (2)")
    assert.include(text, "not made on first use")
  })

  it.live(
    "is a Kafka to its clients, refuses a port that is taken, and ends well on Ctrl-C",
    () =>
      Effect.gen(function* () {
        const listening = yield* Deferred.make<() => void>()
        const running = yield* Effect.forkChild(
          disturb(["broker", "--port", String(port), "--brokers", "2", "--topics", "a:2"], ({ interrupt }) => {
            Deferred.doneUnsafe(listening, Effect.succeed(interrupt))
          })
        )
        const interrupt = yield* Deferred.await(listening)
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
          yield* runBadly(["broker", "--port", String(port)]),
          /no broker can listen on port .*name another port/
        )
        interrupt()
        const { exitCode, stdout } = yield* Fiber.join(running)
        assert.strictEqual(exitCode, 0)
        assert.include(String(stdout), `Kafka at 127.0.0.1:${port},127.0.0.1:${port + 1}`)
      }),
    60_000
  )
})
