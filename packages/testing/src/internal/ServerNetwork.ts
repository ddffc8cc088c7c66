/**
 * What a broker needs of a network: to listen, and connections that bring and take bytes.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ListenError } from "../ListenError.ts"

/** A connection that was accepted, as the broker's end sees it. @internal */
export interface ServerSocket {
  /** The address of who has connected. */
  readonly remote: string
  /** Bytes to the client, in their order. The pieces may not be changed afterwards. */
  readonly write: (pieces: ReadonlyArray<Uint8Array>) => void
  /** Ends the connection when all has been written. */
  readonly end: () => void
  /** Ends it at once, and loses what has not left yet. */
  readonly destroy: () => void
}

/** What becomes of a connection. @internal */
export interface ServerHandler {
  /** Bytes from the client. They may not be changed. */
  readonly onBytes: (bytes: Uint8Array) => void
  /** It has ended, on whichever side. */
  readonly onClose: () => void
}

/** @internal */
export type Accept = (socket: ServerSocket) => ServerHandler

/** @internal */
export interface Listening {
  readonly host: string
  readonly port: number
}

/** @internal */
export interface ServerNetwork {
  /** Listens until the scope ends; on a free port where none is named. */
  readonly listen: (port: number, accept: Accept) => Effect.Effect<Listening, ListenError, Scope.Scope>
}
