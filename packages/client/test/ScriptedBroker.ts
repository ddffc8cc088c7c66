/**
 * A TCP server that speaks Kafka's frames and answers each request as the test says: with a message, later, never, out
 * of turn, with raw bytes, or by closing.
 *
 * Requests are decoded with this package's own codecs. Answers of one connection leave in the order of the requests.
 */
import * as Net from "node:net"
import { type AnyApi, type Api, requestHeaderVersion, responseHeaderVersion } from "@kafka-effect/protocol/Api"
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { apis } from "@kafka-effect/protocol/messages/all"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import { ResponseHeader } from "@kafka-effect/protocol/messages/ResponseHeader"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { Effect, type Scope } from "effect"

/** A request as it came in. */
export interface Received<Message = unknown> {
  /** Which connection it came on: 0 for the first that was accepted. */
  readonly connection: number
  readonly api: AnyApi
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly message: Message
  /** Header and message, without the size in front. */
  readonly frame: Uint8Array
  /** `performance.now()` at arrival. */
  readonly at: number
}

/** What the broker does with a request. */
export type Answer<Response = unknown> =
  | {
      readonly _tag: "Respond"
      readonly message: Wire.Input<Response>
      /** Defaults to the request's version. */
      readonly version?: number
      /** Defaults to the request's id. */
      readonly correlationId?: number
      /** Milliseconds to wait first. */
      readonly delay?: number
      /** Tagged fields of a flexible response header. */
      readonly headerTags?: ReadonlyArray<Wire.UnknownTaggedField>
    }
  | { readonly _tag: "Raw"; readonly bytes: Uint8Array }
  | { readonly _tag: "Silence" }
  | { readonly _tag: "Close" }

export const respond = <Response>(
  message: Wire.Input<Response>,
  options: Omit<Extract<Answer, { _tag: "Respond" }>, "_tag" | "message"> = {}
): Answer<Response> => ({ _tag: "Respond", message, ...options })
export const raw = (bytes: Uint8Array): Answer<never> => ({ _tag: "Raw", bytes })
export const silence: Answer<never> = { _tag: "Silence" }
export const close: Answer<never> = { _tag: "Close" }

export interface ScriptedBroker {
  readonly host: string
  readonly port: number
  /** `host:port`. */
  readonly address: string
  /** Every request that came in, ApiVersions among them. */
  readonly received: Array<Received>
  /** The requests of one API. */
  readonly of: <Request>(api: Api<Request, unknown>) => ReadonlyArray<Received<Request>>
  /** How many connections were accepted. */
  readonly accepted: () => number
  /** How many connections are open. */
  readonly open: () => number
  /** Answers an API's requests from now on; what comes later on the same connection waits for a promise. */
  readonly on: <Request, Response>(
    api: Api<Request, Response>,
    answer: (request: Received<Request>) => Answer<Response> | Promise<Answer<Response>>
  ) => void
  /** Writes bytes on an open connection, asked for or not. */
  readonly push: (connection: number, bytes: Uint8Array) => void
  /** Reads no more from the connections that are open. */
  readonly pause: () => void
  /** Closes all connections; those that come later are accepted. */
  readonly dropConnections: () => void
  /** Closes all connections and the port. */
  readonly stop: Effect.Effect<void>
}

/** Versions that the broker offers, by API name; the newest stable ones where a name is missing. */
export type Offered = Partial<Record<keyof typeof apis, readonly [min: number, max: number] | "none">>

const byKey = new Map<number, AnyApi>(Object.values(apis).map((api) => [api.key, api]))

/** The answer to ApiVersions of a broker that offers these versions. */
export const offering = (offered: Offered): ReadonlyArray<{ apiKey: number; minVersion: number; maxVersion: number }> =>
  Object.entries(apis).flatMap(([name, api]) => {
    const range = offered[name as keyof typeof apis] ?? [api.lowestVersion, api.highestStableVersion]
    return range === "none" ? [] : [{ apiKey: api.key, minVersion: range[0], maxVersion: range[1] }]
  })

/** A frame: size, header and message. */
export const frameOf = (
  api: AnyApi,
  version: number,
  correlationId: number,
  body: Uint8Array,
  tags?: ReadonlyArray<Wire.UnknownTaggedField>
): Uint8Array => {
  const writer = new ByteWriter()
  writer.writeInt32(0)
  const header = { correlationId, ...(tags === undefined ? {} : { unknownTaggedFields: tags }) }
  WireCodec.of(ResponseHeader, responseHeaderVersion(api, version)).encodeInto(writer, header)
  writer.writeBytes(body)
  writer.setInt32(0, writer.offset - 4)
  return writer.finish()
}

const decodeRequest = (connection: number, frame: Uint8Array): Received => {
  const reader = new ByteReader(frame)
  const key = reader.readInt16()
  const version = reader.readInt16()
  const api = byKey.get(key)
  if (api === undefined) throw new Error(`a request of an unknown API: ${key}`)
  const headerReader = new ByteReader(frame)
  const header = WireCodec.of(RequestHeader, requestHeaderVersion(api, version)).decodeFrom(headerReader)
  // The map holds APIs of many types.
  const message = WireCodec.of((api as Api<unknown, unknown>).request, version).decodeFrom(headerReader)
  if (headerReader.remaining > 0) throw new Error(`${api.name} v${version}: ${headerReader.remaining} bytes left over`)
  return {
    connection,
    api,
    version,
    correlationId: header.correlationId,
    clientId: header.clientId,
    message,
    frame,
    at: performance.now()
  }
}

/** Listens on a free port of the host, for as long as the scope. */
export const make = (
  options: { readonly host?: string; readonly port?: number; readonly offered?: Offered } = {}
): Effect.Effect<ScriptedBroker, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ScriptedBroker>((resume) => {
      const host = options.host ?? "127.0.0.1"
      const answers = new Map<number, (request: Received) => Answer | Promise<Answer>>()
      const received: Array<Received> = []
      const sockets = new Map<number, Net.Socket>()
      let accepted = 0

      const serve = (socket: Net.Socket): void => {
        const connection = accepted++
        sockets.set(connection, socket)
        socket.setNoDelay(true)
        socket.on("error", () => socket.destroy())
        socket.on("close", () => sockets.delete(connection))
        let buffered = Buffer.alloc(0)
        // One after the other, as a broker does.
        let turn: Promise<void> = Promise.resolve()
        socket.on("data", (chunk) => {
          buffered = Buffer.concat([buffered, chunk])
          while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
            const end = 4 + buffered.readInt32BE(0)
            const request = decodeRequest(connection, new Uint8Array(buffered.subarray(4, end)))
            buffered = buffered.subarray(end)
            received.push(request)
            turn = turn.then(() => answer(socket, request))
          }
        })
      }

      const answer = async (socket: Net.Socket, request: Received): Promise<void> => {
        const script = answers.get(request.api.key)
        if (script === undefined) throw new Error(`no answer is scripted for ${request.api.name}`)
        const reply = await script(request)
        switch (reply._tag) {
          case "Silence":
            return
          case "Close":
            return void socket.destroy()
          case "Raw":
            return void socket.write(reply.bytes)
          case "Respond": {
            if (reply.delay !== undefined) await new Promise((done) => setTimeout(done, reply.delay))
            const version = reply.version ?? request.version
            const api = request.api as Api<unknown, unknown>
            const body = WireCodec.encode(api.response, version, reply.message)
            if (socket.destroyed) return
            socket.write(frameOf(api, version, reply.correlationId ?? request.correlationId, body, reply.headerTags))
          }
        }
      }

      const server = Net.createServer(serve)
      const dropConnections = () => {
        for (const socket of sockets.values()) socket.destroy()
      }
      const stop = Effect.callback<void>((done) => {
        dropConnections()
        server.close(() => done(Effect.void))
      })
      server.listen(options.port ?? 0, host, () => {
        const { port } = server.address() as Net.AddressInfo
        const broker: ScriptedBroker = {
          host,
          port,
          address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
          received,
          // Each was decoded by the API's own codec.
          of: (api) =>
            received.filter((request) => request.api.key === api.key) as unknown as ReadonlyArray<Received<never>>,
          accepted: () => accepted,
          open: () => sockets.size,
          on: (api, script) => void answers.set(api.key, script as (request: Received) => Answer),
          push: (connection, bytes) => void sockets.get(connection)?.write(bytes),
          pause: () => {
            for (const socket of sockets.values()) socket.pause()
          },
          dropConnections,
          stop
        }
        broker.on(ApiVersions, () => respond({ apiKeys: offering(options.offered ?? {}) }))
        resume(Effect.succeed(broker))
      })
    }),
    (broker) => broker.stop
  )
