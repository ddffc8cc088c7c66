import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Fetch, type FetchResponse } from "@kafka-effect/protocol/messages/Fetch"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Effect, Exit, Scope } from "effect"
import * as FetchSession from "../src/internal/consumer/FetchSession.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import { append, type FetchReceived, fetcher, make, partition, place, type Scripted } from "./ScriptedFetches.ts"

const position = (owner: FetchSession.Position["owner"], offset = 0n, topicId = "A"): FetchSession.Position => ({
  owner,
  version: 0,
  topicId,
  offset,
  leaderEpoch: 1,
  lastEpoch: -1,
  maxBytes: 100
})

const response = (sessionId: number): FetchResponse => ({
  sessionId,
  throttleTimeMs: 0,
  errorCode: 0,
  responses: [],
  nodeEndpoints: []
})

/** A session that the broker knows by the id 7. */
const established = (positions: ReadonlyArray<FetchSession.Position>): FetchSession.FetchSession => {
  const self = FetchSession.make()
  FetchSession.answered(self, FetchSession.plan(self, positions, true), response(7))
  return self
}

/** What was sent of the session: id, epoch, partitions, what is forgotten. */
const described = ({ message }: FetchReceived) => [
  message.sessionId,
  message.sessionEpoch,
  message.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)).sort(),
  message.forgottenTopicsData.flatMap(({ partitions }) => partitions)
]

describe("FetchSession", () => {
  it("C81 a full request of epoch 0, then only what has changed, and what is forgotten", () => {
    const [one, two, three] = [partition(0), partition(1), partition(2)]
    const self = FetchSession.make()
    const first = FetchSession.plan(self, [position(one), position(two)], true)
    assert.deepStrictEqual([first.sessionId, first.sessionEpoch, first.isFull, first.sent.length], [0, 0, true, 2])
    FetchSession.answered(self, first, response(7))
    const second = FetchSession.plan(self, [position(one), position(two, 5n)], true)
    assert.deepStrictEqual([second.sessionId, second.sessionEpoch, second.isFull], [7, 1, false])
    assert.deepStrictEqual(second.sent, [position(two, 5n)])
    FetchSession.answered(self, second, response(7))
    const third = FetchSession.plan(self, [position(two, 5n), position(three)], true)
    assert.deepStrictEqual(third.sent, [position(three)])
    assert.deepStrictEqual(
      third.forgotten.map(({ owner }) => owner),
      [one]
    )
    FetchSession.answered(self, third, response(7))
    const fourth = FetchSession.plan(self, [position(two, 5n), position(three)], true)
    assert.deepStrictEqual([fourth.sessionEpoch, fourth.sent.length, fourth.forgotten.length], [3, 0, 0])
  })

  it("C81 the epoch wraps to 1", () => {
    const one = partition(0)
    const self = established([position(one)])
    self.epoch = 0x7fffffff
    const last = FetchSession.plan(self, [position(one)], true)
    assert.strictEqual(last.sessionEpoch, 0x7fffffff)
    FetchSession.answered(self, last, response(7))
    assert.strictEqual(FetchSession.plan(self, [position(one)], true).sessionEpoch, 1)
  })

  it("a broker that has no room for a session is asked in full", () => {
    const one = partition(0)
    const self = FetchSession.make()
    for (let index = 0; index < 2; index++) {
      const plan = FetchSession.plan(self, [position(one)], true)
      assert.deepStrictEqual([plan.sessionId, plan.sessionEpoch, plan.sent.length], [0, 0, 1])
      FetchSession.answered(self, plan, response(0))
    }
  })

  it("what the broker would mix up is said anew: another topic id, names instead of ids, the same partition again", () => {
    const [one, two] = [partition(0), partition(1)]
    const cases: ReadonlyArray<readonly [ReadonlyArray<FetchSession.Position>, boolean]> = [
      [[position(one, 0n, "B"), position(two)], true],
      [[position(one), position(two)], false],
      [[position(partition(0)), position(two)], true]
    ]
    for (const [wanted, usesIds] of cases) {
      const plan = FetchSession.plan(established([position(one), position(two)]), wanted, usesIds)
      // Epoch 0 with the old id: the broker forgets the old session.
      assert.deepStrictEqual([plan.sessionId, plan.sessionEpoch, plan.isFull, plan.sent.length], [7, 0, true, 2])
    }
  })

  it("C82 after a failure the next request is full, and ends the old session", () => {
    const one = partition(0)
    const self = established([position(one)])
    FetchSession.plan(self, [position(one)], true)
    FetchSession.failed(self)
    const plan = FetchSession.plan(self, [position(one)], true)
    assert.deepStrictEqual([plan.sessionId, plan.sessionEpoch, plan.sent.length], [7, 0, 1])
  })
})

/** A cluster with three partitions, each with one batch. */
const three = (options?: Parameters<typeof make>[2]) =>
  Effect.tap(make(1, 3, options), ({ logs }) =>
    Effect.sync(() => {
      for (const log of logs) append(log, ["a"])
    })
  )

const refusing = (self: Scripted, times: number, errorCode: number, when: (request: FetchReceived) => boolean) => {
  let left = times
  self.intercept = (request) => {
    if (left === 0 || !when(request)) return undefined
    left--
    return ScriptedBroker.respond<FetchResponse>({ errorCode, responses: [] })
  }
}

const isIncremental = ({ message }: FetchReceived): boolean => message.sessionEpoch > 0

describe("Fetcher: sessions", () => {
  it.live("C81 an idle session names nothing; what has records, and what is removed, is all that is said", () =>
    Effect.gen(function* () {
      const self = yield* three()
      const { add, remove, take } = yield* fetcher(self)
      const all = [partition(0), partition(1), partition(2)]
      add(all)
      for (let index = 0; index < 3; index++) yield* take
      yield* until(() => self.fetches().length > 3)
      append(self.logs[1], ["b"])
      yield* take
      remove([all[2]])
      const asked = self.fetches().length
      yield* until(() => self.fetches().length > asked + 2)
      const [first, second, idle] = self.fetches()
      assert.deepStrictEqual(described(first), [0, 0, [0, 1, 2], []])
      assert.deepStrictEqual(described(second), [101, 1, [0, 1, 2], []])
      assert.deepStrictEqual(described(idle), [101, 2, [], []])
      assert.deepStrictEqual(
        self.fetches().map(({ message }) => message.sessionEpoch),
        self.fetches().map((_, index) => index)
      )
      const named = self.fetches().slice(2).map(described)
      assert.deepStrictEqual(
        named.flatMap(([, , partitions]) => partitions),
        [1]
      )
      assert.deepStrictEqual(
        named.flatMap(([, , , forgotten]) => forgotten),
        [2]
      )
      assert.deepStrictEqual([...self.sessions.values()][0].partitions.size, 2)
    })
  )

  it.live("C81 a full partition is forgotten, and taken up again where it was", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 2)
      for (let index = 0; index < 20; index++) append(self.logs[0], ["x".repeat(900)])
      const { add, takeFrom } = yield* fetcher(self)
      const one = partition(0, { maxBytes: 1000 })
      add([one, partition(1)])
      for (let index = 0; index < 20; index++) {
        assert.deepStrictEqual(place(yield* takeFrom(one)), [0, BigInt(index)])
        if (index % 5 === 0) yield* Effect.sleep("30 millis")
      }
      const forgotten = self.fetches().flatMap(({ message }) => message.forgottenTopicsData)
      assert.isAbove(forgotten.length, 0)
      assert.strictEqual(self.fetches().filter(({ message }) => message.sessionEpoch === 0).length, 1)
    })
  )

  it.live("C82 FETCH_SESSION_ID_NOT_FOUND: a new session at once", () =>
    Effect.gen(function* () {
      const self = yield* three({ settings: { retryBackoff: 4000, retryBackoffMax: 4000 } })
      yield* self.cluster.topic("t")
      const { add, take } = yield* fetcher(self)
      add([partition(0), partition(1), partition(2)])
      yield* until(() => self.fetches().length > 1)
      self.sessions.clear()
      yield* until(() => self.sessions.size > 0)
      for (let index = 0; index < 3; index++) yield* take
      const again = self.fetches().filter(({ message }) => message.sessionEpoch === 0)
      assert.deepStrictEqual(again.map(described), [
        [0, 0, [0, 1, 2], []],
        [0, 0, [0, 1, 2], []]
      ])
      const refused = self.fetches()[self.fetches().indexOf(again[1]) - 1]
      assert.isBelow(again[1].at - refused.at, 2500)
    })
  )

  it.live("C82 FETCH_SESSION_ID_NOT_FOUND of a session that is to begin: this broker is asked without sessions", () =>
    Effect.gen(function* () {
      const self = yield* three()
      refusing(self, 1, codes.FETCH_SESSION_ID_NOT_FOUND, () => true)
      const { add, take } = yield* fetcher(self)
      add([partition(0), partition(1), partition(2)])
      for (let index = 0; index < 3; index++) yield* take
      yield* until(() => self.fetches().length > 3)
      for (const request of self.fetches().slice(1)) assert.deepStrictEqual(described(request), [0, -1, [0, 1, 2], []])
    })
  )

  it.live("C82 INVALID_FETCH_SESSION_EPOCH: the session is ended and renewed", () =>
    Effect.gen(function* () {
      const self = yield* three()
      const { add, take } = yield* fetcher(self)
      add([partition(0), partition(1), partition(2)])
      yield* until(() => self.fetches().length > 1)
      for (const session of self.sessions.values()) session.epoch += 5
      yield* until(() => self.fetches().filter(({ message }) => message.sessionEpoch === 0).length === 2)
      yield* until(() => self.sessions.has(102))
      const [, renewed] = self.fetches().filter(({ message }) => message.sessionEpoch === 0)
      assert.deepStrictEqual(described(renewed), [101, 0, [0, 1, 2], []])
      assert.strictEqual(self.sessions.size, 1)
      for (let index = 0; index < 3; index++) yield* take
    })
  )

  for (const name of ["FETCH_SESSION_TOPIC_ID_ERROR", "INCONSISTENT_TOPIC_ID"] as const) {
    it.live(`C82 ${name}: the session is renewed and metadata refreshed`, () =>
      Effect.gen(function* () {
        const self = yield* three()
        const { add, take } = yield* fetcher(self)
        add([partition(0), partition(1), partition(2)])
        yield* until(() => self.fetches().length > 1)
        const asked = self.scripted.brokers[0].of(Metadata).length
        refusing(self, 1, codes[name], isIncremental)
        yield* until(() => self.sessions.has(102))
        yield* until(() => self.scripted.brokers[0].of(Metadata).length > asked)
        for (let index = 0; index < 3; index++) yield* take
      })
    )
  }

  for (const code of [codes.UNKNOWN_SERVER_ERROR, 4711]) {
    it.live(`C82 the unknown error ${code}: the session is renewed, with backoff`, () =>
      Effect.gen(function* () {
        const self = yield* three()
        const { add, take } = yield* fetcher(self)
        add([partition(0), partition(1), partition(2)])
        yield* until(() => self.fetches().length > 1)
        refusing(self, 3, code, () => true)
        yield* until(() => self.sessions.has(102))
        for (let index = 0; index < 3; index++) yield* take
        const renewals = self.fetches().filter(({ message }) => message.sessionEpoch === 0)
        // All that failed together is asked for together again.
        for (const { message } of renewals.slice(1)) {
          assert.strictEqual(message.topics.flatMap(({ partitions }) => partitions).length, 3)
        }
        // 20, 40 and 80 ms, or a little less.
        assert.isAbove(renewals[renewals.length - 1].at - renewals[1].at, 80)
      })
    )
  }

  it.live("C83 an empty answer that is throttled is no data, and no reason to back off", () =>
    Effect.gen(function* () {
      const self = yield* three({ settings: { retryBackoff: 2000, retryBackoffMax: 4000 } })
      let throttled = 2
      self.intercept = () =>
        throttled-- > 0 ? ScriptedBroker.respond<FetchResponse>({ throttleTimeMs: 50, responses: [] }) : undefined
      yield* self.cluster.topic("t")
      const { add, take } = yield* fetcher(self)
      add([partition(0), partition(1), partition(2)])
      for (let index = 0; index < 3; index++) yield* take
      const [first, second, last] = self.fetches()
      assert.deepStrictEqual(described(second), [0, 0, [0, 1, 2], []])
      // Twice the throttle, and no two seconds.
      assert.isAbove(last.at - first.at, 80)
      assert.isBelow(last.at - first.at, 1500)
    })
  )

  it.live("C84 the session is closed at the end, also while a fetch is held back", () =>
    Effect.gen(function* () {
      const self = yield* three()
      const scope = yield* Scope.make()
      const { add, take } = yield* Scope.provide(fetcher(self, { fetchMaxWait: 4000 }), scope)
      add([partition(0), partition(1), partition(2)])
      for (let index = 0; index < 3; index++) yield* take
      yield* Effect.sleep("50 millis")
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - started, 2500)
      yield* until(() => self.sessions.size === 0)
      const { message } = self.fetches()[self.fetches().length - 1]
      assert.deepStrictEqual([message.sessionId, message.sessionEpoch], [101, -1])
    })
  )

  it.live("a new connection begins a new session; without a connection there is none to close", () =>
    Effect.gen(function* () {
      const self = yield* three()
      const scope = yield* Scope.make()
      const { add, take } = yield* Scope.provide(fetcher(self), scope)
      add([partition(0), partition(1), partition(2)])
      for (let index = 0; index < 3; index++) yield* take
      self.scripted.brokers[0].dropConnections()
      yield* until(() => self.fetches().filter(({ message }) => message.sessionEpoch === 0).length === 2)
      const [, again] = self.fetches().filter(({ message }) => message.sessionEpoch === 0)
      assert.deepStrictEqual(described(again), [0, 0, [0, 1, 2], []])
      yield* self.scripted.brokers[0].stop
      const asked = self.fetches().length
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(self.fetches().length, asked)
    })
  )

  it.live("brokers before Fetch 7 are asked without sessions", () =>
    Effect.gen(function* () {
      const self = yield* three({ offered: { Fetch: [0, 6] } })
      const { add, take } = yield* fetcher(self)
      add([partition(0), partition(1), partition(2)])
      for (let index = 0; index < 3; index++) yield* take
      yield* until(() => self.fetches().length > 2)
      for (const request of self.scripted.brokers[0].of(Fetch)) {
        assert.deepStrictEqual(described(request)[2], [0, 1, 2])
        assert.strictEqual(request.version, 6)
      }
    })
  )
})
