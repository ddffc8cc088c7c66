import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import {
  OffsetFetch,
  type OffsetFetchRequest,
  type OffsetFetchResponse
} from "@kafka-effect/protocol/messages/OffsetFetch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, type Scope } from "effect"
import * as CommittedOffsets from "../src/internal/consumer/CommittedOffsets.ts"
import type { TopicPartition } from "../src/Topic.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

interface Said {
  readonly offset?: number
  readonly epoch?: number
  readonly metadata?: string
  readonly code?: number
}

/** What is said of a partition; undefined leaves it out. */
type Tell = (place: TopicPartition) => Said | undefined

const response = (
  { message, version }: ScriptedBroker.Received<OffsetFetchRequest>,
  tell: Tell,
  errorCode = 0
): ScriptedBroker.Answer<OffsetFetchResponse> => {
  const [group] = message.groups
  const asked = (version < 8 ? message.topics : group.topics) ?? []
  const topics = asked.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.flatMap((partitionIndex) => {
      const said = tell({ topic: name, partition: partitionIndex })
      if (said === undefined) return []
      const { code = 0, epoch = -1, metadata = "", offset = -1 } = said
      const epochs = version < 5 ? {} : { committedLeaderEpoch: epoch }
      return [{ partitionIndex, committedOffset: BigInt(offset), ...epochs, metadata, errorCode: code }]
    })
  }))
  const codeOfAll = version < 2 ? {} : { errorCode }
  const body: Wire.Input<OffsetFetchResponse> =
    version < 8 ? { topics, ...codeOfAll } : { groups: [{ groupId: group.groupId, topics, errorCode }] }
  return ScriptedBroker.respond(body)
}

/** Answers one request after the other; the last answer stands. */
const inTurn = (...tells: ReadonlyArray<Tell>): Tell => {
  let turn = -1
  return (place) => {
    if (place.partition === 0) turn++
    return tells[Math.min(turn, tells.length - 1)](place)
  }
}

const places = [0, 1].map((partition) => ({ topic: "t", partition }))

const start = (offered: ScriptedBroker.Offered = {}) =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedCluster.make(2, { offered })
    const partitions = places.map(() => ({ leader: 1, epoch: 0 }))
    scripted.topics.set("t", { partitions })
    const cluster = yield* ScriptedCluster.connect(scripted, {
      retryBackoff: 10,
      retryBackoffMax: 50,
      requestTimeout: 600
    })
    const [first, second] = scripted.brokers
    const fetch = (isolation: "committed" | "uncommitted" = "uncommitted") =>
      CommittedOffsets.fetch(cluster, "g", places, isolation)
    const answer = (tell: Tell, errorCode?: () => number) => {
      for (const broker of scripted.brokers) {
        broker.on(OffsetFetch, (request) => response(request, tell, errorCode?.()))
      }
    }
    const lookUps = () => scripted.brokers.flatMap((broker) => broker.of(FindCoordinator)).length
    return { cluster, first, second, fetch, answer, lookUps }
  })

type Context = Effect.Success<ReturnType<typeof start>>

const live = (
  name: string,
  test: (context: Context) => Effect.Effect<void, unknown, Scope.Scope>,
  offered?: ScriptedBroker.Offered
) => it.live(name, () => Effect.flatMap(start(offered), test))

/** The code that the broker gave for the failure. */
const codeOf = (context: Context) =>
  Effect.flip(context.fetch()).pipe(
    Effect.map(({ reason }) => {
      assert.strictEqual(reason._tag, "Rejected")
      const cause = reason._tag === "Rejected" ? reason.cause.reason : undefined
      return cause?._tag === "BrokerError" ? cause.code : undefined
    })
  )

describe("CommittedOffsets", () => {
  live(
    "C92 offset, leader epoch and metadata, in the order that was asked for; -1 is none",
    ({ answer, fetch, first }) =>
      Effect.gen(function* () {
        answer(({ partition }) => (partition === 0 ? {} : { offset: 17, epoch: 5, metadata: "m" }))
        const [none, some] = yield* fetch()
        assert.isUndefined(none)
        assert.deepInclude(some, { offset: 17n, leaderEpoch: 5, metadata: "m" })
        assert.strictEqual(first.of(OffsetFetch).length, 0)
      })
  )

  live("C92 offset 0 was committed; it is not none", ({ answer, fetch }) =>
    Effect.gen(function* () {
      answer(() => ({ offset: 0 }))
      assert.deepStrictEqual(
        (yield* fetch()).map((one) => one?.offset),
        [0n, 0n]
      )
    })
  )

  live("C92 a partition that the answer leaves out is asked for again", ({ answer, fetch, second }) =>
    Effect.gen(function* () {
      const all: Tell = () => ({ offset: 4 })
      answer(inTurn((place) => (place.partition === 1 ? undefined : all(place)), all))
      assert.deepStrictEqual(
        (yield* fetch()).map((one) => one?.offset),
        [4n, 4n]
      )
      assert.strictEqual(second.of(OffsetFetch).length, 2)
    })
  )

  live("C92 a partition that is always left out is an error, neither 0 nor none", (context) =>
    Effect.gen(function* () {
      context.answer(({ partition }) => (partition === 1 ? undefined : { offset: 4 }))
      const error = yield* Effect.flip(context.fetch())
      assert.include(error.message, "does not name the partition")
      assert.isAbove(context.second.of(OffsetFetch).length, 1)
    })
  )

  live("[14] is waited for where it is; the coordinator is not looked up again", ({ answer, fetch, lookUps, second }) =>
    Effect.gen(function* () {
      const loading: Tell = () => ({ code: codes.COORDINATOR_LOAD_IN_PROGRESS })
      answer(inTurn(loading, loading, () => ({ offset: 4 })))
      yield* fetch()
      assert.strictEqual(second.of(OffsetFetch).length, 3)
      assert.strictEqual(lookUps(), 1)
    })
  )

  for (const [code, name] of [
    [codes.COORDINATOR_NOT_AVAILABLE, "[15]"],
    [codes.NOT_COORDINATOR, "[16]"]
  ] as const) {
    for (const place of ["partition", "group"] as const) {
      live(`${name} of a ${place}: the coordinator is looked up again`, ({ answer, fetch, lookUps }) =>
        Effect.gen(function* () {
          let isMoved = true
          const once = (): number => {
            const now = isMoved ? code : 0
            isMoved = false
            return now
          }
          if (place === "group") answer(() => ({ offset: 4 }), once)
          else answer(() => ({ offset: 4, code: once() }))
          assert.deepStrictEqual(
            (yield* fetch()).map((one) => one?.offset),
            [4n, 4n]
          )
          assert.strictEqual(lookUps(), 2)
        })
      )
    }
  }

  live("[88] offsets of an open transaction are waited for", ({ answer, fetch, second }) =>
    Effect.gen(function* () {
      const open: Tell = () => ({ code: codes.UNSTABLE_OFFSET_COMMIT })
      answer(inTurn(open, open, () => ({ offset: 9 })))
      assert.strictEqual((yield* fetch("committed"))[0]?.offset, 9n)
      assert.deepStrictEqual(
        second.of(OffsetFetch).map(({ message }) => message.requireStable),
        [true, true, true]
      )
    })
  )

  live("uncommitted reading does not wait for transactions", ({ answer, fetch, second }) =>
    Effect.gen(function* () {
      answer(() => ({ offset: 9 }))
      yield* fetch("uncommitted")
      assert.isFalse(second.of(OffsetFetch)[0].message.requireStable)
    })
  )

  live("[30] is told at once, with the group's error", (context) =>
    Effect.gen(function* () {
      context.answer(
        () => ({ offset: 4 }),
        () => codes.GROUP_AUTHORIZATION_FAILED
      )
      assert.strictEqual(yield* codeOf(context), codes.GROUP_AUTHORIZATION_FAILED)
      assert.strictEqual(context.second.of(OffsetFetch).length, 1)
    })
  )

  live("a lost connection is opened again", ({ answer, fetch, second }) =>
    Effect.gen(function* () {
      answer(() => ({ offset: 4 }))
      let isFirst = true
      second.on(OffsetFetch, (request) => {
        if (!isFirst) return response(request, () => ({ offset: 4 }))
        isFirst = false
        return ScriptedBroker.close
      })
      assert.strictEqual((yield* fetch())[0]?.offset, 4n)
    })
  )

  live("nothing is asked for no partitions", ({ cluster, lookUps }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* CommittedOffsets.fetch(cluster, "g", [], "committed"), [])
      assert.strictEqual(lookUps(), 0)
    })
  )

  for (let version = 1; version <= 10; version++) {
    const used = Math.min(version, 9)
    live(
      `v${version}: asked by v${used}`,
      ({ answer, fetch, second }) =>
        Effect.gen(function* () {
          answer(({ partition }) => (partition === 0 ? {} : { offset: 17, epoch: 5, metadata: "m" }))
          const [none, some] = yield* fetch("committed")
          assert.isUndefined(none)
          assert.deepInclude(some, { offset: 17n, leaderEpoch: version < 5 ? -1 : 5, metadata: "m" })
          const [request] = second.of(OffsetFetch)
          assert.strictEqual(request.version, used)
          assert.strictEqual(request.message.requireStable, version >= 7)
          const topics = version < 8 ? request.message.topics : request.message.groups[0].topics
          assert.deepStrictEqual(
            topics?.map(({ name, partitionIndexes }) => [name, partitionIndexes]),
            [["t", [0, 1]]]
          )
        }),
      { OffsetFetch: [0, version] }
    )
  }

  live(
    "v0, without coordinators: any broker is asked, and [3] is none",
    ({ answer, fetch, lookUps }) =>
      Effect.gen(function* () {
        answer(({ partition }) =>
          partition === 0 ? { offset: 17, metadata: "m" } : { code: codes.UNKNOWN_TOPIC_OR_PARTITION }
        )
        const [some, none] = yield* fetch("committed")
        assert.isUndefined(none)
        assert.deepInclude(some, { offset: 17n, leaderEpoch: -1, metadata: "m" })
        assert.strictEqual(lookUps(), 0)
      }),
    { OffsetFetch: [0, 0], FindCoordinator: "none" }
  )
})
