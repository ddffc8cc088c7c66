/** The network as one client has it, which can be cut: for good, when its process dies, or for a time. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { ByteSocket, Transport } from "kafka-effect/Transport"

export interface Cable {
  readonly transport: Transport
  /** Nothing comes or goes any more: connections are lost, and there are no new ones. */
  readonly cut: Effect.Effect<void>
  /**
   * What the client sends (`dumb`), or what it is sent (`deaf`), is lost for so many milliseconds, without a word; then its
   * connections are.
   */
  readonly isolate: (how: "dumb" | "deaf", milliseconds: number) => Effect.Effect<void>
}

/** Counts the sockets that are open. */
export interface Tally {
  sockets: number
}

const unreachable = new Socket.SocketError({
  reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect EHOSTUNREACH") })
})

export const make = (inner: Transport, tally: Tally): Cable => {
  const sockets = new Set<ByteSocket>()
  let isCut = false
  const isolations = { dumb: 0, deaf: 0 }

  const open: Transport["open"] = (options) =>
    Effect.suspend(() => {
      if (isCut || isolations.dumb + isolations.deaf > 0) return Effect.fail(unreachable)
      return Effect.gen(function* () {
        const socket = yield* inner.open(options)
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            tally.sockets++
            sockets.add(socket)
          }),
          () =>
            Effect.sync(() => {
              tally.sockets--
              sockets.delete(socket)
            })
        )
        const write = (pieces: NonEmptyReadonlyArray<Uint8Array>) =>
          Effect.suspend(() => (isCut || isolations.dumb > 0 ? Effect.void : socket.write(pieces)))
        const pull: ByteSocket["pull"] = Effect.flatMap(socket.pull, (pieces) =>
          isolations.deaf > 0 ? pull : Effect.succeed(pieces)
        )
        return { ...socket, write, pull }
      })
    })

  const destroyAll = Effect.suspend(() => Effect.forEach([...sockets], ({ destroy }) => destroy, { discard: true }))

  return {
    transport: { ...inner, open },
    cut: Effect.suspend(() => {
      isCut = true
      return destroyAll
    }),
    isolate: (how, milliseconds) =>
      Effect.suspend(() => {
        isolations[how]++
        return Effect.sleep(milliseconds)
      }).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            isolations[how]--
            return destroyAll
          })
        )
      )
  }
}
