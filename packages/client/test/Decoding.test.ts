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

const alone = { checkCrcs: true, maxRecords: 1000, fetcher: { takeNext: () => undefined } }

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
      const error = yield* Effect.flip(Decoding.decode(damaged, plain, alone))
      assert.strictEqual(error._tag === "ConsumerError" && error.reason._tag, "InvalidRecords")
      assert.include(error.message, "topic t partition 3 from offset 0")
      const { records } = yield* Decoding.decode(damaged, plain, { ...alone, checkCrcs: false })
      assert.strictEqual(records.length, 2)
    })
  )

  it.effect("records that cannot be decoded are told apart; the others keep their places", () =>
    Effect.gen(function* () {
      const { raw, records, undecoded } = yield* Decoding.decode(taken(["1", "{", "3"]), topic, alone)
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

  /** Batches of two records behind each other, the first of them taken. */
  const following = (count: number, change?: (index: number, bytes: Uint8Array) => void) => {
    const { source } = taken([])
    const batches = Array.from({ length: count }, (_, index) => {
      const { batch } = taken([`${2 * index}`, `${2 * index + 1}`], (bytes) => {
        new DataView(bytes.buffer).setBigInt64(0, BigInt(2 * index))
        change?.(index, bytes)
      })
      return { batch, from: 0n }
    })
    source.queue.push(...batches.slice(1))
    source.queuedBytes = batches.slice(1).reduce((sum, { batch }) => sum + batch.bytes.length, 0)
    const fetcher: Decoding.Options["fetcher"] = {
      takeNext: (from, isWanted) =>
        from.queue[0] !== undefined && isWanted(from.queue[0].batch) ? from.take() : undefined
    }
    return { first: { ...batches[0], source }, options: { ...alone, fetcher } }
  }

  it.effect("small batches behind each other come together, up to the number of records that is asked for", () =>
    Effect.gen(function* () {
      const { first, options } = following(4)
      const { more, raw, records } = yield* Decoding.decode(first, plain, { ...options, maxRecords: 7 })
      assert.deepStrictEqual(
        records.map(({ offset, value }) => [offset, value]),
        [0n, 1n, 2n, 3n, 4n, 5n].map((offset) => [offset, `${offset}`])
      )
      assert.strictEqual(raw.length, 6)
      assert.strictEqual(more.length, 2)
      assert.strictEqual(first.source.queue.length, 1)
      assert.strictEqual(first.source.queuedBytes, first.source.queue[0].batch.bytes.length)
    })
  )

  it.effect("a damaged batch, and one of another leader, do not come along: they are met in their turn", () =>
    Effect.gen(function* () {
      const damaged = following(3, (index, bytes) => {
        if (index === 1) bytes[bytes.length - 2] ^= 1
      })
      assert.lengthOf((yield* Decoding.decode(damaged.first, plain, damaged.options)).records, 2)
      assert.lengthOf(damaged.first.source.queue, 2)
      const moved = following(3, (index, bytes) => new DataView(bytes.buffer).setInt32(12, index === 2 ? 7 : 1))
      assert.lengthOf((yield* Decoding.decode(moved.first, plain, moved.options)).records, 4)
      assert.strictEqual(moved.first.source.queue[0].batch.partitionLeaderEpoch, 7)
    })
  )

  it.effect("what cannot be decoded in a batch that came along cuts there", () =>
    Effect.gen(function* () {
      const numbers = Kafka.topic("t", {
        key: Serde.nullable(Serde.string),
        value: Serde.json(Schema.Literals([0, 1, 2, 4, 5]))
      })
      const { first, options } = following(3)
      const decoded = yield* Decoding.decode(first, numbers, options)
      assert.deepStrictEqual(
        decoded.records.map(({ offset }) => offset),
        [0n, 1n, 2n, 4n, 5n]
      )
      assert.strictEqual(decoded.undecoded[0].record.offset, 3n)
      assert.lengthOf(Decoding.upToUndecoded(decoded).records, 3)
    })
  )
})
