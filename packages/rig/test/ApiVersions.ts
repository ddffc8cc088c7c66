import { connect } from "node:net"
import { Effect } from "effect"

/** ApiVersions v0, correlation id 0x01020304, client id "rig". */
const request = Buffer.from("0000000d00120000010203040003726967", "hex")

/** The API keys in a v0 reply. */
const keysOf = (reply: Buffer): ReadonlyArray<number> => {
  if (reply.readInt32BE(0) !== 0x01020304 || reply.readInt16BE(4) !== 0) throw new Error(reply.toString("hex"))
  const count = reply.readInt32BE(6)
  if (reply.length !== 10 + 6 * count) throw new Error(`${count} entries in ${reply.length} bytes`)
  return Array.from({ length: count }, (_, index) => reply.readInt16BE(10 + 6 * index))
}

/** Asks a broker for its APIs in bytes written by hand: no code of the client takes part. */
export const apiVersions = (address: string): Effect.Effect<ReadonlyArray<number>, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const [host, port] = address.split(":")
    const socket = connect({ host: host!, port: Number(port) })
    let received = Buffer.alloc(0)
    socket.on("connect", () => socket.write(request))
    socket.on("error", (error) => resume(Effect.fail(error)))
    // a broker that dies before it has read the request closes without an error
    socket.on("close", () => resume(Effect.fail(Object.assign(new Error("closed without a reply"), { code: "EPIPE" }))))
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      socket.destroy()
      resume(Effect.sync(() => keysOf(received.subarray(4, 4 + received.readInt32BE(0)))))
    })
    return Effect.sync(() => socket.destroy())
  })
