import { assert, describe, it } from "@effect/vitest"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as Cluster from "../src/Cluster.ts"
import { failure, settings, until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

const { close, respond, silence } = ScriptedBroker
const idA = "AAAAAAAAAAAAAAAAAAAAAQ"
const idB = "AAAAAAAAAAAAAAAAAAAAAg"

const names = (request: {
  readonly message: { readonly topics: ReadonlyArray<{ readonly name: string | null }> | null }
}) => request.message.topics?.map(({ name }) => name) ?? null

describe("Cluster", () => {
  it.live("knows brokers, controller and cluster id once it is made", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(3)
      const cluster = yield* ScriptedCluster.connect(scripted)
      const { brokers, clusterId, controllerId } = cluster.metadata()
      assert.deepStrictEqual([[...brokers.keys()], clusterId, controllerId], [[1, 2, 3], "scripted", 1])
      assert.strictEqual(scripted.asked().length, 1)
      assert.deepStrictEqual(names(scripted.asked()[0]), [])
    })
  )

  it.live("reaches a server by IPv6", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const broker = yield* ScriptedBroker.make({ host: "::1" })
      scripted.join(broker)
      const cluster = yield* ScriptedCluster.connect(scripted, {
        bootstrapServers: [{ host: "::1", port: broker.port }]
      })
      assert.strictEqual(cluster.metadata().brokers.size, 1)
    })
  )

  it.live("the error of an unreachable cluster names every address and why", () =>
    Effect.gen(function* () {
      const [refusing, closing] = [yield* ScriptedBroker.make(), yield* ScriptedBroker.make()]
      yield* refusing.stop
      for (const api of [ApiVersions, ListGroups, Metadata]) closing.on<unknown, unknown>(api, () => close)
      const reason = yield* failure(
        Cluster.make({
          ...settings,
          bootstrapServers: [refusing, closing, { host: "no-such-host.invalid", port: 9092 }]
        }),
        "Unreachable"
      )
      const detail = (broker: string) => reason.attempts.find((attempt) => attempt.broker === broker)?.detail ?? ""
      assert.include(detail(refusing.address), "ECONNREFUSED")
      assert.include(detail(closing.address), "TLS or SASL")
      assert.include(detail("no-such-host.invalid:9092"), "cannot be resolved")
      assert.isTrue(reason.isRetriable)
    })
  )

  it.live("a broker that does not know of itself yet is waited for", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      let answers = 0
      scripted.brokers[0].on(Metadata, ({ message }) =>
        respond(
          ++answers < 3 ? { brokers: [] } : scripted.describe(message.topics?.map(({ name }) => name ?? "") ?? null)
        )
      )
      const cluster = yield* ScriptedCluster.connect(scripted)
      assert.isAtLeast(answers, 3)
      assert.strictEqual(cluster.metadata().brokers.size, 1)
    })
  )

  it.live("C7: purposes have connections of their own: a long poll holds up nothing else", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(Fetch, () => silence)
      broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted, { maxInFlight: 1 })
      yield* cluster.connection(1, "main")
      const poll = yield* Effect.forkChild(cluster.request(1, Fetch, { maxWaitMs: 10_000 }, { purpose: "fetch" }))
      yield* until(() => broker.of(Fetch).length === 1)
      yield* cluster.request(1, ListGroups, {})
      const [fetched, listed] = [broker.of(Fetch)[0].connection, broker.of(ListGroups)[0].connection]
      assert.notStrictEqual(fetched, listed)
      assert.strictEqual(yield* cluster.connection(1, "main"), yield* cluster.connection(1, "main"))
      yield* Fiber.interrupt(poll)
    })
  )

  it.live("C8: a connection that the broker closed while idle is opened anew for the next request", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted)
      const connection = yield* cluster.connection(1, "main")
      broker.dropConnections()
      yield* connection.closed
      yield* cluster.request(1, ListGroups, {})
      assert.strictEqual(broker.of(ListGroups).length, 1)
    })
  )

  it.live("C8: a connection that the client closed when it was idle is opened anew on demand", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted, { connectionsMaxIdle: 100 })
      yield* cluster.request(1, ListGroups, {})
      yield* until(() => broker.open() === 0)
      yield* cluster.request(1, ListGroups, {})
      assert.strictEqual(broker.of(ListGroups).length, 2)
    })
  )

  it.live("C17: versions are learned anew with each connection", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.request(1, ListGroups, {})
      broker.on(ApiVersions, () => respond({ apiKeys: ScriptedBroker.offering({ ListGroups: [0, 1] }) }))
      const connection = yield* cluster.connection(1, "main")
      broker.dropConnections()
      yield* connection.closed
      yield* cluster.request(1, ListGroups, {})
      assert.deepStrictEqual(
        broker.of(ListGroups).map(({ version }) => version),
        [ListGroups.highestStableVersion, 1]
      )
    })
  )

  it.live("C14: what was found out of an old broker holds for its next connections, until one is lost", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(ApiVersions, () => close)
      broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted)
      const asked = broker.of(ApiVersions).length
      const connection = yield* cluster.connection(1, "main")
      assert.strictEqual(connection.apiVersions.source, "0.9")
      assert.strictEqual(broker.of(ApiVersions).length, asked)
      broker.on(ApiVersions, () => respond({ apiKeys: ScriptedBroker.offering({}) }))
      broker.dropConnections()
      yield* connection.closed
      assert.strictEqual((yield* cluster.connection(1, "main")).apiVersions.source, "negotiated")
    })
  )

  it.live("C24: concurrent askers share one refresh", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 0 }] })
      scripted.delay = 30
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* Effect.forEach(Array.from({ length: 20 }), () => cluster.refresh(), { concurrency: "unbounded" })
      assert.strictEqual(scripted.asked().length, 2)
      yield* Effect.forEach(Array.from({ length: 20 }), () => cluster.topic("t"), { concurrency: "unbounded" })
      assert.strictEqual(scripted.asked().length, 3)
      yield* cluster.topic("t")
      assert.strictEqual(scripted.asked().length, 3, "what is known is not asked for")
    })
  )

  it.live("C24: who asks while a refresh is under way shares it, unless it asks for less", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 0 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      scripted.delay = 100
      const first = yield* Effect.forkChild(cluster.refresh())
      yield* until(() => scripted.asked().length === 2)
      const second = yield* Effect.forkChild(cluster.refresh(), { startImmediately: true })
      const topic = yield* Effect.forkChild(cluster.topic("t"), { startImmediately: true })
      yield* Fiber.joinAll([first, second])
      assert.strictEqual(scripted.asked().length, 2)
      assert.strictEqual((yield* Fiber.join(topic)).partitions.length, 1)
      assert.strictEqual(scripted.asked().length, 3)
    })
  )

  it.live("C24: refreshes after errors keep a distance; the first use of a topic does not wait", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 0 }] })
      const cluster = yield* ScriptedCluster.connect(scripted, { retryBackoff: 2000, retryBackoffMax: 2000 })
      for (let times = 0; times < 10; times++) {
        yield* cluster.invalidate()
        yield* Effect.sleep(5)
      }
      assert.strictEqual(scripted.asked().length, 1)
      yield* cluster.topic("t")
      assert.strictEqual(scripted.asked().length, 2)
      yield* until(() => scripted.asked().length === 3)
      const [first, topic, refresh] = scripted.asked()
      assert.isBelow(topic.at - first.at, 1500)
      assert.isAtLeast(refresh.at - first.at, 1590)
      assert.deepStrictEqual(names(refresh), ["t"], "topics that were asked for are refreshed")
    })
  )

  it.live("C24: metadata is refreshed by age", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      yield* ScriptedCluster.connect(scripted, { metadataMaxAge: 100, retryBackoff: 1 })
      yield* until(() => scripted.asked().length >= 4)
      const [first, , , fourth] = scripted.asked()
      assert.isAtLeast(fourth.at - first.at, 295)
    })
  )

  it.live("C25: a broker that is behind does not take a newer leader away", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      scripted.topics.set("t", { id: idA, partitions: [{ leader: 2, epoch: 8 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      assert.deepStrictEqual(yield* cluster.leader({ topic: "t", partition: 0 }), { nodeId: 2, leaderEpoch: 8 })
      scripted.topics.set("t", { id: idA, partitions: [{ leader: 1, epoch: 7 }] })
      yield* cluster.refresh()
      assert.deepStrictEqual(cluster.leaderFor("t", 0), { nodeId: 2, leaderEpoch: 8 })
      scripted.topics.set("t", { id: idB, partitions: [{ leader: 1, epoch: 0 }] })
      yield* cluster.refresh()
      assert.deepStrictEqual(cluster.leaderFor("t", 0), { nodeId: 1, leaderEpoch: 0 })
      assert.strictEqual(cluster.metadata().topicNames.get(idB), "t")
    })
  )

  it.live("C26: a partition without a leader is retriable and leaves the others working", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", {
        partitions: [
          { leader: 1, epoch: 3 },
          { leader: -1, epoch: 3, errorCode: 5 }
        ]
      })
      const cluster = yield* ScriptedCluster.connect(scripted)
      assert.deepStrictEqual(yield* cluster.leader({ topic: "t", partition: 0 }), { nodeId: 1, leaderEpoch: 3 })
      const reason = yield* failure(cluster.leader({ topic: "t", partition: 1 }), "BrokerError")
      assert.deepStrictEqual([reason.name, reason.isRetriable, reason.partition], ["LEADER_NOT_AVAILABLE", true, 1])
      scripted.topics.get("t")!.partitions[1] = { leader: 1, epoch: 4 }
      assert.deepStrictEqual(yield* cluster.leader({ topic: "t", partition: 1 }), { nodeId: 1, leaderEpoch: 4 })
    })
  )

  it.live("C28: an unknown topic is retriable, counted, and named", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const cluster = yield* ScriptedCluster.connect(scripted)
      for (const count of [1, 2]) {
        const reason = yield* failure(cluster.topic("gone"), "BrokerError")
        assert.deepStrictEqual([reason.name, reason.isRetriable], ["UNKNOWN_TOPIC_OR_PARTITION", true])
        assert.include(reason.message, "topic gone")
        assert.strictEqual(cluster.metadata().topics.get("gone")?.unknownAnswers, count)
      }
      scripted.topics.set("gone", { partitions: [{ leader: 1, epoch: 0 }] })
      assert.strictEqual((yield* cluster.topic("gone")).unknownAnswers, 0)
    })
  )

  it.live("C29: errors of access and of names concern one topic", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("mine", { partitions: [{ leader: 1, epoch: 0 }] })
      scripted.topics.set("yours", { errorCode: 29, partitions: [] })
      scripted.topics.set("b@d", { errorCode: 17, partitions: [] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.refresh(["mine", "yours", "b@d"])
      const denied = yield* failure(cluster.topic("yours"), "BrokerError")
      assert.deepStrictEqual([denied.name, denied.isRetriable], ["TOPIC_AUTHORIZATION_FAILED", false])
      assert.strictEqual((yield* failure(cluster.topic("b@d"), "BrokerError")).name, "INVALID_TOPIC_EXCEPTION")
      const asked = scripted.asked().length
      assert.strictEqual(
        (yield* failure(cluster.topic("x".repeat(250)), "BrokerError")).name,
        "INVALID_TOPIC_EXCEPTION"
      )
      assert.strictEqual(scripted.asked().length, asked, "a name that is too long is not sent")
      yield* cluster.topic("mine")
    })
  )

  it.live("C30: a topic that is created again has its new id and epochs; its old id stands for nothing", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", { id: idA, partitions: [{ leader: 1, epoch: 9 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.topic("t")
      const seen = yield* Deferred.make<string>()
      yield* cluster.changes.pipe(
        Stream.map(({ topics }) => topics.get("t")?.id),
        Stream.filter((id) => id === idB),
        Stream.runForEach((id) => Deferred.succeed(seen, id ?? "")),
        Effect.forkScoped
      )
      scripted.topics.set("t", { id: idB, partitions: [{ leader: 1, epoch: 0 }] })
      yield* cluster.invalidate()
      assert.strictEqual(yield* Deferred.await(seen), idB)
      assert.deepStrictEqual([...cluster.metadata().topicNames], [[idB, "t"]])
    })
  )

  it.live("C31: growth is picked up; a topic without partitions is no success", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("t", { partitions: [] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      assert.isTrue((yield* failure(cluster.topic("t"), "BrokerError")).isRetriable)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 0 }] })
      assert.strictEqual((yield* cluster.topic("t")).partitions.length, 1)
      const reason = yield* failure(cluster.leader({ topic: "t", partition: 1 }), "UnknownPartition")
      assert.deepStrictEqual([reason.partitionCount, reason.isRetriable], [1, true])
      scripted.topics.get("t")!.partitions.push({ leader: 1, epoch: 0 })
      assert.deepStrictEqual(yield* cluster.leader({ topic: "t", partition: 1 }), { nodeId: 1, leaderEpoch: 0 })
    })
  )

  it.live("C32: a broker's id with another port means another connection", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      const moved = yield* ScriptedBroker.make()
      for (const broker of [...scripted.brokers, moved]) broker.on(ListGroups, () => respond({}))
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.request(2, ListGroups, {})
      const before = scripted.brokers[1]
      scripted.brokers[1] = moved
      scripted.join(moved)
      yield* cluster.refresh()
      yield* cluster.request(2, ListGroups, {})
      assert.deepStrictEqual([before.of(ListGroups).length, moved.of(ListGroups).length], [1, 1])
      yield* until(() => before.open() === 0)
    })
  )

  it.live("C32: connections of a broker that has left end when they have been used", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      const [, leaving] = scripted.brokers
      leaving.on(ListGroups, () => respond({ groups: [{ groupId: "g" }] }, { delay: 150 }))
      const cluster = yield* ScriptedCluster.connect(scripted, { bootstrapServers: [scripted.brokers[0]] })
      const begun = yield* Effect.forkChild(cluster.request(2, ListGroups, {}))
      yield* until(() => leaving.of(ListGroups).length === 1)
      scripted.members.delete(2)
      yield* cluster.refresh()
      assert.strictEqual((yield* Fiber.join(begun)).groups[0].groupId, "g")
      yield* until(() => leaving.open() === 0)
      const reason = yield* failure(cluster.connection(2, "main"), "UnknownBroker")
      assert.deepStrictEqual(reason.known, [1])
    })
  )

  it.live("C33: when no known broker can be reached, the bootstrap servers are asked again", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      const entrance = yield* ScriptedBroker.make()
      scripted.join(entrance)
      const cluster = yield* ScriptedCluster.connect(scripted, { bootstrapServers: [entrance] })
      const moved = yield* Effect.forEach([1, 2], () => ScriptedBroker.make())
      yield* Effect.forEach(scripted.brokers, ({ stop }) => stop)
      scripted.brokers.splice(0, 2, ...moved)
      moved.forEach((broker) => {
        scripted.join(broker)
        broker.on(ListGroups, () => respond({}))
      })
      yield* cluster.refresh()
      yield* cluster.request(1, ListGroups, {})
      yield* cluster.request(2, ListGroups, {})
      assert.deepStrictEqual(
        moved.map((broker) => broker.of(ListGroups).length),
        [1, 1]
      )
    })
  )

  it.live("C33: REBOOTSTRAP_REQUIRED sends the client to its bootstrap servers", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(3)
      const entrance = yield* ScriptedBroker.make()
      scripted.join(entrance)
      const cluster = yield* ScriptedCluster.connect(scripted, { bootstrapServers: [entrance] })
      for (const broker of scripted.brokers) broker.on(Metadata, () => respond({ errorCode: 129 }))
      const before = entrance.of(Metadata).length
      yield* cluster.refresh()
      assert.strictEqual(entrance.of(Metadata).length, before + 1)
      assert.strictEqual(scripted.asked().length, 1, "no other broker is asked")
    })
  )

  it.live("a cluster that is gone for a while is found again", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* broker.stop
      yield* failure(cluster.refresh(), "Unreachable")
      const again = yield* ScriptedBroker.make({ port: broker.port })
      scripted.brokers[0] = again
      scripted.join(again)
      yield* until(() => again.of(Metadata).length > 0)
    })
  )

  it.live("C34: a newer leader that a response names is used at once, without asking first", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 5 }] })
      const cluster = yield* ScriptedCluster.connect(scripted, { retryBackoff: 200 })
      yield* cluster.leader({ topic: "t", partition: 0 })
      const asked = scripted.asked().length
      const added = yield* ScriptedBroker.make()
      scripted.join(added)
      added.on(ListGroups, () => respond({}))
      const endpoints = [{ nodeId: 3, host: added.host, port: added.port }]
      assert.isFalse(yield* cluster.updateLeader("t", 0, { nodeId: 3, leaderEpoch: 5 }, endpoints))
      assert.deepStrictEqual(cluster.leaderFor("t", 0), { nodeId: 1, leaderEpoch: 5 })
      assert.isTrue(yield* cluster.updateLeader("t", 0, { nodeId: 3, leaderEpoch: 6 }, endpoints))
      const { nodeId } = yield* cluster.leader({ topic: "t", partition: 0 })
      yield* cluster.request(nodeId, ListGroups, {})
      assert.strictEqual(added.of(ListGroups).length, 1)
      assert.strictEqual(scripted.asked().length + added.of(Metadata).length, asked)
      yield* until(() => scripted.asked().length + added.of(Metadata).length === asked + 1)
    })
  )

  it.live("C35: leaders come with their epoch, and what is invalidated is asked for again", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      scripted.topics.set("t", { partitions: [{ leader: 1, epoch: 5 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      assert.strictEqual((yield* cluster.leader({ topic: "t", partition: 0 })).leaderEpoch, 5)
      scripted.topics.set("t", { partitions: [{ leader: 2, epoch: 6 }] })
      yield* cluster.invalidate("t")
      yield* until(() => cluster.leaderFor("t", 0)?.leaderEpoch === 6)
      assert.deepStrictEqual(cluster.leaderFor("t", 0), { nodeId: 2, leaderEpoch: 6 })
    })
  )

  it.live("a lost connection makes metadata stale", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      scripted.brokers[1].on(ListGroups, () => close)
      const cluster = yield* ScriptedCluster.connect(scripted, { bootstrapServers: [scripted.brokers[0]] })
      const asked = scripted.asked().length
      yield* failure(cluster.request(2, ListGroups, {}), "ConnectionLost")
      yield* until(() => scripted.asked().length > asked)
    })
  )

  it.live("topics are created only where that is asked for", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("kept", { partitions: [{ leader: 1, epoch: 0 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.topic("kept")
      yield* failure(cluster.topic("made", { allowAutoTopicCreation: true }), "BrokerError")
      yield* cluster.refresh()
      assert.deepStrictEqual(
        scripted.asked().map((request) => [names(request), request.message.allowAutoTopicCreation]),
        [
          [[], false],
          [["kept"], false],
          [["made"], true],
          [["kept", "made"], false]
        ]
      )
    })
  )

  it.live("all topics of the cluster can be asked for", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      scripted.topics.set("a", { partitions: [{ leader: 1, epoch: 0 }] })
      scripted.topics.set("b", { partitions: [{ leader: 1, epoch: 0 }] })
      const cluster = yield* ScriptedCluster.connect(scripted)
      const { topics } = yield* cluster.refresh("all")
      assert.deepStrictEqual([...topics.keys()], ["a", "b"])
      assert.strictEqual(names(scripted.asked()[1]), null)
    })
  )

  for (const max of [0, 3, 4]) {
    it.live(`a coordinator is asked for once, and again when it is no longer one (FindCoordinator v${max})`, () =>
      Effect.gen(function* () {
        const scripted = yield* ScriptedCluster.make(2, { offered: { FindCoordinator: [0, max] } })
        const cluster = yield* ScriptedCluster.connect(scripted)
        const asked = () => scripted.brokers.flatMap((broker) => broker.of(FindCoordinator))
        const found = yield* Effect.forEach(Array.from({ length: 10 }), () => cluster.coordinator("group", "g"), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(new Set(found), new Set([2]))
        assert.strictEqual(asked().length, 1)
        yield* cluster.invalidateCoordinator("group", "g")
        yield* cluster.coordinator("group", "g")
        assert.strictEqual(asked().length, 2)
        if (max === 0) yield* failure(cluster.coordinator("transaction", "g"), "UnsupportedVersion")
        else yield* cluster.coordinator("transaction", "g")
        assert.strictEqual(asked().length, max === 0 ? 2 : 3)
      })
    )
  }

  it.live("a coordinator that is not there yet is waited for", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      let answers = 0
      broker.on(FindCoordinator, ({ message }) => {
        const errorCode = ++answers < 3 ? 15 : 0
        const { host, port } = broker
        return respond({
          coordinators: message.coordinatorKeys.map((key) => ({ key, errorCode, nodeId: 1, host, port }))
        })
      })
      const cluster = yield* ScriptedCluster.connect(scripted, { retryBackoff: 5 })
      assert.strictEqual(yield* cluster.coordinator("group", "g"), 1)
      assert.strictEqual(answers, 3)
      broker.on(FindCoordinator, ({ message }) =>
        respond({ coordinators: message.coordinatorKeys.map((key) => ({ key, errorCode: 30 })) })
      )
      const reason = yield* failure(cluster.coordinator("group", "denied"), "BrokerError")
      assert.strictEqual(reason.name, "GROUP_AUTHORIZATION_FAILED")
    })
  )

  it.live("requests go to the controller, or to any broker that can be reached", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(3)
      for (const broker of scripted.brokers) broker.on(ListGroups, () => respond({}))
      scripted.controllerId = 3
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.request("controller", ListGroups, {})
      assert.strictEqual(scripted.brokers[2].of(ListGroups).length, 1)
      const connections = yield* Effect.forEach([1, 3], (nodeId) => cluster.connection(nodeId, "main"))
      yield* scripted.brokers[0].stop
      yield* scripted.brokers[2].stop
      yield* Effect.forEach(connections, ({ closed }) => closed)
      yield* cluster.request("any", ListGroups, {})
      assert.strictEqual(scripted.brokers[1].of(ListGroups).length, 1)
    })
  )

  it.live("a request to any broker goes to the least busy", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      for (const broker of scripted.brokers) broker.on(ListGroups, () => respond({}, { delay: 60 }))
      const cluster = yield* ScriptedCluster.connect(scripted)
      yield* cluster.connection(1, "main")
      yield* cluster.connection(2, "main")
      yield* Effect.forEach(Array.from({ length: 6 }), () => cluster.request("any", ListGroups, {}), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        scripted.brokers.map((broker) => broker.of(ListGroups).length),
        [3, 3]
      )
    })
  )

  it.live("who stops waiting for a connection does not stop it for the others", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      const cluster = yield* ScriptedCluster.connect(scripted)
      broker.on(ApiVersions, () => respond({ apiKeys: ScriptedBroker.offering({}) }, { delay: 80 }))
      const asked = broker.of(ApiVersions).length
      const first = yield* Effect.forkChild(cluster.connection(1, "fetch"))
      const second = yield* Effect.forkChild(cluster.connection(1, "fetch"))
      yield* until(() => broker.of(ApiVersions).length === asked + 1)
      yield* Fiber.interrupt(first)
      assert.isTrue((yield* Fiber.join(second)).isAlive())
      assert.strictEqual(broker.of(ApiVersions).length, asked + 1)
    })
  )

  it.live("what happens to connections is a stream", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const cluster = yield* ScriptedCluster.connect(scripted)
      const events: Array<string> = []
      yield* cluster.connectionEvents.pipe(
        Stream.runForEach(({ _tag, purpose }) => Effect.sync(() => events.push(`${purpose} ${_tag}`))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* Effect.sleep(10)
      const connection = yield* cluster.connection(1, "fetch")
      scripted.brokers[0].dropConnections()
      yield* connection.closed
      yield* until(() => events.includes("fetch Closed"))
      assert.deepStrictEqual(
        events.filter((event) => event.startsWith("fetch")),
        ["fetch Connecting", "fetch Ready", "fetch Closed"]
      )
    })
  )

  it.live("what was made after the client in the same scope can send while it ends", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const [broker] = scripted.brokers
      broker.on(ListGroups, () => respond({}, { delay: 30 }))
      const exits: Array<boolean> = []
      yield* Effect.gen(function* () {
        const cluster = yield* ScriptedCluster.connect(scripted)
        yield* Effect.addFinalizer(() =>
          Effect.map(Effect.exit(cluster.request(1, ListGroups, {})), (exit) => exits.push(Exit.isSuccess(exit)))
        )
        yield* cluster.connection(1, "main")
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(exits, [true])
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("the end of the scope closes every connection and fails every waiter", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(2)
      scripted.brokers[1].on(ListGroups, () => silence)
      const scope = yield* Scope.make()
      const cluster = yield* Scope.provide(ScriptedCluster.connect(scripted), scope)
      const waiting = yield* Effect.forkChild(failure(cluster.request(2, ListGroups, {}), "ConnectionLost"))
      yield* until(() => scripted.brokers[1].of(ListGroups).length === 1)
      scripted.delay = 10_000
      const refreshing = yield* Effect.forkChild(failure(cluster.refresh(), "ConnectionLost"))
      yield* Effect.sleep(150)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).closedBy, "client")
      assert.strictEqual((yield* Fiber.join(refreshing)).closedBy, "client")
      for (const late of [cluster.request(2, ListGroups, {}), cluster.refresh(), cluster.coordinator("group", "g")]) {
        assert.strictEqual(
          (yield* failure<unknown, never, "ConnectionLost">(late, "ConnectionLost")).isRetriable,
          false
        )
      }
      yield* until(() => scripted.brokers.every((broker) => broker.open() === 0))
    })
  )

  it.live("its streams of changes and events end with the client", () =>
    Effect.gen(function* () {
      const scripted = yield* ScriptedCluster.make(1)
      const scope = yield* Scope.make()
      const cluster = yield* Scope.provide(ScriptedCluster.connect(scripted), scope)
      const following = yield* Effect.forkChild(
        Effect.all([Stream.runDrain(cluster.changes), Stream.runDrain(cluster.connectionEvents)], { concurrency: 2 }),
        { startImmediately: true }
      )
      yield* Effect.sleep("50 millis")
      yield* Scope.close(scope, Exit.void)
      yield* Effect.timeout(Fiber.await(following), "2 seconds")
    })
  )
})
