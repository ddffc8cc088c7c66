import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { Effect, Exit, Fiber, Scope } from "effect"
import type { CommitError } from "../src/CommitError.ts"
import { Lease } from "../src/internal/consumer/Lease.ts"
import * as Offsets from "../src/Offsets.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import { answered, anybody, type Context, member, type Request, said, start } from "./ScriptedCommits.ts"

const live = (
  name: string,
  test: (context: Context) => Effect.Effect<void, unknown, Scope.Scope>,
  options?: Parameters<typeof start>[0]
) => it.live(name, () => Effect.flatMap(start(options), test))

const both = (context: Context, one: number, other: number) =>
  Offsets.merge(context.upTo(one, 0), context.upTo(other, 1))

const fork = Effect.forkChild({ startImmediately: true })

/** Holds requests back until they are let through. */
const gate = (context: Context) => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  context.second.on(OffsetCommit, (request) => opened.then(() => answered(request)))
  return () => open()
}

/** Of a commit that must fail: its reason, and which partitions it is about. */
const failure = (commit: Effect.Effect<void, CommitError>) =>
  Effect.map(Effect.flip(commit), (error) => ({
    error,
    tag: error.reason._tag,
    reason: error.reason,
    partitions: error.partitions.map(({ partition }) => partition)
  }))

/** What `onCommitted` was told in all; callers may go on before it is. */
const told = ({ committed }: Context, expected: ReadonlyArray<string>) =>
  until(() => committed.length >= expected.length).pipe(
    Effect.andThen(Effect.sync(() => assert.deepStrictEqual([...committed], [...expected])))
  )

describe("Committer", () => {
  live("commits the next offset with its leader epoch, as the member", (context) =>
    Effect.gen(function* () {
      yield* context.commit(Offsets.withMetadata(context.upTo(5), "m"))
      const [{ message }] = context.requests()
      assert.deepInclude(message, { groupId: "g", memberId: "m", generationIdOrMemberEpoch: 1, groupInstanceId: null })
      const [partition] = message.topics[0].partitions
      assert.deepInclude(partition, { committedOffset: 5n, committedLeaderEpoch: 3, committedMetadata: "m" })
      yield* told(context, ["t0@5"])
      assert.strictEqual(context.lastCommitted(context.leases[0]), 5n)
      assert.isUndefined(context.lastCommitted(context.leases[1]))
      assert.strictEqual(context.first.of(OffsetCommit).length, 0)
    })
  )

  live("a static member names its instance", (context) =>
    Effect.gen(function* () {
      context.identity = { ...member(1), groupInstanceId: "i" }
      yield* context.commit(context.upTo(5))
      assert.strictEqual(context.requests()[0].message.groupInstanceId, "i")
    })
  )

  live("nothing is sent for no offsets", (context) =>
    Effect.gen(function* () {
      yield* context.commit(Offsets.empty)
      assert.strictEqual(context.requests().length, 0)
    })
  )

  live("C104 one request at a time; what comes meanwhile goes together, the furthest of each partition", (context) =>
    Effect.gen(function* () {
      const open = gate(context)
      const all = [yield* fork(context.commit(context.upTo(5)))]
      yield* until(() => context.requests().length === 1)
      for (const next of [6, 9, 7]) all.push(yield* fork(context.commit(context.upTo(next))))
      all.push(yield* fork(context.commit(context.upTo(3, 1))))
      yield* Effect.sleep(50)
      assert.strictEqual(context.requests().length, 1)
      open()
      yield* Effect.forEach(all, Fiber.join)
      assert.deepStrictEqual(context.requests().map(said), [["t0@5"], ["t0@9", "t1@3"]])
    })
  )

  live("C104 many calls at once are one request", (context) =>
    Effect.gen(function* () {
      const commits = Array.from({ length: 200 }, (_, index) => context.commit(context.upTo(index + 1)))
      yield* Effect.all(commits, { concurrency: "unbounded" })
      assert.isAtMost(context.requests().length, 2)
      assert.deepStrictEqual(said(context.requests()[context.requests().length - 1]), ["t0@200"])
    })
  )

  live("C104 never goes back under a lease: what is past needs no request", (context) =>
    Effect.gen(function* () {
      yield* context.commit(context.upTo(10))
      yield* context.commit(context.upTo(6))
      yield* context.commit(context.upTo(10))
      yield* context.commit(context.upTo(11))
      assert.deepStrictEqual(context.requests().map(said), [["t0@10"], ["t0@11"]])
    })
  )

  live("C104 what failed and is tried again does not overtake what came after", (context) =>
    Effect.gen(function* () {
      context.inTurn((request) => answered(request, () => codes.COORDINATOR_LOAD_IN_PROGRESS), answered)
      const earlier = yield* fork(context.commit(context.upTo(5)))
      yield* until(() => context.requests().length === 1)
      yield* context.commit(context.upTo(8))
      yield* Fiber.join(earlier)
      const offsets = context.requests().flatMap(said)
      assert.strictEqual(offsets[0], "t0@5")
      assert.strictEqual(offsets[offsets.length - 1], "t0@8")
      yield* told(context, ["t0@8"])
    })
  )

  live("C104 offsets that the user names may go back", (context) =>
    Effect.gen(function* () {
      yield* context.commit(context.upTo(10))
      yield* context.commit(Offsets.from([{ topic: "t", partition: 0, offset: 4n }]))
      assert.deepStrictEqual(context.requests().map(said), [["t0@10"], ["t0@4"]])
    })
  )

  live("C104 under another lease reading may have begun earlier, and is committed", (context) =>
    Effect.gen(function* () {
      yield* context.commit(context.upTo(10))
      context.leases[0].end()
      context.leases[0] = new Lease("t", 0)
      yield* context.commit(context.upTo(4))
      assert.deepStrictEqual(context.requests().map(said), [["t0@10"], ["t0@4"]])
    })
  )

  live("C104 what was read before a seek neither lands nor stands in the way of what was read since", (context) =>
    Effect.gen(function* () {
      const [lease] = context.leases
      const [old, older] = [context.upTo(100), context.upTo(90)]
      lease.jump()
      yield* context.commit(old)
      assert.strictEqual(context.requests().length, 0)
      yield* context.commit(context.upTo(31))
      yield* context.commit(older)
      yield* context.commit(Offsets.merge(old, context.upTo(32)))
      assert.deepStrictEqual(context.requests().map(said), [["t0@31"], ["t0@32"]])
      // Nor what waits, or is sent again, while the seek comes.
      context.identity = undefined
      const waiting = yield* fork(context.commit(context.upTo(99)))
      yield* Effect.sleep(30)
      lease.jump()
      const since = yield* fork(context.commit(context.upTo(5)))
      context.identity = member(2)
      context.wake()
      yield* Effect.all([Fiber.join(waiting), Fiber.join(since)])
      assert.deepStrictEqual(context.requests().slice(2).map(said), [["t0@5"]])
      context.inTurn((request) => {
        lease.jump()
        return answered(request, () => codes.COORDINATOR_LOAD_IN_PROGRESS)
      }, answered)
      yield* context.commit(context.upTo(99))
      yield* context.commit(context.upTo(3))
      assert.deepStrictEqual(context.requests().slice(3).map(said), [["t0@99"], ["t0@3"]])
    })
  )

  live("C104 an ended lease fails here and is never sent; the others of the call are committed", (context) =>
    Effect.gen(function* () {
      const offsets = both(context, 5, 7)
      context.leases[0].end()
      const { error, partitions, tag } = yield* failure(context.commit(offsets))
      assert.strictEqual(tag, "PartitionLost")
      assert.deepStrictEqual(partitions, [0])
      assert.isFalse(error.isRetriable)
      assert.include(error.message, "topic t partition 0")
      assert.deepStrictEqual(context.requests().map(said), [["t1@7"]])
    })
  )

  live("C104 a partition that somebody else has is not committed, whoever names it", (context) =>
    Effect.gen(function* () {
      const named = Offsets.from([{ topic: "t", partition: 9, offset: 1n }])
      assert.strictEqual((yield* failure(context.commit(named))).tag, "PartitionLost")
      assert.strictEqual(context.requests().length, 0)
    })
  )

  for (const [code, name] of [
    [codes.REBALANCE_IN_PROGRESS, "C104 [27]"],
    [codes.ILLEGAL_GENERATION, "C104 [22]"],
    [codes.UNKNOWN_MEMBER_ID, "C104 [25]"],
    [codes.FENCED_INSTANCE_ID, "C104 [82]"],
    [codes.STALE_MEMBER_EPOCH, "C114 [113]"]
  ] as const) {
    live(`${name} is told to the membership, and committed by its next identity while the lease lasts`, (context) =>
      Effect.gen(function* () {
        context.onRefused = () => {
          context.identity = undefined
        }
        context.inTurn((request) => answered(request, () => code), answered)
        const commit = yield* fork(context.commit(context.upTo(5)))
        yield* until(() => context.refused.length === 1)
        assert.deepStrictEqual(context.refused, [[1, code]])
        yield* Effect.sleep(100)
        assert.strictEqual(context.requests().length, 1)
        context.identity = member(2)
        context.wake()
        yield* Fiber.join(commit)
        assert.deepStrictEqual(
          context.requests().map(({ message }) => message.generationIdOrMemberEpoch),
          [1, 2]
        )
        assert.deepStrictEqual(context.requests().map(said), [["t0@5"], ["t0@5"]])
      })
    )

    live(`${name} and the lease gone: lost, and not sent again`, (context) =>
      Effect.gen(function* () {
        context.onRefused = () => {
          context.leases[0].end()
          context.identity = member(2)
        }
        context.inTurn((request) => answered(request, () => code))
        const { partitions, tag } = yield* failure(context.commit(context.upTo(5)))
        assert.strictEqual(tag, "PartitionLost")
        assert.deepStrictEqual(partitions, [0])
        assert.strictEqual(context.requests().length, 1)
      })
    )
  }

  live("C104 of several partitions only those that the group refused are sent again", (context) =>
    Effect.gen(function* () {
      const refuse = (partition: number) => (partition === 1 ? codes.REBALANCE_IN_PROGRESS : 0)
      context.inTurn((request) => answered(request, refuse), answered)
      yield* context.commit(both(context, 5, 7))
      assert.deepStrictEqual(context.requests().map(said), [["t0@5", "t1@7"], ["t1@7"]])
      yield* told(context, ["t0@5", "t1@7"])
    })
  )

  live("C105 nothing is sent without an identity; what waits goes as soon as there is one", (context) =>
    Effect.gen(function* () {
      context.identity = undefined
      const commit = yield* fork(context.commit(context.upTo(5)))
      yield* Effect.sleep(100)
      assert.strictEqual(context.requests().length, 0)
      context.identity = member(4)
      context.wake()
      yield* Fiber.join(commit)
      assert.strictEqual(context.requests()[0].message.generationIdOrMemberEpoch, 4)
    })
  )

  live("[14] is waited for where it is; the coordinator is not looked up again", (context) =>
    Effect.gen(function* () {
      const loading = (request: Request) => answered(request, () => codes.COORDINATOR_LOAD_IN_PROGRESS)
      context.inTurn(loading, loading, answered)
      yield* context.commit(context.upTo(5))
      assert.strictEqual(context.requests().length, 3)
      assert.strictEqual(context.lookUps(), 1)
      assert.deepStrictEqual(context.refused, [])
    })
  )

  for (const [code, name] of [
    [codes.COORDINATOR_NOT_AVAILABLE, "[15]"],
    [codes.NOT_COORDINATOR, "[16]"]
  ] as const) {
    live(`${name}: the coordinator is looked up again`, (context) =>
      Effect.gen(function* () {
        context.inTurn((request) => answered(request, () => code), answered)
        yield* context.commit(context.upTo(5))
        assert.strictEqual(context.requests().length, 2)
        assert.strictEqual(context.lookUps(), 2)
      })
    )
  }

  live("a lost connection: the coordinator is looked up again, and the commit sent again", (context) =>
    Effect.gen(function* () {
      context.inTurn(() => ScriptedBroker.close, answered)
      yield* context.commit(context.upTo(5))
      assert.strictEqual(context.requests().length, 2)
      assert.strictEqual(context.lookUps(), 2)
      yield* told(context, ["t0@5"])
    })
  )

  live("C92 a partition that the answer leaves out was not committed: it is sent again", (context) =>
    Effect.gen(function* () {
      context.inTurn((request) => answered(request, (partition) => (partition === 1 ? undefined : 0)), answered)
      yield* context.commit(both(context, 5, 7))
      assert.deepStrictEqual(context.requests().map(said), [["t0@5", "t1@7"], ["t1@7"]])
    })
  )

  for (const [code, tag, text] of [
    [codes.OFFSET_METADATA_TOO_LARGE, "MetadataTooLarge", "offset.metadata.max.bytes"],
    [codes.GROUP_AUTHORIZATION_FAILED, "NotAuthorized", "Read on group g"],
    [codes.TOPIC_AUTHORIZATION_FAILED, "NotAuthorized", "on the topics"],
    [codes.INVALID_COMMIT_OFFSET_SIZE, "Rejected", "topic t partition 1"]
  ] as const) {
    live(`C104 [${code}] is fatal for its partition alone: ${tag}`, (context) =>
      Effect.gen(function* () {
        context.inTurn((request) => answered(request, (partition) => (partition === 1 ? code : 0)))
        const failed = yield* failure(context.commit(both(context, 5, 7)))
        assert.strictEqual(failed.tag, tag)
        assert.deepStrictEqual(failed.partitions, [1])
        assert.include(failed.error.message, text)
        assert.isFalse(failed.error.isRetriable)
        yield* told(context, ["t0@5"])
        assert.strictEqual(context.requests().length, 1)
        assert.deepStrictEqual(context.refused, [])
      })
    )
  }

  live("the error tells of all partitions that failed", (context) =>
    Effect.gen(function* () {
      context.inTurn((request) => answered(request, () => codes.OFFSET_METADATA_TOO_LARGE))
      const { error, partitions } = yield* failure(context.commit(both(context, 5, 7)))
      assert.deepStrictEqual([...partitions].sort(), [0, 1])
      assert.include(error.message, "and 1 more")
    })
  )

  live(
    "the time is over, and it was sent: it may have been carried out",
    (context) =>
      Effect.gen(function* () {
        context.inTurn(() => ScriptedBroker.silence)
        const { error, reason } = yield* failure(context.commit(context.upTo(5)))
        assert.deepInclude(reason, { _tag: "CommitTimeout", timeout: 400, maybeCommitted: true })
        assert.isTrue(error.isRetriable)
        assert.include(error.message, "it may have been carried out")
      }),
    { commitTimeout: 400, requestTimeout: 150 }
  )

  live(
    "the time is over, and it was never sent: it was not carried out",
    (context) =>
      Effect.gen(function* () {
        context.identity = undefined
        const started = performance.now()
        const { error, reason } = yield* failure(context.commit(context.upTo(5)))
        assert.deepInclude(reason, { _tag: "CommitTimeout", timeout: 300, maybeCommitted: false })
        assert.include(error.message, "the group rebalances")
        assert.isBelow(performance.now() - started, 5000)
        assert.strictEqual(context.requests().length, 0)
      }),
    { commitTimeout: 300 }
  )

  live(
    "the time is over, and it was refused each time: it was not carried out, and why",
    (context) =>
      Effect.gen(function* () {
        context.inTurn((request) => answered(request, () => codes.COORDINATOR_LOAD_IN_PROGRESS))
        const { error, reason } = yield* failure(context.commit(context.upTo(5)))
        assert.deepInclude(reason, { _tag: "CommitTimeout", maybeCommitted: false })
        assert.include(error.message, "loading")
      }),
    { commitTimeout: 300 }
  )

  live("who is interrupted while waiting disturbs nobody; what was sent stays sent", (context) =>
    Effect.gen(function* () {
      const open = gate(context)
      const sent = yield* fork(context.commit(context.upTo(5)))
      yield* until(() => context.requests().length === 1)
      const waiting = yield* fork(context.commit(context.upTo(6)))
      const other = yield* fork(context.commit(context.upTo(7, 1)))
      yield* Fiber.interrupt(sent)
      yield* Fiber.interrupt(waiting)
      open()
      yield* Fiber.join(other)
      yield* until(() => context.committed.includes("t0@5") && context.committed.includes("t1@7"))
    })
  )

  live("what waits when the consumer closes is told so", (context) =>
    Effect.gen(function* () {
      context.identity = undefined
      const commit = yield* fork(context.commit(context.upTo(5)))
      yield* Effect.sleep(20)
      yield* Scope.close(context.scope, Exit.void)
      const { reason } = yield* failure(Fiber.join(commit))
      assert.deepInclude(reason, { _tag: "CommitTimeout", maybeCommitted: false })
    })
  )

  live(
    "the time is over while the request is held back: the caller goes on, and knows that it may be carried out",
    (context) =>
      Effect.gen(function* () {
        context.inTurn(() => ScriptedBroker.silence)
        const started = performance.now()
        const { reason } = yield* failure(context.commit(context.upTo(5)))
        assert.isBelow(performance.now() - started, 5000)
        assert.deepInclude(reason, { _tag: "CommitTimeout", maybeCommitted: true })
      }),
    { commitTimeout: 300, requestTimeout: 10_000 }
  )

  live(
    "each call has its own time: one that is over does not end another of the same partition",
    (context) =>
      Effect.gen(function* () {
        context.identity = undefined
        const early = yield* fork(failure(context.commit(context.upTo(5))))
        yield* Effect.sleep(300)
        const late = yield* fork(context.commit(context.upTo(6)))
        assert.strictEqual((yield* Fiber.join(early)).tag, "CommitTimeout")
        context.identity = member(1)
        context.wake()
        yield* Fiber.join(late)
        assert.deepStrictEqual(context.requests().map(said), [["t0@6"]])
      }),
    { commitTimeout: 500 }
  )

  live("[30] of the coordinator's look-up tells which permission is missing", (context) =>
    Effect.gen(function* () {
      for (const broker of [context.first, context.second]) {
        broker.on(FindCoordinator, ({ message }) =>
          ScriptedBroker.respond({
            coordinators: message.coordinatorKeys.map((key) => ({
              key,
              nodeId: -1,
              host: "",
              port: -1,
              errorCode: codes.GROUP_AUTHORIZATION_FAILED
            }))
          })
        )
      }
      const { error, tag } = yield* failure(context.commit(context.upTo(5)))
      assert.strictEqual(tag, "NotAuthorized")
      assert.include(error.message, "Read on group g")
    })
  )

  live("the error gives the reason that can be cured, where other partitions were lost", (context) =>
    Effect.gen(function* () {
      const offsets = both(context, 5, 7)
      context.leases[0].end()
      context.inTurn((request) => answered(request, () => codes.OFFSET_METADATA_TOO_LARGE))
      const { partitions, tag } = yield* failure(context.commit(offsets))
      assert.strictEqual(tag, "MetadataTooLarge")
      assert.deepStrictEqual([...partitions].sort(), [0, 1])
    })
  )

  for (const [name, offsets, expected] of [
    ["back after records", [9, "4"], "t0@4"],
    ["before records that are further", ["4", 9], "t0@9"],
    ["before records that are not", ["4", 3], "t0@4"]
  ] as const) {
    live(`C104 a request names a partition once: offsets that the user names, ${name}`, (context) =>
      Effect.gen(function* () {
        const open = gate(context)
        const all = [yield* fork(context.commit(context.upTo(1, 1)))]
        yield* until(() => context.requests().length === 1)
        for (const next of offsets) {
          const named = Offsets.from([{ topic: "t", partition: 0, offset: BigInt(next) }])
          all.push(yield* fork(context.commit(typeof next === "string" ? named : context.upTo(next))))
        }
        open()
        yield* Effect.forEach(all, Fiber.join)
        assert.deepStrictEqual(context.requests().map(said), [["t1@1"], [expected]])
      })
    )
  }

  live("C104 what waits under an ended lease does not go with the partition's next lease", (context) =>
    Effect.gen(function* () {
      context.identity = undefined
      const before = yield* fork(failure(context.commit(context.upTo(9))))
      context.leases[0].end()
      context.leases[0] = new Lease("t", 0)
      const after = yield* fork(context.commit(context.upTo(4)))
      context.identity = member(2)
      context.wake()
      assert.strictEqual((yield* Fiber.join(before)).tag, "PartitionLost")
      yield* Fiber.join(after)
      assert.deepStrictEqual(context.requests().map(said), [["t0@4"]])
    })
  )

  live("C104 what is to be sent again under an ended lease gives way to the partition's next lease", (context) =>
    Effect.gen(function* () {
      let open = () => {}
      const opened = new Promise<void>((resolve) => {
        open = resolve
      })
      let isFirst = true
      context.second.on(OffsetCommit, async (request) => {
        if (!isFirst) return answered(request)
        isFirst = false
        await opened
        return answered(request, () => codes.COORDINATOR_LOAD_IN_PROGRESS)
      })
      const before = yield* fork(failure(context.commit(context.upTo(9))))
      yield* until(() => context.requests().length === 1)
      context.leases[0].end()
      context.leases[0] = new Lease("t", 0)
      const after = yield* fork(context.commit(context.upTo(4)))
      open()
      assert.strictEqual((yield* Fiber.join(before)).tag, "PartitionLost")
      yield* Fiber.join(after)
      assert.deepStrictEqual(context.requests().map(said), [["t0@9"], ["t0@4"]])
    })
  )

  live("C104 where reading has gone on elsewhere, what comes after may be further back", (context) =>
    Effect.gen(function* () {
      yield* context.commit(context.upTo(10))
      context.leases[0].jump()
      assert.isUndefined(context.lastCommitted(context.leases[0]))
      yield* context.commit(context.upTo(4))
      assert.deepStrictEqual(context.requests().map(said), [["t0@10"], ["t0@4"]])
    })
  )

  live("who commits again as soon as it is told that a commit has ended is not forgotten", (context) =>
    Effect.gen(function* () {
      context.identity = undefined
      const again = yield* fork(
        Effect.catch(context.commit(context.upTo(9)), () => Effect.suspend(() => context.commit(context.upTo(4))))
      )
      yield* Effect.sleep(20)
      context.leases[0].end()
      context.leases[0] = new Lease("t", 0)
      context.identity = member(2)
      context.wake()
      yield* Effect.timeout(Fiber.join(again), "3 seconds")
      assert.deepStrictEqual(context.requests().map(said), [["t0@4"]])
    })
  )

  live("flush waits for what is on its way of its partitions alone, and does not fail", (context) =>
    Effect.gen(function* () {
      const open = gate(context)
      const commit = yield* fork(context.commit(context.upTo(5)))
      yield* until(() => context.requests().length === 1)
      yield* context.flush([{ topic: "t", partition: 1 }])
      const flushed = yield* fork(context.flush([{ topic: "t", partition: 0 }]))
      yield* Effect.sleep(50)
      assert.isUndefined(flushed.pollUnsafe())
      open()
      yield* Fiber.join(flushed)
      yield* Fiber.join(commit)
      context.inTurn((request) => answered(request, () => codes.OFFSET_METADATA_TOO_LARGE))
      const failing = yield* fork(failure(context.commit(context.upTo(6))))
      yield* context.flush([{ topic: "t", partition: 0 }])
      assert.strictEqual((yield* Fiber.join(failing)).tag, "MetadataTooLarge")
    })
  )

  live("what is under way when the consumer closes may be carried out; what comes later is not", (context) =>
    Effect.gen(function* () {
      context.inTurn(() => ScriptedBroker.silence)
      const sent = yield* fork(failure(context.commit(context.upTo(5))))
      yield* until(() => context.requests().length === 1)
      yield* Scope.close(context.scope, Exit.void)
      const { error, reason } = yield* Fiber.join(sent)
      assert.deepInclude(reason, { _tag: "CommitTimeout", maybeCommitted: true })
      assert.include(error.message, "the consumer is closed")
      const later = yield* failure(context.commit(context.upTo(6)))
      assert.deepInclude(later.reason, { _tag: "CommitTimeout", maybeCommitted: false })
      assert.include(later.error.message, "the consumer is closed")
    })
  )

  live(
    "without membership: any partition, as nobody",
    (context) =>
      Effect.gen(function* () {
        context.identity = anybody
        yield* context.commit(context.upTo(5))
        assert.deepInclude(context.requests()[0].message, { memberId: "", generationIdOrMemberEpoch: -1 })
      }),
    { isAlone: true }
  )

  for (const [code, name] of [
    [codes.ILLEGAL_GENERATION, "[22]"],
    [codes.UNKNOWN_MEMBER_ID, "[25]"]
  ] as const) {
    live(
      `without membership: ${name} says that the group has members, and ends it`,
      (context) =>
        Effect.gen(function* () {
          context.identity = anybody
          context.inTurn((request) => answered(request, () => code))
          assert.strictEqual((yield* failure(context.commit(context.upTo(5)))).tag, "Rejected")
          assert.deepStrictEqual(context.refused, [])
          assert.strictEqual(context.requests().length, 1)
        }),
      { isAlone: true }
    )
  }

  for (let version = 1; version <= 10; version++) {
    const used = Math.min(version, 9)
    live(
      `v${version}: sent as v${used}`,
      (context) =>
        Effect.gen(function* () {
          context.identity = { ...member(1), groupInstanceId: "i" }
          yield* context.commit(Offsets.withMetadata(both(context, 5, 7), "m"))
          const [request] = context.requests()
          assert.strictEqual(request.version, used)
          assert.deepStrictEqual(said(request), ["t0@5", "t1@7"])
          const { generationIdOrMemberEpoch, groupInstanceId, retentionTimeMs, topics } = request.message
          assert.deepStrictEqual(
            [generationIdOrMemberEpoch, groupInstanceId, retentionTimeMs],
            [1, version < 7 ? null : "i", -1n]
          )
          const [{ commitTimestamp, committedLeaderEpoch, committedMetadata }] = topics[0].partitions
          assert.deepStrictEqual(
            [commitTimestamp, committedLeaderEpoch, committedMetadata],
            [-1n, version < 6 ? -1 : 3, "m"]
          )
        }),
      { offered: { OffsetCommit: [0, version] } }
    )
  }

  live(
    "v0, without coordinators: any broker takes it",
    (context) =>
      Effect.gen(function* () {
        context.identity = anybody
        yield* context.commit(context.upTo(5))
        const requests = [...context.first.of(OffsetCommit), ...context.second.of(OffsetCommit)]
        assert.deepStrictEqual(
          requests.map((request) => [request.version, said(request)]),
          [[0, ["t0@5"]]]
        )
        assert.strictEqual(context.lookUps(), 0)
      }),
    { isAlone: true, offered: { OffsetCommit: [0, 0], FindCoordinator: "none" } }
  )
})
