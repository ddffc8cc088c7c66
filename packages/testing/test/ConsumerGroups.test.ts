/** Groups of the consumer protocol (KIP-848) of the broker inside the process, by raw requests and in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ConsumerGroupDescribe } from "@kafka-effect/protocol/messages/ConsumerGroupDescribe"
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse
} from "@kafka-effect/protocol/messages/ConsumerGroupHeartbeat"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteGroups } from "@kafka-effect/protocol/messages/DeleteGroups"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetDelete } from "@kafka-effect/protocol/messages/OffsetDelete"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, Layer, Logger, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Kafka from "kafka-effect/Kafka"
import * as TopicPattern from "../src/internal/groups/TopicPattern.ts"
import * as TestBroker from "../src/TestBroker.ts"
import * as VirtualTime from "../src/VirtualTime.ts"

/** A millisecond at a time: heartbeats are to be told apart. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>) => VirtualTime.passing(effect, "1 millis")

type Beat = Partial<Wire.Input<ConsumerGroupHeartbeatRequest>>
type Owned = ReadonlyArray<{ readonly topicId: string; readonly partitions: ReadonlyArray<number> }>

/** All that a test says to the one broker. */
const broker = Effect.gen(function* () {
  const { request } = yield* Kafka.Kafka
  const ask = <Request, Response>(api: Api<Request, Response>, message: Wire.Input<Request>, version?: number) =>
    passing(request(0, api, message, version))
  const idOf = (name: string) => Effect.map(ask(Metadata, { topics: [{ name }] }), ({ topics }) => topics[0].topicId)
  const beat = (memberId: string, memberEpoch: number, more: Beat = {}, version = 1) =>
    ask(ConsumerGroupHeartbeat, { groupId: "g", memberId, memberEpoch, ...more }, version)
  const join = (memberId: string, more: Beat = {}, version = 1) =>
    beat(
      memberId,
      0,
      { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ["orders"], topicPartitions: [], ...more },
      version
    )
  const described = (groupId = "g") =>
    Effect.map(ask(ConsumerGroupDescribe, { groupIds: [groupId] }), ({ groups }) => groups[0])
  const createTopic = (name: string, numPartitions: number) =>
    ask(CreateTopics, { topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }] })
  return { ask, beat, createTopic, described, idOf, join, orders: yield* idOf("orders") }
})

const given = ({ assignment }: ConsumerGroupHeartbeatResponse): ReadonlyArray<number> | null =>
  assignment?.topicPartitions.flatMap(({ partitions }) => partitions) ?? null

const virtual = (
  name: string,
  test: () => Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker | Scope.Scope>,
  options: TestBroker.Options = {}
) =>
  it.effect(name, () =>
    test().pipe(
      Effect.scoped,
      Effect.provide(
        TestBroker.layerKafka({ network: "memory", topics: { orders: 4, receipts: 2 }, ...options }).pipe(
          Layer.provideMerge(Logger.layer([]))
        )
      )
    )
  )

describe("Consumer groups: members", () => {
  virtual("C109 a member joins with epoch 0 and its own id, and hears of its assignment once", () =>
    Effect.gen(function* () {
      const { beat, join, orders } = yield* broker
      const joined = yield* join("a")
      assert.deepInclude(joined, { errorCode: 0, memberId: "a", memberEpoch: 2, heartbeatIntervalMs: 5000 })
      assert.deepStrictEqual(joined.assignment?.topicPartitions, [{ topicId: orders, partitions: [0, 1, 2, 3] }])
      const owned: Owned = [{ topicId: orders, partitions: [0, 1, 2, 3] }]
      const again = yield* beat("a", 2)
      assert.deepInclude(again, { errorCode: 0, memberEpoch: 2, assignment: null })
      assert.isNull((yield* beat("a", 2, { topicPartitions: owned })).assignment)
      const all = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ["orders"], topicPartitions: owned }
      assert.deepStrictEqual(given(yield* beat("a", 2, all)), [0, 1, 2, 3])
    })
  )

  virtual("C109 in version 0 the broker makes the id", () =>
    Effect.gen(function* () {
      const { beat, join } = yield* broker
      const joined = yield* join("", {}, 0)
      assert.match(joined.memberId ?? "", /^[\w-]{22}$/)
      assert.strictEqual((yield* beat(joined.memberId!, joined.memberEpoch, {}, 0)).errorCode, 0)
      assert.strictEqual((yield* join("")).errorCode, codes.INVALID_REQUEST)
    })
  )

  virtual("C110 what another is to have is given up and confirmed first, and only then given to him", () =>
    Effect.gen(function* () {
      const { beat, described, join, orders } = yield* broker
      yield* join("a")
      const all: Owned = [{ topicId: orders, partitions: [0, 1, 2, 3] }]
      // The target is there, but nothing of it is free.
      const b = yield* join("b")
      assert.deepInclude(b, { errorCode: 0, memberEpoch: 3 })
      assert.deepStrictEqual(given(b), [])
      assert.strictEqual((yield* described()).groupState, "Reconciling")
      // The first hears of what it keeps, in its old epoch.
      const told = yield* beat("a", 2, { topicPartitions: all })
      assert.strictEqual(told.memberEpoch, 2)
      const kept = given(told)!
      assert.strictEqual(kept.length, 2)
      // It has not confirmed: nothing moves.
      assert.deepInclude(yield* beat("a", 2), { memberEpoch: 2, assignment: null })
      assert.deepInclude(yield* beat("a", 2, { topicPartitions: all }), { memberEpoch: 2, assignment: null })
      assert.isNull(given(yield* beat("b", 3)))
      const [a] = (yield* described()).members
      assert.deepStrictEqual(a.assignment.topicPartitions[0].partitions, [0, 1, 2, 3])
      assert.sameMembers([...a.targetAssignment.topicPartitions[0].partitions], [...kept])
      // It confirms, and goes on to the new epoch.
      const confirmed = yield* beat("a", 2, { topicPartitions: [{ topicId: orders, partitions: kept }] })
      assert.deepInclude(confirmed, { memberEpoch: 3, assignment: null })
      const got = given(yield* beat("b", 3))!
      assert.sameMembers([...kept, ...got], [0, 1, 2, 3])
      const group = yield* described()
      assert.deepInclude(group, { groupState: "Stable", groupEpoch: 3, assignmentEpoch: 3, assignorName: "uniform" })
    })
  )

  virtual(
    "C111 wrong epochs and strangers are refused; the epoch before is let pass, if nothing is owned that is gone",
    () =>
      Effect.gen(function* () {
        const { beat, join, orders } = yield* broker
        assert.strictEqual((yield* beat("a", 3)).errorCode, codes.GROUP_ID_NOT_FOUND)
        yield* join("a")
        assert.strictEqual((yield* beat("x", 2)).errorCode, codes.UNKNOWN_MEMBER_ID)
        assert.strictEqual((yield* beat("a", 3)).errorCode, codes.FENCED_MEMBER_EPOCH)
        assert.strictEqual((yield* beat("a", 1)).errorCode, codes.FENCED_MEMBER_EPOCH)
        yield* join("b")
        yield* beat("b", -1)
        const all: Owned = [{ topicId: orders, partitions: [0, 1, 2, 3] }]
        const next = yield* beat("a", 2, { topicPartitions: all })
        assert.deepInclude(next, { errorCode: 0, memberEpoch: 4 })
        // The answer was lost.
        assert.deepInclude(yield* beat("a", 2, { topicPartitions: all }), { errorCode: 0, memberEpoch: 4 })
        assert.strictEqual((yield* beat("a", 2)).errorCode, codes.FENCED_MEMBER_EPOCH)
        const more: Owned = [{ topicId: orders, partitions: [7] }]
        assert.strictEqual((yield* beat("a", 2, { topicPartitions: more })).errorCode, codes.FENCED_MEMBER_EPOCH)
        // A rejoin under the same id takes over what it had.
        assert.deepStrictEqual(given(yield* join("a")), [0, 1, 2, 3])
      })
  )

  virtual("C115 who leaves with -1 is gone, and the others get what it had", () =>
    Effect.gen(function* () {
      const { beat, described, join } = yield* broker
      yield* join("a")
      yield* beat("a", 2)
      assert.deepInclude(yield* beat("a", -1), { errorCode: 0, memberId: "a", memberEpoch: -1, heartbeatIntervalMs: 0 })
      assert.deepInclude(yield* described(), { groupState: "Empty", members: [] })
      assert.strictEqual((yield* beat("a", 2)).errorCode, codes.UNKNOWN_MEMBER_ID)
      assert.strictEqual((yield* beat("a", -1)).errorCode, codes.UNKNOWN_MEMBER_ID)
      assert.deepStrictEqual(given(yield* join("b")), [0, 1, 2, 3])
    })
  )

  virtual("C112 C115 a static member that is away keeps its place, and its instance id is let go by -2 alone", () =>
    Effect.gen(function* () {
      const { beat, described, join } = yield* broker
      const instance = { instanceId: "i" }
      yield* join("a", instance)
      assert.strictEqual((yield* join("b", instance)).errorCode, codes.UNRELEASED_INSTANCE_ID)
      assert.strictEqual((yield* beat("b", 2, instance)).errorCode, codes.FENCED_INSTANCE_ID)
      assert.strictEqual((yield* beat("b", 2, { instanceId: "j" })).errorCode, codes.UNKNOWN_MEMBER_ID)
      const left = yield* beat("a", -2, instance)
      assert.deepInclude(left, { errorCode: 0, memberId: "a", memberEpoch: -2 })
      const away = yield* described()
      assert.strictEqual(away.members[0].memberEpoch, -2)
      // It comes back under another id: nothing is shared out anew.
      const back = yield* join("b", instance)
      assert.deepInclude(back, { errorCode: 0, memberEpoch: 2 })
      assert.deepStrictEqual(given(back), [0, 1, 2, 3])
      assert.strictEqual((yield* described()).groupEpoch, away.groupEpoch)
      assert.strictEqual((yield* beat("a", 2, instance)).errorCode, codes.FENCED_INSTANCE_ID)
      assert.strictEqual((yield* beat("b", 2, instance)).errorCode, 0)
      yield* beat("b", -1, instance)
      assert.strictEqual((yield* described()).members.length, 0)
    })
  )

  virtual("a static member that does not come back within its session is gone", () =>
    Effect.gen(function* () {
      const { beat, described, join } = yield* broker
      yield* join("a", { instanceId: "i" })
      yield* beat("a", -2, { instanceId: "i" })
      yield* TestClock.adjust("44 seconds")
      assert.strictEqual((yield* described()).members.length, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* described()).members.length, 0)
    })
  )

  virtual("a member that says nothing is gone after 45 seconds, and each heartbeat begins them anew", () =>
    Effect.gen(function* () {
      const { beat, join } = yield* broker
      yield* join("a")
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual((yield* beat("a", 2)).errorCode, 0)
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual((yield* beat("a", 2)).errorCode, 0)
      yield* TestClock.adjust("46 seconds")
      assert.strictEqual((yield* beat("a", 2)).errorCode, codes.UNKNOWN_MEMBER_ID)
    })
  )

  virtual("C117 who does not give up in its rebalance timeout what others are to have is taken out", () =>
    Effect.gen(function* () {
      const { beat, join, orders } = yield* broker
      yield* join("a", { rebalanceTimeoutMs: 10_000 })
      yield* join("b")
      const all: Owned = [{ topicId: orders, partitions: [0, 1, 2, 3] }]
      yield* beat("a", 2, { topicPartitions: all })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* beat("a", 2, { topicPartitions: all })).errorCode, 0)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* beat("a", 2, { topicPartitions: all })).errorCode, codes.UNKNOWN_MEMBER_ID)
      assert.deepStrictEqual(given(yield* beat("b", 3)), [0, 1, 2, 3])
    })
  )

  virtual(
    "C112 assignors that are not offered and members beyond the largest size are refused; settings are those of Kafka",
    () =>
      Effect.gen(function* () {
        const { beat, join } = yield* broker
        const refused = yield* join("a", { serverAssignor: "uniform" })
        assert.strictEqual(refused.errorCode, codes.UNSUPPORTED_ASSIGNOR)
        assert.strictEqual(refused.errorMessage, "ServerAssignor uniform is not supported. Supported assignors: range.")
        assert.strictEqual((yield* join("a")).heartbeatIntervalMs, 70)
        assert.strictEqual((yield* join("b")).errorCode, codes.GROUP_MAX_SIZE_REACHED)
        yield* TestClock.adjust("110 millis")
        assert.strictEqual((yield* beat("a", 2)).errorCode, codes.UNKNOWN_MEMBER_ID)
      }),
    {
      settings: {
        "group.consumer.assignors": "range",
        "group.consumer.heartbeat.interval.ms": "70",
        "group.consumer.session.timeout.ms": "100",
        "group.consumer.max.size": "1"
      }
    }
  )

  virtual("requests that make no sense are refused", () =>
    Effect.gen(function* () {
      const { beat, join } = yield* broker
      const problems: ReadonlyArray<readonly [Effect.Effect<ConsumerGroupHeartbeatResponse, unknown>, string]> = [
        [join(" "), "MemberId can't be empty."],
        [beat("", 1, {}, 0), "MemberId can't be empty."],
        [beat("", -1, {}, 0), "MemberId can't be empty."],
        [join("a", { groupId: "" }), "GroupId can't be empty."],
        [join("a", { instanceId: "" }), "InstanceId can't be empty."],
        [join("a", { rackId: "" }), "RackId can't be empty."],
        [join("a", { rebalanceTimeoutMs: -1 }), "RebalanceTimeoutMs must be provided in first request."],
        [join("a", { topicPartitions: null }), "TopicPartitions must be empty when (re-)joining."],
        [
          join("a", { subscribedTopicNames: null }),
          "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
        ],
        [beat("a", -2), "InstanceId can't be null."],
        [beat("a", -3), "MemberEpoch is invalid."]
      ]
      for (const [asked, errorMessage] of problems) {
        assert.deepInclude(yield* asked, { errorCode: codes.INVALID_REQUEST, errorMessage })
      }
      assert.strictEqual((yield* join("a", { rackId: "r", subscribedTopicNames: [] })).errorCode, 0)
    })
  )
})

describe("Consumer groups: subscriptions", () => {
  virtual("C103 new partitions, and topics that come and go, begin a new epoch", () =>
    Effect.gen(function* () {
      const { ask, beat, createTopic, idOf, join, orders } = yield* broker
      assert.deepStrictEqual(given(yield* join("a", { subscribedTopicNames: ["orders", "later"] })), [0, 1, 2, 3])
      yield* ask(CreatePartitions, { topics: [{ name: "orders", count: 5, assignments: null }] })
      const more = yield* beat("a", 2)
      assert.strictEqual(more.memberEpoch, 3)
      assert.deepStrictEqual(given(more), [0, 1, 2, 3, 4])
      yield* createTopic("later", 1)
      const later = yield* idOf("later")
      const both = yield* beat("a", 3)
      assert.strictEqual(both.memberEpoch, 4)
      assert.deepStrictEqual(both.assignment?.topicPartitions, [
        { topicId: orders, partitions: [0, 1, 2, 3, 4] },
        { topicId: later, partitions: [0] }
      ])
      yield* ask(DeleteTopics, { topicNames: ["later"], topics: [{ name: "later" }] })
      const owned: Owned = [
        { topicId: orders, partitions: [0, 1, 2, 3, 4] },
        { topicId: later, partitions: [0] }
      ]
      const gone = yield* beat("a", 4, { topicPartitions: owned })
      assert.deepStrictEqual(gone.assignment?.topicPartitions, [{ topicId: orders, partitions: [0, 1, 2, 3, 4] }])
      assert.strictEqual((yield* beat("a", 4, { topicPartitions: [owned[0]] })).memberEpoch, 5)
    })
  )

  virtual(
    "C119 a regular expression is looked up by the broker, again when there are new topics, and refused if it is none",
    () =>
      Effect.gen(function* () {
        const { beat, createTopic, join } = yield* broker
        const byPattern = (subscribedTopicRegex: string): Beat => ({ subscribedTopicNames: null, subscribedTopicRegex })
        for (const wrong of ["[", "(?=orders)", "(a)\\1"]) {
          assert.strictEqual((yield* join("a", byPattern(wrong))).errorCode, codes.INVALID_REGULAR_EXPRESSION)
        }
        assert.strictEqual((yield* beat("a", 1)).errorCode, codes.GROUP_ID_NOT_FOUND)
        const joined = yield* join("a", byPattern("(?i)ORD.*"))
        assert.deepStrictEqual(given(joined), [])
        const found = yield* beat("a", joined.memberEpoch)
        assert.deepStrictEqual(given(found), [0, 1, 2, 3])
        yield* createTopic("ordinary", 1)
        yield* createTopic("disorder", 1)
        assert.isNull(given(yield* beat("a", found.memberEpoch)))
        yield* TestClock.adjust("11 seconds")
        yield* beat("a", found.memberEpoch)
        assert.deepStrictEqual(given(yield* beat("a", found.memberEpoch)), [0, 1, 2, 3, 0])
      })
  )

  it("C119 expressions are those of RE2, and match a whole name", () => {
    const matches = (pattern: string, topic: string) => {
      const compiled = TopicPattern.compile(pattern)
      return typeof compiled === "function" ? compiled(topic) : undefined
    }
    const good = [
      "(?i)ORDERS.*",
      "[[:alpha:]]+\\.[[:digit:]]",
      "(?P<n>or)ders\\.1",
      "\\Aorders.\\d*\\z",
      "\\Qorders.\\E\\d*"
    ]
    for (const pattern of [...good, "or\\-?ders\\.1", "orders\\.\\pN*", "\\p{L}+[\\.\\d]+", "x|orders.1"]) {
      assert.isTrue(matches(pattern, "orders.1"), pattern)
      assert.isFalse(matches(pattern, "my orders.1"), pattern)
    }
    assert.isFalse(matches("\\Qorders.\\E1", "ordersx1"))
    for (const pattern of ["(?=a)", "(?<!a)b", "(a)\\1", "a**", "a++", "(", "*", "a{2,1}", "\\y", "[z-a]", "["]) {
      assert.isUndefined(matches(pattern, "a"), pattern)
    }
  })

  virtual("who subscribes to something else gives up what it had", () =>
    Effect.gen(function* () {
      const { beat, idOf, join, orders } = yield* broker
      const receipts = yield* idOf("receipts")
      yield* join("a")
      const owned: Owned = [{ topicId: orders, partitions: [0, 1, 2, 3] }]
      const other = { subscribedTopicNames: ["receipts"] }
      const told = yield* beat("a", 2, { ...other, topicPartitions: owned })
      assert.deepInclude(told, { errorCode: 0, memberEpoch: 2 })
      assert.deepStrictEqual(given(told), [])
      const moved = yield* beat("a", 2, { topicPartitions: [] })
      assert.strictEqual(moved.memberEpoch, 3)
      assert.deepStrictEqual(moved.assignment?.topicPartitions, [{ topicId: receipts, partitions: [0, 1] }])
    })
  )

  virtual(
    "between two targets lies the assignment interval; what is not subscribed to any more is given up before",
    () =>
      Effect.gen(function* () {
        const { beat, described, idOf, join, orders } = yield* broker
        const receipts = yield* idOf("receipts")
        const both = { subscribedTopicNames: ["orders", "receipts"] }
        assert.strictEqual((yield* join("a", both)).memberEpoch, 2)
        const owned: Owned = [
          { topicId: orders, partitions: [0, 1, 2, 3] },
          { topicId: receipts, partitions: [0, 1] }
        ]
        const told = yield* beat("a", 2, { subscribedTopicNames: ["receipts"], topicPartitions: owned })
        assert.deepInclude(told, { errorCode: 0, memberEpoch: 2 })
        assert.deepStrictEqual(told.assignment?.topicPartitions, [{ topicId: receipts, partitions: [0, 1] }])
        assert.deepInclude(yield* described(), { groupState: "Assigning", groupEpoch: 3, assignmentEpoch: 2 })
        yield* TestClock.adjust("1 second")
        const moved = yield* beat("a", 2, { topicPartitions: [{ topicId: receipts, partitions: [0, 1] }] })
        assert.deepInclude(moved, { errorCode: 0, memberEpoch: 3 })
        assert.strictEqual((yield* described()).groupState, "Stable")
      }),
    { settings: { "group.consumer.assignment.interval.ms": "1000" } }
  )

  virtual("uniform shares out evenly and moves little, also where subscriptions differ; range gives stretches", () =>
    Effect.gen(function* () {
      const { beat, described, join } = yield* broker
      const targets = Effect.map(described(), ({ members }) =>
        Object.fromEntries(
          members.map(({ memberId, targetAssignment }) => [
            memberId,
            targetAssignment.topicPartitions.map(({ partitions, topicName }) => `${topicName} ${partitions}`).sort()
          ])
        )
      )
      const both = { subscribedTopicNames: ["orders", "receipts"] }
      yield* join("a", both)
      yield* join("b", both)
      const size = (texts: ReadonlyArray<string>) =>
        texts
          .join()
          .split(/[, ]/)
          .filter((text) => /^\d$/.test(text)).length
      const before = yield* targets
      assert.deepStrictEqual([size(before.a), size(before.b)], [3, 3])
      // A third, of one topic only, takes one of it, and the other two stay even.
      yield* join("c", { subscribedTopicNames: ["receipts"] })
      const after = yield* targets
      assert.deepStrictEqual([size(after.a), size(after.b), size(after.c)].sort(), [1, 2, 3])
      assert.strictEqual(size(after.c), 1)
      yield* beat("c", -1)
      yield* join("a", { ...both, serverAssignor: "range" })
      yield* join("b", { ...both, serverAssignor: "range" })
      assert.deepStrictEqual(yield* targets, {
        a: ["orders 0,1", "receipts 0"],
        b: ["orders 2,3", "receipts 1"]
      })
      assert.strictEqual((yield* described()).assignorName, "range")
    })
  )
})

describe("Consumer groups: offsets and other APIs", () => {
  const commit = (more: object, version = 9) =>
    Effect.gen(function* () {
      const { ask, orders } = yield* broker
      const partitions = [{ partitionIndex: 0, committedOffset: 42n }]
      const topic = version >= 10 ? { topicId: orders, partitions } : { name: "orders", partitions }
      const { topics } = yield* ask(OffsetCommit, { groupId: "g", topics: [topic], ...more }, version)
      return topics[0].partitions[0].errorCode
    })

  virtual("C114 commits and reads of offsets are held to member and epoch", () =>
    Effect.gen(function* () {
      const { ask, beat, join } = yield* broker
      yield* join("a")
      for (const version of [9, 10]) {
        const as = (memberId: string, generationIdOrMemberEpoch: number) =>
          commit({ memberId, generationIdOrMemberEpoch }, version)
        assert.strictEqual(yield* as("a", 2), 0)
        assert.strictEqual(yield* as("a", 3), codes.STALE_MEMBER_EPOCH)
        assert.strictEqual(yield* as("a", 1), codes.STALE_MEMBER_EPOCH)
        assert.strictEqual(yield* as("x", 2), codes.UNKNOWN_MEMBER_ID)
        assert.strictEqual(yield* as("", -1), codes.UNKNOWN_MEMBER_ID)
        const fetch = (memberId: string | null, memberEpoch: number) =>
          Effect.map(
            ask(OffsetFetch, { groups: [{ groupId: "g", memberId, memberEpoch, topics: null }] }, version),
            ({ groups }) => [groups[0].errorCode, groups[0].topics.length]
          )
        assert.deepStrictEqual(yield* fetch("a", 2), [0, 1])
        assert.deepStrictEqual(yield* fetch(null, -1), [0, 1])
        assert.deepStrictEqual(yield* fetch("a", 1), [codes.STALE_MEMBER_EPOCH, 0])
        assert.deepStrictEqual(yield* fetch("x", 2), [codes.UNKNOWN_MEMBER_ID, 0])
      }
      assert.strictEqual(yield* commit({ memberId: "a", generationIdOrMemberEpoch: 2 }, 8), codes.UNSUPPORTED_VERSION)
      yield* beat("a", -1)
      // Nobody is in it: whoever comes may commit.
      assert.strictEqual(yield* commit({ memberId: "", generationIdOrMemberEpoch: -1 }), 0)
    })
  )

  virtual("C114 what was owned since an older epoch may be committed under it (KIP-1251)", () =>
    Effect.gen(function* () {
      const { ask, beat, join } = yield* broker
      yield* join("a")
      yield* ask(CreatePartitions, { topics: [{ name: "orders", count: 5, assignments: null }] })
      assert.strictEqual((yield* beat("a", 2)).memberEpoch, 3)
      assert.strictEqual(yield* commit({ memberId: "a", generationIdOrMemberEpoch: 2 }), 0)
      const added = { name: "orders", partitions: [{ partitionIndex: 4, committedOffset: 1n }] }
      const refused = { memberId: "a", generationIdOrMemberEpoch: 2, topics: [added] }
      assert.strictEqual(yield* commit(refused), codes.STALE_MEMBER_EPOCH)
    })
  )

  virtual("offsets of a subscribed topic stay, and a group with members is not deleted", () =>
    Effect.gen(function* () {
      const { ask, beat, join } = yield* broker
      yield* join("a")
      const remove = (name: string) =>
        Effect.map(
          ask(OffsetDelete, { groupId: "g", topics: [{ name, partitions: [{ partitionIndex: 0 }] }] }),
          ({ topics }) => topics[0].partitions[0].errorCode
        )
      assert.strictEqual(yield* remove("orders"), codes.GROUP_SUBSCRIBED_TO_TOPIC)
      assert.strictEqual(yield* remove("receipts"), 0)
      const drop = Effect.map(ask(DeleteGroups, { groupsNames: ["g"] }), ({ results }) => results[0].errorCode)
      assert.strictEqual(yield* drop, codes.NON_EMPTY_GROUP)
      yield* beat("a", -1)
      assert.strictEqual(yield* drop, 0)
      assert.strictEqual(yield* drop, codes.GROUP_ID_NOT_FOUND)
    })
  )

  virtual("groups are listed by type and state, and described by the API of their own protocol alone", () =>
    Effect.gen(function* () {
      const { ask, described, join } = yield* broker
      yield* join("a")
      yield* commit({ groupId: "old" })
      const listed = (filter: object) =>
        Effect.map(ask(ListGroups, filter), ({ groups }) =>
          groups.map(({ groupId, groupState, groupType }) => `${groupId} ${groupState} ${groupType}`).sort()
        )
      assert.deepStrictEqual(yield* listed({}), ["g Stable consumer", "old Empty classic"])
      assert.deepStrictEqual(yield* listed({ typesFilter: ["Consumer"] }), ["g Stable consumer"])
      assert.deepStrictEqual(yield* listed({ typesFilter: ["classic"] }), ["old Empty classic"])
      assert.deepStrictEqual(yield* listed({ statesFilter: ["stable"] }), ["g Stable consumer"])
      assert.deepStrictEqual(yield* listed({ statesFilter: ["reconciling"] }), [])
      const [classic] = (yield* ask(DescribeGroups, { groups: ["g"] }, 6)).groups
      assert.deepInclude(classic, { errorCode: codes.GROUP_ID_NOT_FOUND, groupState: "Dead" })
      assert.deepInclude((yield* ask(DescribeGroups, { groups: ["g"] }, 5)).groups[0], {
        errorCode: 0,
        groupState: "Dead"
      })
      assert.strictEqual((yield* described("old")).errorCode, codes.GROUP_ID_NOT_FOUND)
      const { members } = yield* described()
      assert.deepInclude(members[0], { memberId: "a", memberType: 1, memberEpoch: 2, subscribedTopicNames: ["orders"] })
    })
  )

  virtual(
    "members of the two protocols do not mix; an empty group takes the protocol of who comes, and keeps its offsets",
    () =>
      Effect.gen(function* () {
        const { ask, beat, described, join } = yield* broker
        const classicJoin = (groupId: string) =>
          ask(JoinGroup, {
            groupId,
            sessionTimeoutMs: 10_000,
            rebalanceTimeoutMs: 10_000,
            memberId: "",
            groupInstanceId: "i",
            protocolType: "consumer",
            protocols: [{ name: "range", metadata: new Uint8Array(0) }]
          })
        yield* commit({})
        yield* join("a")
        const offsets = Effect.map(
          ask(OffsetFetch, { groups: [{ groupId: "g", topics: null }] }, 9),
          ({ groups }) => groups[0].topics.length
        )
        assert.strictEqual(yield* offsets, 1)
        assert.strictEqual((yield* classicJoin("g")).errorCode, codes.INCONSISTENT_GROUP_PROTOCOL)
        const protocol = { protocolType: "consumer", protocolName: "range" }
        const sync = yield* ask(SyncGroup, {
          groupId: "g",
          memberId: "a",
          generationId: 2,
          assignments: [],
          ...protocol
        })
        assert.strictEqual(sync.errorCode, codes.UNKNOWN_MEMBER_ID)
        yield* beat("a", -1)
        const joined = yield* classicJoin("g")
        assert.strictEqual(joined.errorCode, 0)
        assert.strictEqual(yield* offsets, 1)
        assert.strictEqual((yield* described()).errorCode, codes.GROUP_ID_NOT_FOUND)
        assert.strictEqual((yield* join("a")).errorCode, codes.GROUP_ID_NOT_FOUND)
        yield* ask(LeaveGroup, { groupId: "g", members: [{ memberId: joined.memberId, groupInstanceId: "i" }] })
        assert.strictEqual((yield* join("a")).errorCode, 0)
        // An administrator takes members out by LeaveGroup, whatever their protocol.
        const left = yield* ask(LeaveGroup, { groupId: "g", members: [{ memberId: "a" }] })
        assert.strictEqual(left.members[0].errorCode, 0)
        assert.strictEqual((yield* described()).groupState, "Empty")
      })
  )

  virtual("C111 levers: a session ends, a new epoch begins", () =>
    Effect.gen(function* () {
      const { beat, join } = yield* broker
      const { expireSession, rebalance } = yield* TestBroker.TestBroker
      yield* join("a")
      yield* passing(rebalance("g"))
      assert.deepInclude(yield* beat("a", 2), { errorCode: 0, memberEpoch: 3 })
      yield* passing(expireSession("g", "a"))
      assert.strictEqual((yield* beat("a", 3)).errorCode, codes.UNKNOWN_MEMBER_ID)
    })
  )

  virtual(
    "C113 before 4.0 the protocol is there only for who sets it",
    () =>
      Effect.gen(function* () {
        const { join } = yield* broker
        assert.strictEqual((yield* join("", {}, 0)).errorCode, codes.UNSUPPORTED_VERSION)
      }),
    { actAs: "3.9" }
  )
})
