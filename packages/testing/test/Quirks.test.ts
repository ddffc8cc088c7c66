/** What releases do in their own way, as real brokers of 0.8.2.2, 0.9.0.1, 0.10.2.1 and 4.4.0 do. */
import { assert, describe, it } from "@effect/vitest"
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import { JoinGroup } from "@kafka-effect/protocol/messages/JoinGroup"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { Effect } from "effect"
import * as TestBroker from "../src/TestBroker.ts"
import * as RawClient from "./RawClient.ts"

/** A connection to a broker of a release. */
const to = Effect.fnUntraced(function* (
  actAs: TestBroker.ReleaseName,
  topics: Readonly<Record<string, number>> = { t: 1 }
) {
  const { bootstrapServers } = yield* TestBroker.make({ actAs, topics })
  return yield* Effect.acquireRelease(
    Effect.sync(() => RawClient.connect(bootstrapServers[0])),
    ({ end }) => Effect.sync(end)
  )
})

const next = (client: RawClient.RawClient) => Effect.promise(client.next)

const ask = <Request, Response>(
  client: RawClient.RawClient,
  api: Api<Request, Response>,
  version: number,
  message: Wire.Input<Request>,
  correlationId?: number
) =>
  Effect.gen(function* () {
    client.send(RawClient.frame(api, version, message, correlationId))
    const answer = yield* next(client)
    return typeof answer === "string" ? yield* Effect.die(new Error(answer)) : RawClient.read(api, version, answer)
  })

const newest = { clientSoftwareName: "a", clientSoftwareVersion: "1" }

const unknownApi = Uint8Array.from([0x7f, 0, 0, 0, 0, 0, 0, 1, 0, 0])

describe("Quirks", () => {
  it.live("D1 0.8.2 closes the connection at what it does not know", () =>
    Effect.gen(function* () {
      for (const asked of [
        RawClient.frame(ApiVersions, 0, {}),
        RawClient.frame(ListGroups, 0, {}),
        RawClient.frame(Metadata, 9, { topics: [] }),
        unknownApi
      ]) {
        const client = yield* to("0.8.2")
        client.send(asked)
        assert.strictEqual(yield* next(client), "closed")
      }
    })
  )

  it.live("D1 0.9 says nothing to what it does not know, and answers what follows", () =>
    Effect.gen(function* () {
      for (const asked of [
        RawClient.frame(ApiVersions, 0, {}),
        RawClient.frame(Metadata, 9, { topics: [] }),
        unknownApi
      ]) {
        const client = yield* to("0.9")
        client.send(asked)
        assert.strictEqual((yield* ask(client, Metadata, 0, { topics: [] }, 2)).correlationId, 2)
        assert.strictEqual((yield* ask(client, ListGroups, 0, {}, 3)).correlationId, 3)
      }
    })
  )

  it.live("D1 from 0.10 on, unknown versions of ApiVersions are answered in version 0, others end the connection", () =>
    Effect.gen(function* () {
      for (const [actAs, known] of [
        ["0.10.0", []],
        ["2.3", []],
        ["2.4", [{ apiKey: 18, minVersion: 0, maxVersion: 3 }]],
        ["4.4", [{ apiKey: 18, minVersion: 0, maxVersion: 5 }]]
      ] as const) {
        const client = yield* to(actAs)
        const asked = RawClient.frame(ApiVersions, 3, newest)
        // A version that there is nowhere.
        asked[3] = 77
        client.send(asked)
        const answer = yield* next(client)
        assert.instanceOf(answer, Uint8Array)
        const { message } = RawClient.read(ApiVersions, 0, answer)
        assert.strictEqual(message.errorCode, codes.UNSUPPORTED_VERSION)
        assert.deepStrictEqual(
          message.apiKeys.map(({ apiKey, maxVersion, minVersion }) => ({ apiKey, minVersion, maxVersion })),
          [...known]
        )
        // The connection goes on, up to what is not known at all.
        assert.strictEqual((yield* ask(client, ApiVersions, 0, {}, 2)).correlationId, 2)
        client.send(unknownApi)
        assert.strictEqual(yield* next(client), "closed")
      }
    })
  )

  it.live("a damaged request ends the connection, of ApiVersions too", () =>
    Effect.gen(function* () {
      for (const asked of [RawClient.frame(ApiVersions, 3, newest), RawClient.frame(Metadata, 9, { topics: [] })]) {
        const client = yield* to("4.4")
        client.send(asked.subarray(0, asked.length - 2))
        assert.strictEqual(yield* next(client), "closed")
      }
    })
  )

  it.live("4.x offers Produce from version 0 on, but takes it from version 3 on only", () =>
    Effect.gen(function* () {
      const client = yield* to("4.0")
      const { message } = yield* ask(client, ApiVersions, 3, newest)
      assert.strictEqual(message.apiKeys.find(({ apiKey }) => apiKey === 0)?.minVersion, 0)
      client.send(RawClient.frame(Produce, 2, { acks: 1, timeoutMs: 1, topicData: [] }))
      assert.strictEqual(yield* next(client), "closed")
    })
  )

  it.live("D1 0.8.2 without topics has no brokers, and forgets the correlation id of who asks for a coordinator", () =>
    Effect.gen(function* () {
      const client = yield* to("0.8.2", {})
      assert.deepStrictEqual((yield* ask(client, Metadata, 0, { topics: [] })).message.brokers, [])
      const early = yield* ask(client, FindCoordinator, 0, { key: "g" }, 7)
      assert.deepInclude(early, { correlationId: 0 })
      assert.strictEqual(early.message.errorCode, codes.COORDINATOR_NOT_AVAILABLE)
      yield* ask(client, Metadata, 0, { topics: [{ name: "t" }] })
      const late = yield* ask(client, FindCoordinator, 0, { key: "g" }, 8)
      assert.deepInclude(late, { correlationId: 8 })
      assert.strictEqual(late.message.errorCode, codes.NONE)
    })
  )

  const fetched = (client: RawClient.RawClient, version: number) =>
    Effect.map(
      ask(client, OffsetFetch, version, { groupId: "g", topics: [{ name: "t", partitionIndexes: [0] }] }),
      ({ message }) => {
        const [{ committedOffset, errorCode }] = message.topics[0].partitions
        return [committedOffset, errorCode]
      }
    )
  const commit = (client: RawClient.RawClient, version: number, name: string, committedOffset: bigint) =>
    Effect.map(
      ask(client, OffsetCommit, version, {
        groupId: "g",
        topics: [{ name, partitions: [{ partitionIndex: 0, committedOffset }] }]
      }),
      ({ message }) => message.topics[0].partitions[0].errorCode
    )

  for (const actAs of ["0.8.2", "0.10.2", "3.2"] as const) {
    it.live(`D3 ${actAs}: version 0 of commits is apart from all others`, () =>
      Effect.gen(function* () {
        const client = yield* to(actAs)
        assert.deepStrictEqual(yield* fetched(client, 0), [-1n, codes.UNKNOWN_TOPIC_OR_PARTITION])
        assert.strictEqual(yield* commit(client, 0, "t", 5n), codes.NONE)
        assert.strictEqual(yield* commit(client, 0, "nowhere", 5n), codes.UNKNOWN_TOPIC_OR_PARTITION)
        assert.deepStrictEqual(yield* fetched(client, 0), [5n, codes.NONE])
        assert.deepStrictEqual(yield* fetched(client, 1), [-1n, codes.NONE])
        assert.strictEqual(yield* commit(client, 1, "t", 6n), codes.NONE)
        assert.deepStrictEqual(yield* fetched(client, 0), [5n, codes.NONE])
        assert.deepStrictEqual(yield* fetched(client, 1), [6n, codes.NONE])
      })
    )
  }

  it.live("D3 without ZooKeeper nobody keeps commits of version 0", () =>
    Effect.gen(function* () {
      const client = yield* to("3.9")
      assert.strictEqual(yield* commit(client, 0, "t", 5n), codes.UNSUPPORTED_VERSION)
      assert.deepStrictEqual(yield* fetched(client, 0), [-1n, codes.UNSUPPORTED_VERSION])
    })
  )

  it.live("the longest session is that of the release", () =>
    Effect.gen(function* () {
      for (const [actAs, longest] of [
        ["0.9", 30_000],
        ["0.10.0", 300_000],
        ["2.2", 300_000],
        ["2.3", 1_800_000]
      ] as const) {
        const client = yield* to(actAs)
        const join = (sessionTimeoutMs: number) =>
          Effect.map(
            ask(client, JoinGroup, 0, {
              groupId: `g-${sessionTimeoutMs}`,
              sessionTimeoutMs,
              memberId: "",
              protocolType: "consumer",
              protocols: [{ name: "range", metadata: new Uint8Array(0) }]
            }),
            ({ message }) => message.errorCode
          )
        assert.strictEqual(yield* join(longest), codes.NONE)
        assert.strictEqual(yield* join(longest + 1), codes.INVALID_SESSION_TIMEOUT)
      }
    })
  )
})
