/** The consumer against scripted brokers: what real ones do seldom. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch, type FetchPartition, type PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Cause, type Duration, Effect, Exit, Fiber, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Serde from "../src/Serde.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

const topic = Kafka.topic("t", { key: Serde.bytes, value: Serde.string })

const batch = (baseOffset: bigint, values: ReadonlyArray<string>): Uint8Array => {
  const builder = new RecordBatchBuilder()
  for (const value of values) builder.append(0, null, Buffer.from(value))
  return Uint8Array.from(builder.build({ baseOffset }) as Uint8Array)
}

type Answer = Wire.Input<PartitionData>

/** A cluster with one topic whose partitions end at offset 3, led in turn. */
const scripted = (brokers: number, partitions: number, retryBackoff: Duration.Input = "20 millis") =>
  Effect.gen(function* () {
    const cluster = yield* ScriptedCluster.make(brokers, { offered: { Fetch: [0, 12] } })
    cluster.topics.set("t", {
      partitions: Array.from({ length: partitions }, (_, index) => ({ leader: (index % brokers) + 1, epoch: 1 }))
    })
    for (const broker of cluster.brokers) {
      broker.on(ListOffsets, ({ message }) =>
        ScriptedBroker.respond({
          topics: message.topics.map(({ name, partitions }) => ({
            name,
            partitions: partitions.map(({ partitionIndex, timestamp }) => ({
              partitionIndex,
              offset: timestamp === -1n ? 3n : 0n
            }))
          }))
        })
      )
    }
    const bootstrapServers = cluster.brokers.map((broker) => broker.address)
    const kafka = yield* Kafka.make({ bootstrapServers, requestTimeout: "1 second", retryBackoff })
    const reading = (options: Partial<Consumer.AssignOptions<typeof topic>> = {}) =>
      Consumer.assign({
        partitions: Array.from({ length: partitions }, (_, partition) => [topic, partition, "earliest"] as const),
        until: "end",
        ...options
      }).pipe(Stream.provideService(Kafka.Kafka, kafka))
    const read = (options?: Partial<Consumer.AssignOptions<typeof topic>>) =>
      Effect.timeout(Stream.runCollect(reading(options)), "10 seconds")
    return { cluster, kafka, read, reading }
  })

/** Answers each Fetch; an answer may say more, or less, than was asked. */
const answering = (
  broker: ScriptedBroker.ScriptedBroker,
  answer: (asked: ReadonlyArray<FetchPartition>) => ReadonlyArray<Answer>
): void =>
  broker.on(Fetch, ({ message }) =>
    ScriptedBroker.respond({
      responses: [{ topic: "t", partitions: answer(message.topics.flatMap(({ partitions }) => partitions)) }]
    })
  )

const everything = (asked: ReadonlyArray<FetchPartition>): ReadonlyArray<Answer> =>
  asked.map(({ fetchOffset, partition }) => ({
    partitionIndex: partition,
    highWatermark: 3n,
    records: fetchOffset < 3n ? batch(0n, ["a", "b", "c"]) : new Uint8Array(0)
  }))

const values = (records: ReadonlyArray<{ readonly value: string }>) => records.map(({ value }) => value)

describe("Consumer", () => {
  it.live("C23 a partition that is named twice, or was not asked for, is taken once or not at all", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      answering(cluster.brokers[0], (asked) => [
        { partitionIndex: 7, records: batch(0n, ["x"]) },
        ...everything(asked),
        ...everything(asked)
      ])
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
    })
  )

  it.live("a partition that is left out is asked for again, with backoff", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      let silent = 5
      answering(cluster.brokers[0], (asked) => (silent-- > 0 ? [] : everything(asked)))
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
      const arrivals = cluster.brokers[0].of(Fetch).map(({ at }) => at)
      assert.strictEqual(arrivals.length, 6)
      assert.isAbove(arrivals[5] - arrivals[0], 200)
    })
  )

  it.live("C34 a leader that a response names is gone to at once", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(2, 1, "5 seconds")
      answering(cluster.brokers[0], () => [
        {
          partitionIndex: 0,
          errorCode: codes.NOT_LEADER_OR_FOLLOWER,
          currentLeader: { leaderId: 2, leaderEpoch: 5 }
        }
      ])
      answering(cluster.brokers[1], everything)
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
      // the backoff would be four seconds at least
      assert.isBelow(cluster.brokers[1].of(Fetch)[0].at - cluster.brokers[0].of(Fetch)[0].at, 3500)
    })
  )

  it.live("C35 a fenced epoch is refreshed and the partition read on; requests carry the epoch", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      answering(cluster.brokers[0], (asked) => {
        if (asked[0].currentLeaderEpoch === 4) return everything(asked)
        cluster.topics.set("t", { partitions: [{ leader: 1, epoch: 4 }] })
        return [{ partitionIndex: 0, errorCode: codes.FENCED_LEADER_EPOCH }]
      })
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
    })
  )

  it.live("an error of one partition does not hold up another", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 2, "300 millis")
      let failures = 2
      answering(cluster.brokers[0], (asked) =>
        everything(asked).map((data) =>
          data.partitionIndex === 0 && failures-- > 0
            ? { partitionIndex: 0, errorCode: codes.KAFKA_STORAGE_ERROR }
            : data
        )
      )
      const records = yield* read()
      assert.deepStrictEqual(
        records.map(({ partition }) => partition),
        [1, 1, 1, 0, 0, 0]
      )
    })
  )

  it.live("an error that no retry cures ends the stream after what was read before it", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      answering(cluster.brokers[0], () => [{ partitionIndex: 0, errorCode: codes.TOPIC_AUTHORIZATION_FAILED }])
      const error = yield* Effect.flip(read())
      assert.include(error.message, "TOPIC_AUTHORIZATION_FAILED")
      assert.include(error.message, "topic t partition 0")
    })
  )

  it.live("damaged records end the stream with their place", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      const damaged = batch(0n, ["a", "b", "c"])
      damaged[70] ^= 1
      answering(cluster.brokers[0], () => [{ partitionIndex: 0, records: damaged }])
      const error = yield* Effect.flip(read())
      assert.include(error.message, "topic t partition 0 from offset 0")
      assert.include(error.message, "CRC")
    })
  )

  it.live("a lost connection is opened again and reading goes on where it was", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      let fetches = 0
      cluster.brokers[0].on(Fetch, ({ message }) => {
        fetches++
        if (fetches === 1) return ScriptedBroker.close
        const { fetchOffset } = message.topics[0].partitions[0]
        const next =
          fetchOffset === 0n ? batch(0n, ["a"]) : batch(fetchOffset, ["b", "c"].slice(Number(fetchOffset) - 1))
        return ScriptedBroker.respond({
          responses: [{ topic: "t", partitions: [{ partitionIndex: 0, records: next }] }]
        })
      })
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
    })
  )

  it.live("a full partition that is drained again does not wait for the long poll of an idle one", () =>
    Effect.gen(function* () {
      const { cluster, reading } = yield* scripted(1, 2)
      // Partition 0 always has records, partition 1 never: a fetch for it alone is held back as long as it allows.
      cluster.brokers[0].on(Fetch, ({ message }) => {
        const asked = message.topics.flatMap(({ partitions }) => partitions)
        const busy = asked.find(({ partition }) => partition === 0)
        if (busy === undefined) {
          return ScriptedBroker.respond(
            { responses: [{ topic: "t", partitions: [{ partitionIndex: 1, records: new Uint8Array(0) }] }] },
            { delay: message.maxWaitMs }
          )
        }
        const records = batch(busy.fetchOffset, ["a".repeat(1000)])
        return ScriptedBroker.respond({ responses: [{ topic: "t", partitions: [{ partitionIndex: 0, records }] }] })
      })
      const taken = yield* reading({ until: undefined, maxPartitionFetchBytes: 1000 }).pipe(
        Stream.mapEffect((record) => Effect.as(Effect.sleep("40 millis"), record)),
        Stream.take(10),
        Stream.runCollect
      )
      assert.deepStrictEqual(
        taken.map(({ offset }) => offset),
        Array.from({ length: 10 }, (_, index) => BigInt(index))
      )
      const waits = cluster.brokers[0]
        .of(Fetch)
        .filter(({ message }) => message.topics[0].partitions.every(({ partition }) => partition === 1))
        .map(({ message }) => message.maxWaitMs)
      assert.include(waits, 10)
    })
  )

  it.live("interrupting the reader ends the fetches", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      cluster.brokers[0].on(Fetch, () => ScriptedBroker.silence)
      const reader = yield* Effect.forkChild(read({ until: undefined }), { startImmediately: true })
      yield* Effect.sleep("100 millis")
      yield* Fiber.interrupt(reader)
      const before = cluster.brokers[0].of(Fetch).length
      yield* Effect.sleep("200 millis")
      assert.strictEqual(cluster.brokers[0].of(Fetch).length, before)
    })
  )

  it.live("C7 a consumer whose fetch is held back does not hold up another of the same client", () =>
    Effect.gen(function* () {
      const { cluster, read, reading } = yield* scripted(1, 2)
      cluster.brokers[0].on(Fetch, ({ message }) => {
        const asked = message.topics.flatMap(({ partitions }) => partitions)
        const isIdle = asked.every(({ partition }) => partition === 1)
        return ScriptedBroker.respond(
          { responses: [{ topic: "t", partitions: isIdle ? [] : everything(asked) }] },
          { delay: isIdle ? 3000 : 0 }
        )
      })
      yield* reading({ partitions: [[topic, 1, "latest"]], until: undefined }).pipe(Stream.runDrain, Effect.forkScoped)
      yield* Effect.sleep("100 millis")
      const started = performance.now()
      assert.deepStrictEqual(values(yield* read({ partitions: [[topic, 0, "earliest"]] })), ["a", "b", "c"])
      // Behind the other's fetch it would come after three seconds.
      assert.isBelow(performance.now() - started, 2500)
      yield* Effect.sleep("50 millis")
      // What was read to its end has let go of its connection: those left are the idle one's and the client's own.
      assert.strictEqual(cluster.brokers[0].open(), 2)
    })
  )

  const recreated = (fallback: "fail" | "earliest") =>
    Effect.gen(function* () {
      const { cluster, kafka, reading } = yield* scripted(1, 1)
      const idOf = (first: string) => `${first}${"A".repeat(21)}`
      cluster.topics.set("t", { id: idOf("B"), partitions: [{ leader: 1, epoch: 1 }] })
      yield* kafka.cluster.refresh(["t"])
      let isNew = false
      answering(cluster.brokers[0], (asked) =>
        asked.map(({ fetchOffset, partition }) => ({
          partitionIndex: partition,
          records: fetchOffset < 3n ? batch(0n, isNew ? ["x", "y", "z"] : ["a", "b", "c"]) : new Uint8Array(0)
        }))
      )
      const seen: Array<string> = []
      const running = yield* reading({ until: undefined, fallback }).pipe(
        Stream.take(6),
        Stream.runForEach(({ value }) => Effect.sync(() => void seen.push(value))),
        Effect.forkChild
      )
      yield* until(() => seen.length === 3)
      isNew = true
      cluster.topics.set("t", { id: idOf("C"), partitions: [{ leader: 1, epoch: 1 }] })
      yield* kafka.cluster.refresh(["t"])
      return { seen, exit: yield* Effect.timeout(Fiber.await(running), "5 seconds") }
    })

  it.live("C30 positions in a topic that was made anew are void: the stream ends, and says so", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* recreated("fail")
      assert.deepStrictEqual(seen, ["a", "b", "c"])
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "was deleted and created again")
    })
  )

  it.live("C30 with a fallback it begins anew in the topic that was made anew", () =>
    Effect.gen(function* () {
      const { exit, seen } = yield* recreated("earliest")
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(seen, ["a", "b", "c", "x", "y", "z"])
    })
  )

  it.live("C28 a topic that is not known yet is waited for, a little", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      answering(cluster.brokers[0], everything)
      const known = cluster.topics.get("t")!
      cluster.topics.delete("t")
      const reader = yield* Effect.forkChild(read(), { startImmediately: true })
      yield* Effect.sleep("300 millis")
      cluster.topics.set("t", known)
      assert.deepStrictEqual(values(yield* Fiber.join(reader)), ["a", "b", "c"])
    })
  )

  it.live("C26 a partition without a leader is waited for quietly", () =>
    Effect.gen(function* () {
      const { cluster, kafka, reading } = yield* scripted(1, 1, "20 millis")
      answering(cluster.brokers[0], everything)
      yield* reading({ until: undefined }).pipe(Stream.runDrain, Effect.forkScoped)
      yield* Effect.sleep("100 millis")
      cluster.topics.set("t", { partitions: [{ leader: -1, epoch: 2, errorCode: codes.LEADER_NOT_AVAILABLE }] })
      yield* kafka.cluster.refresh(["t"])
      const before = cluster.asked().length
      yield* Effect.sleep("2 seconds")
      // Every 20 ms they were a hundred; with backoff from 20 ms to 1 s they are about seven.
      assert.isBelow(cluster.asked().length - before, 20)
    })
  )

  it.live("C35 a broker that does not know the epoch yet is asked again, with backoff, and nobody else", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(2, 1)
      let refusals = 3
      answering(cluster.brokers[0], (asked) =>
        refusals-- > 0 ? [{ partitionIndex: 0, errorCode: codes.UNKNOWN_LEADER_EPOCH }] : everything(asked)
      )
      assert.deepStrictEqual(values(yield* read()), ["a", "b", "c"])
      const fetches = cluster.brokers[0].of(Fetch)
      assert.strictEqual(fetches.length, 4)
      assert.isAbove(fetches[3].at - fetches[0].at, 100)
      assert.strictEqual(cluster.brokers[1].of(Fetch).length, 0)
    })
  )

  it.live("a position behind the end is an error, also when there is nothing to fetch", () =>
    Effect.gen(function* () {
      const { cluster, read } = yield* scripted(1, 1)
      answering(cluster.brokers[0], everything)
      const error = yield* Effect.flip(read({ partitions: [[topic, 0, 100n]] }))
      assert.include(error.message, "has no offset 100: it has 0 to 3")
      assert.deepStrictEqual(values(yield* read({ partitions: [[topic, 0, 3n]] })), [])
      const fallen = yield* read({ partitions: [[topic, 0, 100n]], fallback: "earliest" })
      assert.deepStrictEqual(values(fallen), ["a", "b", "c"])
      for (const fallback of ["nearest", { duration: "1 hour" }] as const) {
        const read100 = read({ partitions: [[topic, 0, 100n]], fallback })
        assert.deepStrictEqual(values(yield* read100), fallback === "nearest" ? [] : ["a", "b", "c"])
      }
      const [last] = cluster.brokers[0].of(ListOffsets).slice(-1)
      // An hour ago (KIP-1106).
      const age = Date.now() - Number(last.message.topics[0].partitions[0].timestamp)
      assert.isBelow(Math.abs(age - 3_600_000), 60_000)
    })
  )
})
