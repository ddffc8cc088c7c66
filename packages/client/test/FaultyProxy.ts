/**
 * A TCP proxy that splits, delays and resets what passes through it, at random, from a seed.
 *
 * The client reaches every broker through a proxy of its own: its transport is told to dial the proxy's port instead.
 */
import * as Net from "node:net"
import { Effect, type Scope } from "effect"
import * as Transport from "../src/Transport.ts"

export interface Options {
  /** From 0 to 1. */
  readonly random: () => number
  /** How likely a piece resets its connection. */
  readonly reset: number
  /** How likely a piece waits, up to `maxDelay` milliseconds. */
  readonly delay: number
  readonly maxDelay: number
}

export interface FaultyProxy {
  readonly transport: Transport.Transport
  readonly counts: { connections: number; resets: number; splits: number; delays: number }
  /** Lets everything pass from now on. */
  readonly heal: () => void
}

const largestPiece = 4096

/** Passes on what one side says, piece by piece and in order. */
const pass = (
  from: Net.Socket,
  to: Net.Socket,
  options: Options,
  proxy: FaultyProxy,
  isHealed: () => boolean
): void => {
  let turn = Promise.resolve()
  const piece = async (bytes: Uint8Array): Promise<void> => {
    const { delay, maxDelay, random, reset } = options
    if (!isHealed()) {
      if (random() < delay) {
        proxy.counts.delays++
        await new Promise((resolve) => setTimeout(resolve, random() * maxDelay))
      }
      if (random() < reset) {
        proxy.counts.resets++
        from.resetAndDestroy()
        to.resetAndDestroy()
      }
    }
    if (!to.destroyed && !to.write(bytes)) {
      await new Promise<void>((resolve) => {
        to.once("drain", resolve)
        to.once("close", resolve)
      })
    }
  }
  from.on("data", (chunk) => {
    from.pause()
    const pieces: Array<Uint8Array> = []
    for (let start = 0; start < chunk.length; ) {
      const end = start + 1 + Math.floor(options.random() * largestPiece)
      pieces.push(chunk.subarray(start, end))
      start = end
    }
    proxy.counts.splits += pieces.length - 1
    for (const bytes of pieces) turn = turn.then(() => piece(bytes))
    turn = turn.then(() => void from.resume())
  })
  from.on("error", () => from.destroy())
  from.on("close", () => {
    turn = turn.then(() => void to.end())
  })
}

/** Proxies are made as ports are dialled, and close with the scope. */
export const make = (options: Options): Effect.Effect<FaultyProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const servers = new Map<number, Promise<Net.Server>>()
      const sockets = new Set<Net.Socket>()
      let healed = false
      const serverOf = (port: number): Promise<Net.Server> => {
        let server = servers.get(port)
        if (server === undefined) {
          server = new Promise((resolve) => {
            const made = Net.createServer({ noDelay: true }, (client) => {
              const broker = Net.connect({ host: "127.0.0.1", port, noDelay: true })
              proxy.counts.connections++
              for (const socket of [client, broker]) {
                sockets.add(socket)
                socket.on("close", () => sockets.delete(socket))
              }
              pass(client, broker, options, proxy, () => healed)
              pass(broker, client, options, proxy, () => healed)
            })
            made.listen(0, "127.0.0.1", () => resolve(made))
          })
          servers.set(port, server)
        }
        return server
      }
      const proxy: FaultyProxy = {
        counts: { connections: 0, resets: 0, splits: 0, delays: 0 },
        heal: () => {
          healed = true
        },
        transport: {
          ...Transport.plaintext,
          open: (target) =>
            Effect.flatMap(
              Effect.promise(() => serverOf(target.port)),
              (server) => Transport.plaintext.open({ ...target, port: (server.address() as Net.AddressInfo).port })
            )
        }
      }
      const close = async (): Promise<void> => {
        for (const socket of sockets) socket.destroy()
        for (const server of servers.values()) (await server).close()
      }
      return { proxy, close }
    }),
    ({ close }) => Effect.promise(close)
  ).pipe(Effect.map(({ proxy }) => proxy))
