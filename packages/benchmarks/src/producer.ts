/**
 * 1,000,000 records of 100 bytes with 10-byte keys to 6 partitions of one real broker, `acks: "all"`, idempotent; beside
 * them, in the same run, a bare socket that replays encoded requests of the same shape. Each way runs in a process of its
 * own, several rounds in turn.
 *
 * Run it with `node packages/benchmarks/src/producer.ts`: against `KAFKA_BOOTSTRAP_SERVERS`, or a broker of the rig.
 */
import * as Net from "node:net"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { inChild, type Measured, measured, percentiles, print, serve, type Way } from "./Rounds.ts"

const total = 1_000_000
const partitions = 6
const rounds = 3

const keys = Array.from({ length: 10_000 }, (_, index) => Buffer.from(String(index).padStart(10, "0")))
const values = Array.from({ length: 10_000 }, (_, index) => Buffer.from(`order ${index} `.padEnd(100, "abcdefghij")))

const arrayOf = (length: number, from: number) =>
  Array.from({ length }, (_, index) => ({
    key: keys[(from + index) % keys.length],
    value: values[(from + index) % values.length]
  }))

/** One encoded request: a full batch for each partition, as the producer sends them. */
const encodedRequest = (topic: string): { readonly frame: Buffer; readonly records: number } => {
  let records = 0
  const partitionData = Array.from({ length: partitions }, (_, index) => {
    const builder = new RecordBatchBuilder(16_384)
    for (let at = 0; builder.sizeInBytes + 136 <= 16_384; at++) builder.append(Date.now(), keys[at], values[at])
    records += builder.count
    return { index, records: Uint8Array.from(builder.build() as Uint8Array) }
  })
  const header = WireCodec.encode(RequestHeader, 2, {
    requestApiKey: Produce.key,
    requestApiVersion: 12,
    correlationId: 1,
    clientId: "bare"
  })
  const body = WireCodec.encode(Produce.request, 12, {
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{ name: topic, partitionData }]
  })
  const size = Buffer.alloc(4)
  size.writeInt32BE(header.length + body.length)
  return { frame: Buffer.concat([size, header, body]), records }
}

/** Five requests in flight on a bare socket, each checked for errors. */
const bare = (address: string, topic: string): Promise<Measured> => {
  const { frame, records } = encodedRequest(topic)
  const count = Math.ceil(total / records)
  return measured(
    count * records,
    () =>
      new Promise((resolve, reject) => {
        const [host, port] = address.split(":")
        const socket = Net.connect({ host, port: Number(port), noDelay: true })
        let sent = 0
        let received = 0
        let rest: Buffer = Buffer.alloc(0)
        const send = (): void => {
          if (sent++ < count) socket.write(frame)
        }
        socket.on("error", reject)
        socket.on("data", (chunk) => {
          rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
          while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
            const end = 4 + rest.readInt32BE(0)
            const response = WireCodec.decode(Produce.response, 12, rest.subarray(9, end))
            const failed = response.responses[0].partitionResponses.find(({ errorCode }) => errorCode !== 0)
            if (failed !== undefined) return reject(new Error(`error code ${failed.errorCode}`))
            rest = rest.subarray(end)
            if (++received === count) {
              socket.destroy()
              return resolve(undefined)
            }
            send()
          }
        })
        for (let index = 0; index < 5; index++) send()
      })
  )
}

type Send = (producer: Producer.Producer["Service"], name: string, records: number) => Effect.Effect<unknown, unknown>

const topicOf = (name: string) => Kafka.topic(name, { key: Serde.bytes, value: Serde.bytes })

const sink: Send = (producer, name, records) =>
  Stream.range(0, records / 1000 - 1).pipe(
    Stream.mapArray((chunks) => [...chunks]),
    Stream.flatMap((chunk) => Stream.fromArray(arrayOf(1000, chunk * 1000))),
    Stream.run(producer.sink(topicOf(name)))
  )

/** Four fibers, each with arrays of 1,000 records. */
const sendAll: Send = (producer, name, records) => {
  const topic = topicOf(name)
  return Effect.forEach(
    Array.from({ length: records / 1000 }, (_, index) => index),
    (index) =>
      Effect.map(producer.sendAll(topic, arrayOf(1000, index * 1000)), (outcomes) => {
        if (!outcomes.every(Exit.isSuccess)) throw new Error("a record was not acknowledged")
      }),
    { concurrency: 16, discard: true }
  )
}

/** 1,000 fibers, each with one record at a time. */
const fibers: Send = (producer, name, records) => {
  const topic = topicOf(name)
  const each = (fiber: number) =>
    Effect.forEach(
      Array.from({ length: records / 1000 }, (_, index) => index),
      (index) => {
        const at = (fiber * 7919 + index) % keys.length
        return producer.send(topic, { key: keys[at], value: values[at] })
      },
      { discard: true }
    )
  return Effect.forEach(
    Array.from({ length: 1000 }, (_, index) => index),
    each,
    { concurrency: "unbounded", discard: true }
  )
}

const ours = (send: Send, options: Producer.Options, records: number) => (address: string, name: string) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.make({ bootstrapServers: [address] })
    const producer = yield* Effect.provideService(Producer.make(options), Kafka.Kafka, kafka)
    yield* send(producer, name, Math.min(records, 200_000))
    return yield* Effect.promise(() =>
      measured(records, () => Effect.runPromise(Effect.as(send(producer, name, records), undefined)))
    )
  }).pipe(Effect.scoped, Effect.runPromise)

/** One record, awaited, then the next. */
const single = (options: Producer.Options) => (address: string, name: string) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.make({ bootstrapServers: [address] })
    const producer = yield* Effect.provideService(Producer.make(options), Kafka.Kafka, kafka)
    const times: Array<number> = []
    const send = Effect.gen(function* () {
      const start = performance.now()
      yield* producer.send(topicOf(name), { key: keys[0], value: values[0] })
      times.push(performance.now() - start)
    })
    const repeat = (count: number) => Effect.forEach(Array.from({ length: count }), () => send, { discard: true })
    yield* repeat(300)
    times.length = 0
    return yield* Effect.promise(() =>
      measured(2000, async () => {
        await Effect.runPromise(repeat(2000))
        return percentiles(times)
      })
    )
  }).pipe(Effect.scoped, Effect.runPromise)

const ways: Record<string, Way> = {
  "a bare socket": bare,
  "sink, arrays of 1,000": ours(sink, {}, total),
  "sendAll, arrays of 1,000": ours(sendAll, {}, total),
  "sink, lz4": ours(sink, { compression: "lz4" }, total),
  "send, 1,000 fibers": ours(fibers, {}, total),
  "send, one by one": single({}),
  "send, one by one, linger 0": single({ linger: 0 })
}

const main = Effect.gen(function* () {
  const named = process.env.KAFKA_BOOTSTRAP_SERVERS
  const address = named ?? (yield* KafkaCluster.start()).bootstrapServers[0]
  const { request } = yield* Kafka.make({ bootstrapServers: [address] })
  const only = process.argv[2]
  const names = Object.keys(ways).filter((way) => only === undefined || way.includes(only) || way === "a bare socket")
  const results = new Map<string, Array<Measured>>(names.map((way) => [way, []]))
  for (let round = 0; round < rounds; round++) {
    for (const way of names) {
      // A topic of its own for each, so that none pays for another's segments.
      const topic = `bench-${round}-${names.indexOf(way)}-${Date.now().toString(36)}`
      yield* request("controller", CreateTopics, {
        topics: [{ name: topic, numPartitions: partitions, replicationFactor: 1 }],
        timeoutMs: 10_000
      })
      results.get(way)!.push(yield* Effect.promise(() => inChild(import.meta.filename, way, [address, topic])))
    }
  }
  print(results)
}).pipe(Effect.scoped)

if (!(await serve(ways))) await Effect.runPromise(main)
