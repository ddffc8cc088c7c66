/** Whole consumers in a scripted group: the rebalance contract, and what `run` promises. */
import { assert, describe } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { Deferred, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import type * as Consumer from "../src/Consumer.ts"
import * as ConsumerService from "../src/internal/consumer/ConsumerService.ts"
import * as Offsets from "../src/Offsets.ts"
import * as Serde from "../src/Serde.ts"
import * as Topic from "../src/Topic.ts"
import { until } from "./harness.ts"
import { assigned, live, topic } from "./ScriptedConsumer.ts"
import { append } from "./ScriptedFetches.ts"

const numbers = (records: Iterable<{ readonly value: string }>) => Array.from(records, ({ value }) => Number(value))
const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

describe("Rebalance contract", () => {
  live("1: revoke drops what was not handed over; the group waits for the array in hand and its commit", 2, (context) =>
    Effect.gen(function* () {
      const { broker, consume, offsets, write } = context
      for (const partition of [0, 1]) write(partition, 0, 1000, 10)
      const gate = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const one = yield* consume({ maxPollRecords: 10 })
      yield* Effect.forkScoped(
        one.run((records) =>
          Effect.suspend(() => {
            for (const { partition, value } of records) seen.push(`${partition}:${value}`)
            return Deferred.await(gate)
          })
        )
      )
      yield* until(() => seen.length === 20)
      const two = yield* consume({ maxPollRecords: 10 })
      yield* until(() => broker.of(JoinGroup).length >= 4)
      yield* Effect.sleep(300)
      // The work is not done: nothing has changed hands, and the member is alive.
      assert.strictEqual((yield* two.assignment).length, 0)
      const beats = broker.of(Heartbeat).length
      yield* Effect.sleep(200)
      assert.isAbove(broker.of(Heartbeat).length, beats)
      yield* Deferred.succeed(gate, undefined)
      yield* assigned(two, 1)
      const [{ partition }] = yield* two.assignment
      assert.strictEqual(seen.filter((value) => value.startsWith(`${partition}:`)).length, 10)
      assert.strictEqual(offsets.kept.get(`t:${partition}`)?.offset, 10n)
      assert.notInclude(one.events_, "DrainTimeout")
      // The other partition goes on; the new owner begins where the old one has committed.
      yield* until(() => seen.filter((value) => value.startsWith(`${1 - partition}:`)).length === 1000)
      const next = yield* two.records.pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(numbers(next), [10])
    })
  )

  live(
    "1: after drainTimeout the work is interrupted, DrainTimeout is said, and its records go to others",
    2,
    (context) =>
      Effect.gen(function* () {
        const { consume, write } = context
        for (const partition of [0, 1]) write(partition, 0, 10)
        const interrupted: Array<number> = []
        const revoked: Array<string> = []
        const one = yield* consume({
          drainTimeout: "300 millis",
          listener: {
            onRevoked: (gone) => Effect.sync(() => void revoked.push(gone.map((one) => one.partition).join()))
          }
        })
        yield* Effect.forkScoped(
          one.run(([{ partition }]) =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted.push(partition)))
          )
        )
        yield* assigned(one, 2)
        const two = yield* consume()
        yield* assigned(two, 1)
        const [{ partition }] = yield* two.assignment
        assert.deepStrictEqual(interrupted, [partition])
        assert.deepStrictEqual(revoked, [String(partition)])
        assert.include(one.events_, "DrainTimeout")
        const got = yield* two.records.pipe(Stream.take(10), Stream.runCollect)
        assert.deepStrictEqual(numbers(got), range(0, 10))
      })
  )

  live("2: lost: interrupted at once; commits of the lease fail here; the partition comes back", 1, (context) =>
    Effect.gen(function* () {
      const { consume, coordinator, offsets, write } = context
      write(0, 0, 10)
      const one = yield* consume()
      let runs = 0
      let interrupted = 0
      const running = yield* Effect.forkScoped(
        one.run(() => {
          runs++
          return runs === 1
            ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
            : Effect.void
        })
      )
      yield* until(() => runs === 1)
      coordinator.next(Heartbeat, codes.ILLEGAL_GENERATION)
      yield* until(() => runs === 2)
      assert.strictEqual(interrupted, 1)
      yield* until(() => offsets.kept.get("t:0")?.offset === 10n)
      assert.include(one.events_, "Lost")
      assert.isUndefined(running.pollUnsafe())
    })
  )

  live("2: a reader of all that commits by itself gets a lost partition back", 1, ({ consume, coordinator, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      const one = yield* consume()
      const seen: Array<number> = []
      const failures: Array<string> = []
      yield* one.records.pipe(
        Stream.runForEachArray((records) =>
          Effect.gen(function* () {
            seen.push(...numbers(records))
            if (seen.length === 10) {
              coordinator.next(Heartbeat, codes.ILLEGAL_GENERATION)
              yield* until(() => one.events_.includes("Lost"))
            }
            yield* Effect.catch(one.commit(Offsets.of(records)), ({ reason }) =>
              Effect.sync(() => void failures.push(reason._tag))
            )
          })
        ),
        Effect.forkScoped
      )
      yield* until(() => seen.length === 20)
      assert.deepStrictEqual(seen, [...range(0, 10), ...range(0, 10)])
      yield* Effect.sleep(50)
      assert.deepStrictEqual(failures, ["PartitionLost"])
    })
  )

  live("3: records: the group waits for the commit of what was handed over", 2, ({ consume, offsets, write }) =>
    Effect.gen(function* () {
      for (const partition of [0, 1]) write(partition, 0, 10)
      const one = yield* consume({ drainTimeout: "4 seconds" })
      const read: Array<Topic.RecordOf<typeof topic>> = []
      yield* one.records.pipe(
        Stream.runForEachArray((records) => Effect.sync(() => void read.push(...records))),
        Effect.forkScoped
      )
      yield* until(() => read.length === 20)
      yield* one.commit(Offsets.of(read.filter(({ offset }) => offset < 5n)))
      const two = yield* consume()
      yield* Effect.sleep(600)
      assert.strictEqual((yield* two.assignment).length, 0)
      yield* one.commit(Offsets.of(read))
      const started = performance.now()
      yield* assigned(two, 1)
      // Work is given two thirds of drainTimeout.
      assert.isBelow(performance.now() - started, 2500)
      assert.strictEqual(offsets.kept.get("t:0")?.offset, 10n)
    })
  )

  live("3: a reader that never commits and waits for more holds nothing up", 2, ({ consume, write }) =>
    Effect.gen(function* () {
      for (const partition of [0, 1]) write(partition, 0, 10)
      const one = yield* consume({ drainTimeout: "4 seconds" })
      let count = 0
      yield* one.records.pipe(
        Stream.runForEachArray((records) =>
          Effect.sync(() => {
            count += records.length
          })
        ),
        Effect.forkScoped
      )
      yield* until(() => count === 20)
      const started = performance.now()
      const two = yield* consume()
      yield* assigned(two, 1)
      // Work is given two thirds of drainTimeout.
      assert.isBelow(performance.now() - started, 2500)
      assert.notInclude(one.events_, "DrainTimeout")
    })
  )

  live("4: never two who work on a partition: the next lease waits for the work of the former", 1, (context) =>
    Effect.gen(function* () {
      const { consume, coordinator, write } = context
      write(0, 0, 10)
      const one = yield* consume()
      const gate = yield* Deferred.make<void>()
      let atOnce = 0
      let most = 0
      let runs = 0
      yield* Effect.forkScoped(
        one.run(() => {
          atOnce++
          most = Math.max(most, atOnce)
          runs++
          // It cannot be interrupted.
          return Effect.uninterruptible(Deferred.await(gate)).pipe(Effect.ensuring(Effect.sync(() => void atOnce--)))
        })
      )
      yield* until(() => runs === 1)
      coordinator.next(Heartbeat, codes.ILLEGAL_GENERATION)
      yield* until(() => one.events_.filter((event) => event === "Assigned").length === 2)
      yield* Effect.sleep(200)
      assert.strictEqual(runs, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => runs === 2)
      assert.strictEqual(most, 1)
    })
  )

  live("5 C106: a stall fails that partition's stream alone; the member stays", 2, ({ broker, consume, write }) =>
    Effect.gen(function* () {
      for (const partition of [0, 1]) write(partition, 0, 100, 10)
      const one = yield* consume({ maxPollRecords: 10, stallTimeout: "300 millis" })
      const failures: Array<string> = []
      const counts = [0, 0]
      yield* one.partitions.pipe(
        Stream.mapEffect(
          ({ partition, records }) =>
            records.pipe(
              Stream.runForEachArray((array) => {
                counts[partition] += array.length
                return partition === 0 ? Effect.sleep(900) : Effect.sleep(60)
              }),
              Effect.catch((error) =>
                Effect.sync(() => void failures.push(`${partition} ${"reason" in error && error.reason._tag}`))
              )
            ),
          { concurrency: "unbounded" }
        ),
        Stream.runDrain,
        Effect.forkScoped
      )
      yield* until(() => failures.length === 1 && counts[1] === 100)
      assert.deepStrictEqual(failures, ["0 Stalled"])
      assert.deepStrictEqual(counts, [10, 100])
      assert.strictEqual((yield* one.assignment).length, 2)
      assert.strictEqual(broker.of(LeaveGroup).length, 0)
      assert.include(one.events_, "Stalled")
    })
  )

  live(
    "5 C106: work that has stalled ends run; the member stays, and may be run again",
    1,
    ({ broker, consume, write }) =>
      Effect.gen(function* () {
        write(0, 0, 100, 10)
        const one = yield* consume({ maxPollRecords: 10, stallTimeout: "200 millis" })
        const stalled = yield* Effect.flip(one.run(() => Effect.never))
        assert.strictEqual("reason" in stalled && stalled.reason._tag, "Stalled")
        assert.strictEqual(broker.of(LeaveGroup).length, 0)
        let seen = 0
        yield* Effect.forkScoped(
          one.run((records) =>
            Effect.sync(() => {
              seen += records.length
            })
          )
        )
        yield* until(() => seen === 100)
      })
  )

  live(
    "6 C108: the end of the scope: the work in hand, its commit, then Leave",
    1,
    ({ broker, consumeIn, offsets, write }) =>
      Effect.gen(function* () {
        write(0, 0, 100, 10)
        const scope = yield* Scope.make()
        const one = yield* consumeIn(scope, { maxPollRecords: 10, autoCommitInterval: "1 minute" })
        let seen = 0
        const running = yield* Effect.forkScoped(
          one.run((records) =>
            Effect.andThen(
              Effect.sleep(100),
              Effect.sync(() => {
                seen += records.length
              })
            )
          )
        )
        yield* until(() => seen === 10)
        yield* Effect.sleep(20)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(seen, 20)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(running)))
        assert.strictEqual(offsets.kept.get("t:0")?.offset, 20n)
        const order = broker.received.filter(({ api }) => api === OffsetCommit || api === LeaveGroup)
        assert.deepStrictEqual(
          order.map(({ api }) => api.name),
          ["OffsetCommit", "LeaveGroup"]
        )
      })
  )

  live("6: closing takes a bounded time, though the coordinator is dead and the work hangs", 1, (context) =>
    Effect.gen(function* () {
      const { broker, consumeIn, write } = context
      write(0, 0, 10)
      const scope = yield* Scope.make()
      const one = yield* consumeIn(scope, { drainTimeout: "300 millis" })
      let runs = 0
      yield* Effect.forkScoped(
        Effect.exit(
          one.run(() =>
            Effect.andThen(
              Effect.sync(() => void runs++),
              Effect.never
            )
          )
        )
      )
      yield* until(() => runs === 1)
      yield* broker.stop
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - started, 7000)
    })
  )

  live("chosen partitions: closing waits for the work in hand, and commits", 1, ({ consumeIn, offsets, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      const scope = yield* Scope.make()
      const one = yield* consumeIn(scope, { partitions: [[topic, 0]], autoCommitInterval: "1 minute" })
      let begun = 0
      yield* Effect.forkScoped(
        one.run(() =>
          Effect.andThen(
            Effect.sync(() => void begun++),
            Effect.sleep(200)
          )
        )
      )
      yield* until(() => begun === 1)
      yield* Effect.all([one.stop, one.stop, Scope.close(scope, Exit.void)], { concurrency: "unbounded" })
      assert.strictEqual(offsets.kept.get("t:0")?.offset, 10n)
    })
  )

  live(
    "a listener that throws ends the readers with its defect, and the member leaves",
    1,
    ({ broker, consume, write }) =>
      Effect.gen(function* () {
        write(0, 0, 10)
        const bang = () => {
          throw new Error("bang")
        }
        for (const read of ["records", "run"] as const) {
          const one = yield* consume({ listener: { onAssigned: bang } })
          const exit = yield* Effect.exit(
            Effect.timeout(read === "run" ? one.run(() => Effect.void) : Stream.runDrain(one.records), "3 seconds")
          )
          assert.include(String(exit), "bang")
        }
        yield* until(() => broker.of(LeaveGroup).length === 2)
      })
  )

  live("a listener that never ends is given up after drainTimeout", 1, ({ consumeIn, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      const scope = yield* Scope.make()
      const never = () => Effect.never
      const one = yield* consumeIn(scope, {
        drainTimeout: "200 millis",
        listener: { onAssigned: never, onRevoked: never }
      })
      assert.strictEqual((yield* one.records.pipe(Stream.take(10), Stream.runCollect)).length, 10)
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - started, 4000)
    })
  )

  live("a failure of the membership is for the next reader too", 1, ({ consume, coordinator }) =>
    Effect.gen(function* () {
      coordinator.next(JoinGroup, codes.GROUP_AUTHORIZATION_FAILED)
      const one = yield* consume()
      yield* Effect.sleep(300)
      const reasons = [
        yield* Effect.flip(Stream.runDrain(one.records)),
        yield* Effect.flip(one.run(() => Effect.void)),
        yield* Effect.flip(Stream.runDrain(one.partitions))
      ].map((error) => "reason" in error && error.reason._tag)
      assert.deepStrictEqual(reasons, ["GroupRejected", "GroupRejected", "GroupRejected"])
    })
  )
})

describe("run", () => {
  live("a failure ends it, the others are interrupted; another run goes on at what was not finished", 2, (context) =>
    Effect.gen(function* () {
      const { consume, offsets, write } = context
      for (const partition of [0, 1]) write(partition, 0, 30, 10)
      for (const concurrency of ["partition", { perKey: 4 }] as const) {
        offsets.kept.clear()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const one = yield* consume()
            const done = new Set<string>()
            let interrupted = 0
            let isBroken = true
            const running = one.run(
              (records) =>
                Effect.suspend(() => {
                  const [{ partition }] = records
                  if (partition === 1 && isBroken) {
                    return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
                  }
                  if (isBroken && records.some(({ offset }) => offset === 10n)) {
                    return Effect.andThen(Effect.sleep(100), Effect.fail("broken" as const))
                  }
                  for (const { offset } of records) done.add(`${partition}:${offset}`)
                  return Effect.void
                }),
              { concurrency }
            )
            assert.strictEqual(yield* Effect.flip(running), "broken")
            assert.isAtLeast(interrupted, 1)
            isBroken = false
            yield* Effect.forkScoped(running)
            yield* until(() => done.size === 60)
            yield* until(() => offsets.kept.get("t:0")?.offset === 30n && offsets.kept.get("t:1")?.offset === 30n)
          })
        )
      }
    })
  )

  live("work that interrupts itself is a failure, not a partition that stands still", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 10)
      for (const concurrency of ["partition", { perKey: 2 }] as const) {
        const exit = yield* Effect.scoped(
          Effect.gen(function* () {
            const one = yield* consume()
            return yield* Effect.exit(
              Effect.timeout(
                one.run(() => Effect.interrupt, { concurrency }),
                "3 seconds"
              )
            )
          })
        )
        assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      }
    })
  )

  live("retries, then one by one, then dead letters; poison goes there too, and the offset moves on", 1, (context) =>
    Effect.gen(function* () {
      const { consume, logs, offsets } = context
      append(logs[0], ["0", "!1", "2", "bad", "4", "!5"])
      for (const concurrency of ["partition", { perKey: 4 }] as const) {
        for (const maxPollRecords of [undefined, 2]) {
          offsets.kept.clear()
          const dead: Array<string> = []
          const good: Array<string> = []
          let tries = 0
          yield* Effect.scoped(
            Effect.gen(function* () {
              const one = yield* consume({ maxPollRecords })
              yield* Effect.forkScoped(
                one.run(
                  (records) =>
                    Effect.suspend(() => {
                      if (records.some(({ value }) => value === "bad")) {
                        tries++
                        return Effect.fail("bad")
                      }
                      good.push(...records.map(({ value }) => value))
                      return Effect.void
                    }),
                  {
                    concurrency,
                    retry: Schedule.recurs(1),
                    deadLetter: ({ record }) => Effect.sync(() => void dead.push(`${record.offset}=${record.value}`))
                  }
                )
              )
              yield* until(() => offsets.kept.get("t:0")?.offset === 6n)
            })
          )
          assert.deepStrictEqual(good.sort(), ["0", "2", "4"])
          assert.deepStrictEqual(dead.map((text) => text[0]).sort(), ["1", "3", "5"])
          assert.isAtLeast(tries, 2)
        }
      }
    })
  )

  live(
    "a record that cannot be decoded: exactly what is before it, then the failure; or it is left out",
    1,
    (context) =>
      Effect.gen(function* () {
        const { consume, logs } = context
        append(logs[0], ["0", "1", "!2", "3"])
        append(logs[0], ["4"])
        const seen: Array<number> = []
        const take = (records: ReadonlyArray<{ readonly value: string }>) =>
          Effect.sync(() => void seen.push(...numbers(records)))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const one = yield* consume()
            for (const _ of [1, 2]) {
              const error = yield* Effect.flip(Stream.runForEachArray(one.records, take))
              assert.strictEqual(error._tag, "SerdeError")
            }
            assert.deepStrictEqual(seen, [0, 1])
            // Another reader has another way with it.
            const dead: Array<bigint> = []
            yield* Effect.forkScoped(
              one.run(take, { deadLetter: ({ record }) => Effect.sync(() => void dead.push(record.offset)) })
            )
            yield* until(() => seen.length === 4)
            assert.deepStrictEqual(seen, [0, 1, 3, 4])
            assert.deepStrictEqual(dead, [2n])
          })
        )
        const one = yield* consume({ onSerdeError: "skip", startAt: "earliest" })
        const read = yield* one.records.pipe(Stream.take(4), Stream.runCollect)
        assert.deepStrictEqual(numbers(read), [0, 1, 3, 4])
      })
  )

  live("enableAutoCommit commits nothing of the array in hand", 1, ({ consume, offsets, write }) =>
    Effect.gen(function* () {
      write(0, 0, 30, 10)
      const one = yield* consume({ maxPollRecords: 10, enableAutoCommit: true })
      let arrays = 0
      yield* one.records.pipe(
        Stream.runForEachArray(() => (++arrays === 2 ? Effect.never : Effect.void)),
        Effect.forkScoped
      )
      yield* until(() => arrays === 2)
      yield* Effect.sleep(200)
      assert.strictEqual(offsets.kept.get("t:0")?.offset, 10n)
    })
  )

  live("the committing sink commits by count, by time, and at the end", 1, ({ consume, offsets, write }) =>
    Effect.gen(function* () {
      write(0, 0, 30, 10)
      const one = yield* consume({ maxPollRecords: 10 })
      yield* one.records.pipe(Stream.take(30), Stream.run(one.committing({ records: 20, every: "1 minute" })))
      assert.deepStrictEqual(offsets.commits(), ["t0=20", "t0=30"])
      write(0, 30, 10)
      yield* one.records.pipe(Stream.run(one.committing({ every: "50 millis" })), Effect.forkScoped)
      yield* until(() => offsets.kept.get("t:0")?.offset === 40n)
    })
  )
})

describe("Positions", () => {
  live("pause keeps what was fetched, seek drops it, also between slices of a batch", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 20)
      const one = yield* consume({ maxPollRecords: 4 })
      const place = { topic: "t", partition: 0 }
      const seen: Array<number> = []
      yield* one.records.pipe(
        Stream.runForEachArray((records) =>
          Effect.suspend(() => {
            assert.isAtMost(records.length, 4)
            seen.push(...numbers(records))
            if (seen.length === 4) return one.pause([place])
            return seen.length === 8 ? Effect.orDie(one.seek([[place, 15n]])) : Effect.void
          })
        ),
        Effect.forkScoped
      )
      yield* until(() => seen.length === 4)
      yield* Effect.sleep(100)
      assert.strictEqual(seen.length, 4)
      assert.strictEqual(yield* one.position(place), 4n)
      yield* one.resume([place])
      yield* until(() => seen.length === 13)
      assert.deepStrictEqual(seen, [...range(0, 8), ...range(15, 5)])
    })
  )

  live("a seek in onAssigned wins over what was committed", 1, ({ consume, offsets, write }) =>
    Effect.gen(function* () {
      write(0, 0, 20)
      offsets.kept.set("t:0", { offset: 3n, leaderEpoch: -1, metadata: "" })
      const later = yield* Deferred.make<Consumer.Consumer<typeof topic>>()
      const one = yield* consume({
        listener: {
          onAssigned: (partitions) =>
            Effect.flatMap(Deferred.await(later), (consumer) =>
              Effect.orDie(consumer.seek(partitions.map((place) => [place, 12n] as const)))
            )
        }
      })
      yield* Deferred.succeed(later, one)
      const read = yield* one.records.pipe(Stream.take(8), Stream.runCollect)
      assert.deepStrictEqual(numbers(read), range(12, 8))
    })
  )

  live("without a commit and a fallback: NoCommittedOffset; NotAssigned and AlreadyRead are said", 1, (context) =>
    Effect.gen(function* () {
      const { consume, write } = context
      write(0, 0, 5)
      const one = yield* consume({ fallback: "fail" })
      const error = yield* Effect.flip(Stream.runDrain(one.records))
      assert.include(error.message, "group g has committed nothing for topic t partition 0")
      const missing = yield* Effect.flip(one.seek([[{ topic: "t", partition: 9 }, 0n]]))
      assert.strictEqual(missing.reason._tag, "NotAssigned")
      yield* one.seek([[{ topic: "t", partition: 0 }, "earliest"]])
      yield* one.records.pipe(Stream.runDrain, Effect.forkScoped({ startImmediately: true }))
      const other = yield* Effect.flip(one.run(() => Effect.void))
      assert.strictEqual("reason" in other && other.reason._tag, "AlreadyRead")
    })
  )

  live("idleTimeout ends the stream; a later reader goes on", 1, ({ consume, write }) =>
    Effect.gen(function* () {
      write(0, 0, 5)
      const one = yield* consume({ idleTimeout: "500 millis" })
      assert.deepStrictEqual(numbers(yield* Stream.runCollect(one.records)), range(0, 5))
      write(0, 5, 5)
      assert.deepStrictEqual(numbers(yield* Stream.runCollect(one.records)), range(5, 5))
    })
  )

  live("what was taken and not handed over, for its decoding was interrupted, is read by the next", 1, (context) =>
    Effect.gen(function* () {
      const { cluster, write } = context
      write(0, 0, 5)
      let isSlow = true
      const slow: Serde.Serde<string> = { ...Serde.string, prepare: () => (isSlow ? Effect.never : Effect.void) }
      const one = yield* ConsumerService.make(cluster, {
        groupId: "g",
        topics: [Topic.topic("t", { key: Serde.bytes, value: slow })],
        fallback: "earliest",
        idleTimeout: "300 millis"
      })
      assert.strictEqual((yield* Stream.runCollect(one.records)).length, 0)
      isSlow = false
      assert.deepStrictEqual(numbers(yield* Stream.runCollect(one.records)), range(0, 5))
    })
  )
})
