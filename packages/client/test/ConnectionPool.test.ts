import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random, Scope } from "effect"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/internal/Backoff.ts"
import * as ConnectionPool from "../src/internal/ConnectionPool.ts"
import * as Transport from "../src/Transport.ts"
import { failure, settings } from "./harness.ts"

const node = { nodeId: 1, address: { host: "kafka", port: 9092 } }

const refused = new Socket.SocketError({
  reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("refused") })
})

/** A network of names and no sockets: each attempt is noted and then refused, or never ends. */
const network = (options: { readonly hangs?: boolean; readonly ips?: ReadonlyArray<string> } = {}) => {
  const attempts: Array<{ readonly ip: string; readonly at: number }> = []
  let resolved = 0
  const transport: Transport.Transport = {
    resolve: () =>
      Effect.sync(() => {
        resolved++
        return options.ips ?? ["10.0.0.1"]
      }),
    canonicalName: Effect.succeed,
    open: ({ ip }) =>
      Effect.clockWith((clock) => {
        attempts.push({ ip, at: clock.currentTimeMillisUnsafe() })
        return options.hangs === true ? Effect.never : Effect.fail(refused)
      })
  }
  return { attempts, resolved: () => resolved, transport }
}

const poolOf = (transport: Transport.Transport) =>
  ConnectionPool.make(settings, () => {}).pipe(Effect.provideService(Transport.Transport, transport))

describe("ConnectionPool", () => {
  it.effect("C9: reconnects with exponential backoff from 50 ms to 1 s, ±20 %", () =>
    Effect.gen(function* () {
      const { attempts, transport } = network()
      const pool = yield* poolOf(transport)
      yield* pool.get(node, "main").pipe(Effect.ignore, Effect.forever, Effect.forkScoped)
      yield* TestClock.adjust("10 seconds")
      const gaps = attempts.slice(1).map(({ at }, index) => at - attempts[index].at)
      const expected = [50, 100, 200, 400, 800, 1000, 1000, 1000]
      for (const [index, base] of expected.entries()) {
        assert.isAtLeast(gaps[index], Math.floor(base * 0.8), `gap ${index}`)
        assert.isAtMost(gaps[index], Math.ceil(base * 1.2), `gap ${index}`)
      }
      assert.isAbove(new Set(gaps.slice(5)).size, 1, "the waits differ")
    })
  )

  it.effect("C9: attempts for all purposes share the backoff", () =>
    Effect.gen(function* () {
      const { attempts, transport } = network()
      const pool = yield* poolOf(transport)
      for (const purpose of ["main", "fetch", "produce"]) {
        yield* pool.get(node, purpose).pipe(Effect.ignore, Effect.forever, Effect.forkScoped)
      }
      yield* TestClock.adjust("20 seconds")
      assert.isBelow(attempts.length, 100)
      // Attempts that fail together are one failure: the waits grow as they do for one purpose.
      const rounds = [...new Set(attempts.map(({ at }) => at))]
      const gaps = rounds.slice(1).map((at, index) => at - rounds[index])
      for (const [index, base] of [50, 100, 200, 400, 800].entries()) {
        assert.isAtLeast(gaps[index], Math.floor(base * 0.8), `gap ${index}`)
        assert.isAtMost(gaps[index], Math.ceil(base * 1.2), `gap ${index}`)
      }
    })
  )

  it.effect("C23: what cannot be dialled at all fails its attempt, and no more", () =>
    Effect.gen(function* () {
      let tries = 0
      const open = () => {
        tries++
        throw new RangeError("port should be >= 0 and < 65536")
      }
      const pool = yield* poolOf({ ...network().transport, open })
      for (const attempt of [1, 2]) {
        const running = yield* Effect.forkChild(failure(pool.get(node, "main"), "ConnectFailed"))
        yield* TestClock.adjust("10 seconds")
        assert.include((yield* Fiber.join(running)).detail, "port should be")
        assert.strictEqual(tries, attempt)
      }
    })
  )

  it.effect("C10: a name that is never resolved fails the attempt in time", () =>
    Effect.gen(function* () {
      const pool = yield* poolOf({ ...network().transport, resolve: () => Effect.never })
      const running = yield* Effect.forkChild(failure(pool.get(node, "main"), "ConnectFailed"))
      yield* TestClock.adjust("11 seconds")
      assert.include((yield* Fiber.join(running)).detail, "its name was not resolved within 10000 ms")
    })
  )

  it.effect("C9: the wait lies between 0.8 and 1.2 of the doubled time", () =>
    Effect.gen(function* () {
      const waits = yield* Effect.forEach(Array.from({ length: 1000 }), () => Backoff.delay(50, 1000, 3))
      assert.isAtLeast(Math.min(...waits), 160)
      assert.isAtMost(Math.max(...waits), 240)
      assert.isBelow(Math.min(...waits), 165)
      assert.isAbove(Math.max(...waits), 235)
    }).pipe(Random.withSeed("backoff"))
  )

  it.effect("C10: the set-up timeout grows from 10 s to 30 s with each failure", () =>
    Effect.gen(function* () {
      const { attempts, transport } = network({ hangs: true })
      const pool = yield* poolOf(transport)
      yield* pool.get(node, "main").pipe(Effect.ignore, Effect.forever, Effect.forkScoped)
      yield* TestClock.adjust("4 minutes")
      const gaps = attempts.slice(1).map(({ at }, index) => at - attempts[index].at)
      const expected = [10_000, 20_000, 30_000, 30_000]
      for (const [index, base] of expected.entries()) {
        assert.isAtLeast(gaps[index], base * 0.8, `gap ${index}`)
        assert.isAtMost(gaps[index], base * 1.2 + 1200, `gap ${index}`)
      }
    })
  )

  it.effect("C11: all addresses of a name are tried before an attempt has failed, and are named", () =>
    Effect.gen(function* () {
      const { attempts, resolved, transport } = network({ ips: ["10.0.0.1", "::1", "10.0.0.2"] })
      const pool = yield* poolOf(transport)
      const reason = yield* failure(pool.get(node, "main"), "ConnectFailed")
      assert.deepStrictEqual(
        attempts.map(({ at, ip }) => [ip, at]),
        [
          ["10.0.0.1", 0],
          ["::1", 0],
          ["10.0.0.2", 0]
        ]
      )
      for (const { ip } of attempts) assert.include(reason.detail, `${ip}: refused`)
      const second = yield* Effect.forkChild(Effect.ignore(pool.get(node, "main")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.strictEqual(resolved(), 2, "the name is resolved again")
      assert.strictEqual(attempts.length, 6)
    })
  )

  it.effect("a name that cannot be resolved says so", () =>
    Effect.gen(function* () {
      const { transport } = network()
      const cause = new Error("ENOTFOUND")
      const resolve = (host: string) => Effect.fail(new Transport.ResolveError({ host, cause }))
      const pool = yield* poolOf({ ...transport, resolve })
      const reason = yield* failure(pool.get(node, "main"), "ConnectFailed")
      assert.include(reason.message, "the name kafka cannot be resolved (ENOTFOUND)")
    })
  )

  it.effect("the end of the scope fails who waits for a connection", () =>
    Effect.gen(function* () {
      const { transport } = network({ hangs: true })
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(poolOf(transport), scope)
      const waiting = yield* Effect.forkChild(failure(pool.get(node, "main"), "ConnectionLost"), {
        startImmediately: true
      })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).closedBy, "client")
      assert.strictEqual((yield* failure(pool.get(node, "main"), "ConnectionLost")).closedBy, "client")
    })
  )
})
