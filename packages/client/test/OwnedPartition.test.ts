import { assert, describe, it } from "@effect/vitest"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { OwnedPartition } from "../src/internal/consumer/OwnedPartition.ts"

const batch = (baseOffset: bigint, isControl: boolean): Uint8Array => {
  const builder = new RecordBatchBuilder()
  builder.append(0, new Uint8Array([0, 0, 0, 1]), new Uint8Array([0, 0, 0, 0, 0, 1]))
  const options = { baseOffset, producerId: 1n, producerEpoch: 0, isTransactional: true, isControl }
  return Uint8Array.from(builder.build(options) as Uint8Array)
}

const answer = { highWatermark: 3n, lastStableOffset: 3n, logStartOffset: 0n }

describe("OwnedPartition", () => {
  it("the marker of a transaction behind the last record is no lag", () => {
    const owned = new OwnedPartition("t", 0, { maxBytes: 1000, now: 0 })
    owned.seek(0n)
    // The rest of an answer does not matter here.
    owned.fetched.observe(answer as Parameters<typeof owned.fetched.observe>[0])
    owned.fetched.accept(new Uint8Array(Buffer.concat([batch(0n, false), batch(1n, false), batch(2n, true)])), [])
    const lags = [owned.lag("committed")]
    for (const end of [1n, 2n]) {
      owned.fetched.take()
      owned.handed = { offset: end, leaderEpoch: 0 }
      lags.push(owned.lag("committed"))
    }
    assert.deepStrictEqual(lags, [3n, 2n, 0n])
    assert.strictEqual(owned.position, 3n)
  })
})
