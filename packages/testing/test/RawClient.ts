/** Bytes over a plain or encrypted socket, for what no client would send or show. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { type Api, requestHeaderVersion, responseHeaderVersion } from "@kafka-effect/protocol/Api"
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import { ResponseHeader } from "@kafka-effect/protocol/messages/ResponseHeader"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"

export interface RawClient {
  /** The next frame, without its size; undefined if the broker has closed the connection, or says nothing for a while. */
  readonly next: () => Promise<Uint8Array | "closed" | "silence">
  /** Sends bytes with their size in front. */
  readonly send: (frame: Uint8Array) => void
  readonly end: () => void
}

/** A request without its size. */
export const frame = <Request, Response>(
  api: Api<Request, Response>,
  version: number,
  message: Wire.Input<Request>,
  correlationId = 1
): Uint8Array => {
  const writer = new ByteWriter(512, 4096)
  const header = { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId: "raw" }
  WireCodec.of(RequestHeader, requestHeaderVersion(api, version)).encodeInto(writer, header)
  WireCodec.of(api.request, version).encodeInto(writer, message)
  return new Uint8Array(Buffer.concat(writer.takePieces(0)))
}

/** What the bytes of a response are. */
export const read = <Request, Response>(api: Api<Request, Response>, version: number, bytes: Uint8Array) => {
  const reader = new ByteReader(bytes)
  const { correlationId } = WireCodec.of(ResponseHeader, responseHeaderVersion(api, version)).decodeFrom(reader)
  return { correlationId, message: WireCodec.of(api.response, version).decodeFrom(reader) }
}

export const connect = (address: string, tls?: Tls.ConnectionOptions, patience = 300): RawClient => {
  const [host, port] = address.split(":")
  const options = { host, port: Number(port) }
  const socket = tls === undefined ? Net.connect(options) : Tls.connect({ ...options, ...tls })
  let bytes = Buffer.alloc(0)
  let isClosed = false
  let wake = () => {}
  socket.on("data", (more: Buffer) => {
    bytes = Buffer.concat([bytes, more])
    wake()
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    isClosed = true
    wake()
  })
  const taken = (): Uint8Array | undefined => {
    if (bytes.length < 4 || bytes.length < 4 + bytes.readInt32BE(0)) return undefined
    const size = bytes.readInt32BE(0)
    const found = Uint8Array.from(bytes.subarray(4, 4 + size))
    bytes = bytes.subarray(4 + size)
    return found
  }
  return {
    send: (content) => {
      const size = Buffer.alloc(4)
      size.writeInt32BE(content.length)
      socket.write(Buffer.concat([size, content]))
    },
    next: async () => {
      const deadline = performance.now() + patience
      for (;;) {
        const found = taken()
        if (found !== undefined) return found
        if (isClosed) return "closed"
        const rest = deadline - performance.now()
        if (rest <= 0) return "silence"
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, rest)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    },
    end: () => void socket.destroy()
  }
}
