/** Whole consumers in a scripted group: what readers are given, and when they are given up. */
import { assert, describe } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { Deferred, Effect, Exit, Fiber, Metric, Random, Stream } from "effect"
import { until } from "./harness.ts"
import { respond } from "./ScriptedBroker.ts"
import { assigned, live, topic } from "./ScriptedConsumer.ts"

describe("Stalls", () => {
  live("C106 a quiet time before a burst does not count as work", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      const one = yield* consume({ stallTimeout: "400 millis", maxPollRecords: 10 })
      let seen = 0
      const running = yield* Effect.forkScoped(
        one.run((records) =>
          Effect.andThen(
            Effect.sleep(150),
            Effect.sync(() => {
              seen += records.length
            })
          )
        )
      )
      yield* assigned(one, 1)
      yield* Effect.sleep(1000)
      write(0, 0, 60, 10)
      yield* until(() => seen === 60)
      assert.isUndefined(running.pollUnsafe())
      assert.notInclude(one.events_, "Stalled")
    })
  )

  live("C106 neither does it for the reader of all partitions", 2, ({ consume, write }) =>
    Effect.gen(function* () {
      const one = yield* consume({ stallTimeout: "400 millis", maxPollRecords: 10 })
      const reading = one.records.pipe(
        Stream.take(60),
        Stream.runForEachArray(() => Effect.sleep(150))
      )
      const fiber = yield* Effect.forkScoped(reading)
      yield* assigned(one, 2)
      yield* Effect.sleep(1000)
      for (const partition of [0, 1]) write(partition, 0, 30, 10)
      yield* Fiber.join(fiber)
    })
  )

  live("C106 work that stands still is noticed also when only slices of a batch are left", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 100)
      const one = yield* consume({ stallTimeout: "300 millis", maxPollRecords: 10 })
      const error = yield* Effect.flip(one.run(() => Effect.never))
      assert.strictEqual("reason" in error && error.reason._tag, "Stalled")
    })
  )

  live("C106 keys that get on, slowly, are no stall", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 300, 100)
      const one = yield* consume({ stallTimeout: "400 millis" })
      let seen = 0
      yield* Effect.forkScoped(
        one.run(
          (records) =>
            Effect.andThen(
              Effect.sleep(5),
              Effect.sync(() => {
                seen += records.length
              })
            ),
          { concurrency: { perKey: 1 } }
        )
      )
      yield* until(() => seen === 300)
      assert.notInclude(one.events_, "Stalled")
    })
  )
})

describe("Readers", () => {
  live(
    "with automatic commits, what a failed reader was handed is handed to the next",
    1,
    ({ consume, offsets, write }) =>
      Effect.gen(function* () {
        write(0, 0, 30, 10)
        const one = yield* consume({ enableAutoCommit: true, maxPollRecords: 10 })
        const first: Array<number> = []
        const failed = one.records.pipe(
          Stream.runForEachArray((records) => {
            first.push(...records.map(({ value }) => Number(value)))
            return first.length === 20 ? Effect.fail("broken") : Effect.void
          })
        )
        assert.strictEqual(yield* Effect.flip(failed), "broken")
        yield* until(() => offsets.kept.get("t:0")?.offset === 10n)
        yield* Effect.sleep(150)
        assert.strictEqual(offsets.kept.get("t:0")?.offset, 10n)
        const second = yield* one.records.pipe(Stream.take(20), Stream.runCollect)
        assert.deepStrictEqual(
          second.map(({ value }) => Number(value)),
          Array.from({ length: 20 }, (_, index) => index + 10)
        )
      })
  )

  live("so it is for a partition's own stream", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 20, 10)
      const one = yield* consume({ enableAutoCommit: true, maxPollRecords: 10 })
      const seen: Array<number> = []
      const reading = one.partitions.pipe(
        Stream.mapEffect(
          ({ records }) =>
            Stream.runForEachArray(records, (some) => {
              seen.push(...some.map(({ value }) => Number(value)))
              return seen.length === 10 ? Effect.fail("broken") : Effect.void
            }),
          { concurrency: "unbounded" }
        ),
        Stream.runDrain
      )
      yield* Effect.flip(reading)
      yield* Effect.forkScoped(reading)
      yield* until(() => seen.length === 30)
      assert.deepStrictEqual(
        seen,
        [0, 0, 10].flatMap((from) => Array.from({ length: 10 }, (_, index) => from + index))
      )
    })
  )

  live("idleTimeout ends the streams of all partitions, and the stream of them", 2, ({ consume, write }) =>
    Effect.gen(function* () {
      for (const partition of [0, 1]) write(partition, 0, 10)
      const one = yield* consume({ idleTimeout: "500 millis" })
      let seen = 0
      const reading = one.partitions.pipe(
        Stream.flatMap(({ records }) => records, { concurrency: "unbounded" }),
        Stream.runForEachArray((records) =>
          Effect.sync(() => {
            seen += records.length
          })
        )
      )
      const fiber = yield* Effect.forkScoped(reading)
      yield* until(() => seen === 20)
      // One partition is quiet, the other is not: neither ends.
      for (let at = 10; at < 14; at++) {
        yield* Effect.sleep(250)
        write(0, at, 1)
      }
      write(1, 10, 1)
      yield* until(() => seen === 25)
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.join(fiber).pipe(Effect.timeout("3 seconds"))
      // They may be read again.
      const again = yield* Effect.forkScoped(reading)
      write(1, 11, 1)
      yield* until(() => seen === 26)
      yield* Fiber.join(again).pipe(Effect.timeout("3 seconds"))
    })
  )

  live("per key, no array is larger than maxPollRecords, and the order of a key holds", 1, ({ consume, logs }) =>
    Effect.gen(function* () {
      for (let base = 0; base < 500; base += 50) {
        const builder = new RecordBatchBuilder()
        for (let value = base; value < base + 50; value++) {
          builder.append(0, Buffer.from(String(value % 5)), Buffer.from(String(value)))
        }
        const bytes = builder.build({ baseOffset: BigInt(base), partitionLeaderEpoch: 1 }) as Uint8Array
        logs[0].batches.push({ base: BigInt(base), end: BigInt(base + 50), bytes: Uint8Array.from(bytes), epoch: 1 })
      }
      const one = yield* consume({ maxPollRecords: 7 })
      const random = yield* Random.Random
      const seen: Array<number> = []
      let largest = 0
      yield* Effect.forkScoped(
        one.run(
          (records) =>
            Effect.gen(function* () {
              largest = Math.max(largest, records.length)
              yield* Effect.sleep(Math.floor(random.nextDoubleUnsafe() * 4))
              seen.push(...records.map(({ value }) => Number(value)))
            }),
          { concurrency: { perKey: 4 } }
        )
      )
      yield* until(() => seen.length === 500)
      assert.isAtMost(largest, 7)
      for (let key = 0; key < 5; key++) {
        const own = seen.filter((value) => value % 5 === key)
        assert.deepStrictEqual(
          own,
          [...own].sort((a, b) => a - b)
        )
      }
    }).pipe(Random.withSeed("keys"))
  )

  live("interrupted, run commits what was finished; the rest is for the next", 1, ({ consume, offsets, write }) =>
    Effect.gen(function* () {
      write(0, 0, 30, 10)
      const one = yield* consume({ maxPollRecords: 10 })
      const gate = yield* Deferred.make<void>()
      let arrays = 0
      const running = yield* Effect.forkScoped(
        one.run(() => Effect.suspend(() => (++arrays === 2 ? Deferred.await(gate) : Effect.void)))
      )
      yield* until(() => arrays === 2)
      yield* Fiber.interrupt(running)
      yield* until(() => offsets.kept.get("t:0")?.offset === 10n)
      const rest = yield* one.records.pipe(Stream.take(20), Stream.runCollect)
      assert.deepStrictEqual(
        rest.map(({ value }) => Number(value)),
        Array.from({ length: 20 }, (_, index) => index + 10)
      )
    })
  )

  live("subscribe to nothing gives all partitions back; and again", 2, ({ consume, write }) =>
    Effect.gen(function* () {
      const one = yield* consume()
      let seen = 0
      yield* Effect.forkScoped(
        one.run((records) =>
          Effect.sync(() => {
            seen += records.length
          })
        )
      )
      yield* assigned(one, 2)
      write(0, 0, 10)
      yield* until(() => seen === 10)
      yield* one.subscribe([])
      yield* assigned(one, 0)
      yield* one.subscribe([topic])
      yield* assigned(one, 2)
      write(1, 0, 10)
      yield* until(() => seen === 20)
    })
  )

  live("stop in the midst of a rebalance ends in time", 1, ({ broker, consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      const one = yield* consume()
      const running = yield* Effect.forkScoped(one.run(() => Effect.void))
      yield* assigned(one, 1)
      broker.on(Heartbeat, () => respond({ errorCode: codes.REBALANCE_IN_PROGRESS }))
      yield* until(() => broker.of(Heartbeat).length > 1)
      yield* one.stop.pipe(Effect.timeout("4 seconds"))
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(running).pipe(Effect.timeout("2 seconds"))))
    })
  )
})

describe("What is wrong with a partition", () => {
  live("is gone with it: who reads again does not meet the stall of a partition that was given back", 2, (context) =>
    Effect.gen(function* () {
      const { consume, write } = context
      write(0, 0, 30, 10)
      const one = yield* consume({ stallTimeout: "200 millis", maxPollRecords: 10 })
      const stalled = yield* one.records.pipe(
        Stream.runForEachArray(() => Effect.sleep("1 second")),
        Effect.flip
      )
      assert.strictEqual("reason" in stalled && stalled.reason._tag, "Stalled")
      yield* one.subscribe([])
      yield* assigned(one, 0)
      yield* one.subscribe([topic])
      yield* assigned(one, 2)
      const [first] = yield* one.records.pipe(Stream.take(1), Stream.runCollect)
      assert.strictEqual(first.partition, 0)
    })
  )

  live("is not forgotten over work that failed", 1, ({ consume, logs, write }) =>
    Effect.gen(function* () {
      write(0, 0, 20, 10)
      const one = yield* consume({ fallback: "fail", startAt: "earliest", maxPollRecords: 10 })
      const gate = yield* Deferred.make<void>()
      let arrays = 0
      const running = yield* Effect.forkScoped(
        Effect.flip(
          one.run(() =>
            Effect.suspend(() =>
              ++arrays === 2 ? Effect.andThen(Deferred.await(gate), Effect.fail("broken")) : Effect.void
            )
          )
        )
      )
      yield* until(() => arrays === 2)
      // The log is deleted behind the reader: it is asked where to go on, and nobody has said.
      logs[0].batches = []
      logs[0].start = 100n
      yield* Effect.sleep(300)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(running), "broken")
      const next = yield* Effect.flip(one.run(() => Effect.void))
      assert.strictEqual("reason" in next && next.reason._tag, "OffsetOutOfRange")
    })
  )

  live("positions that are none are refused", 1, ({ consume }) =>
    Effect.gen(function* () {
      for (const startAt of [{ timestamp: Number.NaN }, { timestamp: -2 }]) {
        const error = yield* Effect.flip(consume({ startAt }))
        assert.deepInclude(error.reason, { _tag: "InvalidOption", option: "startAt" })
      }
      const fallback = yield* Effect.flip(consume({ fallback: { timestamp: Number.POSITIVE_INFINITY } }))
      assert.deepInclude(fallback.reason, { _tag: "InvalidOption", option: "fallback" })
      const one = yield* consume()
      yield* assigned(one, 1)
      const error = yield* Effect.flip(one.seek([[{ topic: "t", partition: 0 }, { beforeEnd: Number.NaN }]]))
      assert.deepInclude(error.reason, { _tag: "InvalidOption", option: "position" })
    })
  )

  live("an answer that says nothing is asked for again", 1, (context) =>
    Effect.gen(function* () {
      const { consume, write } = context
      write(0, 0, 10)
      let refusals = 3
      context.replace = (reply) =>
        refusals-- > 0 ? { ...reply, errorCode: codes.UNKNOWN_SERVER_ERROR, records: null } : reply
      const one = yield* consume()
      const read = yield* one.records.pipe(Stream.take(10), Stream.runCollect)
      assert.strictEqual(read.length, 10)
      assert.isBelow(refusals, 1)
    })
  )

  live("of the member itself: a listener that dies ends it, and what it had is lost", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      let isDying = false
      const listener = {
        onAssigned: () => (isDying ? Effect.die("broken listener") : Effect.void)
      }
      const one = yield* consume({ listener })
      yield* assigned(one, 1)
      isDying = true
      yield* one.subscribe([])
      yield* assigned(one, 0)
      yield* one.subscribe([topic])
      yield* until(() => one.events_.includes("Lost"))
      assert.strictEqual((yield* one.assignment).length, 0)
    })
  )
})

describe("Metrics", () => {
  live("lag of a partition that was given back is 0; idle time is that of the reader of all", 2, ({ consume, write }) =>
    Effect.gen(function* () {
      for (const partition of [0, 1]) write(partition, 0, 100)
      const one = yield* consume()
      yield* assigned(one, 2)
      const gauge = (id: string, attributes: Record<string, string>) =>
        Effect.map(Metric.snapshot, (all) =>
          all.filter(
            (metric) =>
              metric.id === id && Object.entries(attributes).every(([key, value]) => metric.attributes?.[key] === value)
          )
        )
      const lagOf = (partition: string) => gauge("kafka.consumer.lag", { topic: "t", partition, group: "g" })
      yield* Effect.forkScoped(Stream.runForEachArray(one.records, () => Effect.sleep("2 seconds")))
      yield* Effect.sleep(5500)
      write(0, 100, 50)
      assert.isAbove((yield* lagOf("0")).length, 0)
      const [idle] = yield* gauge("kafka.consumer.poll.idle.ratio", { group: "g" })
      assert.isTrue("value" in idle.state && Number(idle.state.value) > 0 && Number(idle.state.value) < 0.5)
      yield* one.subscribe([])
      yield* assigned(one, 0)
      yield* Effect.sleep(5500)
      for (const partition of ["0", "1"]) {
        const after = yield* lagOf(partition)
        assert.isAbove(after.length, 0)
        for (const { state } of after) assert.deepInclude(state, { value: 0 })
      }
    })
  )
})
