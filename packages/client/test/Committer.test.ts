/** Commits against a scripted coordinator. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Effect, Exit, Fiber, Logger, Scope } from "effect"
import type { CommitError } from "../src/CommitError.ts"
import * as CommittedOffsets from "../src/internal/consumer/CommittedOffsets.ts"
import * as Committer from "../src/internal/consumer/Committer.ts"
import { Lease } from "../src/internal/consumer/Lease.ts"
import type { MemberIdentity } from "../src/internal/consumer/Membership.ts"
import type { Settings } from "../src/internal/Settings.ts"
import * as Offsets from "../src/Offsets.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import * as ScriptedOffsets from "./ScriptedOffsets.ts"

const member = (generation: number, memberId = "m"): MemberIdentity => ({
  groupId: "g",
  memberId,
  generation,
  groupInstanceId: undefined
})

/** A committer whose member has partitions 0 to 3 of topic `t`. */
const start = (
  options: Partial<Committer.Options> & {
    readonly offered?: ScriptedBroker.Offered
    readonly settings?: Partial<Settings>
  } = {}
) =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedCluster.make(1, { offered: options.offered ?? {} })
    const offsets = ScriptedOffsets.make(scripted)
    const cluster = yield* ScriptedCluster.connect(scripted, { retryBackoff: 20, ...options.settings })
    const leases = [0, 1, 2, 3].map((partition) => new Lease("t", partition))
    const self = {
      identity: member(1) as MemberIdentity | undefined,
      refused: [] as Array<readonly [generation: number, code: number]>
    }
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const committer = yield* Scope.provide(
      Committer.make(cluster, "g", {
        identity: () => self.identity,
        refused: ({ generation }, code) => void self.refused.push([generation, code]),
        leaseOf: (_, partition) => leases[partition],
        isAlone: false,
        onCommitted: () => {},
        commitTimeout: 5000,
        ...options
      }),
      scope
    )
    const entry = (partition: number, offset: number, lease: Lease | undefined = leases[partition]) =>
      ({ topic: "t", partition, offset: BigInt(offset), leaderEpoch: 3, stretch: lease?.stretch }) as const
    const commit = (...entries: ReadonlyArray<readonly [partition: number, offset: number, lease?: Lease]>) =>
      committer.commit(Offsets.from(entries.map(([partition, offset, lease]) => entry(partition, offset, lease))))
    const explicit = (partition: number, offset: number, metadata?: string) =>
      committer.commit(
        Offsets.from([
          { topic: "t", partition, offset: BigInt(offset), ...(metadata === undefined ? {} : { metadata }) }
        ])
      )
    const [broker] = scripted.brokers
    return Object.assign(self, { scripted, broker, offsets, cluster, leases, scope, committer, commit, explicit })
  })

type Started = Effect.Success<ReturnType<typeof start>>

const live = (
  name: string,
  test: (context: Started) => Effect.Effect<void, unknown, Scope.Scope>,
  options?: Parameters<typeof start>[0]
) => it.live(name, () => Effect.flatMap(start(options), test).pipe(Effect.provide(Logger.layer([]))))

const reasonOf = (effect: Effect.Effect<void, CommitError>) => Effect.map(Effect.flip(effect), ({ reason }) => reason)

describe("Committer", () => {
  live("C104: a thousand commits while one is under way make one more request", ({ commit, offsets }) =>
    Effect.gen(function* () {
      offsets.delay = 100
      const first = yield* Effect.forkChild(commit([0, 1]), { startImmediately: true })
      yield* until(() => offsets.requests().length === 1)
      yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, index) => index),
        (index) => commit([index % 4, 2 + index]),
        { concurrency: "unbounded" }
      )
      yield* Fiber.join(first)
      assert.deepStrictEqual(offsets.commits(), ["t0=1", "t0=998 t1=999 t2=1000 t3=1001"])
    })
  )

  live("C104: never goes back, but for offsets that the user names", ({ commit, explicit, offsets }) =>
    Effect.gen(function* () {
      yield* commit([0, 10])
      yield* commit([0, 7])
      yield* commit([0, 10])
      yield* explicit(0, 4, "again")
      yield* commit([0, 5])
      assert.deepStrictEqual(offsets.commits(), ["t0=10", "t0=4", "t0=5"])
      offsets.delay = 50
      yield* Effect.all([commit([1, 5]), Effect.delay(commit([1, 9]), 10), Effect.delay(commit([1, 6]), 20)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(offsets.commits().slice(3), ["t1=5", "t1=9"])
    })
  )

  live("goes back when reading has, after a seek or in a topic that was made anew", ({ commit, leases, offsets }) =>
    Effect.gen(function* () {
      yield* commit([0, 1000])
      leases[0].jump()
      yield* commit([0, 3])
      assert.deepStrictEqual(offsets.commits(), ["t0=1000", "t0=3"])
      assert.strictEqual(offsets.kept.get("t:0")?.offset, 3n)
    })
  )

  live("one entry per partition, whether its offset was named or is of records", ({ commit, explicit, offsets }) =>
    Effect.gen(function* () {
      offsets.delay = 50
      const first = yield* Effect.forkChild(commit([3, 1]), { startImmediately: true })
      yield* until(() => offsets.requests().length === 1)
      yield* Effect.all([commit([0, 10]), explicit(0, 5), commit([1, 1])], { concurrency: "unbounded" })
      yield* Fiber.join(first)
      assert.deepStrictEqual(offsets.commits(), ["t3=1", "t0=5 t1=1"])
    })
  )

  live("C104: a stale lease fails here, and the other partitions of the call are committed", (context) =>
    Effect.gen(function* () {
      const { commit, leases, offsets } = context
      const stale = leases[0]
      stale.end()
      leases[0] = new Lease("t", 0)
      const error = yield* Effect.flip(commit([0, 5, stale], [1, 6]))
      assert.strictEqual(error.reason._tag, "PartitionLost")
      assert.deepStrictEqual(error.partitions, [{ topic: "t", partition: 0 }])
      assert.deepStrictEqual(offsets.commits(), ["t1=6"])
      // Another consumer's records.
      assert.strictEqual((yield* reasonOf(commit([2, 1, new Lease("t", 2)])))._tag, "PartitionLost")
      // Lost while it waits: not sent either.
      context.identity = undefined
      const waiting = yield* Effect.forkChild(Effect.flip(commit([1, 7])), { startImmediately: true })
      yield* Effect.sleep(50)
      leases[1].end()
      context.identity = member(2)
      context.committer.wake()
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "PartitionLost")
      assert.strictEqual(offsets.commits().length, 1)
    })
  )

  live("an offset that was named for a lease is not committed under the next one", (context) =>
    Effect.gen(function* () {
      const { explicit, leases, offsets } = context
      context.identity = undefined
      const waiting = yield* Effect.forkChild(Effect.flip(explicit(0, 5)), { startImmediately: true })
      leases[0].end()
      leases[0] = new Lease("t", 0)
      context.identity = member(2)
      context.committer.wake()
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "PartitionLost")
      assert.deepStrictEqual(offsets.commits(), [])
    })
  )

  live("C104: [27] waits for the next identity; the membership is told", (context) =>
    Effect.gen(function* () {
      const { commit, offsets } = context
      offsets.answer = ({ message }) =>
        message.generationIdOrMemberEpoch === 1 ? () => codes.REBALANCE_IN_PROGRESS : undefined
      const waiting = yield* Effect.forkChild(commit([0, 5]), { startImmediately: true })
      yield* until(() => context.refused.length > 0)
      context.identity = undefined
      yield* Effect.sleep(100)
      const asked = offsets.requests().length
      assert.isUndefined(waiting.pollUnsafe())
      context.identity = member(2)
      context.committer.wake()
      yield* Fiber.join(waiting)
      assert.strictEqual(offsets.requests().length, asked + 1)
      assert.deepStrictEqual(context.refused[0], [1, codes.REBALANCE_IN_PROGRESS])
    })
  )

  for (const code of [codes.ILLEGAL_GENERATION, codes.UNKNOWN_MEMBER_ID, codes.FENCED_INSTANCE_ID]) {
    live(`C104: [${code}] tells the membership; what is lost then is not committed`, (context) =>
      Effect.gen(function* () {
        const { commit, leases, offsets } = context
        offsets.answer = () => () => code
        const waiting = yield* Effect.forkChild(Effect.flip(commit([0, 5])), { startImmediately: true })
        yield* until(() => context.refused.length > 0)
        context.identity = undefined
        leases[0].end()
        assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "PartitionLost")
        assert.deepStrictEqual(context.refused[0], [1, code])
      })
    )
  }

  live("C104: each final error is of its partition alone", ({ commit, offsets }) =>
    Effect.gen(function* () {
      const cases = [
        [codes.OFFSET_METADATA_TOO_LARGE, "MetadataTooLarge"],
        [codes.TOPIC_AUTHORIZATION_FAILED, "NotAuthorized"],
        [codes.GROUP_AUTHORIZATION_FAILED, "NotAuthorized"],
        [codes.INVALID_COMMIT_OFFSET_SIZE, "Rejected"]
      ] as const
      for (const [index, [code, tag]] of cases.entries()) {
        offsets.answer = () => (_, partition) => (partition === 0 ? code : 0)
        const error = yield* Effect.flip(commit([0, 5], [1, 10 + index]))
        assert.strictEqual(error.reason._tag, tag)
        assert.deepStrictEqual(error.partitions, [{ topic: "t", partition: 0 }])
        assert.isFalse(error.isRetriable)
        assert.strictEqual(offsets.kept.get("t:1")?.offset, BigInt(10 + index))
      }
      assert.strictEqual(offsets.requests().length, cases.length)
    })
  )

  live(
    "one that has to wait does not hold up the others",
    ({ commit, offsets }) =>
      Effect.gen(function* () {
        let isStuck = true
        offsets.answer = () => (_, partition) => (isStuck && partition === 0 ? codes.REQUEST_TIMED_OUT : 0)
        const started = performance.now()
        const stuck = yield* Effect.forkChild(commit([0, 5], [1, 5]), { startImmediately: true })
        yield* until(() => offsets.kept.get("t:1")?.offset === 5n)
        yield* commit([1, 6])
        yield* commit([2, 7])
        // Its time has not come, whatever else is new.
        const later = yield* Effect.forkChild(commit([0, 6]), { startImmediately: true })
        assert.isBelow(performance.now() - started, 2000)
        isStuck = false
        yield* Fiber.join(stuck)
        yield* Fiber.join(later)
        assert.isAbove(performance.now() - started, 2300)
        assert.deepStrictEqual(offsets.commits(), ["t0=5 t1=5", "t1=6", "t2=7", "t0=6"])
      }),
    { settings: { retryBackoff: 3000, retryBackoffMax: 3000 } }
  )

  live(
    "[3]: a topic that is not there fails; one that the coordinator alone has not heard of is tried again",
    (context) =>
      Effect.gen(function* () {
        const { cluster, commit, offsets, scripted } = context
        let answers = 0
        offsets.answer = () => (_, partition) => {
          answers++
          return partition === 0 ? codes.UNKNOWN_TOPIC_OR_PARTITION : 0
        }
        const error = yield* Effect.flip(commit([0, 5], [1, 6]))
        assert.strictEqual(error.reason._tag, "Rejected")
        assert.isFalse(error.isRetriable)
        assert.deepStrictEqual(error.partitions, [{ topic: "t", partition: 0 }])
        assert.strictEqual(offsets.kept.get("t:1")?.offset, 6n)
        // The cluster has it: the coordinator will hear of it.
        scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 0 }] })
        yield* cluster.topic("t")
        answers = 0
        offsets.answer = () => () => (++answers < 3 ? codes.UNKNOWN_TOPIC_OR_PARTITION : 0)
        yield* commit([0, 5])
        assert.strictEqual(answers, 3)
        // And no longer: it has no such partition, and then no such topic.
        offsets.answer = () => () => codes.UNKNOWN_TOPIC_OR_PARTITION
        assert.strictEqual((yield* reasonOf(commit([3, 5])))._tag, "Rejected")
        const gone = yield* Effect.forkChild(reasonOf(commit([0, 6])), { startImmediately: true })
        yield* Effect.sleep(50)
        assert.isUndefined(gone.pollUnsafe())
        scripted.topics.delete("t")
        assert.strictEqual((yield* Effect.timeout(Fiber.join(gone), "3 seconds"))._tag, "Rejected")
      })
  )

  live("C99: NOT_COORDINATOR, a lost connection and a partition that is left out are tried again", (context) =>
    Effect.gen(function* () {
      const { broker, commit, offsets } = context
      let tries = 0
      offsets.answer = () => {
        tries++
        if (tries === 1) return () => codes.NOT_COORDINATOR
        if (tries === 2) return ScriptedBroker.close
        return tries === 3 ? () => undefined : undefined
      }
      yield* commit([0, 5])
      assert.strictEqual(tries, 4)
      assert.isAtLeast(broker.of(FindCoordinator).length, 2)
    })
  )

  live(
    "a commit ends in its time, and says truthfully whether it may have been carried out",
    (context) =>
      Effect.gen(function* () {
        const { commit, offsets } = context
        context.identity = undefined
        const started = performance.now()
        const unsent = yield* Effect.flip(commit([0, 5]))
        assert.isTrue(unsent.isRetriable)
        assert.isTrue(unsent.reason._tag === "CommitTimeout" && !unsent.reason.maybeCommitted)
        assert.isBelow(performance.now() - started, 4000)
        // Under way: the request has more time than the commit.
        context.identity = member(1)
        offsets.answer = () => ScriptedBroker.silence
        const sent = yield* reasonOf(commit([1, 5]))
        assert.isTrue(sent._tag === "CommitTimeout" && sent.maybeCommitted)
        assert.isBelow(performance.now() - started, 8000)
      }),
    { commitTimeout: 300 }
  )

  live(
    "who comes later has all of its own time",
    (context) =>
      Effect.gen(function* () {
        const { commit, committer } = context
        context.identity = undefined
        const early = yield* Effect.forkChild(reasonOf(commit([0, 5])), { startImmediately: true })
        yield* Effect.sleep(300)
        const late = yield* Effect.forkChild(commit([0, 6]), { startImmediately: true })
        assert.strictEqual((yield* Fiber.join(early))._tag, "CommitTimeout")
        context.identity = member(1)
        committer.wake()
        yield* Fiber.join(late)
      }),
    { commitTimeout: 400 }
  )

  live("a caller that is interrupted takes nothing back", ({ commit, offsets }) =>
    Effect.gen(function* () {
      offsets.delay = 50
      const first = yield* Effect.forkChild(commit([0, 1]), { startImmediately: true })
      yield* until(() => offsets.requests().length === 1)
      const second = yield* Effect.forkChild(commit([0, 2]), { startImmediately: true })
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(second)
      yield* until(() => offsets.kept.get("t:0")?.offset === 2n)
    })
  )

  live("the end of the scope ends all who wait, those whose request is under way too", (context) =>
    Effect.gen(function* () {
      const { commit, offsets, scope } = context
      offsets.answer = () => ScriptedBroker.silence
      const sent = yield* Effect.forkChild(reasonOf(commit([0, 1])), { startImmediately: true })
      yield* until(() => offsets.requests().length === 1)
      const waiting = yield* Effect.forkChild(reasonOf(commit([1, 1])), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      const reasons = [yield* Fiber.join(sent), yield* Fiber.join(waiting), yield* reasonOf(commit([2, 1]))]
      assert.deepStrictEqual(
        reasons.map((reason) => reason._tag === "CommitTimeout" && reason.maybeCommitted),
        [true, false, false]
      )
    })
  )

  live("flush waits for these partitions alone", ({ commit, committer, offsets }) =>
    Effect.gen(function* () {
      offsets.answer = () => (_, partition) => (partition === 0 ? codes.REQUEST_TIMED_OUT : 0)
      yield* Effect.forkChild(Effect.exit(commit([0, 1])), { startImmediately: true })
      offsets.delay = 30
      const other = yield* Effect.forkChild(commit([1, 1]), { startImmediately: true })
      yield* Effect.timeout(committer.flush([{ topic: "t", partition: 1 }]), "2 seconds")
      yield* Fiber.join(other)
      const stuck = yield* Effect.exit(Effect.timeout(committer.flush([{ topic: "t", partition: 0 }]), "100 millis"))
      assert.isTrue(Exit.isFailure(stuck))
    })
  )

  live(
    "without a membership the generation is -1, and partitions of nobody can be committed",
    ({ commit, leases, offsets }) =>
      Effect.gen(function* () {
        leases.length = 0
        yield* commit([7, 5])
        const [{ message }] = offsets.requests()
        assert.deepStrictEqual([message.generationIdOrMemberEpoch, message.memberId], [-1, ""])
      }),
    { identity: () => member(-1, ""), isAlone: true }
  )

  for (let version = 0; version <= 9; version++) {
    live(
      `C92: commits and asks for what was committed in version ${version}`,
      ({ broker, cluster, explicit, offsets }) =>
        Effect.gen(function* () {
          yield* explicit(0, 5, "half way")
          assert.strictEqual(offsets.requests()[0].version, version)
          const places = [0, 1].map((partition) => ({ topic: "t", partition }))
          const found = yield* CommittedOffsets.fetch(cluster, "g", places, "committed")
          assert.strictEqual(broker.of(OffsetFetch)[0].version, version)
          assert.deepStrictEqual(
            found.map((one) => one && [one.offset, one.metadata]),
            [[5n, "half way"], undefined]
          )
        }),
      { offered: { OffsetCommit: [version, version], OffsetFetch: [version, version] } }
    )
  }
})

describe("Committed offsets", () => {
  live("C92: [88] is waited for; a partition that is left out is not one without a commit", ({ cluster, offsets }) =>
    Effect.gen(function* () {
      offsets.kept.set("t:0", { offset: 9n, leaderEpoch: 4, metadata: "" })
      const answers: Array<number | "none"> = [codes.UNSTABLE_OFFSET_COMMIT, "none", codes.NOT_COORDINATOR]
      offsets.fetchError = () => answers.shift() ?? 0
      const found = yield* CommittedOffsets.fetch(cluster, "g", [{ topic: "t", partition: 0 }], "committed")
      assert.deepStrictEqual(
        found.map((one) => one && [one.offset, one.leaderEpoch]),
        [[9n, 4]]
      )
      assert.strictEqual(answers.length, 0)
    })
  )

  live("C92: what no retry cures is an error", ({ cluster, offsets }) =>
    Effect.gen(function* () {
      offsets.fetchError = () => codes.TOPIC_AUTHORIZATION_FAILED
      const error = yield* Effect.flip(
        CommittedOffsets.fetch(cluster, "g", [{ topic: "t", partition: 0 }], "committed")
      )
      assert.strictEqual(error.reason._tag, "Rejected")
    })
  )
})
