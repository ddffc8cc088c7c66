/** The fetcher against a real broker, whose fetch sessions are the judge. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect } from "effect"
import { FetchedPartition } from "../src/internal/consumer/FetchedPartition.ts"
import * as Fetcher from "../src/internal/consumer/Fetcher.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import { until } from "./harness.ts"
import { randomOf } from "./random.ts"

const options: Fetcher.Options = {
  isolation: "committed",
  fallback: "fail",
  fetchMinBytes: 1,
  fetchMaxBytes: 50 * 1024 * 1024,
  fetchMaxWait: 200,
  prefetchBytes: 100_000,
  staysOpen: true
}

/** A topic, each partition of which has these records. */
const filled = (name: string, partitions: number, records: number) =>
  Effect.gen(function* () {
    const kafka = yield* Kafka.make({ bootstrapServers })
    const topics = [{ name, numPartitions: partitions, replicationFactor: 1 }]
    const created = yield* kafka.request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    assert.strictEqual(created.topics[0].errorCode, 0)
    const producer = yield* Producer.make({ batchSize: 2000 }).pipe(Effect.provideService(Kafka.Kafka, kafka))
    const topic = Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })
    for (let partition = 0; partition < partitions; partition++) {
      const value = "x".repeat(100)
      yield* producer.sendAll(
        topic,
        Array.from({ length: records }, () => ({ key: null, value, partition }))
      )
    }
    return kafka
  })

const uniqueName = (what: string): string => `${what}-${process.pid}-${Math.round(performance.timeOrigin)}`

describeBrokers("Fetcher", () => {
  it.live(
    "C81 C90 C94 partitions that are added, removed, paused and sought at random give each offset in its turn",
    () =>
      Effect.gen(function* () {
        const topic = uniqueName("churn")
        const count = 12
        const records = 2000
        const { cluster } = yield* filled(topic, count, records)
        const fetcher = yield* Fetcher.make(cluster, options)
        const next = randomOf(20)
        const pick = (below: number): number => Math.floor(next() * below)
        const make = (partition: number) =>
          new FetchedPartition({ topic, partition, start: BigInt(pick(records)), maxBytes: 10_000 })
        /** By partition: what is read, and the offset to come; undefined while it is looked up. */
        const current = new Map<number, { readonly one: FetchedPartition; offset: bigint | undefined }>()
        const change = (partition: number) => {
          const known = current.get(partition)
          const what = pick(5)
          if (known === undefined) {
            const one = make(partition)
            current.set(partition, { one, offset: one.position })
            fetcher.add([one])
          } else if (what === 0) {
            fetcher.remove([known.one])
            current.delete(partition)
          } else if (what === 1) {
            known.one.pause()
          } else if (what === 2) {
            known.one.resume()
          } else {
            known.offset = what === 3 ? BigInt(pick(records)) : undefined
            known.one.seek(known.offset ?? "earliest")
          }
          fetcher.wake()
        }
        for (let partition = 0; partition < count; partition++) change(partition)
        let batches = 0
        for (let step = 0; step < 1500; step++) {
          if (pick(3) === 0) change(pick(count))
          const running = [...current.values()].filter(({ offset, one }) => !one.isPaused && (offset ?? 0n) < records)
          if (running.length === 0) continue
          const expected = running[pick(running.length)]
          const taken = yield* Effect.timeout(fetcher.takeFrom(expected.one), "10 seconds")
          assert.strictEqual(taken?.source, expected.one)
          assert.strictEqual(taken?.from, expected.offset ?? 0n)
          assert.isTrue(taken!.batch.baseOffset <= taken!.from && taken!.batch.lastOffset >= taken!.from)
          expected.offset = taken!.batch.lastOffset + 1n
          assert.strictEqual(expected.one.delivered, expected.offset)
          batches++
        }
        assert.isAbove(batches, 500)
      })
  )

  it.live("C84 C94 what is at its end is waited for in a session, under the budget, and let go at the end", () =>
    Effect.gen(function* () {
      const topic = uniqueName("idle")
      const { cluster } = yield* filled(topic, 20, 500)
      const fetcher = yield* Fetcher.make(cluster, options)
      const partitions = Array.from(
        { length: 20 },
        (_, partition) => new FetchedPartition({ topic, partition, start: "earliest", maxBytes: 10_000 })
      )
      fetcher.add(partitions)
      let most = 0
      while (partitions.some(({ delivered }) => delivered !== 500n)) {
        yield* Effect.timeout(fetcher.take, "10 seconds")
        most = Math.max(
          most,
          partitions.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0)
        )
      }
      assert.isAtMost(most, 2 * options.prefetchBytes)
      for (const one of partitions) assert.deepStrictEqual([one.lag("committed"), one.logStartOffset], [0n, 0n])
    })
  )

  it.live("C86 records that are deleted while they are read: reading goes on where the log begins", () =>
    Effect.gen(function* () {
      const topic = uniqueName("deleted")
      const kafka = yield* filled(topic, 1, 1000)
      const resets: Array<readonly [bigint, bigint, string]> = []
      const fetcher = yield* Fetcher.make(kafka.cluster, {
        ...options,
        prefetchBytes: 1000,
        fallback: "nearest",
        onReset: (_, from, to, cause) => void resets.push([from, to, cause])
      })
      const one = new FetchedPartition({ topic, partition: 0, start: 0n, maxBytes: 1000 })
      fetcher.add([one])
      yield* fetcher.takeFrom(one)
      yield* until(() => !one.isInFlight && one.queue.length > 0)
      const partitions = [{ partitionIndex: 0, offset: 900n }]
      yield* kafka.request("controller", DeleteRecords, { topics: [{ name: topic, partitions }], timeoutMs: 5000 })
      const position = one.position
      const queued = one.queue.length
      for (let index = 0; index < queued; index++) yield* fetcher.takeFrom(one)
      const taken = yield* Effect.timeout(fetcher.takeFrom(one), "10 seconds")
      assert.isTrue(taken!.batch.lastOffset >= 900n && taken!.from === 900n)
      assert.deepStrictEqual(resets, [[position, 900n, "out-of-range"]])
    })
  )
})
