/**
 * A network within the process: connections are two queues of bytes, and time is the clock's own, so that whole clusters run
 * in virtual time.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { ByteSocket, OpenOptions, Transport } from "kafka-effect/Transport"
import { ListenError } from "../ListenError.ts"
import * as Loop from "./Loop.ts"
import type { Accept, Listening, ServerHandler, ServerNetwork } from "./ServerNetwork.ts"

/** @internal */
export interface MemoryNetwork {
  /** The brokers' end. */
  readonly server: ServerNetwork
  /** The clients' end. */
  readonly transport: Transport
}

/** The first port that is given out. */
const firstPort = 20_000

const host = "127.0.0.1"

const closed = (code: 1000 | 1006) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const refused = (port: number) =>
  new Socket.SocketError({
    reason: new Socket.SocketOpenError({
      kind: "Unknown",
      cause: new Error(`connect ECONNREFUSED ${host}:${port}`)
    })
  })

/** Bytes for the client, and its waiting for them. */
class Inbox {
  private pieces: Array<Uint8Array> = []
  private error: Socket.SocketError | undefined
  private waiter: ((next: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>) => void) | undefined

  push(piece: Uint8Array): void {
    if (this.error !== undefined) return
    this.pieces.push(piece)
    this.give()
  }

  /** What has come may still be taken, unless it is dropped. */
  end(error: Socket.SocketError, isDropped: boolean): void {
    this.error ??= error
    if (isDropped) this.pieces = []
    this.give()
  }

  private give(): void {
    const { error, pieces, waiter } = this
    if (waiter === undefined) return
    const [first, ...others] = pieces
    if (first === undefined && error === undefined) return
    this.waiter = undefined
    this.pieces = []
    waiter(first === undefined ? Effect.fail(error!) : Effect.succeed([first, ...others]))
  }

  readonly pull: ByteSocket["pull"] = Effect.callback((resume) => {
    this.waiter = resume
    this.give()
    return Effect.sync(() => {
      if (this.waiter === resume) this.waiter = undefined
    })
  })
}

/** A connection of both ends. What one end writes comes to the other one turn of the loop later, in its order. */
class Link {
  readonly inbox = new Inbox()
  private readonly loop: Loop.Loop
  private readonly handler: ServerHandler
  private isClosed = false

  constructor(loop: Loop.Loop, accept: Accept) {
    this.loop = loop
    this.handler = accept({
      remote: host,
      write: (pieces) => this.toClient(pieces),
      end: () => this.loop.post(() => this.close(closed(1000), false)),
      destroy: () => this.close(closed(1000), true)
    })
  }

  get isOpen(): boolean {
    return !this.isClosed
  }

  private toClient(pieces: ReadonlyArray<Uint8Array>): void {
    // Whoever has written them may use the memory again.
    const copies = pieces.map((piece) => Uint8Array.from(piece))
    this.loop.post(() => {
      if (this.isClosed) return
      for (const piece of copies) this.inbox.push(piece)
    })
  }

  toServer(pieces: ReadonlyArray<Uint8Array>): void {
    const copies = pieces.map((piece) => Uint8Array.from(piece))
    this.loop.post(() => {
      if (this.isClosed) return
      for (const piece of copies) this.handler.onBytes(piece)
    })
  }

  close(error: Socket.SocketError, isDropped: boolean): void {
    if (this.isClosed) return
    this.isClosed = true
    this.inbox.end(error, isDropped)
    this.loop.post(() => this.handler.onClose())
  }
}

/** Lives as long as the scope. @internal */
export const make = Effect.gen(function* () {
  const loop = yield* Loop.make((defect) => {
    throw defect
  })
  const listeners = new Map<number, { readonly accept: Accept; readonly links: Set<Link> }>()
  let nextPort = firstPort

  const listen: ServerNetwork["listen"] = (port, accept) =>
    Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<Listening, ListenError> => {
        const chosen = port === 0 ? nextPort++ : port
        if (listeners.has(chosen)) {
          return Effect.fail(new ListenError({ port: chosen, cause: new Error("listen EADDRINUSE") }))
        }
        listeners.set(chosen, { accept, links: new Set() })
        return Effect.succeed({ host, port: chosen })
      }),
      ({ port: taken }) =>
        Effect.sync(() => {
          for (const link of listeners.get(taken)?.links ?? []) link.close(closed(1006), true)
          listeners.delete(taken)
        })
    )

  const open = ({ port }: OpenOptions): Effect.Effect<ByteSocket, Socket.SocketError, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<Link, Socket.SocketError> => {
        const listener = listeners.get(port)
        if (listener === undefined) return Effect.fail(refused(port))
        const link = new Link(loop, listener.accept)
        listener.links.add(link)
        return Effect.succeed(link)
      }),
      (link) =>
        Effect.sync(() => {
          listeners.get(port)?.links.delete(link)
          link.close(closed(1006), true)
        })
    ).pipe(
      Effect.map((link) => ({
        pull: link.inbox.pull,
        write: (pieces) =>
          Effect.suspend(() => {
            if (!link.isOpen) {
              const cause = new Error("the socket is closed")
              return Effect.fail(new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) }))
            }
            link.toServer(pieces)
            return Effect.void
          }),
        destroy: Effect.sync(() => link.close(closed(1006), true))
      }))
    )

  const network: MemoryNetwork = {
    server: { listen },
    transport: { resolve: (name) => Effect.succeed([name]), canonicalName: (ip) => Effect.succeed(ip), open }
  }
  return network
})
