/** Whole consumers in a scripted group: what they commit, and when. */
import { assert, describe } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Deferred, Effect, Exit, Scope, Stream } from "effect"
import type * as Consumer from "../src/Consumer.ts"
import * as Offsets from "../src/Offsets.ts"
import { until } from "./harness.ts"
import { respond } from "./ScriptedBroker.ts"
import { type Context, live, topic } from "./ScriptedConsumer.ts"
import { append, batch, end } from "./ScriptedFetches.ts"

const place = { topic: "t", partition: 0 }

/** The group takes all from a member, which comes back at once. */
const loseAll = ({ coordinator }: Context, consumer: { readonly seen: ReadonlyArray<Consumer.ConsumerEvent> }) =>
  Effect.suspend(() => {
    const count = () => consumer.seen.filter(({ _tag }) => _tag === "Assigned").length
    const before = count()
    coordinator.next(Heartbeat, codes.ILLEGAL_GENERATION)
    return until(() => count() > before)
  })

const values = (records: Iterable<{ readonly value: string }>) => Array.from(records, ({ value }) => Number(value))
const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

const committed = ({ offsets }: Context, partition = 0) => offsets.kept.get(`t:${partition}`)?.offset

describe("Commits after a seek", () => {
  live("records from before it do not hold up those that are read again", 1, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, write } = context
      write(0, 0, 100, 10)
      const one = yield* consume({ maxPollRecords: 10 })
      const before = yield* one.records.pipe(Stream.take(100), Stream.runCollect)
      yield* one.seek([[place, 10n]])
      yield* one.commit(Offsets.of(before))
      assert.deepStrictEqual(offsets.commits(), [])
      const again = yield* one.records.pipe(Stream.take(20), Stream.runCollect)
      yield* one.commit(Offsets.of(again))
      assert.strictEqual(committed(context), 30n)
      yield* one.commit(Offsets.merge(Offsets.of(again), Offsets.of(before)))
      assert.strictEqual(committed(context), 30n)
    })
  )

  live("the committing sink follows it", 1, (context) =>
    Effect.gen(function* () {
      const { consume, write } = context
      write(0, 0, 100, 10)
      const one = yield* consume({ maxPollRecords: 10 })
      let count = 0
      yield* one.records.pipe(
        Stream.mapArrayEffect((records) => {
          count += records.length
          return count === 100 ? Effect.as(one.seek([[place, 10n]]), records) : Effect.succeed(records)
        }),
        Stream.take(120),
        Stream.run(one.committing({ every: "1 minute" }))
      )
      assert.strictEqual(committed(context), 30n)
    })
  )

  live("a log that was cut back: what is read behind the cut is committed", 1, (context) =>
    Effect.gen(function* () {
      const { consume, logs, offsets, scripted, write } = context
      write(0, 0, 100, 10)
      const one = yield* consume({ maxPollRecords: 10 })
      const before = yield* one.records.pipe(Stream.take(100), Stream.runCollect)
      yield* one.commit(Offsets.of(before))
      logs[0].batches.length = 5
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 2 }] })
      append(logs[0], ["50", "51"], 2)
      yield* until(() => one.seen.some(({ _tag }) => _tag === "OffsetReset"))
      const again = yield* one.records.pipe(Stream.take(2), Stream.runCollect)
      yield* one.commit(Offsets.of(before))
      yield* one.commit(Offsets.of(again))
      assert.deepStrictEqual(offsets.commits(), ["t0=100", "t0=52"])
    })
  )
})

describe("A log that was cut back", () => {
  live("what was read before the cut, and is not handed over yet, is not lost", 1, (context) =>
    Effect.gen(function* () {
      const { consume, logs, scripted, write } = context
      write(0, 0, 10)
      write(0, 10, 10)
      const one = yield* consume({ maxPollRecords: 2 })
      const gate = yield* Deferred.make<void>()
      const read: Array<number> = []
      yield* one.records.pipe(
        Stream.runForEachArray((records) => {
          read.push(...values(records))
          return read.length === 2 ? Deferred.await(gate) : Effect.void
        }),
        Effect.forkScoped
      )
      yield* until(() => read.length === 2)
      yield* Effect.sleep(100)
      logs[0].batches.length = 1
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 2 }] })
      append(logs[0], ["100", "101"], 2)
      yield* until(() => one.seen.some(({ _tag }) => _tag === "OffsetReset"))
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => read.includes(101))
      assert.deepStrictEqual(read, [...range(0, 10), 100, 101])
    })
  )
})

describe("Automatic commits", () => {
  live("a partition that cannot be committed does not hold up the others", 2, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, write } = context
      for (const partition of [0, 1]) write(partition, 0, 10)
      offsets.answer = () => (_, partition) => (partition === 0 ? codes.REQUEST_TIMED_OUT : 0)
      const one = yield* consume()
      yield* Effect.forkScoped(one.run(() => Effect.void))
      for (const offset of [10, 20, 30]) {
        yield* until(() => committed(context, 1) === BigInt(offset))
        for (const partition of [0, 1]) write(partition, offset, 10)
      }
      assert.isUndefined(committed(context, 0))
      offsets.answer = () => undefined
      yield* until(() => committed(context, 0) === 40n)
    })
  )

  live("one that fails is an event, with its partitions, and is tried again", 2, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, write } = context
      for (const partition of [0, 1]) write(partition, 0, 10)
      offsets.answer = () => (_, partition) => (partition === 0 ? codes.TOPIC_AUTHORIZATION_FAILED : 0)
      const one = yield* consume()
      yield* Effect.forkScoped(one.run(() => Effect.void))
      const failures = () => one.seen.flatMap((event) => (event._tag === "CommitFailed" ? [event] : []))
      yield* until(() => failures().length >= 2)
      const [{ error, partitions }] = failures()
      assert.deepStrictEqual(partitions, [place])
      assert.strictEqual(error.reason._tag, "NotAuthorized")
      assert.strictEqual(committed(context, 1), 10n)
      offsets.answer = () => undefined
      yield* until(() => committed(context, 0) === 10n)
    })
  )

  live("markers of transactions behind what has been finished are passed: no lag remains", 1, (context) =>
    Effect.gen(function* () {
      const { consume, logs, offsets, write } = context
      const mark = () => {
        const base = end(logs[0])
        const options = { isControl: true, isTransactional: true, producerId: 1n, producerEpoch: 0 }
        logs[0].batches.push({
          base,
          end: base + 1n,
          bytes: batch(base, ["marker"], { ...options, epoch: 1 }),
          epoch: 1
        })
      }
      write(0, 0, 10)
      mark()
      write(0, 11, 10)
      const gate = yield* Deferred.make<void>()
      const one = yield* consume({ maxPollRecords: 10 })
      yield* Effect.forkScoped(one.run((records) => (records[0].offset < 11n ? Effect.void : Deferred.await(gate))))
      // What comes behind the marker is at work.
      yield* until(() => committed(context) === 10n)
      yield* Effect.sleep(150)
      assert.deepStrictEqual(offsets.commits(), ["t0=10"])
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => committed(context) === 21n)
      mark()
      yield* until(() => committed(context) === 22n)
      assert.strictEqual(offsets.kept.get("t:0")?.leaderEpoch, 1)
      yield* Effect.sleep(150)
      assert.deepStrictEqual(offsets.commits(), ["t0=10", "t0=21", "t0=22"])
    })
  )

  live("a topic that was deleted holds up neither them nor the end", 1, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, scripted, write } = context
      write(0, 0, 10)
      offsets.answer = () => () => codes.UNKNOWN_TOPIC_OR_PARTITION
      let finished = 0
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(consume({ partitions: [[topic, 0]], drainTimeout: "3 seconds" }), scope)
      const work = Effect.sync(() => void finished++)
      yield* Effect.forkScoped(one.run(() => work))
      yield* until(() => finished === 1)
      scripted.topics.set("t", { errorCode: codes.UNKNOWN_TOPIC_OR_PARTITION, partitions: [{ leader: 1, epoch: 1 }] })
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - started, 2500)
    })
  )
})

describe("drainTimeout", () => {
  const hanging = ({ consume, write }: Context, scope: Scope.Scope, onRevoked: () => Effect.Effect<void>) =>
    Effect.gen(function* () {
      write(0, 0, 20, 10)
      const one = yield* Scope.provide(
        consume({
          drainTimeout: "3 seconds",
          autoCommitInterval: "1 minute",
          maxPollRecords: 10,
          listener: { onRevoked }
        }),
        scope
      )
      let runs = 0
      const work = () => (++runs === 1 ? Effect.void : Effect.never)
      yield* Effect.forkScoped(Effect.exit(one.run(work)))
      yield* until(() => runs === 2)
      return one
    })

  live("is for work, listener and commits together", 1, (context) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* hanging(context, scope, () => Effect.never)
      context.offsets.answer = () => () => codes.REQUEST_TIMED_OUT
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      const took = performance.now() - started
      assert.isAbove(took, 2900)
      assert.isBelow(took, 4500)
    })
  )

  live("leaves time for the commit behind work and a listener that never end", 1, (context) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const times: Array<number> = []
      yield* hanging(context, scope, () =>
        Effect.andThen(
          Effect.sync(() => times.push(performance.now())),
          Effect.never
        )
      )
      context.offsets.delay = 100
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(committed(context), 10n)
      // Two thirds are for the work, five sixths for it and the listener.
      assert.approximately(times[0] - started, 2000, 400)
      assert.isBelow(performance.now() - started, 2950)
    })
  )
})

describe("A partition that comes back before anything was committed", () => {
  const cases: ReadonlyArray<Partial<Consumer.Options<typeof topic>>> = [
    { startAt: "earliest", fallback: "fail" },
    { startAt: "latest", fallback: "fail" },
    { fallback: "latest" }
  ]
  for (const options of cases) {
    live(`an empty one is read from where it stood: ${JSON.stringify(options)}`, 1, (context) =>
      Effect.gen(function* () {
        // Written while nobody has it.
        const onLost = () => Effect.sync(() => context.write(0, 0, 5))
        const one = yield* context.consume({ ...options, listener: { onLost } })
        const read: Array<number> = []
        const running = yield* Effect.forkScoped(
          one.run((records) => Effect.sync(() => void read.push(...values(records))))
        )
        yield* until(() => context.fetches().length > 0)
        yield* one.position(place)
        yield* loseAll(context, one)
        yield* until(() => read.length >= 5)
        assert.deepStrictEqual(read, range(0, 5))
        assert.isUndefined(running.pollUnsafe())
      })
    )
  }

  live("what was not finished is given again, what was is not", 1, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, write } = context
      write(0, 0, 30, 10)
      offsets.answer = () => () => codes.COORDINATOR_LOAD_IN_PROGRESS
      const one = yield* consume({ startAt: "earliest", fallback: "fail", maxPollRecords: 10 })
      const begun: Array<number> = []
      let isHanging = true
      yield* Effect.forkScoped(
        one.run((records) => {
          begun.push(values(records)[0])
          return isHanging && begun.length === 2 ? Effect.never : Effect.void
        })
      )
      yield* until(() => begun.length === 2)
      isHanging = false
      yield* loseAll(context, one)
      yield* until(() => begun.length === 4)
      assert.deepStrictEqual(begun, [0, 10, 10, 20])
    })
  )

  live("what was given to a reader that has not committed is given again", 1, (context) =>
    Effect.gen(function* () {
      const { consume, write } = context
      write(0, 0, 30, 10)
      const one = yield* consume({ startAt: { timestamp: 5 }, fallback: "fail", maxPollRecords: 2 })
      const read: Array<number> = []
      yield* one.records.pipe(
        Stream.runForEachArray((records) => {
          read.push(...values(records))
          return read.length === 4 ? loseAll(context, one) : Effect.void
        }),
        Effect.forkScoped
      )
      yield* until(() => read.length === 4 + 25)
      assert.deepStrictEqual(read, [5, 6, 7, 8, ...range(5, 25)])
    })
  )
})

describe("Dead letters", () => {
  live("are as they were fetched: with the leader epoch and the kind of time of their batch", 1, (context) =>
    Effect.gen(function* () {
      const { consume, logs } = context
      const put = (base: bigint, texts: ReadonlyArray<string>, timestampType: "create" | "append") => {
        const bytes = batch(base, texts, timestampType === "create" ? {} : { appendTime: 5 })
        logs[0].batches.push({ base, end: base + BigInt(texts.length), bytes, epoch: 1 })
      }
      put(0n, ["bad", "1"], "append")
      put(2n, ["!2", "bad"], "create")
      put(4n, ["!4"], "append")
      for (const concurrency of ["partition", { perKey: 2 }] as const) {
        const dead: Array<string> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            const one = yield* consume({ groupId: JSON.stringify(concurrency), startAt: "earliest" })
            yield* Effect.forkScoped(
              one.run((records) => (records.some(({ value }) => value === "bad") ? Effect.fail("bad") : Effect.void), {
                concurrency,
                deadLetter: ({ record: { leaderEpoch, offset, timestampType } }) =>
                  Effect.sync(() => void dead.push(`${offset} ${leaderEpoch} ${timestampType}`))
              })
            )
            yield* until(() => dead.length === 4)
          })
        )
        assert.deepStrictEqual(dead.sort(), ["0 1 append", "2 1 create", "3 1 create", "4 1 append"])
        context.offsets.kept.clear()
      }
    })
  )
})

describe("offsetsForTimes", () => {
  const at = [{ ...place, timestamp: 3 }]

  live("finds the first record that is no older", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      const one = yield* consume()
      assert.deepStrictEqual(yield* one.offsetsForTimes(at), [3n])
    })
  )

  live(
    "says that brokers are too old, rather than where a segment begins",
    1,
    ({ broker, consume, write }) =>
      Effect.gen(function* () {
        write(0, 0, 10)
        broker.on(ListOffsets, () =>
          respond({ topics: [{ name: "t", partitions: [{ partitionIndex: 0, oldStyleOffsets: [10n] }] }] })
        )
        const one = yield* consume({ partitions: [] })
        const { reason } = yield* Effect.flip(one.offsetsForTimes(at))
        assert.strictEqual(reason._tag === "Rejected" && reason.cause.reason._tag, "UnsupportedVersion")
        assert.include(reason.message, "ListOffsets")
        assert.strictEqual(broker.of(ListOffsets).length, 0)
        // The ends of the log they do know.
        assert.deepStrictEqual(yield* one.endOffsets([place]), [10n])
      }),
    15_000,
    { ListOffsets: [0, 0] }
  )
})
