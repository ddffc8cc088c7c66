import { assert, describe, it } from "@effect/vitest"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { ConsumerGroupHeartbeat } from "@kafka-effect/protocol/messages/ConsumerGroupHeartbeat"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Effect, Exit, Fiber, Scope } from "effect"
import { connect, failure, until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"

const { close, raw, respond, silence } = ScriptedBroker

/** Metadata's answers carry this number, so that a mix-up of responses shows. */
const numbered = (number: number) => ({ brokers: [], topics: [], controllerId: number })

/** Answers Metadata with the number that the request carries in the name of its first topic. */
const echoing = (broker: ScriptedBroker.ScriptedBroker, delay = 0): void =>
  broker.on(Metadata, ({ message }) => respond(numbered(Number(message.topics?.[0]?.name ?? -1)), { delay }))

const asking = (number: number) => ({ topics: [{ name: String(number) }] })

describe("Connection", () => {
  it.live("negotiates and answers a request", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker)
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "negotiated")
      const response = yield* connection.request(Metadata, asking(7))
      assert.strictEqual(response.controllerId, 7)
      const [asked] = broker.of(ApiVersions)
      assert.strictEqual(asked.message.clientSoftwareName, "kafka-effect")
      assert.strictEqual(asked.clientId, "test")
    })
  )

  it.live("pipelines up to maxInFlight, in order, and gives each caller its own response", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 20)
      const connection = yield* connect(broker, { maxInFlight: 3 })
      const numbers = Array.from({ length: 8 }, (_, index) => index)
      const fiber = yield* Effect.forkChild(
        Effect.forEach(numbers, (number) => connection.request(Metadata, asking(number)), { concurrency: "unbounded" })
      )
      yield* until(() => broker.of(Metadata).length === 3)
      yield* Effect.sleep(10)
      assert.strictEqual(broker.of(Metadata).length, 3, "no more than three at once")
      assert.strictEqual(connection.load(), 8)
      const responses = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        responses.map(({ controllerId }) => controllerId),
        numbers
      )
      assert.deepStrictEqual(
        broker.of(Metadata).map(({ message }) => Number(message.topics?.[0]?.name)),
        numbers
      )
    })
  )

  it.live("C1: a response out of turn closes the connection and fails all in flight as unknown", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, ({ correlationId }) => respond(numbered(1), { correlationId: correlationId + 1, delay: 20 }))
      const connection = yield* connect(broker, { maxInFlight: 2 })
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(failure(connection.request(Metadata, {}), "CorrelationMismatch"))
      )
      const reasons = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        reasons.map(({ maybeSent }) => maybeSent),
        [true, true, false]
      )
      assert.isTrue(reasons[0].isRetriable)
      assert.strictEqual(reasons[0].received, reasons[0].expected + 1)
      yield* until(() => broker.open() === 0)
      yield* failure(connection.request(Metadata, {}), "CorrelationMismatch")
      assert.isFalse(connection.isAlive())
    })
  )

  it.live("C1: a response that nobody asked for closes the connection", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      const connection = yield* connect(broker)
      broker.push(0, ScriptedBroker.frameOf(Metadata, 0, 99, new Uint8Array(8)))
      const error = yield* connection.closed
      assert.strictEqual(error.reason._tag, "CorrelationMismatch")
    })
  )

  it.live("C3: bytes of a TLS alert, of HTTP, and sizes out of bounds are told apart", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => raw(Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46)))
      const tls = yield* failure(connect(broker), "NotKafka")
      assert.include(tls.message, "this port wants TLS")
      broker.on(ApiVersions, () => raw(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")))
      assert.include((yield* failure(connect(broker), "NotKafka")).message, "HTTP")
      broker.on(ApiVersions, () => raw(Uint8Array.of(0xff, 0xff, 0xff, 0xff)))
      assert.include((yield* failure(connect(broker), "NotKafka")).message, "-1 bytes")
      broker.on(ApiVersions, () => raw(Uint8Array.of(0x00, 0x0f, 0x42, 0x41)))
      const tooLarge = yield* failure(connect(broker), "FrameTooLarge")
      assert.deepStrictEqual([tooLarge.size, tooLarge.limit], [1_000_001, 1_000_000])
      assert.include(tooLarge.message, "receiveMaxBytes")
    })
  )

  it.live("C4: a close before anything was answered hints at TLS and SASL", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => close)
      broker.on(ListGroups, () => close)
      broker.on(Metadata, () => close)
      const reason = yield* failure(connect(broker), "ConnectionLost")
      assert.strictEqual(reason.closedBy, "broker")
      assert.include(reason.message, "TLS or SASL")
    })
  )

  it.live("C5: a request that times out closes the connection; the others may be retried", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => silence)
      broker.on(ListGroups, () => silence)
      const connection = yield* connect(broker, { requestTimeout: 100, maxInFlight: 2 })
      const first = yield* Effect.forkChild(failure(connection.request(Metadata, {}), "RequestTimeout"))
      const others = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(failure(connection.request(ListGroups, {}, { timeout: "10 seconds" }), "ConnectionLost"))
      )
      const timeout = yield* Fiber.join(first)
      assert.deepStrictEqual([timeout.api, timeout.timeout, timeout.maybeSent], ["Metadata", 100, true])
      const reasons = yield* Effect.forEach(others, Fiber.join)
      assert.deepStrictEqual(
        reasons.map(({ closedBy, isRetriable, maybeSent }) => [closedBy, isRetriable, maybeSent]),
        [
          ["timeout", true, true],
          ["timeout", true, false]
        ]
      )
      assert.include(reasons[0].message, "Metadata")
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("C5: a request that could not be sent in time fails alone", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 150)
      const connection = yield* connect(broker, { maxInFlight: 1 })
      const first = yield* Effect.forkChild(connection.request(Metadata, asking(1)), { startImmediately: true })
      const reason = yield* failure(connection.request(Metadata, asking(2), { timeout: 50 }), "RequestTimeout")
      assert.isFalse(reason.maybeSent)
      assert.strictEqual((yield* Fiber.join(first)).controllerId, 1)
      assert.strictEqual(broker.of(Metadata).length, 1)
      assert.isTrue(connection.isAlive())
    })
  )

  it.live("C5: the time that a request lets the broker wait is added to the timeout", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Fetch, () => respond({ responses: [] }, { delay: 250 }))
      const connection = yield* connect(broker, { requestTimeout: 100 })
      yield* connection.request(Fetch, { maxWaitMs: 300, minBytes: 1 })
      const reason = yield* failure(connection.request(Fetch, { maxWaitMs: 10, minBytes: 1 }), "RequestTimeout")
      assert.strictEqual(reason.timeout, 110)
    })
  )

  it.live("C6: an interrupted request keeps its slot until its late response, which is dropped", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 100)
      const connection = yield* connect(broker, { maxInFlight: 1 })
      const first = yield* Effect.forkChild(connection.request(Metadata, asking(1)))
      yield* until(() => broker.of(Metadata).length === 1)
      yield* Fiber.interrupt(first)
      const second = yield* Effect.forkChild(connection.request(Metadata, asking(2)))
      yield* Effect.sleep(30)
      assert.strictEqual(broker.of(Metadata).length, 1, "the slot is not free yet")
      assert.strictEqual((yield* Fiber.join(second)).controllerId, 2)
      assert.strictEqual((yield* connection.request(Metadata, asking(3))).controllerId, 3)
      assert.strictEqual(broker.accepted(), 1)
    })
  )

  it.live("C6: a request interrupted before it was written is never sent", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 50)
      const connection = yield* connect(broker, { maxInFlight: 1 })
      const first = yield* Effect.forkChild(connection.request(Metadata, asking(1)))
      yield* until(() => broker.of(Metadata).length === 1)
      const second = yield* Effect.forkChild(connection.request(Metadata, asking(2)), { startImmediately: true })
      yield* Fiber.interrupt(second)
      yield* Fiber.join(first)
      assert.strictEqual((yield* connection.request(Metadata, asking(3))).controllerId, 3)
      assert.deepStrictEqual(
        broker.of(Metadata).map(({ message }) => message.topics?.[0]?.name),
        ["1", "3"]
      )
    })
  )

  it.live("C6: random interruptions never mix up responses", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker)
      const connection = yield* connect(broker)
      let seed = 1
      const random = () => {
        seed = (seed * 48271) % 2147483647
        return seed / 2147483647
      }
      yield* Effect.forEach(
        Array.from({ length: 400 }, (_, number) => number),
        (number) =>
          Effect.gen(function* () {
            const request = yield* Effect.forkChild(connection.request(Metadata, asking(number)))
            yield* Effect.sleep(random() * 6)
            if (random() < 0.4) return yield* Fiber.interrupt(request)
            assert.strictEqual((yield* Fiber.join(request)).controllerId, number)
          }),
        { concurrency: 20 }
      )
      assert.strictEqual(broker.accepted(), 1)
      yield* until(() => connection.load() === 0)
    })
  )

  it.live("C8: an idle connection is closed by the client", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker)
      const connection = yield* connect(broker, { connectionsMaxIdle: 150 })
      yield* Effect.sleep(100)
      yield* connection.request(Metadata, asking(1))
      yield* Effect.sleep(100)
      assert.isTrue(connection.isAlive(), "a request starts the time anew")
      const error = yield* connection.closed
      assert.strictEqual(error.reason._tag === "ConnectionLost" && error.reason.closedBy, "idle")
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("C8: a connection with a request in flight is not idle", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 200)
      const connection = yield* connect(broker, { connectionsMaxIdle: 50 })
      assert.strictEqual((yield* connection.request(Metadata, asking(1))).controllerId, 1)
    })
  )

  it.live("C10: a connection that is not ready in time fails, and names the setting", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => silence)
      const reason = yield* failure(connect(broker, { setupTimeout: 100 }), "ConnectFailed")
      assert.include(reason.message, "socketConnectionSetupTimeout")
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("C12: the ApiVersions response has header v0 at flexible versions", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      const connection = yield* connect(broker)
      assert.isAtLeast(broker.of(ApiVersions)[0].version, 3)
      for (const version of [3, 4]) {
        const response = yield* connection.request(
          ApiVersions,
          { clientSoftwareName: "a", clientSoftwareVersion: "1" },
          { version }
        )
        assert.isAbove(response.apiKeys.length, 10)
      }
    })
  )

  it.live("C13: a broker that lacks the version is asked again at the one that it names", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, ({ version }) =>
        version > 2
          ? respond({ errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 2 }] }, { version: 0 })
          : respond({ apiKeys: ScriptedBroker.offering({}) })
      )
      yield* connect(broker)
      assert.deepStrictEqual(
        broker.of(ApiVersions).map(({ version }) => version),
        [ApiVersions.highestStableVersion, 2]
      )
      assert.strictEqual(broker.accepted(), 1)
    })
  )

  it.live("C13: a broker that names no version is asked again at version 0", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, ({ version }) =>
        version > 0
          ? respond({ errorCode: 35, apiKeys: [] }, { version: 0 })
          : respond({ apiKeys: ScriptedBroker.offering({}) })
      )
      yield* connect(broker)
      assert.deepStrictEqual(
        broker.of(ApiVersions).map(({ version }) => version),
        [ApiVersions.highestStableVersion, 0]
      )
    })
  )

  it.live("C13: a broker that goes on refusing is not asked for ever", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, ({ version }) =>
        respond({ errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: version + 1 }] }, { version: 0 })
      )
      const reason = yield* failure(connect(broker), "BrokerError")
      assert.strictEqual(reason.name, "UNSUPPORTED_VERSION")
      assert.deepStrictEqual(
        broker.of(ApiVersions).map(({ version }) => version),
        [ApiVersions.highestStableVersion, 0]
      )
    })
  )

  it.live("C14: a broker that closes on ApiVersions is probed: 0.8.2", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => close)
      broker.on(ListGroups, () => close)
      echoing(broker)
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "0.8.2")
      assert.strictEqual((yield* connection.request(Metadata, asking(3))).controllerId, -1)
      assert.strictEqual(broker.of(Metadata)[1].version, 0)
      const reason = yield* failure(connection.request(Heartbeat, {}), "UnsupportedVersion")
      assert.strictEqual(reason.brokerRange, null)
      yield* until(() => broker.open() === 1)
    })
  )

  it.live("C14: a broker that closes on ApiVersions is probed: 0.9 that closes", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => close)
      broker.on(ListGroups, () => respond({}))
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "0.9")
    })
  )

  it.live("C14: a broker that is silent on ApiVersions is 0.9", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => silence)
      broker.on(ListGroups, () => respond({}))
      echoing(broker)
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "0.9")
      yield* connection.request(Metadata, asking(3))
      yield* until(() => broker.open() === 1)
    })
  )

  it.live("C14: one closed connection does not make a new broker an old one", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, ({ connection }) =>
        connection === 0 ? close : respond({ apiKeys: ScriptedBroker.offering({}) })
      )
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "negotiated")
    })
  )

  it.live("C14: a slow broker is not taken for an old one", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(ApiVersions, () => respond({ apiKeys: ScriptedBroker.offering({}) }, { delay: 1300 }))
      broker.on(ListGroups, () => respond({}))
      echoing(broker)
      const connection = yield* connect(broker)
      assert.strictEqual(connection.apiVersions.source, "negotiated")
      assert.strictEqual((yield* connection.request(Metadata, asking(4))).controllerId, 4)
      assert.strictEqual(broker.accepted(), 1)
    })
  )

  it.live("C14: 0.8.2 answers FindCoordinator with correlation id 0", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make({ offered: { FindCoordinator: [0, 0] } })
      broker.on(FindCoordinator, () => respond({ errorCode: 15, nodeId: -1, host: "", port: -1 }, { correlationId: 0 }))
      const connection = yield* connect(broker)
      const response = yield* connection.request(FindCoordinator, { key: "group" })
      assert.strictEqual(response.errorCode, 15)
    })
  )

  it.live("C15: a flexible request header keeps a plain client id; unknown tags of a response are skipped", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      const tag = { tag: 77, data: Uint8Array.of(1, 2, 3) }
      broker.on(Metadata, () =>
        respond(
          { ...numbered(5), unknownTaggedFields: [tag] },
          { headerTags: [tag, { tag: 78, data: new Uint8Array(0) }] }
        )
      )
      const connection = yield* connect(broker, { clientId: "grüße" })
      const response = yield* connection.request(Metadata, { topics: [] }, { version: 12 })
      assert.deepStrictEqual([response.controllerId, response.unknownTaggedFields?.[0].tag], [5, 77])
      const { frame } = broker.of(Metadata)[0]
      const header = [0, 3, 0, 12, 0, 0, 0, 1, 0, 7, 0x67, 0x72, 0xc3, 0xbc, 0xc3, 0x9f, 0x65, 0]
      assert.deepStrictEqual([...frame.subarray(0, header.length)], header)
    })
  )

  it.live("C17: a request that needs a higher version than the broker offers is not sent", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make({ offered: { Metadata: [0, 2], CreateTopics: "none" } })
      const connection = yield* connect(broker)
      const reason = yield* failure(
        connection.request(Metadata, { allowAutoTopicCreation: false }),
        "UnsupportedVersion"
      )
      assert.deepStrictEqual(reason.brokerRange, { min: 0, max: 2 })
      assert.deepStrictEqual(reason.clientRange, { min: 4, max: Metadata.highestStableVersion })
      const absent = yield* failure(connection.request(CreateTopics, {}), "UnsupportedVersion")
      assert.include(absent.message, "it lacks the API")
      const limited = yield* failure(connection.version(Metadata, { minVersion: 5 }), "UnsupportedVersion")
      assert.include(limited.message, "versions 5 to 13")
      assert.include(limited.message, "versions 0 to 2")
      assert.strictEqual(yield* connection.version(Metadata, { maxVersion: 1 }), 1)
      assert.strictEqual(broker.of(Metadata).length, 0)
    })
  )

  it.live("a request that cannot be written fails alone", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker)
      const connection = yield* connect(broker)
      const reason = yield* failure(
        connection.request(Metadata, { topics: [{ name: "x".repeat(40_000) }] }),
        "InvalidRequest"
      )
      assert.include(reason.message, "topics[0].name")
      assert.strictEqual((yield* connection.request(Metadata, asking(1))).controllerId, 1)
      assert.strictEqual(broker.accepted(), 1)
    })
  )

  it.live("C18: after a throttled response nothing is sent until the time has passed", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => respond({ ...numbered(1), throttleTimeMs: 300 }))
      broker.on(ListGroups, () => respond({}))
      const connection = yield* connect(broker)
      yield* connection.request(Metadata, {}, { version: 6 })
      yield* connection.request(ListGroups, {})
      assert.isAtLeast(broker.of(ListGroups)[0].at - broker.of(Metadata)[0].at, 295)
    })
  )

  it.live("C18: versions that the broker throttles by answering late are not waited for twice", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => respond({ ...numbered(1), throttleTimeMs: 10_000 }))
      broker.on(ListGroups, () => respond({}))
      const connection = yield* connect(broker)
      yield* connection.request(Metadata, {}, { version: 5 })
      yield* connection.request(ListGroups, {})
      assert.isBelow(broker.of(ListGroups)[0].at - broker.of(Metadata)[0].at, 5000)
    })
  )

  it.live("C18: the throttle of a response whose caller has gone is honoured too", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => respond({ ...numbered(1), throttleTimeMs: 300 }, { delay: 30 }))
      broker.on(ListGroups, () => respond({}))
      const connection = yield* connect(broker)
      const gone = yield* Effect.forkChild(connection.request(Metadata, {}))
      yield* until(() => broker.of(Metadata).length === 1)
      yield* Fiber.interrupt(gone)
      yield* Effect.sleep(60)
      yield* connection.request(ListGroups, {})
      assert.isAtLeast(broker.of(ListGroups)[0].at - broker.of(Metadata)[0].at, 300)
    })
  )

  it.live("C19: acks=0 succeeds when written, takes no slot, and keeps the order", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker)
      broker.on(Produce, () => silence)
      const connection = yield* connect(broker, { maxInFlight: 1 })
      const produce = (number: number) => connection.send(Produce, { acks: 0, timeoutMs: number })
      yield* Effect.forEach([1, 2, 3], produce)
      const response = yield* connection.request(Metadata, asking(9))
      assert.strictEqual(response.controllerId, 9)
      yield* produce(4)
      yield* until(() => broker.of(Produce).length === 4)
      assert.deepStrictEqual(
        broker.of(Produce).map(({ message }) => message.timeoutMs),
        [1, 2, 3, 4]
      )
      assert.deepStrictEqual(
        broker.received.map(({ api }) => api.name),
        ["ApiVersions", "Produce", "Produce", "Produce", "Metadata", "Produce"]
      )
    })
  )

  it.live("C19: acks=0 to a broker that reads no more fails in time, and closes the connection", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      const connection = yield* connect(broker, { requestTimeout: 200 })
      broker.pause()
      const topicData = [{ name: "t", partitionData: [{ index: 0, records: new Uint8Array(4_000_000) }] }]
      const produce = connection.send(Produce, { acks: 0, topicData }, { timeout: 200, maxVersion: 12 })
      const error = yield* Effect.flip(Effect.forever(produce))
      assert.include(["RequestTimeout", "ConnectionLost"], error.reason._tag)
      assert.isTrue(error.isRetriable)
      assert.isFalse(connection.isAlive())
    })
  )

  it.live("C23: answers that cannot be read fail their request and no other", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      const connection = yield* connect(broker)
      const bodies = [
        new Uint8Array(0),
        Uint8Array.of(0),
        new Uint8Array(500),
        new Uint8Array(40).fill(0xff),
        // a count of topics that no body could hold
        Uint8Array.of(0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff)
      ]
      for (const body of bodies) {
        broker.on(Metadata, ({ correlationId }) => raw(ScriptedBroker.frameOf(Metadata, 8, correlationId, body)))
        const reason = yield* failure(connection.request(Metadata, {}, { version: 8 }), "InvalidResponse")
        assert.include(reason.message, "Metadata v8")
        assert.isTrue(reason.maybeSent)
      }
      echoing(broker)
      assert.strictEqual((yield* connection.request(Metadata, asking(1))).controllerId, 1)
      assert.strictEqual(broker.accepted(), 1)
    })
  )

  it.live("a close by the broker fails what is in flight, retriable", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => close)
      const connection = yield* connect(broker)
      const reason = yield* failure(connection.request(Metadata, {}), "ConnectionLost")
      assert.deepStrictEqual([reason.closedBy, reason.isRetriable, reason.maybeSent], ["broker", true, true])
    })
  )

  it.live("a refused port says so", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      yield* broker.stop
      const reason = yield* failure(connect(broker), "ConnectFailed")
      assert.include(reason.message, "ECONNREFUSED")
    })
  )

  it.live("the end of the scope fails what is in flight and closes the socket", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(Metadata, () => silence)
      const scope = yield* Scope.make()
      const connection = yield* Scope.provide(connect(broker), scope)
      const waiting = yield* Effect.forkChild(failure(connection.request(Metadata, {}), "ConnectionLost"))
      yield* until(() => broker.of(Metadata).length === 1)
      yield* Scope.close(scope, Exit.void)
      const reason = yield* Fiber.join(waiting)
      assert.deepStrictEqual([reason.closedBy, reason.isRetriable], ["client", false])
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("a retired connection ends what it has begun, and no more", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      echoing(broker, 50)
      const connection = yield* connect(broker)
      const begun = yield* Effect.forkChild(connection.request(Metadata, asking(6)))
      yield* until(() => broker.of(Metadata).length === 1)
      yield* connection.retire
      const reason = yield* failure(connection.request(Metadata, asking(7)), "ConnectionLost")
      assert.deepStrictEqual([reason.closedBy, reason.maybeSent], ["replaced", false])
      assert.strictEqual((yield* Fiber.join(begun)).controllerId, 6)
      yield* until(() => broker.open() === 0)
    })
  )

  it.live("C5: a request's own wait counts as its default where it is left out; a field that is no wait does not", () =>
    Effect.gen(function* () {
      const broker = yield* ScriptedBroker.make()
      broker.on(CreateTopics, () => ScriptedBroker.respond({ topics: [] }, { delay: 400 }))
      broker.on(ConsumerGroupHeartbeat, () => ScriptedBroker.silence)
      const connection = yield* connect(broker, { requestTimeout: 150 })
      // Its default of `timeoutMs` is a minute.
      yield* connection.request(CreateTopics, { topics: [] })
      const beat = connection.request(ConsumerGroupHeartbeat, {
        groupId: "g",
        memberId: "m",
        rebalanceTimeoutMs: 300_000
      })
      const { timeout } = yield* failure(
        Effect.timeout(beat, "5 seconds").pipe(Effect.catchTag("TimeoutError", Effect.die)),
        "RequestTimeout"
      )
      assert.strictEqual(timeout, 150)
    })
  )
})
