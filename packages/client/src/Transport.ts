/**
 * The one door to the network: it finds the addresses of a host and opens a byte socket to one of them.
 *
 * `Transport` is a reference whose default is Node's own sockets in plaintext. Another transport (TLS, a simulated
 * network in virtual time) is provided in its place; nothing else in this package knows sockets.
 *
 * @since 0.1.0
 */
import * as NodeDns from "node:dns/promises"
import * as NodeNet from "node:net"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as NodeByteSocket from "./internal/NodeByteSocket.ts"

/**
 * A host and a port, as a user or a broker's metadata names them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Address {
  /** A DNS name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

/**
 * An open byte socket: one reader, one writer. It closes with the scope it was opened in.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteSocket {
  /** Waits for bytes. Fails with a `SocketError` when the socket has ended. The pieces are never written to again. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
  /** Writes the pieces in order, and waits while the socket takes no more. The pieces may not be changed afterwards. */
  readonly write: (pieces: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<void, Socket.SocketError>
  /** Closes it at once: what has not left yet never does. */
  readonly destroy: Effect.Effect<void>
}

/**
 * What a connection asks its transport to open.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions {
  /** The host as it was named, which a certificate would be checked against. */
  readonly host: string
  /** The IP address to connect to, one of those that `resolve` gave for the host. */
  readonly ip: string
  readonly port: number
  /** How long connecting may take. */
  readonly timeout: Duration.Input
}

/**
 * A name that could not be resolved.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResolveError extends Data.TaggedError("ResolveError")<{
  readonly host: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `the name ${this.host} cannot be resolved (${describeCause(this.cause)})`
  }
}

/**
 * Where connections come from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transport {
  /** All IP addresses of a host, in the order to try them; an IP address is its own. */
  readonly resolve: (host: string) => Effect.Effect<ReadonlyArray<string>, ResolveError>
  /** The canonical name of an IP address, by reverse look-up; the address itself where it has none. */
  readonly canonicalName: (ip: string) => Effect.Effect<string>
  /** Opens a socket that closes with the scope. */
  readonly open: (options: OpenOptions) => Effect.Effect<ByteSocket, Socket.SocketError, Scope.Scope>
}

const resolve = (host: string): Effect.Effect<ReadonlyArray<string>, ResolveError> =>
  NodeNet.isIP(host) !== 0
    ? Effect.succeed([host])
    : Effect.tryPromise({
        // The operating system's own order of IPv4 and IPv6 is kept.
        try: () => NodeDns.lookup(host, { all: true, verbatim: true }),
        catch: (cause) => new ResolveError({ host, cause })
      }).pipe(Effect.map((found) => found.map(({ address }) => address)))

const canonicalName = (ip: string): Effect.Effect<string> =>
  Effect.promise(() =>
    NodeDns.lookupService(ip, 0).then(
      ({ hostname }) => hostname,
      () => ip
    )
  )

/**
 * Node's sockets, in plaintext.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plaintext: Transport = { resolve, canonicalName, open: NodeByteSocket.open }

/**
 * The transport of every connection that is opened. Defaults to `plaintext`.
 *
 * @category services
 * @since 0.1.0
 */
export const Transport: Context.Reference<Transport> = Context.Reference<Transport>("kafka-effect/Transport", {
  defaultValue: () => plaintext
})

/**
 * Why a socket failed, in words: the operating system's code where there is one.
 *
 * @category errors
 * @since 0.1.0
 */
export const describeSocketError = (error: Socket.SocketError): string => {
  const { reason } = error
  switch (reason._tag) {
    case "SocketCloseError":
      return reason.code === 1000 ? "the broker closed it" : "it was cut off"
    case "SocketOpenError":
      return reason.kind === "Timeout" ? "connecting took too long" : describeCause(reason.cause)
    default:
      return describeCause(reason.cause)
  }
}

/** A system error's code and text; several, where Node tried several addresses. */
const describeCause = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(describeCause).join(", ")
  return cause instanceof Error && cause.message !== "" ? cause.message : String(cause)
}
