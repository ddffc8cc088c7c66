/** The network as one client has it, which can be cut: for good, when its process dies, or for a time. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { ByteSocket, Transport } from "kafka-effect/Transport"
import type { Chance } from "./Chance.ts"

export interface Cable {
  readonly transport: Transport
  /** For so many milliseconds, all takes longer, and comes in pieces that are cut anywhere. */
  readonly slow: (latency: number, duration: number) => Effect.Effect<void>
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

export const make = (inner: Transport, tally: Tally, chance: Chance): Cable => {
  const sockets = new Set<ByteSocket>()
  let isCut = false
  const isolations = { dumb: 0, deaf: 0 }
  let latency = 0

  /** Cut in up to four pieces, at places that nobody can foresee. */
  const cutUp = (pieces: NonEmptyReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
    const bytes = new Uint8Array(Buffer.concat(pieces))
    const places = Array.from({ length: 3 }, () => chance.below(bytes.length + 1)).sort((a, b) => a - b)
    const cut = [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
    return cut.filter(({ length }) => length > 0)
  }

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
          Effect.suspend(() => {
            if (isCut || isolations.dumb > 0) return Effect.void
            if (latency === 0) return socket.write(pieces)
            return Effect.andThen(
              Effect.sleep(latency),
              Effect.forEach(cutUp(pieces), (piece) => socket.write([piece]), { discard: true })
            )
          })
        let rest: ReadonlyArray<Uint8Array> = []
        const next: ByteSocket["pull"] = Effect.flatMap(socket.pull, (pieces) => {
          if (isolations.deaf > 0) return pull
          if (latency === 0) return Effect.succeed(pieces)
          const [first, ...others] = cutUp(pieces)
          rest = others
          return Effect.as(Effect.sleep(latency), [first] as const)
        })
        const pull: ByteSocket["pull"] = Effect.suspend(() => {
          const [first, ...others] = rest
          if (first === undefined || isolations.deaf > 0) return next
          rest = others
          return Effect.succeed([first] as const)
        })
        return { ...socket, write, pull }
      })
    })

  const destroyAll = Effect.suspend(() => Effect.forEach([...sockets], ({ destroy }) => destroy, { discard: true }))

  return {
    transport: { ...inner, open },
    slow: (more, duration) =>
      Effect.suspend(() => {
        latency += more
        return Effect.sleep(duration)
      }).pipe(
        Effect.andThen(
          Effect.sync(() => {
            latency -= more
          })
        )
      ),
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
