import { assert, describe, it } from "@effect/vitest"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import { Effect, Schema } from "effect"
import * as Decoding from "../src/internal/consumer/Decoding.ts"
import { FetchedPartition } from "../src/internal/consumer/FetchedPartition.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Serde from "../src/Serde.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.json(Schema.Number) })
const plain = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })

const taken = (values: ReadonlyArray<string>, change: (bytes: Uint8Array) => void = () => {}) => {
  const builder = new RecordBatchBuilder(1024)
  for (const value of values) builder.append(5, null, new TextEncoder().encode(value))
  const bytes = Uint8Array.from(builder.build() as Uint8Array)
  change(bytes)
  const [batch] = Records.split(bytes).batches
  const source = new FetchedPartition({ topic: "t", partition: 3, start: 0n, maxBytes: 1000 })
  return { batch, from: 0n, source }
}

describe("Decoding", () => {
  it.effect("C78 a wrong checksum is an error that names the place, unless checksums are not asked for", () =>
    Effect.gen(function* () {
      const flip = (bytes: Uint8Array) => {
        bytes[bytes.length - 2] ^= 1
      }
      const damaged = taken(["a", "b"], flip)
      const error = yield* Effect.flip(Decoding.decode(damaged, plain, { checkCrcs: true }))
      assert.strictEqual(error._tag === "ConsumerError" && error.reason._tag, "InvalidRecords")
      assert.include(error.message, "topic t partition 3 from offset 0")
      const { records } = yield* Decoding.decode(damaged, plain, { checkCrcs: false })
      assert.strictEqual(records.length, 2)
    })
  )

  it.effect("records that cannot be decoded are told apart; the others keep their places", () =>
    Effect.gen(function* () {
      const { raw, records, undecoded } = yield* Decoding.decode(taken(["1", "{", "3"]), topic, { checkCrcs: true })
      assert.deepStrictEqual(
        records.map(({ offset, value }) => [offset, value]),
        [
          [0n, 1],
          [2n, 3]
        ]
      )
      assert.deepStrictEqual(
        raw.map(({ offset }) => offset),
        [0n, 2n]
      )
      assert.strictEqual(undecoded.length, 1)
      assert.include(undecoded[0].error.message, "offset 1")
    })
  )
})
