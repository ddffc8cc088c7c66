/** The fetcher against scripted brokers: partitions that come and go, pause and seek; starts and resets; errors; fairness. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect, Fiber } from "effect"
import type { ResetCause } from "../src/internal/consumer/FetchOutcomes.ts"
import * as LoopTurns from "../src/internal/consumer/LoopTurns.ts"
import type { StartPosition } from "../src/internal/consumer/StartPosition.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import { append, batch, fetcher, make, partition, place } from "./ScriptedFetches.ts"

type Reset = readonly [partition: number, from: bigint, to: bigint, cause: ResetCause]

const listening = () => {
  const resets: Array<Reset> = []
  const onReset = (one: { readonly partition: number }, from: bigint, to: bigint, cause: ResetCause) =>
    void resets.push([one.partition, from, to, cause])
  return { resets, onReset }
}

describe("Fetcher: partitions", () => {
  it.live("are added while it runs, and take turns", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      for (const log of self.logs) for (let index = 0; index < 2; index++) append(log, ["a", "b"])
      const { add, take } = yield* fetcher(self)
      const waiting = yield* Effect.forkChild(take, { startImmediately: true })
      add([partition(0), partition(1)])
      const places = [place(yield* Fiber.join(waiting))]
      for (let index = 0; index < 3; index++) places.push(place(yield* take))
      assert.deepStrictEqual(places, [
        [0, 0n],
        [1, 0n],
        [0, 2n],
        [1, 2n]
      ])
    })
  )

  it.live("a reader of all ends when all were read to their ends, unless more may come", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      append(self.logs[0], ["a"])
      const closed = yield* fetcher(self, { staysOpen: false })
      closed.add([partition(0, { end: "latest" })])
      assert.deepStrictEqual(place(yield* closed.take), [0, 0n])
      assert.isUndefined(yield* closed.take)
      const open = yield* fetcher(self)
      const one = partition(0, { end: "latest" })
      open.add([one])
      assert.deepStrictEqual(place(yield* open.take), [0, 0n])
      const waiting = yield* Effect.forkChild(open.take, { startImmediately: true })
      // What is of this partition alone has ended all the same.
      assert.isUndefined(yield* open.takeFrom(one))
      yield* Effect.sleep("50 millis")
      assert.isUndefined(waiting.pollUnsafe())
    })
  )

  it.live("one that is removed gives nothing more, whether queued, or in flight", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      append(self.logs[0], ["a"])
      append(self.logs[0], ["b"])
      const { add, remove, take, takeFrom } = yield* fetcher(self)
      const one = partition(0)
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      assert.strictEqual(one.queue.length, 1)
      remove([one])
      assert.isUndefined(yield* takeFrom(one))
      assert.strictEqual(one.queuedBytes, 0)
      // In flight: the answer comes when the partition has gone.
      append(self.logs[1], ["c"])
      const two = partition(1)
      self.intercept = () => {
        self.intercept = () => undefined
        return ScriptedBroker.respond(
          { responses: [{ topic: "t", partitions: [{ partitionIndex: 1, records: batch(0n, ["late"]) }] }] },
          { delay: 100 }
        )
      }
      const asked = self.fetches().length
      const waiting = yield* Effect.forkChild(takeFrom(two), { startImmediately: true })
      add([two])
      yield* until(() => self.fetches().length > asked)
      remove([two])
      assert.isUndefined(yield* Fiber.join(waiting))
      const again = partition(1, { lease: "second" })
      add([again])
      const taken = yield* take
      assert.deepStrictEqual(place(taken), [1, 0n])
      assert.strictEqual(taken?.source.lease, "second")
      assert.strictEqual(two.queue.length, 0)
    })
  )

  it.live("C94 pause keeps what is queued and fetches nothing; resume delivers it without another fetch", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      append(self.logs[0], ["a"])
      append(self.logs[0], ["b"])
      const { add, takeFrom, wake } = yield* fetcher(self)
      const one = partition(0)
      add([one, partition(1)])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      one.pause()
      wake()
      const waiting = yield* Effect.forkChild(takeFrom(one), { startImmediately: true })
      append(self.logs[0], ["c"])
      yield* Effect.sleep("150 millis")
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual(one.delivered, 1n)
      const queued = one.queue.length
      const asked = self.fetches().length
      yield* Effect.sleep("150 millis")
      const later = self.fetches().slice(asked)
      assert.isAbove(later.length, 0)
      for (const { message } of later) {
        assert.notInclude(
          message.topics.flatMap(({ partitions }) => partitions.map((asked) => asked.partition)),
          0
        )
      }
      one.resume()
      wake()
      assert.deepStrictEqual(place(yield* Fiber.join(waiting)), [0, 1n])
      assert.isAbove(queued, 0)
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 2n])
      const offsets = self
        .fetches()
        .flatMap(({ message }) => message.topics.flatMap(({ partitions }) => partitions))
        .filter((asked) => asked.partition === 0)
        .map(({ fetchOffset }) => fetchOffset)
      assert.notInclude(offsets, 1n)
    })
  )

  it.live("C90 after a seek, what is queued and what is in flight from before is discarded", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
      const { add, takeFrom, wake } = yield* fetcher(self)
      const one = partition(0)
      add([one])
      yield* takeFrom(one)
      yield* until(() => one.queue.length === 9)
      one.seek(5n)
      wake()
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 5n])
      assert.strictEqual(one.delivered, 6n)
      one.seek(10n)
      wake()
      yield* until(() => one.isInFlight)
      self.intercept = () => {
        self.intercept = () => undefined
        append(self.logs[0], ["10"])
        one.seek(2n)
        wake()
        return undefined
      }
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 2n])
      one.seek("earliest")
      assert.isUndefined(one.delivered)
      wake()
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
    })
  )

  it.live("the failure of one fails its reader and the reader of all, not the reader of another", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      append(self.logs[1], ["a"])
      self.replace = (reply) =>
        reply.partitionIndex === 0
          ? { partitionIndex: 0, errorCode: codes.TOPIC_AUTHORIZATION_FAILED, records: null }
          : reply
      const { add, take, takeFrom, wake } = yield* fetcher(self)
      const [one, two] = [partition(0), partition(1)]
      add([one, two])
      assert.include((yield* Effect.flip(takeFrom(one))).message, "TOPIC_AUTHORIZATION_FAILED")
      assert.deepStrictEqual(place(yield* takeFrom(two)), [1, 0n])
      assert.include((yield* Effect.flip(take)).message, "TOPIC_AUTHORIZATION_FAILED")
      // A seek begins anew.
      self.replace = (reply) => reply
      append(self.logs[0], ["b"])
      one.seek(0n)
      wake()
      assert.deepStrictEqual(place(yield* take), [0, 0n])
    })
  )

  it.live(
    "C80 lag is counted from what is delivered to the last stable offset, uncommitted to the high watermark",
    () =>
      Effect.gen(function* () {
        const self = yield* make(1, 1)
        for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
        self.logs[0].stable = 8n
        const { add, takeFrom } = yield* fetcher(self)
        const one = partition(0)
        assert.isUndefined(one.lag("committed"))
        add([one])
        yield* takeFrom(one)
        assert.strictEqual(one.lag("committed"), 7n)
        assert.strictEqual(one.lag("uncommitted"), 9n)
        assert.strictEqual(one.logStartOffset, 0n)
        // `latest` and an end that is looked up are those of what may be read.
        const two = partition(0, { start: { beforeEnd: 3 }, end: "latest" })
        const other = yield* fetcher(self)
        other.add([two])
        assert.deepStrictEqual(place(yield* other.takeFrom(two)), [0, 5n])
        assert.strictEqual(two.end, 8n)
      })
  )
})

describe("Fetcher: where it starts, and goes on", () => {
  const starts: ReadonlyArray<readonly [StartPosition, bigint]> = [
    [4n, 4n],
    [{ offset: 5n, leaderEpoch: 1 }, 5n],
    ["earliest", 2n],
    ["latest", 10n],
    [{ timestamp: 7 }, 7n],
    [{ timestamp: 99 }, 10n],
    [{ beforeEnd: 4 }, 6n],
    [{ beforeEnd: 40 }, 2n],
    [{ duration: 0 }, 10n]
  ]
  for (const [start, expected] of starts) {
    const name = typeof start === "object" ? JSON.stringify(start, (_, value) => String(value)) : String(start)
    it.live(`starts at ${name}`, () =>
      Effect.gen(function* () {
        const self = yield* make(1, 1)
        for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
        self.logs[0].start = 2n
        const { add, takeFrom } = yield* fetcher(self)
        const one = partition(0, { start })
        add([one])
        yield* until(() => one.unsettled === undefined)
        append(self.logs[0], ["10"])
        assert.deepStrictEqual(place(yield* takeFrom(one)), [0, expected])
      })
    )
  }

  it.live("C91 starts are looked up together, per broker, and again where that fails", () =>
    Effect.gen(function* () {
      const self = yield* make(2, 40)
      for (const log of self.logs) append(log, ["a"])
      let refusals = 2
      const answer = (error: number) =>
        self.scripted.brokers[0].on(ListOffsets, ({ message }) =>
          ScriptedBroker.respond({
            topics: message.topics.map(({ name, partitions }) => ({
              name,
              partitions: partitions.map(({ partitionIndex }) => {
                const isRefused = partitionIndex === 0 && refusals-- > 0
                return { partitionIndex, offset: 0n, errorCode: isRefused ? error : 0 }
              })
            }))
          })
        )
      answer(codes.OFFSET_NOT_AVAILABLE)
      const { add, take } = yield* fetcher(self)
      add(self.logs.map((_, index) => partition(index, { start: "earliest" })))
      const seen = new Set<number>()
      for (let index = 0; index < 40; index++) seen.add((yield* take)!.source.partition)
      assert.strictEqual(seen.size, 40)
      assert.strictEqual(self.scripted.brokers[0].of(ListOffsets).length, 3)
      assert.strictEqual(self.scripted.brokers[1].of(ListOffsets).length, 1)
    })
  )

  it.live("C90 what is looked up for an older position is dropped", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
      self.scripted.brokers[0].on(ListOffsets, () =>
        ScriptedBroker.respond(
          { topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: 0n }] }] },
          { delay: 100 }
        )
      )
      const { add, takeFrom, wake } = yield* fetcher(self)
      const one = partition(0, { start: "earliest" })
      add([one])
      yield* until(() => self.scripted.brokers[0].of(ListOffsets).length === 1)
      one.seek(3n)
      wake()
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 3n])
    })
  )

  it.live("C91 a start that is refused for good fails its partition alone", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      append(self.logs[1], ["a"])
      self.scripted.brokers[0].on(ListOffsets, ({ message }) =>
        ScriptedBroker.respond({
          topics: message.topics.map(({ name, partitions }) => ({
            name,
            partitions: partitions.map(({ partitionIndex }) => ({
              partitionIndex,
              offset: partitionIndex === 0 ? -1n : 0n
            }))
          }))
        })
      )
      const { add, takeFrom } = yield* fetcher(self)
      const [one, two] = [partition(0, { start: "earliest" }), partition(1, { start: "earliest" })]
      add([one, two])
      assert.include((yield* Effect.flip(takeFrom(one))).message, "names no offset")
      assert.deepStrictEqual(place(yield* takeFrom(two)), [1, 0n])
    })
  )

  const below = [
    ["earliest", 5n],
    ["latest", 10n],
    ["nearest", 5n],
    [{ duration: 0 }, 10n]
  ] as const
  for (const [fallback, expected] of below) {
    const name = typeof fallback === "object" ? "by duration" : fallback
    it.live(`C86 a position that was deleted goes on ${name}, and says so`, () =>
      Effect.gen(function* () {
        const self = yield* make(1, 1)
        for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
        self.logs[0].start = 5n
        const { onReset, resets } = listening()
        const { add, takeFrom } = yield* fetcher(self, { fallback, onReset })
        const one = partition(0, { start: 1n })
        add([one])
        yield* until(() => resets.length > 0)
        append(self.logs[0], ["10"])
        assert.deepStrictEqual(place(yield* takeFrom(one)), [0, expected])
        assert.deepStrictEqual(resets, [[0, 1n, expected, "out-of-range"]])
      })
    )
  }

  it.live("C86 nearest, from behind the end, is the end", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      append(self.logs[0], ["a"])
      const { onReset, resets } = listening()
      const { add } = yield* fetcher(self, { fallback: "nearest", onReset })
      add([partition(0, { start: 100n })])
      yield* until(() => resets.length > 0)
      assert.deepStrictEqual(resets, [[0, 100n, 1n, "out-of-range"]])
    })
  )

  it.live("C86 without a fallback the error names the offset and the bounds", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
      self.logs[0].start = 5n
      const { add, takeFrom } = yield* fetcher(self)
      const one = partition(0, { start: 1n })
      add([one])
      const error = yield* Effect.flip(takeFrom(one))
      assert.strictEqual(error.reason._tag, "OffsetOutOfRange")
      assert.include(error.message, "topic t partition 0 has no offset 1: it has 5 to 10")
    })
  )

  it.live("C86 an answer that a position is out of range is dropped when the position is another one by then", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
      const { add, takeFrom, wake } = yield* fetcher(self)
      const one = partition(0, { start: 99n })
      self.intercept = () => {
        self.intercept = () => undefined
        one.seek(3n)
        wake()
        return undefined
      }
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 3n])
      assert.isAbove(self.fetches().length, 1)
    })
  )

  it.live("C86 a position that is in range after all is tried again, with backoff", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      append(self.logs[0], ["a"])
      let refusals = 3
      self.replace = (reply) =>
        refusals-- > 0 ? { partitionIndex: 0, errorCode: codes.OFFSET_OUT_OF_RANGE, records: null } : reply
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "latest", onReset })
      const one = partition(0)
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      assert.deepStrictEqual(resets, [])
      const [first, , , last] = self.fetches()
      assert.isAbove(last.at - first.at, 80)
    })
  )
})

describe("Fetcher: errors", () => {
  const retried = [
    "UNKNOWN_TOPIC_OR_PARTITION",
    "NOT_LEADER_OR_FOLLOWER",
    "REPLICA_NOT_AVAILABLE",
    "KAFKA_STORAGE_ERROR",
    "OFFSET_NOT_AVAILABLE",
    "UNKNOWN_TOPIC_ID",
    "INCONSISTENT_TOPIC_ID",
    "FENCED_LEADER_EPOCH"
  ] as const
  for (const name of retried) {
    it.live(`C85 ${name}: metadata is refreshed, and the partition tried again`, () =>
      Effect.gen(function* () {
        const self = yield* make(1, 1)
        append(self.logs[0], ["a"])
        let refusals = 2
        self.replace = (reply) =>
          refusals-- > 0 ? { partitionIndex: 0, errorCode: codes[name], records: null } : reply
        const { add, takeFrom } = yield* fetcher(self)
        const one = partition(0)
        add([one])
        const asked = self.scripted.brokers[0].of(Metadata).length
        assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
        yield* until(() => self.scripted.brokers[0].of(Metadata).length > asked)
      })
    )
  }
  for (const name of ["TOPIC_AUTHORIZATION_FAILED", "CORRUPT_MESSAGE"] as const) {
    it.live(`C85 ${name}: the partition fails`, () =>
      Effect.gen(function* () {
        const self = yield* make(1, 1)
        self.replace = () => ({ partitionIndex: 0, errorCode: codes[name], records: null })
        const { add, takeFrom } = yield* fetcher(self)
        const one = partition(0)
        add([one])
        assert.include((yield* Effect.flip(takeFrom(one))).message, name)
      })
    )
  }

  it.live("C73 before 0.10.1 a record above the limit raises the limit, without spinning", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1, { offered: { Fetch: [0, 2] } })
      const large = batch(0n, ["x".repeat(5000)])
      self.intercept = ({ message }) => {
        const { fetchOffset, partitionMaxBytes } = message.topics[0].partitions[0]
        const records = fetchOffset === 0n ? large.subarray(0, partitionMaxBytes) : new Uint8Array(0)
        return ScriptedBroker.respond(
          { responses: [{ topic: "t", partitions: [{ partitionIndex: 0, records }] }] },
          { delay: records.length === 0 ? message.maxWaitMs : 0 }
        )
      }
      const { add, takeFrom } = yield* fetcher(self, { isolation: "uncommitted" })
      const one = partition(0, { maxBytes: 100 })
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      assert.deepStrictEqual(
        self
          .fetches()
          .map(({ message }) => message.topics[0].partitions[0].partitionMaxBytes)
          .slice(0, 2),
        [100, large.length]
      )
    })
  )

  it.live("C73 a first batch above all limits is taken", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      append(self.logs[0], ["x".repeat(5000)])
      const { add, takeFrom } = yield* fetcher(self, { fetchMaxBytes: 100, prefetchBytes: 100 })
      const one = partition(0, { maxBytes: 100 })
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
    })
  )

  it.live("C76 bytes that lead nowhere are not asked for again at once", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      for (let index = 0; index < 5; index++) append(self.logs[0], [String(index)])
      self.replace = () => ({ partitionIndex: 0, records: batch(0n, ["old"]) })
      const { add } = yield* fetcher(self)
      add([partition(0, { start: 3n })])
      yield* Effect.sleep("300 millis")
      assert.isBelow(self.fetches().length, 20)
    })
  )

  it.live("C78 damage is met where it is, and nothing behind it is fetched", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      append(self.logs[0], ["a"])
      append(self.logs[0], ["b"])
      // The second batch says that it is of a format that there is not.
      self.logs[0].batches[1].bytes[16] = 9
      const { add, takeFrom } = yield* fetcher(self)
      const one = partition(0)
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      assert.include((yield* Effect.flip(takeFrom(one))).message, "topic t partition 0 from offset 1")
      assert.strictEqual(one.position, 1n)
      const asked = self.fetches().length
      yield* Effect.sleep("100 millis")
      assert.strictEqual(self.fetches().length, asked)
    })
  )

  it.live("C35 fetches and look-ups carry the epoch of the leader, and of the last record", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      self.scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 7 }] })
      yield* self.cluster.refresh(["t"])
      append(self.logs[0], ["a"], 5)
      const { add, takeFrom } = yield* fetcher(self)
      const one = partition(0, { start: "earliest" })
      add([one])
      yield* takeFrom(one)
      yield* until(() => self.fetches().length > 1)
      const [first, second] = self.fetches().map(({ message }) => message.topics[0].partitions[0])
      assert.deepStrictEqual([first.currentLeaderEpoch, first.lastFetchedEpoch], [7, -1])
      assert.deepStrictEqual([second.currentLeaderEpoch, second.lastFetchedEpoch, second.fetchOffset], [7, 5, 1n])
      const [listed] = self.scripted.brokers[0].of(ListOffsets)
      assert.strictEqual(listed.message.topics[0].partitions[0].currentLeaderEpoch, 7)
    })
  )
})

describe("Fetcher: fairness", () => {
  it.live("C93 a fetch that is held back for one partition does not delay another broker's", () =>
    Effect.gen(function* () {
      const self = yield* make(2, 2)
      append(self.logs[1], ["a"])
      const { add, take } = yield* fetcher(self, { fetchMaxWait: 6000 })
      const started = performance.now()
      add([partition(0), partition(1)])
      assert.deepStrictEqual(place(yield* take), [1, 0n])
      assert.isBelow(performance.now() - started, 4000)
    })
  )

  for (const hasSessions of [false, true]) {
    it.live(
      `C93 what was served goes behind the others, so that all get something, ${hasSessions ? "with" : "without"} a session`,
      () =>
        Effect.gen(function* () {
          const self = yield* make(1, 4)
          self.hasSessions = hasSessions
          for (const log of self.logs) for (let index = 0; index < 40; index++) append(log, ["x".repeat(900)])
          // Room for one batch in a response.
          const { add, take } = yield* fetcher(self, { fetchMaxBytes: 1000 })
          add(self.logs.map((_, index) => partition(index, { maxBytes: 1000 })))
          const counts = [0, 0, 0, 0]
          for (let index = 0; index < 40; index++) counts[(yield* take)!.source.partition]++
          assert.isAtLeast(Math.min(...counts), 5, String(counts))
        })
    )
  }

  it.live("C94 under a full budget a slow partition does not stop the others", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      for (const log of self.logs) for (let index = 0; index < 200; index++) append(log, ["x".repeat(900)])
      const { add, takeFrom } = yield* fetcher(self, { prefetchBytes: 5000 })
      const [slow, quick] = [partition(0, { maxBytes: 2000 }), partition(1, { maxBytes: 2000 })]
      add([slow, quick])
      for (let index = 0; index < 200; index++) yield* takeFrom(quick)
      assert.isAtMost(slow.queuedBytes, 5000)
      assert.deepStrictEqual(place(yield* takeFrom(slow)), [0, 0n])
    })
  )

  it.live("C94 what is asked for fits into what the budget has left, with what others may be bringing", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 8)
      for (const log of self.logs) for (let index = 0; index < 50; index++) append(log, ["x".repeat(900)])
      const { add, take } = yield* fetcher(self, { prefetchBytes: 20_000 })
      const partitions = self.logs.map((_, index) => partition(index, { maxBytes: 8000 }))
      add(partitions)
      let most = 0
      for (let index = 0; index < 8 * 50; index++) {
        yield* take
        most = Math.max(
          most,
          partitions.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0)
        )
      }
      assert.isAtMost(most, 20_000 + 8000)
      assert.isAtMost(self.fetches()[0].message.maxBytes, 20_000)
    })
  )

  it.live("C95 a reader that decodes one batch after the other does not hold up timers", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      for (const log of self.logs) for (let index = 0; index < 40; index++) append(log, ["x"])
      const { add, takeFrom } = yield* fetcher(self)
      const partitions = self.logs.map((_, index) => partition(index))
      add(partitions)
      yield* until(() => partitions.every(({ queue }) => queue.length === 40))
      let longest = 0
      yield* Effect.gen(function* () {
        const before = performance.now()
        yield* Effect.sleep(1)
        longest = Math.max(longest, performance.now() - before)
      }).pipe(Effect.forever, Effect.forkScoped({ startImmediately: true }))
      const read = (one: (typeof partitions)[number]) =>
        Effect.gen(function* () {
          for (let index = 0; index < 40; index++) {
            yield* takeFrom(one)
            const until = performance.now() + 10
            while (performance.now() < until);
          }
        })
      yield* Effect.forEach(partitions, read, { concurrency: "unbounded", discard: true })
      yield* Effect.sleep(10)
      // 800 ms in all, 400 of each reader.
      assert.isBelow(longest, 350)
    })
  )
})

describe("LoopTurns", () => {
  it.live("C95 a slice is over after a mebibyte, or 5 ms; the loop turns once for all who wait", () =>
    Effect.gen(function* () {
      let now = 0
      const turns = LoopTurns.make(() => now)
      turns.spend(1024 * 1024 - 1)
      assert.isFalse(turns.isOver())
      turns.spend(1)
      assert.isTrue(turns.isOver())
      let timer = false
      setTimeout(() => {
        timer = true
      }, 0)
      // Something that keeps this turn going until the timer is due.
      const due = performance.now() + 3
      while (performance.now() < due);
      yield* Effect.all([turns.next, turns.next, turns.next], { concurrency: "unbounded" })
      yield* turns.next
      assert.isTrue(timer)
      assert.isFalse(turns.isOver())
      now += 5
      assert.isTrue(turns.isOver())
      turns.turned()
      assert.isFalse(turns.isOver())
      const waiting = yield* Effect.forkChild(turns.next, { startImmediately: true })
      assert.isTrue(turns.isOver())
      yield* Fiber.interrupt(waiting)
      assert.isFalse(turns.isOver())
    })
  )
})
