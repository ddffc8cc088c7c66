/**
 * Requests per second over one connection on loopback, pipelined, against a minimal server in a process of its own:
 * frames, correlation ids, encoding, decoding and Effect's share, and no Kafka.
 *
 * Run it with `node packages/benchmarks/src/connection.ts`. Each line is the best of several rounds; `in flight` is how
 * many requests are sent before the first is answered.
 */
import { type ChildProcess, fork } from "node:child_process"
import * as Net from "node:net"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import * as Effect from "effect/Effect"
import type { Connection } from "kafka-effect/Connection"
import * as Kafka from "kafka-effect/Kafka"

const isServer = process.argv[2] === "server"

/** Answers every request with what is prepared for its API. */
const serve = (): void => {
  const apis = [ApiVersions, Metadata, Heartbeat]
  const apiKeys = apis.map(({ key }) => ({ apiKey: key, minVersion: 0, maxVersion: 0 }))
  const server = Net.createServer((socket) => {
    socket.setNoDelay(true)
    let rest: Buffer = Buffer.alloc(0)
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const answers: Array<Uint8Array> = []
      let offset = 0
      while (bytes.length - offset >= 4) {
        const size = bytes.readInt32BE(offset)
        if (bytes.length - offset < 4 + size) break
        const body = bodies.get(bytes.readInt16BE(offset + 4))!
        const frame = Buffer.allocUnsafe(8 + body.length)
        frame.writeInt32BE(4 + body.length, 0)
        bytes.copy(frame, 4, offset + 8, offset + 12)
        frame.set(body, 8)
        answers.push(frame)
        offset += 4 + size
      }
      rest = bytes.subarray(offset)
      if (answers.length > 0) socket.write(Buffer.concat(answers))
    })
  })
  const bodies = new Map<number, Uint8Array>()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    const brokers = [{ nodeId: 1, host: "127.0.0.1", port }]
    bodies.set(ApiVersions.key, WireCodec.encode(ApiVersions.response, ApiVersions.highestStableVersion, { apiKeys }))
    bodies.set(Metadata.key, WireCodec.encode(Metadata.response, 0, { brokers }))
    bodies.set(Heartbeat.key, WireCodec.encode(Heartbeat.response, 0, {}))
    process.send!(port)
  })
}

const message = { groupId: "group", generationId: 7, memberId: "member-0123456789" }

/** Requests per second when `inFlight` fibers send one after the other. */
const measure = Effect.fnUntraced(function* (connection: Connection, inFlight: number, count: number) {
  const each = Effect.forEach(
    Array.from({ length: Math.ceil(count / inFlight) }),
    () => connection.request(Heartbeat, message),
    {
      discard: true
    }
  )
  const start = performance.now()
  yield* Effect.all(
    Array.from({ length: inFlight }, () => each),
    { concurrency: "unbounded", discard: true }
  )
  return (Math.ceil(count / inFlight) * inFlight * 1000) / (performance.now() - start)
})

/** The same requests on a bare socket, written and counted by callbacks: what the machine gives at this moment. */
const measureBare = (port: number, inFlight: number, count: number): Promise<number> =>
  new Promise((resolve) => {
    const body = WireCodec.encode(Heartbeat.request, 0, message)
    const frame = Buffer.alloc(18 + body.length)
    frame.writeInt32BE(14 + body.length, 0)
    frame.writeInt16BE(Heartbeat.key, 4)
    frame.writeInt16BE(4, 12)
    frame.write("test", 14)
    frame.set(body, 18)
    const answerSize = 10
    const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true })
    let sent = 0
    let received = 0
    const send = (requests: number): void => {
      const now = Math.min(requests, count - sent)
      sent += now
      if (now > 0) socket.write(Buffer.concat(Array.from({ length: now }, () => frame)))
    }
    let due = 0
    const start = performance.now()
    socket.on("data", (chunk) => {
      received += chunk.length
      if (received >= count * answerSize) {
        socket.destroy()
        resolve((count * 1000) / (performance.now() - start))
        return
      }
      if (due === 0) {
        setImmediate(() => {
          send(due)
          due = 0
        })
      }
      due += chunk.length / answerSize
    })
    send(inFlight)
  })

const best = (rates: ReadonlyArray<number>): string =>
  Math.round(Math.max(...rates))
    .toLocaleString("en")
    .padStart(9)

const main = (port: number) =>
  Effect.gen(function* () {
    for (const inFlight of [1, 5, 64, 256]) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const bootstrapServers = [`127.0.0.1:${port}`]
          const { cluster } = yield* Kafka.make({ bootstrapServers, maxInFlight: inFlight })
          const connection = yield* cluster.connection(1, "main")
          yield* measure(connection, inFlight, 20_000)
          const count = inFlight === 1 ? 20_000 : 150_000
          const ours: Array<number> = []
          const bare: Array<number> = []
          for (let round = 0; round < 3; round++) {
            ours.push(yield* measure(connection, inFlight, count))
            bare.push(yield* Effect.promise(() => measureBare(port, inFlight, count)))
          }
          const label = `${String(inFlight).padStart(4)} in flight`
          console.log(`${label}: ${best(ours)} requests/s; a bare socket ${best(bare)}`)
        })
      )
    }
  })

const started = (server: ChildProcess): Promise<number> =>
  new Promise((resolve) => server.once("message", (port) => resolve(Number(port))))

if (isServer) serve()
else {
  const server = fork(import.meta.filename, ["server"])
  try {
    await Effect.runPromise(main(await started(server)))
  } finally {
    server.kill()
  }
}
