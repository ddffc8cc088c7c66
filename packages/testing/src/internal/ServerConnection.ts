/**
 * One connection of a client: frames in, frames out. As a real broker does, it takes the next request when the former is
 * answered, so that answers leave in the order of their requests.
 *
 * @since 0.1.0
 */
import { type AnyApi, type Api, requestHeaderVersion, responseHeaderVersion } from "@kafka-effect/protocol/Api"
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import * as FrameSplitter from "@kafka-effect/protocol/FrameSplitter"
import { apis } from "@kafka-effect/protocol/messages/all"
import { RequestHeader, type RequestHeader as RequestHeaderType } from "@kafka-effect/protocol/messages/RequestHeader"
import { ResponseHeader } from "@kafka-effect/protocol/messages/ResponseHeader"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import type { BrokerNode } from "./Cluster.ts"
import type { Exchange } from "./Exchange.ts"
import type { Loop } from "./Loop.ts"
import type { ServerHandler, ServerSocket } from "./ServerNetwork.ts"
import type { Authentication } from "./sasl/Authentication.ts"

/** Kafka's `socket.request.max.bytes`. */
const maxRequestBytes = 100 * 1024 * 1024

/** Byte arrays from this length on leave as they are, without a copy. */
const minPiece = 4096

const byKey: ReadonlyMap<number, Api<unknown, unknown>> = new Map(
  // Each API's own codecs read and write its messages; here they are all alike.
  Object.values(apis).map((api) => [api.key, api as unknown as Api<unknown, unknown>])
)

/** What the request that could not be understood was. @internal */
export interface Misunderstood {
  readonly key: number
  readonly version: number
  readonly correlationId: number
  readonly cause: WireError | undefined
}

/** @internal */
export interface Options {
  readonly node: BrokerNode
  /** Counts the connections of the cluster. */
  readonly id: number
  readonly loop: Loop
  /** Undefined where nobody is asked who he is. */
  readonly authentication: Authentication | undefined
  /** Runs in the loop, once per request. */
  readonly onRequest: (exchange: Exchange<unknown, unknown>, outgoing: Outgoing) => void
  /** A request in no API and version that there is; true if the connection goes on without an answer. */
  readonly onMisunderstood: (request: Misunderstood, outgoing: Outgoing) => void
  readonly onClose: () => void
}

/** How a request's bytes may leave. @internal */
export interface Outgoing {
  /** The frame that answers the request with a message; in the request's version, and under its id, unless others are named. */
  readonly frame: (response: Wire.Input<unknown>, version?: number, correlationId?: number) => ReadonlyArray<Uint8Array>
  /** Writes bytes as the answer; the connection goes on to its next request, after so many milliseconds if any are given. */
  readonly write: (pieces: ReadonlyArray<Uint8Array>, mute?: number) => void
  /** Ends the connection once what was written has left. */
  readonly end: () => void
}

/** A frame: size, header and message. @internal */
export const frameOf = (
  api: Api<unknown, unknown>,
  version: number,
  correlationId: number,
  response: Wire.Input<unknown>
): ReadonlyArray<Uint8Array> => {
  const writer = new ByteWriter(512, minPiece)
  writer.writeInt32(0)
  WireCodec.of(ResponseHeader, responseHeaderVersion(api, version)).encodeInto(writer, { correlationId })
  WireCodec.of(api.response, version).encodeInto(writer, response)
  writer.setInt32(0, writer.offset - 4 + writer.externalBytes)
  return writer.takePieces(0)
}

/** @internal */
export const make = (socket: ServerSocket, options: Options): ServerHandler => {
  const { authentication, id, loop, node, onMisunderstood, onRequest } = options
  const waiting: Array<Uint8Array> = []
  let isBusy = false
  let isClosed = false
  let onGone: Array<() => void> = []

  const done = (): void => {
    isBusy = false
    onGone = []
    const next = waiting.shift()
    if (next !== undefined) start(next)
  }

  const outgoingFor = (api: Api<unknown, unknown> | undefined, version: number, correlationId: number): Outgoing => {
    let isDone = false
    return {
      frame: (response, other = version, id = correlationId) =>
        api === undefined ? [] : frameOf(api, other, id, response),
      write: (pieces, mute = 0) => {
        if (isDone || isClosed) return
        isDone = true
        if (pieces.length > 0) socket.write(pieces)
        if (authentication?.hasFailed === true) socket.end()
        if (mute > 0) loop.after(mute, done)
        else done()
      },
      end: () => socket.end()
    }
  }

  const exchangeOf = (
    api: AnyApi,
    version: number,
    { clientId, correlationId }: RequestHeaderType,
    message: unknown,
    outgoing: Outgoing
  ): Exchange<unknown, unknown> => ({
    api,
    version,
    correlationId,
    clientId,
    message,
    node,
    connection: id,
    remote: socket.remote,
    principal: authentication?.principal ?? "ANONYMOUS",
    authentication,
    answer: (response) => {
      if (!isClosed) outgoing.write(outgoing.frame(response))
    },
    answerNothing: () => outgoing.write([]),
    close: () => socket.destroy(),
    isGone: () => isClosed,
    onGone: (task) => void onGone.push(task)
  })

  /** A token of SASL as it is: the answer is one, too, and a failure ends the connection without a word. */
  const takeToken = (token: Uint8Array, asked: Authentication): void => {
    const step = asked.evaluate(token)
    if (step._tag === "Refused") return void socket.destroy()
    const size = new Uint8Array(4)
    new DataView(size.buffer).setInt32(0, step.token.length)
    outgoingFor(undefined, 0, 0).write([size, step.token])
  }

  /** What is to be done about a frame; damaged ones are misunderstood. */
  const read = (frame: Uint8Array): (() => void) => {
    if (authentication?.wantsTokens === true) return () => takeToken(frame, authentication)
    const reader = new ByteReader(frame)
    let key = -1
    let version = -1
    let correlationId = -1
    const misunderstood = (api: Api<unknown, unknown> | undefined, cause: WireError | undefined) => () =>
      onMisunderstood({ key, version, correlationId, cause }, outgoingFor(api, 0, correlationId))
    try {
      key = reader.readInt16()
      version = reader.readInt16()
      correlationId = reader.readInt32()
      const api = byKey.get(key)
      if (api === undefined || version < api.lowestVersion || version > api.highestVersion) {
        return misunderstood(api, undefined)
      }
      const body = new ByteReader(frame)
      const header = WireCodec.of(RequestHeader, requestHeaderVersion(api, version)).decodeFrom(body)
      const message = WireCodec.of(api.request, version).decodeFrom(body)
      const outgoing = outgoingFor(api, version, correlationId)
      return () => onRequest(exchangeOf(api, version, header, message, outgoing), outgoing)
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause
      return misunderstood(undefined, cause)
    }
  }

  const take = (frame: Uint8Array): void => {
    if (isClosed) return
    try {
      read(frame)()
    } catch (defect) {
      // Nobody is to wait for an answer that never comes.
      socket.destroy()
      throw defect
    }
  }

  const start = (frame: Uint8Array): void => {
    isBusy = true
    loop.post(() => take(frame))
  }

  const splitter = FrameSplitter.make({
    maxFrameSize: maxRequestBytes,
    onFrame: (frame) => {
      if (isBusy) waiting.push(frame)
      else start(frame)
    }
  })

  return {
    onBytes: (bytes) => {
      if (isClosed) return
      try {
        splitter.push(bytes)
      } catch (error) {
        if (!(error instanceof FrameSplitter.FrameError)) throw error
        // A real broker closes what sends no frames.
        socket.destroy()
      }
    },
    onClose: () => {
      if (isClosed) return
      isClosed = true
      waiting.length = 0
      const gone = onGone
      onGone = []
      loop.post(() => {
        for (const task of gone) task()
      })
      options.onClose()
    }
  }
}
