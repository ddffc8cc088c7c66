/**
 * 3,000,000 records of 100 bytes with 10-byte keys from 6 partitions of one real broker; beside them, in the same run, a
 * bare socket that fetches the same bytes and decodes none. Each way runs in a process of its own, several rounds in turn.
 * The last way measures the time from `send` to the handler at 1,000 records per second.
 *
 * Run it with `node packages/benchmarks/src/consumer.ts`: against `KAFKA_BOOTSTRAP_SERVERS`, or a broker of the rig.
 */
import * as Net from "node:net"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import { inChild, type Measured, measured, percentiles, print, serve, type Way } from "./Rounds.ts"

const total = 3_000_000
const partitions = 6
const rounds = 3

const topicOf = (name: string) => Kafka.topic(name, { key: Serde.bytes, value: Serde.bytes })

const fill = (name: string) =>
  Effect.gen(function* () {
    const keys = Array.from({ length: 10_000 }, (_, index) => Buffer.from(String(index).padStart(10, "0")))
    const values = keys.map((_, index) => Buffer.from(`order ${index} `.padEnd(100, "abcdefghij")))
    const producer = yield* Producer.make()
    const arrays = Stream.range(0, total / 1000 - 1).pipe(
      Stream.flatMap((array) =>
        Stream.fromArray(
          Array.from({ length: 1000 }, (_, index) => {
            const at = (array * 1000 + index) % keys.length
            return { key: keys[at], value: values[at], partition: (array * 1000 + index) % partitions }
          })
        )
      )
    )
    yield* Stream.run(arrays, producer.sink(topicOf(name)))
  })

/** The offset behind the batches of a partition's answer, by their headers alone. */
const behind = (records: Uint8Array, from: bigint): bigint => {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
  let next = from
  for (let at = 0; at + 61 <= records.length; ) {
    const size = 12 + view.getInt32(at + 8)
    if (at + size > records.length) break
    next = view.getBigInt64(at) + BigInt(view.getInt32(at + 23) + 1)
    at += size
  }
  return next
}

/** One request after the other on a bare socket. */
const bare: Way = (address, name) =>
  measured(
    total,
    () =>
      new Promise((resolve, reject) => {
        const [host, port] = address.split(":")
        const socket = Net.connect({ host, port: Number(port), noDelay: true })
        const positions = Array.from({ length: partitions }, () => BigInt(0))
        let chunks: Array<Buffer> = []
        let received = 0
        const send = (): void => {
          const header = WireCodec.encode(RequestHeader, 2, {
            requestApiKey: Fetch.key,
            requestApiVersion: 12,
            correlationId: 1,
            clientId: "bare"
          })
          const body = WireCodec.encode(Fetch.request, 12, {
            maxWaitMs: 500,
            minBytes: 1,
            maxBytes: 50 * 1024 * 1024,
            sessionId: 0,
            sessionEpoch: -1,
            topics: [
              {
                topic: name,
                partitions: positions.map((fetchOffset, partition) => ({
                  partition,
                  fetchOffset,
                  partitionMaxBytes: 1024 * 1024
                }))
              }
            ]
          })
          const size = Buffer.alloc(4)
          size.writeInt32BE(header.length + body.length)
          socket.write(Buffer.concat([size, header, body]))
        }
        socket.on("error", reject)
        socket.on("data", (chunk) => {
          chunks.push(chunk)
          received += chunk.length
          if (received < 4 || (chunks[0].length >= 4 && received < 4 + chunks[0].readInt32BE(0))) return
          const response = WireCodec.decode(Fetch.response, 12, Buffer.concat(chunks).subarray(9))
          chunks = []
          received = 0
          for (const { partitionIndex, records } of response.responses[0].partitions) {
            if (records !== null) positions[partitionIndex] = behind(records, positions[partitionIndex])
          }
          const read = positions.reduce((sum, position) => sum + position, BigInt(0))
          if (read < total) send()
          else {
            socket.destroy()
            resolve(undefined)
          }
        })
        send()
      })
  )

type Read = (name: string, begin: Effect.Effect<void>) => Effect.Effect<number, unknown, Kafka.Kafka>

/** Reads all of it, and counts. */
const ours =
  (read: Read): Way =>
  (address, name) =>
    Effect.gen(function* () {
      const kafka = yield* Kafka.make({ bootstrapServers: [address] })
      const reading = (begin: Effect.Effect<void>) => Effect.provideService(read(name, begin), Kafka.Kafka, kafka)
      return yield* Effect.promise(() =>
        measured(total, async (begin) => {
          const count = await Effect.runPromise(reading(Effect.sync(begin)))
          if (count !== total) throw new Error(`${count} records came`)
          return undefined
        })
      )
    }).pipe(Effect.scoped, Effect.runPromise)

/**
 * A group's consumer, until all has come: from when it has its partitions, and has fetched nothing. The time before that,
 * in which it joins, is told apart.
 */
const inGroup =
  (
    read: (
      consumer: Consumer.Consumer<ReturnType<typeof topicOf>>,
      add: (count: number) => Effect.Effect<void>
    ) => Effect.Effect<void, unknown>
  ): Read =>
  (name, begin) =>
    Effect.gen(function* () {
      const groupId = `bench-${process.pid}`
      const listener = { onAssigned: () => begin }
      const consumer = yield* Consumer.make({ groupId, topics: [topicOf(name)], fallback: "earliest", listener })
      let count = 0
      const add = (more: number) => {
        count += more
        return count < total ? Effect.void : Effect.fail("all")
      }
      // Failing is the quickest way to end.
      yield* Effect.ignore(read(consumer, add as (count: number) => Effect.Effect<void>))
      return count
    }).pipe(Effect.scoped)

const assigned: Read = (name) => {
  let count = 0
  return Consumer.assign({
    partitions: Array.from({ length: partitions }, (_, partition) => [topicOf(name), partition, "earliest"] as const),
    until: "end"
  }).pipe(
    Stream.runForEachArray((records) =>
      Effect.sync(() => {
        count += records.length
      })
    ),
    Effect.map(() => count)
  )
}

/** From `send` to the reader, at 1,000 records per second. */
const latency: Way = (address, name) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.make({ bootstrapServers: [address] })
    const own = `${name}-latency-${process.pid}`
    yield* kafka.request("controller", CreateTopics, {
      topics: [{ name: own, numPartitions: partitions, replicationFactor: 1 }],
      timeoutMs: 10_000
    })
    const topic = topicOf(own)
    const producer = yield* Producer.make({ linger: 0 })
    const consumer = yield* Consumer.make({ groupId: own, topics: [topic], fallback: "earliest" })
    const times: Array<number> = []
    const warmUp = 2000
    const wanted = 10_000
    const reading = consumer.records.pipe(
      Stream.take(warmUp + wanted),
      Stream.runForEachArray((records) =>
        Effect.sync(() => {
          for (const { value } of records) times.push(performance.now() - Buffer.from(value!).readDoubleBE(0))
        })
      )
    )
    const sending = Effect.forEach(
      Array.from({ length: (warmUp + wanted) / 10 }),
      () => {
        const records = Array.from({ length: 10 }, () => {
          const value = Buffer.alloc(100)
          value.writeDoubleBE(performance.now(), 0)
          return { key: null, value }
        })
        return Effect.andThen(Effect.forkChild(producer.sendAll(topic, records)), Effect.sleep(10))
      },
      { discard: true }
    )
    const services = yield* Effect.context<never>()
    return yield* Effect.promise(() =>
      measured(warmUp + wanted, async () => {
        await Effect.runPromiseWith(services)(
          Effect.all([reading, sending], { concurrency: "unbounded", discard: true })
        )
        return percentiles(times.slice(warmUp))
      })
    )
  }).pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrapServers: [address] })), Effect.runPromise)

const ways: Record<string, Way> = {
  "a bare socket": bare,
  "assign, by arrays": ours(assigned),
  "records, by arrays": ours(
    inGroup((consumer, add) => Stream.runForEachArray(consumer.records, (records) => add(records.length)))
  ),
  "records, an Effect each": ours(
    inGroup((consumer, add) => {
      const one = Effect.suspend(() => add(1))
      return Stream.runForEach(consumer.records, () => one)
    })
  ),
  "run, per partition": ours(inGroup((consumer, add) => consumer.run((records) => add(records.length)))),
  "1,000 records/s, end to end": latency
}

const main = Effect.gen(function* () {
  const named = process.env.KAFKA_BOOTSTRAP_SERVERS
  const address = named ?? (yield* KafkaCluster.start()).bootstrapServers[0]
  const { request } = yield* Kafka.make({ bootstrapServers: [address] })
  const only = process.argv[2]
  const names = Object.keys(ways).filter((way) => only === undefined || way.includes(only) || way === "a bare socket")
  const results = new Map<string, Array<Measured>>(names.map((way) => [way, []]))
  const name = `bench-${Date.now().toString(36)}`
  yield* request("controller", CreateTopics, {
    topics: [{ name, numPartitions: partitions, replicationFactor: 1 }],
    timeoutMs: 10_000
  })
  yield* fill(name).pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrapServers: [address] })))
  for (let round = 0; round < rounds; round++) {
    for (const way of names) {
      results.get(way)!.push(yield* Effect.promise(() => inChild(import.meta.filename, way, [address, name])))
    }
  }
  print(results)
}).pipe(Effect.scoped)

if (!(await serve(ways))) await Effect.runPromise(main)
