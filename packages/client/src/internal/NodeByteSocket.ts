/**
 * Node's TCP sockets as byte sockets, made for large responses: bytes come from the kernel straight into slabs, so that a
 * megabyte costs no allocation, copy and event for each 64 KiB of it.
 *
 * @since 0.1.0
 */
import * as NodeNet from "node:net"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { ByteSocket, OpenOptions } from "../Transport.ts"

/** Bytes that one read takes at most: more make no read cheaper. */
const readBytes = 64 * 1024

/** A piece keeps its slab alive, and so does whoever keeps a view of it. */
const slabBytes = 256 * 1024

/** Less than this is not worth a read of its own. */
const leastBytes = 16 * 1024

/** Nothing more is read while so much waits to be pulled: the broker is held back. */
const mostWaiting = 1024 * 1024

const closed = (code: 1000 | 1006) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const openFailed = (kind: "Timeout" | "Unknown", cause: unknown) =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind, cause }) })

const writeFailed = (cause: unknown) => new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })

/** What has come and was not pulled yet, and who waits for it. */
class Inbox {
  private pieces: Array<Uint8Array> = []
  private bytes = 0
  private error: Socket.SocketError | undefined
  private waiter: ((next: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>) => void) | undefined
  private slab = new Uint8Array(0)
  private used = 0
  private isHeld = false
  private readonly resume: () => void

  constructor(resume: () => void) {
    this.resume = resume
  }

  /** Where the next bytes go: memory that nobody else has a view of. */
  readonly space = (): Uint8Array => {
    if (this.slab.length - this.used < leastBytes) {
      // Not filled with zeros: only what was written is ever given out.
      this.slab = Buffer.allocUnsafeSlow(slabBytes)
      this.used = 0
    }
    const { slab, used } = this
    return new Uint8Array(slab.buffer, used, Math.min(readBytes, slab.length - used))
  }

  /** Bytes have come into the last space. False holds the socket back. */
  readonly came = (bytes: number): boolean => {
    this.pieces.push(new Uint8Array(this.slab.buffer, this.used, bytes))
    this.used += bytes
    this.bytes += bytes
    this.give()
    this.isHeld = this.bytes >= mostWaiting
    return !this.isHeld
  }

  /** No more comes. What has come may still be pulled, unless it is dropped. */
  readonly end = (error: Socket.SocketError, isDropped: boolean): void => {
    this.error ??= error
    if (isDropped) this.pieces = []
    this.give()
  }

  private give(): void {
    const { error, pieces, waiter } = this
    if (waiter === undefined || (pieces.length === 0 && error === undefined)) return
    this.waiter = undefined
    waiter(this.taken() ?? Effect.fail(error!))
  }

  private taken(): Effect.Effect<NonEmptyReadonlyArray<Uint8Array>> | undefined {
    const [first, ...others] = this.pieces
    if (first === undefined) return undefined
    this.pieces = []
    this.bytes = 0
    if (this.isHeld) {
      this.isHeld = false
      this.resume()
    }
    return Effect.succeed([first, ...others])
  }

  readonly pull: ByteSocket["pull"] = Effect.callback((resume) => {
    this.waiter = resume
    this.give()
    return Effect.sync(() => {
      if (this.waiter === resume) this.waiter = undefined
    })
  })
}

/** Opens one; whoever is interrupted meanwhile leaves none behind. */
const connect = ({ ip, port, timeout }: OpenOptions): Effect.Effect<Opened, Socket.SocketError, Scope.Scope> => {
  const opening = Effect.callback<Opened, Socket.SocketError>((resume) => {
    const inbox = new Inbox(() => socket.resume())
    const onread = { buffer: inbox.space, callback: inbox.came }
    const socket = NodeNet.createConnection({ host: ip, port, noDelay: true, keepAlive: true, onread })
    socket.once("connect", () => resume(Effect.succeed({ inbox, socket })))
    socket.on("error", (cause) => {
      resume(Effect.fail(openFailed("Unknown", cause)))
      inbox.end(new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) }), true)
    })
    socket.on("end", () => inbox.end(closed(1000), false))
    socket.on("close", (hadError) => inbox.end(closed(hadError ? 1006 : 1000), hadError))
    return Effect.sync(() => void socket.destroy())
  })
  return Effect.acquireRelease(
    Effect.timeoutOrElse(opening, {
      duration: timeout,
      orElse: () => Effect.fail(openFailed("Timeout", new Error("connecting took too long")))
    }),
    ({ inbox, socket }) =>
      Effect.sync(() => {
        inbox.end(closed(1006), true)
        // What was written before still leaves.
        socket.destroySoon()
      }),
    { interruptible: true }
  )
}

interface Opened {
  readonly inbox: Inbox
  readonly socket: NodeNet.Socket
}

/** Waits until the socket takes more. */
const drained = (socket: NodeNet.Socket): Effect.Effect<void, Socket.SocketError> =>
  Effect.callback((resume) => {
    const cleanUp = (): void => {
      socket.off("drain", ready)
      socket.off("close", ended)
    }
    const ended = () => {
      cleanUp()
      resume(Effect.fail(writeFailed(socket.errored ?? new Error("the socket is closed"))))
    }
    const ready = () => {
      cleanUp()
      resume(Effect.void)
    }
    if (socket.destroyed) return ended()
    socket.on("drain", ready)
    socket.on("close", ended)
    return Effect.sync(cleanUp)
  })

/** @internal */
export const open = Effect.fnUntraced(function* (
  options: OpenOptions
): Effect.fn.Return<ByteSocket, Socket.SocketError, Scope.Scope> {
  const { inbox, socket } = yield* connect(options)
  const write: ByteSocket["write"] = (pieces) =>
    Effect.suspend(() => {
      if (socket.destroyed || socket.writableEnded) return Effect.fail(writeFailed(new Error("the socket is closed")))
      socket.cork()
      let takesMore = true
      for (const piece of pieces) takesMore = socket.write(piece)
      socket.uncork()
      return takesMore ? Effect.void : drained(socket)
    })
  return { pull: inbox.pull, write, destroy: Effect.sync(() => void socket.destroy()) }
})
