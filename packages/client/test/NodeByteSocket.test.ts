import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import * as NodeByteSocket from "../src/internal/NodeByteSocket.ts"

/** A server on a port of its own. */
const serve = (onSocket: (socket: Net.Socket) => void) =>
  Effect.gen(function* () {
    const sockets: Array<Net.Socket> = []
    const server = Net.createServer((socket) => {
      sockets.push(socket)
      onSocket(socket)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
    )
    yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
    return (server.address() as Net.AddressInfo).port
  })

const open = (port: number) => NodeByteSocket.open({ host: "127.0.0.1", ip: "127.0.0.1", port, timeout: "2 seconds" })

const pattern = Buffer.from(
  Uint8Array.from({ length: 8 * 1024 * 1024 }, (_, index) => (index * 7 + (index >> 12)) & 0xff)
)

describe("NodeByteSocket", () => {
  it.live("gives all bytes in order, in pieces that later reads leave alone", () =>
    Effect.gen(function* () {
      const socket = yield* open(yield* serve((one) => one.end(pattern)))
      const pieces: Array<Uint8Array> = []
      const ended = yield* Effect.flip(Effect.forever(Effect.map(socket.pull, (some) => void pieces.push(...some))))
      assert.deepInclude(ended.reason, { _tag: "SocketCloseError", code: 1000 })
      assert.isTrue(Buffer.concat(pieces).equals(pattern))
    })
  )

  it.live("a reader that does not pull holds the sender back, and goes on where it was", () =>
    Effect.gen(function* () {
      let left = 0
      const socket = yield* open(
        yield* serve((one) => {
          for (let round = 0; round < 8; round++) one.write(pattern)
          left = one.writableLength
          one.on("drain", () => {
            left = 0
          })
          one.on("error", () => {})
        })
      )
      yield* Effect.sleep(300)
      assert.isAbove(left, 0)
      let bytes = 0
      while (bytes < 8 * pattern.length) {
        for (const piece of yield* socket.pull) {
          const at = bytes % pattern.length
          const first = pattern.subarray(at, at + piece.length)
          assert.isTrue(Buffer.from(piece.subarray(0, first.length)).equals(first))
          bytes += piece.length
        }
      }
      assert.strictEqual(bytes, 8 * pattern.length)
    })
  )

  it.live("writes in order, and waits while the socket takes no more", () =>
    Effect.gen(function* () {
      let server: Net.Socket | undefined
      const socket = yield* open(
        yield* serve((one) => {
          one.pause()
          server = one
        })
      )
      const writing = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4], () => socket.write([pattern.subarray(0, 5), pattern.subarray(5)]))
      )
      yield* Effect.sleep(200)
      assert.isUndefined(writing.pollUnsafe())
      const got: Array<Buffer> = []
      server!.on("data", (chunk) => got.push(chunk)).resume()
      yield* Fiber.join(writing)
      while (got.reduce((sum, { length }) => sum + length, 0) < 4 * pattern.length) yield* Effect.sleep(5)
      assert.isTrue(Buffer.concat(got).equals(Buffer.concat([pattern, pattern, pattern, pattern])))
    })
  )

  it.live("a reset, a destroyed socket, and the end of its scope end who waits", () =>
    Effect.gen(function* () {
      const reset = yield* open(yield* serve((one) => setTimeout(() => one.resetAndDestroy(), 20)))
      assert.strictEqual((yield* Effect.flip(reset.pull)).reason._tag, "SocketReadError")
      const port = yield* serve((one) => one.pause())
      const destroyed = yield* open(port)
      const writing = yield* Effect.forkChild(
        Effect.flip(destroyed.write(Array.from({ length: 8 }, () => pattern) as never))
      )
      yield* Effect.sleep(20)
      yield* destroyed.destroy
      assert.strictEqual((yield* Fiber.join(writing)).reason._tag, "SocketWriteError")
      assert.strictEqual((yield* Effect.flip(destroyed.write([pattern]))).reason._tag, "SocketWriteError")
      const scope = yield* Scope.make()
      const scoped = yield* Scope.provide(open(port), scope)
      const pulling = yield* Effect.forkChild(Effect.flip(scoped.pull), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(pulling)).reason._tag, "SocketCloseError")
    })
  )

  it.live("a port that refuses is an error of opening", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(open(1))
      assert.deepInclude(refused.reason, { _tag: "SocketOpenError", kind: "Unknown" })
    })
  )
})
