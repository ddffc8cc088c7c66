/**
 * Groups of the consumer protocol (KIP-848): what the broker inside the process answers beside what Kafka does, and
 * librdkafka's members in them.
 */
import { assert, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { ConsumerGroupDescribe } from "@kafka-effect/protocol/messages/ConsumerGroupDescribe"
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest
} from "@kafka-effect/protocol/messages/ConsumerGroupHeartbeat"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteGroups } from "@kafka-effect/protocol/messages/DeleteGroups"
import { DescribeGroups } from "@kafka-effect/protocol/messages/DescribeGroups"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetDelete } from "@kafka-effect/protocol/messages/OffsetDelete"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as ConfluentKafka from "@kafka-effect/rig/ConfluentKafka"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import * as Program from "@kafka-effect/rig/Program"
import { Effect, Logger, Result } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import * as TestBroker from "../src/TestBroker.ts"

type Beat = Partial<Wire.Input<ConsumerGroupHeartbeatRequest>>

/** As text, with topics by their names, and in an order that is not that of hash tables. */
const readable = (value: unknown, names: ReadonlyMap<string, string>): string => {
  const text = JSON.stringify(value, (key, one) => {
    if (typeof one === "bigint") return String(one)
    if (key === "groupId" || !Array.isArray(one)) return one
    return [...one].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  })
  return [...names].reduce((result, [id, name]) => result.replaceAll(id, `<${name}>`), text)
}

/** Everything that is asked, with what is answered. */
const conversation = (bootstrapServers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { request } = yield* Kafka.make({ bootstrapServers })
    const { brokers } = yield* request("any", Metadata, { topics: [] })
    const names = new Map<string, string>()
    const said: Array<string> = []
    const ask = <Request, Response>(api: Api<Request, Response>, message: Wire.Input<Request>, version?: number) =>
      Effect.tap(request(brokers[0].nodeId, api, message, version), (response) =>
        Effect.sync(() => {
          said.push(
            `${api.name} ${version ?? ""} ${readable(message, names)}`,
            `  ${readable(response, names).replace(/(regular expression: )[^"]*/, "$1")}`
          )
        })
      )
    const idOf = (name: string) =>
      request("any", Metadata, { topics: [{ name }] }).pipe(
        Effect.map(({ topics }) => topics[0]),
        Effect.repeat({ until: ({ errorCode }) => errorCode === 0 }),
        Effect.tap(({ topicId }) => Effect.sync(() => names.set(topicId, name))),
        Effect.map(({ topicId }) => topicId)
      )
    const makeTopic = (name: string, numPartitions: number) =>
      Effect.andThen(
        request("controller", CreateTopics, {
          topics: [{ name, numPartitions, replicationFactor: 1 }],
          timeoutMs: 20_000
        }),
        // A coordinator hears of topics a little later than who asks for them.
        Effect.delay(idOf(name), "500 millis")
      )
    const orders = yield* makeTopic("orders", 4)
    yield* makeTopic("receipts", 2)
    // The first who asks for a coordinator has Kafka make the topic of offsets, and load it.
    yield* request("any", FindCoordinator, { keyType: 0, coordinatorKeys: ["g"] }).pipe(
      Effect.andThen(request(brokers[0].nodeId, OffsetFetch, { groups: [{ groupId: "g", topics: null }] }, 9)),
      Effect.delay("100 millis"),
      Effect.repeat({ until: ({ groups }) => groups[0].errorCode === 0 })
    )
    const beat = (memberId: string, memberEpoch: number, more: Beat = {}, version = 1) =>
      ask(ConsumerGroupHeartbeat, { groupId: "g", memberId, memberEpoch, ...more }, version)
    const first = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ["orders"], topicPartitions: [] }
    const join = (memberId: string, more: Beat = {}) => beat(memberId, 0, { ...first, ...more })
    const owning = (...partitions: ReadonlyArray<number>): Beat => ({
      topicPartitions: [{ topicId: orders, partitions }]
    })
    const describeGroup = ask(ConsumerGroupDescribe, { groupIds: ["g"], includeAuthorizedOperations: true })
    const commit = (memberId: string, generationIdOrMemberEpoch: number, version: number, groupId = "g") => {
      const partitions = [{ partitionIndex: 0, committedOffset: 5n }]
      const topics = [version >= 10 ? { topicId: orders, partitions } : { name: "orders", partitions }]
      return ask(OffsetCommit, { groupId, memberId, generationIdOrMemberEpoch, topics }, version)
    }
    const fetch = (memberId: string | null, memberEpoch: number, version: number) =>
      ask(OffsetFetch, { groups: [{ groupId: "g", memberId, memberEpoch, topics: null }] }, version)

    // what makes no sense
    for (const wrong of [
      { memberId: " " },
      { groupId: "" },
      { instanceId: "" },
      { rackId: "" },
      { rebalanceTimeoutMs: -1 },
      { topicPartitions: null },
      owning(0),
      { subscribedTopicNames: null },
      { serverAssignor: "sticky" },
      { subscribedTopicRegex: "[" },
      { subscribedTopicRegex: "(?=a)" }
    ]) {
      yield* join("a", wrong)
    }
    yield* beat("", 1, {}, 0)
    yield* beat("a", -2)
    yield* beat("a", -3)
    yield* beat("a", 3)
    yield* beat("a", -1)
    yield* describeGroup

    // two members, and the way of two partitions from one to the other
    yield* join("a", { rackId: "r" })
    yield* beat("a", 2)
    yield* beat("a", 2, { ...first, ...owning(0, 1, 2, 3) })
    yield* beat("x", 2)
    yield* beat("a", 3)
    yield* beat("a", 1)
    yield* join("b")
    yield* describeGroup
    const told = yield* beat("a", 2, owning(0, 1, 2, 3))
    const kept = told.assignment?.topicPartitions[0].partitions ?? []
    yield* beat("a", 2, owning(0, 1, 2, 3))
    yield* beat("b", 3)
    yield* describeGroup
    yield* beat("a", 2, owning(...kept))
    yield* beat("b", 3)
    yield* describeGroup
    yield* beat("a", 2, owning(...kept))
    yield* beat("a", 2)
    yield* join("a")

    // offsets, and the other APIs
    for (const version of [8, 9, 10]) {
      for (const epoch of [3, 4, 2, 1, -1]) yield* commit("a", epoch, version)
      yield* commit("x", 3, version)
      yield* commit("", -1, version)
      yield* commit("a", 3, version, "none")
      yield* commit("x", -1, version, `simple-${version}`)
    }
    for (const version of [9, 10]) {
      for (const epoch of [3, 2, 4, -1]) yield* fetch("a", epoch, version)
      yield* fetch("x", 3, version)
      yield* fetch(null, -1, version)
    }
    const forgotten = ["orders", "receipts"].map((name) => ({ name, partitions: [{ partitionIndex: 1 }] }))
    yield* ask(OffsetDelete, { groupId: "g", topics: forgotten })
    yield* ask(DeleteGroups, { groupsNames: ["g"] })
    for (const version of [5, 6]) yield* ask(DescribeGroups, { groups: ["g"] }, version)
    for (const filter of [
      {},
      { typesFilter: ["Consumer"] },
      { typesFilter: ["classic"] },
      { statesFilter: ["stable"] }
    ]) {
      yield* ask(ListGroups, filter)
    }
    yield* ask(ConsumerGroupDescribe, { groupIds: ["simple-9"] })
    yield* ask(Heartbeat, { groupId: "g", memberId: "a", generationId: 3 })
    yield* ask(LeaveGroup, { groupId: "g", members: [{ memberId: "x" }, { memberId: "b" }] })
    yield* describeGroup
    yield* beat("a", 3)

    // another subscription, and more partitions
    yield* beat("a", 4, { subscribedTopicNames: ["receipts"], ...owning(0, 1, 2, 3) })
    yield* describeGroup
    yield* beat("a", 4, { topicPartitions: [] })
    const more = { name: "receipts", count: 3, assignments: null }
    yield* request("controller", CreatePartitions, { timeoutMs: 20_000, topics: [more] })
    yield* Effect.sleep("500 millis")
    yield* beat("a", 5)
    yield* beat("a", 6, { serverAssignor: "range" })
    yield* describeGroup
    yield* beat("a", -1)
    yield* describeGroup

    // a static member goes and comes back
    const instance = { instanceId: "i" }
    const a = yield* join("a", instance)
    yield* join("b", instance)
    yield* beat("b", a.memberEpoch, instance)
    yield* beat("b", a.memberEpoch, { instanceId: "j" })
    yield* beat("a", -2, instance)
    yield* describeGroup
    yield* beat("a", a.memberEpoch, instance)
    yield* join("b", instance)
    yield* describeGroup
    yield* beat("b", -1, instance)

    // by a regular expression
    const r = yield* join("r", { subscribedTopicNames: null, subscribedTopicRegex: "ord.*" })
    yield* Effect.sleep("500 millis")
    yield* describeGroup
    yield* beat("r", r.memberEpoch)
    yield* ask(OffsetDelete, { groupId: "g", topics: forgotten })
    yield* beat("r", r.memberEpoch + 1, { subscribedTopicNames: ["receipts"], subscribedTopicRegex: "" })
    yield* describeGroup
    return said
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

const python = await Effect.runPromise(Effect.result(ConfluentKafka.python))

/** Two consumers share six partitions; one leaves, and the other has them all, and every record was seen once. */
const twoConsumers = `
import sys, time
from confluent_kafka import Consumer, Producer
servers, producer, seen = sys.argv[1], Producer({"bootstrap.servers": sys.argv[1]}), []
def consumer():
    made = Consumer({"bootstrap.servers": servers, "group.id": "g", "group.protocol": "consumer", "auto.offset.reset": "earliest"})
    made.subscribe(["orders"])
    return made
def produce(count):
    for index in range(count): producer.produce("orders", value=str(index), partition=index % 6)
    producer.flush(10)
def poll(consumers, done):
    end = time.time() + 20
    while not done():
        if time.time() > end: raise Exception("waited in vain: %s %s" % ([owned(c) for c in consumers], len(seen)))
        for one in consumers:
            message = one.poll(0.05)
            if message is not None and message.error() is None: seen.append((message.partition(), message.offset()))
def owned(one): return sorted(place.partition for place in one.assignment())
produce(120)
one, two = consumer(), consumer()
poll([one, two], lambda: len(owned(one)) == 3 and sorted(owned(one) + owned(two)) == list(range(6)) and len(seen) == 120)
two.close()
produce(60)
poll([one], lambda: owned(one) == list(range(6)) and len(seen) == 180)
one.close()
assert len(set(seen)) == 180
print("done")
`

describeRig("Consumer groups, beside Kafka and with librdkafka", () => {
  it.live(
    "C109 C110 C111 C112 C114 C115 C119 what is answered is what Kafka answers",
    () =>
      Effect.gen(function* () {
        const kafka = yield* KafkaCluster.start({
          // Here nobody waits for members that may yet come.
          properties: { "group.consumer.assignment.interval.ms": "0" }
        })
        const theirs = yield* conversation(kafka.bootstrapServers)
        const broker = yield* TestBroker.make()
        assert.deepStrictEqual(yield* conversation(broker.bootstrapServers), theirs)
      }),
    120_000
  )

  it.live.skipIf(Result.isFailure(python))("librdkafka's members share, and take over from who leaves", () =>
    Effect.gen(function* () {
      const { bootstrapServers } = yield* TestBroker.make({
        brokers: 3,
        topics: { orders: 6 },
        settings: { "group.consumer.heartbeat.interval.ms": "200" }
      })
      const program = yield* ConfluentKafka.python
      const { stdout } = yield* Program.runOrFail(program, ["-c", twoConsumers, bootstrapServers[0]])
      assert.strictEqual(String(stdout).trim(), "done")
    })
  )
})
