/** What the command asks about groups, of brokers that answer as no good broker does. */
import { assert, describe, it } from "@effect/vitest"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Effect, Logger, type Scope } from "effect"
import * as Kafka from "kafka-effect/Kafka"
import { respond } from "../../client/test/ScriptedBroker.ts"
import * as ScriptedCluster from "../../client/test/ScriptedCluster.ts"
import * as ScriptedOffsets from "../../client/test/ScriptedOffsets.ts"
import * as GroupRequests from "../src/GroupRequests.ts"
import * as GroupReset from "../src/GroupReset.ts"

/** One broker with topic `t` of three partitions, of which the last has no leader. */
const start = Effect.gen(function* () {
  const scripted = yield* ScriptedCluster.make(1)
  scripted.topics.set("t", { partitions: [1, 1, -1].map((leader) => ({ leader, epoch: 0 })) })
  ScriptedOffsets.make(scripted)
  const [broker] = scripted.brokers
  broker.on(ListOffsets, ({ message }) =>
    respond({
      topics: message.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => ({
          partitionIndex,
          offset: timestamp === -2n ? 0n : 10n
        }))
      }))
    })
  )
  return { broker, client: Kafka.layer({ bootstrapServers: [`${broker.host}:${broker.port}`] }) }
})

const live = (
  name: string,
  test: (context: Effect.Success<typeof start>) => Effect.Effect<void, unknown, Scope.Scope>
) => it.live(name, () => Effect.flatMap(start, test))

describe("Groups", () => {
  live("a partition that the answer leaves out was not committed", ({ broker, client }) =>
    Effect.gen(function* () {
      const places = [0, 1].map((partition) => ({ topic: "t", partition, offset: 3n }))
      const commit = Effect.provide(GroupRequests.commit("g", places), client)
      yield* commit
      for (const topics of [[], [{ name: "t", partitions: [{ partitionIndex: 0, errorCode: 0 }] }]]) {
        broker.on(OffsetCommit, () => respond({ topics }))
        const { message } = yield* Effect.flip(commit)
        assert.include(message, "the response does not name the partition")
        assert.include(message, `topic t partition ${topics.length}`)
      }
    })
  )

  live("a reset of all topics says which partitions it leaves out", ({ broker, client }) =>
    Effect.gen(function* () {
      const said: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ logLevel, message }) => void said.push([logLevel, message].flat()))])
      const committed = { committedOffset: 5n, errorCode: 0 }
      broker.on(OffsetFetch, () =>
        respond({
          groups: [
            {
              groupId: "g",
              topics: [
                { name: "t", partitions: [0, 1, 2].map((partitionIndex) => ({ partitionIndex, ...committed })) },
                { name: "gone", partitions: [{ partitionIndex: 0, ...committed }] }
              ]
            }
          ]
        })
      )
      const plan = yield* GroupReset.plan("g", undefined, "earliest").pipe(
        Effect.scoped,
        Effect.provide(client),
        Effect.provide(logger)
      )
      assert.deepStrictEqual(
        plan.map(({ next, partition }) => [partition, next]),
        [
          [0, 0n],
          [1, 0n]
        ]
      )
      assert.deepInclude(said, ["Warn", "left as they are, for they have no leader: t 2"])
    })
  )
})
