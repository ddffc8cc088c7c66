/** The behaviour that is compared with real brokers, on the broker inside the process alone: it is whole, and fast. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Effect, Logger } from "effect"
import * as TestBroker from "../../src/TestBroker.ts"
import { told } from "./cases.ts"

const expected = [
  ["createTopics 8: too many replicas", codes.INVALID_REPLICATION_FACTOR],
  ["createPartitions 1: fewer", codes.INVALID_PARTITIONS],
  ["produce 5: bad CRC", codes.CORRUPT_MESSAGE],
  ["sequences 3: a gap", codes.OUT_OF_ORDER_SEQUENCE_NUMBER],
  ["fetch 6: from 4", codes.OFFSET_OUT_OF_RANGE],
  ["sessions 5: an old epoch", codes.INVALID_FETCH_SESSION_EPOCH],
  ["staticMembers 3: is fenced", codes.FENCED_INSTANCE_ID],
  ["fencing 4: of the old", codes.INVALID_PRODUCER_EPOCH],
  ["incrementalAlterConfigs 11: unknown", codes.INVALID_CONFIG],
  ["groupOffsets 7: much metadata", codes.OFFSET_METADATA_TOO_LARGE]
] as const

describe("Behaviour", () => {
  for (const actAs of ["4.4", "3.9", "2.8"] as const) {
    it.live(`${actAs}: every conversation comes to its end, and errors are Kafka's`, () =>
      Effect.gen(function* () {
        const broker = yield* TestBroker.make({ actAs, settings: { "group.initial.rebalance.delay.ms": "0" } })
        const answers = yield* told(broker.bootstrapServers)
        const ends = [...answers].filter(([key]) => key.endsWith(": ended"))
        assert.deepStrictEqual([...new Set(ends.map(([, tag]) => tag))], ["Success"])
        for (const [step, code] of expected) {
          assert.include(
            JSON.stringify(answers.get(step), (_, one) => (typeof one === "bigint" ? `${one}` : one)),
            `"errorCode":${code}`,
            step
          )
        }
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
    )
  }
})
