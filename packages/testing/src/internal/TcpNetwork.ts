/**
 * Real ports of this machine.
 *
 * @since 0.1.0
 */
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Effect from "effect/Effect"
import { ListenError } from "../ListenError.ts"
import type { Accept, Listening, ServerNetwork } from "./ServerNetwork.ts"

/** What the brokers need for TLS, as PEM. @internal */
export interface TlsOptions {
  readonly key: string
  readonly cert: string
  readonly ca?: string | undefined
  readonly requestCert?: boolean | undefined
}

const serve =
  (accept: Accept) =>
  (socket: Net.Socket): void => {
    socket.setNoDelay(true)
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
    socket.on("close", () => handler.onClose())
  }

const createServer = (accept: Accept, tls: TlsOptions | undefined): Net.Server => {
  if (tls === undefined) return Net.createServer(serve(accept))
  const { ca, cert, key, requestCert = false } = tls
  // Who is to show a certificate, and has none that is good, is not let in.
  const options = { key, cert, requestCert, rejectUnauthorized: requestCert, ...(ca === undefined ? {} : { ca }) }
  return Tls.createServer(options, serve(accept))
}

/** @internal */
export const make = (host: string, tls?: TlsOptions): ServerNetwork => ({
  listen: (port, accept) => {
    const open = new Set<Net.Socket>()
    const server = createServer(accept, tls)
    // Of TLS, these are the sockets beneath, whose handshakes may never end.
    server.on("connection", (socket: Net.Socket) => {
      open.add(socket)
      socket.on("close", () => open.delete(socket))
    })
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
