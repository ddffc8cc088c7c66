/** Groups of the broker inside the process, by this client's consumers and by raw requests. */
import { assert, describe, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { DeleteGroups } from "@kafka-effect/protocol/messages/DeleteGroups"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup, type JoinGroupRequest } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetDelete } from "@kafka-effect/protocol/messages/OffsetDelete"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect, Fiber, Logger, type Scope, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as TestBroker from "../src/TestBroker.ts"

const topic = Kafka.topic("orders", { key: Serde.string, value: Serde.string })
const settings = { "group.min.session.timeout.ms": "50" }

const live = (
  name: string,
  test: () => Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker | Scope.Scope>
) =>
  it.live(name, () =>
    test().pipe(
      Effect.provide(TestBroker.layerKafka({ brokers: 3, topics: { orders: 6 }, settings })),
      Effect.provide(Logger.layer([]))
    )
  )

/** What members are told of their protocol, and say when they ask for their share. */
const range = { protocolType: "consumer", protocolName: "range" }

const fill = (from: number, count: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make()
    yield* producer.sendAll(
      topic,
      Array.from({ length: count }, (_, index) => ({
        key: `${from + index}`,
        value: `${from + index}`,
        partition: (from + index) % 6
      }))
    )
  })

const options = {
  groupId: "g",
  topics: [topic],
  fallback: "earliest",
  heartbeatInterval: "40 millis",
  sessionTimeout: "2 seconds"
} as const

const until = (isDone: () => boolean) =>
  Effect.gen(function* () {
    while (!isDone()) yield* Effect.sleep(5)
  }).pipe(Effect.timeout("8 seconds"))

const owns = <A>(consumer: { readonly assignment: Effect.Effect<ReadonlyArray<A>> }, count: number) =>
  Effect.gen(function* () {
    while ((yield* consumer.assignment).length !== count) yield* Effect.sleep(5)
  }).pipe(Effect.timeout("8 seconds"))

describe("Groups, with consumers", () => {
  live("a consumer reads, commits, and goes on where it was", () =>
    Effect.gen(function* () {
      yield* fill(0, 600)
      const seen: Array<number> = []
      const read = (count: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const consumer = yield* Consumer.make(options)
            yield* Effect.forkScoped(
              consumer.run((records) =>
                Effect.sync(() => {
                  for (const { value } of records) seen.push(Number(value))
                })
              )
            )
            yield* until(() => seen.length >= count)
          })
        )
      yield* read(600)
      yield* fill(600, 60)
      yield* read(660)
      assert.deepStrictEqual(
        seen.sort((a, b) => a - b),
        Array.from({ length: 660 }, (_, index) => index)
      )
    })
  )

  live("members share what there is, take over from who leaves, and from who dies", () =>
    Effect.gen(function* () {
      const seen = new Map<string, number>()
      const member = Effect.gen(function* () {
        const consumer = yield* Consumer.make(options)
        yield* Effect.forkScoped(
          consumer.run((records) =>
            Effect.sync(() => {
              for (const { value } of records) seen.set(value, (seen.get(value) ?? 0) + 1)
            })
          )
        )
        return consumer
      })
      const one = yield* member
      yield* owns(one, 6)
      yield* fill(0, 300)
      yield* until(() => seen.size === 300)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const two = yield* member
          const three = yield* member
          for (const consumer of [one, two, three]) yield* owns(consumer, 2)
          yield* fill(300, 300)
          yield* until(() => seen.size === 600)
        })
      )
      yield* owns(one, 6)
      yield* fill(600, 60)
      yield* until(() => seen.size === 660)
      assert.strictEqual(Math.max(...seen.values()), 1)
    })
  )

  live("C102 a static member comes back without a rebalance", () =>
    Effect.gen(function* () {
      const other = yield* Consumer.make({ ...options, groupInstanceId: "b" })
      yield* Effect.forkScoped(Stream.runDrain(other.records))
      const events: Array<string> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* Consumer.make({ ...options, groupInstanceId: "a" })
          yield* Effect.forkScoped(Stream.runDrain(one.records))
          yield* owns(one, 3)
          yield* owns(other, 3)
        })
      )
      yield* other.events.pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => void events.push(_tag))),
        Effect.forkScoped({ startImmediately: true })
      )
      const again = yield* Consumer.make({ ...options, groupInstanceId: "a" })
      yield* owns(again, 3)
      yield* Effect.sleep(200)
      assert.notInclude(events, "Revoked")
      assert.strictEqual((yield* other.assignment).length, 3)
    })
  )
})

describe("Groups, by requests", () => {
  const raw = Effect.gen(function* () {
    const { request } = yield* Kafka.Kafka
    const { coordinators } = yield* request("any", FindCoordinator, { keyType: 0, coordinatorKeys: ["g"] })
    const { nodeId } = coordinators[0]
    const ask = <Request, Response>(api: Api<Request, Response>, message: Wire.Input<Request>, version?: number) =>
      request(nodeId, api, message, version)
    const join = (memberId: string, more: Partial<Wire.Input<JoinGroupRequest>> = {}) =>
      ask(JoinGroup, {
        groupId: "g",
        sessionTimeoutMs: 5000,
        rebalanceTimeoutMs: 5000,
        memberId,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: new Uint8Array([1]) }],
        ...more
      })
    return { request, nodeId, ask, join }
  })

  live("C100 who has no id is given one, and joins with it; wrong ids and generations are refused", () =>
    Effect.gen(function* () {
      const { ask, join } = yield* raw
      const first = yield* join("")
      assert.strictEqual(first.errorCode, codes.MEMBER_ID_REQUIRED)
      assert.strictEqual((yield* join("nobody")).errorCode, codes.UNKNOWN_MEMBER_ID)
      const joined = yield* join(first.memberId)
      assert.deepInclude(joined, { errorCode: 0, generationId: 1, leader: first.memberId, protocolName: "range" })
      assert.strictEqual(joined.members.length, 1)
      const place = { groupId: "g", memberId: first.memberId, generationId: 1 }
      const wrong = yield* ask(SyncGroup, { ...range, ...place, generationId: 7, assignments: [] })
      assert.strictEqual(wrong.errorCode, codes.ILLEGAL_GENERATION)
      const other = yield* ask(SyncGroup, { ...range, ...place, protocolName: "roundrobin", assignments: [] })
      assert.strictEqual(other.errorCode, codes.INCONSISTENT_GROUP_PROTOCOL)
      const assignments = [{ memberId: first.memberId, assignment: new Uint8Array([9]) }]
      const silent = yield* ask(SyncGroup, { ...place, assignments: [] })
      assert.strictEqual(silent.errorCode, codes.INCONSISTENT_GROUP_PROTOCOL)
      const synced = yield* ask(SyncGroup, { ...range, ...place, assignments })
      assert.deepStrictEqual([...synced.assignment], [9])
      assert.strictEqual((yield* ask(Heartbeat, place)).errorCode, 0)
      assert.strictEqual((yield* ask(Heartbeat, { ...place, generationId: 0 })).errorCode, codes.ILLEGAL_GENERATION)
      const inconsistent = yield* join("", { protocolType: "connect", groupInstanceId: "x" })
      assert.strictEqual(inconsistent.errorCode, codes.INCONSISTENT_GROUP_PROTOCOL)
      assert.strictEqual((yield* join("", { sessionTimeoutMs: 1 })).errorCode, codes.INVALID_SESSION_TIMEOUT)
      const left = yield* ask(LeaveGroup, { groupId: "g", members: [{ memberId: first.memberId }] })
      assert.strictEqual(left.members[0].errorCode, 0)
      assert.strictEqual((yield* ask(Heartbeat, place)).errorCode, codes.UNKNOWN_MEMBER_ID)
    })
  )

  live("a member that says nothing is gone after its session", () =>
    Effect.gen(function* () {
      const { ask, join } = yield* raw
      const { memberId } = yield* join("", { groupInstanceId: "a", sessionTimeoutMs: 100 })
      const place = { groupId: "g", memberId, groupInstanceId: "a", generationId: 1 }
      yield* ask(SyncGroup, { ...range, ...place, assignments: [{ memberId, assignment: new Uint8Array([1]) }] })
      assert.strictEqual((yield* ask(Heartbeat, place)).errorCode, 0)
      yield* Effect.sleep(250)
      assert.strictEqual((yield* ask(Heartbeat, place)).errorCode, codes.UNKNOWN_MEMBER_ID)
    })
  )

  live("C104 a second of the same instance fences the first", () =>
    Effect.gen(function* () {
      const { ask, join } = yield* raw
      const first = yield* join("", { groupInstanceId: "a" })
      const place = { groupId: "g", groupInstanceId: "a", generationId: 1 }
      const assignments = [{ memberId: first.memberId, assignment: new Uint8Array([1]) }]
      yield* ask(SyncGroup, { ...range, ...place, memberId: first.memberId, assignments })
      const second = yield* join("", { groupInstanceId: "a" })
      assert.deepInclude(second, { errorCode: 0, generationId: 1, skipAssignment: true, leader: second.memberId })
      const heartbeat = yield* ask(Heartbeat, { ...place, memberId: first.memberId })
      assert.strictEqual(heartbeat.errorCode, codes.FENCED_INSTANCE_ID)
      assert.strictEqual((yield* ask(Heartbeat, { ...place, memberId: second.memberId })).errorCode, 0)
    })
  )

  live("a join waits for all others, who hear of it by their heartbeats", () =>
    Effect.gen(function* () {
      const { ask, join } = yield* raw
      const one = yield* join("", { groupInstanceId: "a" })
      const assignments = [{ memberId: one.memberId, assignment: new Uint8Array([1]) }]
      const place = { groupId: "g", groupInstanceId: "a", memberId: one.memberId, generationId: 1 }
      yield* ask(SyncGroup, { ...range, ...place, assignments })
      const { bootstrapServers } = yield* TestBroker.TestBroker
      // A waiting answer holds up the connection that it is for.
      const other = yield* Kafka.make({ bootstrapServers })
      const { nodeId } = yield* raw
      const waiting = yield* Effect.forkChild(
        other.request(nodeId, JoinGroup, {
          groupId: "g",
          sessionTimeoutMs: 5000,
          rebalanceTimeoutMs: 5000,
          memberId: "",
          groupInstanceId: "b",
          protocolType: "consumer",
          protocols: [{ name: "range", metadata: new Uint8Array([2]) }]
        })
      )
      yield* Effect.sleep(50)
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual((yield* ask(Heartbeat, place)).errorCode, codes.REBALANCE_IN_PROGRESS)
      const again = yield* join(one.memberId, { groupInstanceId: "a" })
      const two = yield* Fiber.join(waiting)
      assert.deepStrictEqual([again.generationId, two.generationId], [2, 2])
      assert.strictEqual(again.members.length, 2)
      assert.strictEqual(two.members.length, 0)
    })
  )

  live("offsets are kept by whom they may be, and found in every version", () =>
    Effect.gen(function* () {
      const { ask, nodeId, request } = yield* raw
      const commit = (more: object, partition = 1, metadata = "m") =>
        ask(
          OffsetCommit,
          {
            groupId: "g",
            topics: [
              {
                name: "orders",
                partitions: [{ partitionIndex: partition, committedOffset: 42n, committedMetadata: metadata }]
              }
            ],
            ...more
          },
          9
        ).pipe(Effect.map(({ topics }) => topics[0].partitions[0].errorCode))
      assert.strictEqual(yield* commit({ memberId: "x", generationIdOrMemberEpoch: 3 }), codes.GROUP_ID_NOT_FOUND)
      assert.strictEqual(yield* commit({}), 0)
      assert.strictEqual(yield* commit({}, 17), codes.UNKNOWN_TOPIC_OR_PARTITION)
      assert.strictEqual(yield* commit({}, 1, "x".repeat(5000)), codes.OFFSET_METADATA_TOO_LARGE)
      for (let version = 1; version <= 9; version++) {
        const partitionIndexes = [1, 2]
        const found =
          version < 8
            ? (yield* ask(OffsetFetch, { groupId: "g", topics: [{ name: "orders", partitionIndexes }] }, version))
                .topics
            : (yield* ask(
                OffsetFetch,
                { groups: [{ groupId: "g", topics: [{ name: "orders", partitionIndexes }] }] },
                version
              )).groups[0].topics
        assert.deepStrictEqual(
          found[0].partitions.map(({ committedOffset, metadata }) => [committedOffset, metadata]),
          [
            [42n, "m"],
            [-1n, ""]
          ]
        )
      }
      const elsewhere = yield* request((nodeId + 1) % 3, OffsetFetch, { groups: [{ groupId: "g", topics: null }] }, 8)
      assert.strictEqual(elsewhere.groups[0].errorCode, codes.NOT_COORDINATOR)
    })
  )

  live("groups are listed by state, described, and deleted when nobody is in them", () =>
    Effect.gen(function* () {
      const { ask, join } = yield* raw
      const first = yield* join("", { groupInstanceId: "a" })
      const assignments = [{ memberId: first.memberId, assignment: new Uint8Array([7]) }]
      const place = { groupId: "g", groupInstanceId: "a", memberId: first.memberId, generationId: 1 }
      const states = Effect.map(ask(DescribeGroups, { groups: ["g"] }), ({ groups }) => groups[0].groupState)
      assert.strictEqual(yield* states, "CompletingRebalance")
      yield* ask(SyncGroup, { ...range, ...place, assignments })
      const [described] = (yield* ask(DescribeGroups, { groups: ["g"] })).groups
      assert.deepInclude(described, { groupState: "Stable", protocolType: "consumer", protocolData: "range" })
      assert.deepStrictEqual([...described.members[0].memberAssignment], [7])
      const listed = (statesFilter: ReadonlyArray<string>) =>
        Effect.map(ask(ListGroups, { statesFilter }), ({ groups }) => groups.map(({ groupId }) => groupId))
      assert.deepStrictEqual(yield* listed([]), ["g"])
      assert.deepStrictEqual(yield* listed(["stable"]), ["g"])
      assert.deepStrictEqual(yield* listed(["Empty"]), [])
      const remove = Effect.map(ask(DeleteGroups, { groupsNames: ["g"] }), ({ results }) => results[0].errorCode)
      assert.strictEqual(yield* remove, codes.NON_EMPTY_GROUP)
      yield* ask(LeaveGroup, { groupId: "g", members: [{ memberId: "", groupInstanceId: "a" }] })
      assert.deepStrictEqual(yield* listed(["Empty"]), ["g"])
      assert.strictEqual(yield* remove, 0)
      assert.strictEqual(yield* remove, codes.GROUP_ID_NOT_FOUND)
    })
  )

  live("offsets of a topic are forgotten when nobody subscribes to it", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.make(options)
      yield* owns(consumer, 6)
      const { ask } = yield* raw
      const partitions = [{ partitionIndex: 0 }]
      const inUse = yield* ask(OffsetDelete, { groupId: "g", topics: [{ name: "orders", partitions }] })
      assert.strictEqual(inUse.topics[0].partitions[0].errorCode, codes.GROUP_SUBSCRIBED_TO_TOPIC)
      yield* consumer.stop
      const free = yield* ask(OffsetDelete, { groupId: "g", topics: [{ name: "orders", partitions }] })
      assert.strictEqual(free.topics[0].partitions[0].errorCode, 0)
    })
  )
})
