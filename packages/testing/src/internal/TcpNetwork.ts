/**
 * Real ports of this machine.
 *
 * @since 0.1.0
 */
import * as Net from "node:net"
import * as Effect from "effect/Effect"
import { ListenError } from "../ListenError.ts"
import type { Accept, Listening, ServerNetwork } from "./ServerNetwork.ts"

const serve =
  (accept: Accept, open: Set<Net.Socket>) =>
  (socket: Net.Socket): void => {
    socket.setNoDelay(true)
    open.add(socket)
    const handler = accept({
      remote: socket.remoteAddress ?? "",
      write: (pieces) => {
        if (socket.destroyed) return
        socket.cork()
        for (const piece of pieces) socket.write(piece)
        socket.uncork()
      },
      end: () => socket.destroySoon(),
      destroy: () => void socket.destroy()
    })
    socket.on("data", (bytes) => handler.onBytes(bytes))
    // It closes after an error, and that is all there is to know.
    socket.on("error", () => {})
    socket.on("close", () => {
      open.delete(socket)
      handler.onClose()
    })
  }

/** @internal */
export const make = (host: string): ServerNetwork => ({
  listen: (port, accept) => {
    const open = new Set<Net.Socket>()
    const server = Net.createServer(serve(accept, open))
    const listening = Effect.callback<Listening, ListenError>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new ListenError({ port, cause }))))
      server.listen(port, host, () => {
        // A server on a port has an address object.
        resume(Effect.succeed({ host, port: (server.address() as Net.AddressInfo).port }))
      })
    })
    return Effect.acquireRelease(listening, () =>
      Effect.callback<void>((resume) => {
        for (const socket of open) socket.destroy()
        server.close(() => resume(Effect.void))
      })
    )
  }
})
