import { connect } from "node:net"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { bootstrapServers, describeBrokers } from "../src/brokers.ts"

/** One frame sent as raw bytes, the reply's frame as raw bytes: no code of the client takes part. */
const exchange = (address: string, frame: Buffer) =>
  Effect.callback<Buffer>((resume) => {
    const [host, port] = address.split(":")
    const socket = connect({ host: host!, port: Number(port) })
    let received = Buffer.alloc(0)
    socket.on("connect", () => socket.write(frame))
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      socket.destroy()
      resume(Effect.succeed(received.subarray(4, 4 + received.readInt32BE(0))))
    })
    return Effect.sync(() => socket.destroy())
  })

/** ApiVersions v0, correlation id 0x01020304, client id "rig". */
const apiVersionsRequest = Buffer.from("0000000d00120000010203040003726967", "hex")

describeBrokers("the shared Kafka", () => {
  it.live("answers raw ApiVersions bytes with the APIs that a broker has", () =>
    Effect.gen(function* () {
      const reply = yield* exchange(bootstrapServers[0]!, apiVersionsRequest)
      assert.strictEqual(reply.readInt32BE(0), 0x01020304)
      assert.strictEqual(reply.readInt16BE(4), 0)
      const count = reply.readInt32BE(6)
      const keys = Array.from({ length: count }, (_, index) => reply.readInt16BE(10 + 6 * index))
      assert.strictEqual(reply.length, 10 + 6 * count)
      for (const key of [0, 1, 2, 3, 18]) assert.include(keys, key)
    })
  )
})
