import { assert, describe, it } from "@effect/vitest"
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { FetchedPartition } from "../src/internal/consumer/FetchedPartition.ts"

const batch = (baseOffset: bigint, count: number, options: BuildOptions = {}): Uint8Array => {
  const builder = new RecordBatchBuilder()
  for (let index = 0; index < count; index++) builder.append(0, null, new Uint8Array([index]))
  return Uint8Array.from(builder.build({ ...options, baseOffset }) as Uint8Array)
}

const marker = (offset: bigint, producerId: bigint, type: 0 | 1): Uint8Array => {
  const builder = new RecordBatchBuilder()
  builder.append(0, new Uint8Array([0, 0, 0, type]), new Uint8Array([0, 0, 0, 0, 0, 1]))
  const options = { baseOffset: offset, producerId, producerEpoch: 0, isTransactional: true, isControl: true }
  return Uint8Array.from(builder.build(options) as Uint8Array)
}

const partition = (end?: bigint) => new FetchedPartition({ topic: "t", partition: 0, start: 0n, end, maxBytes: 1000 })

const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

const offsets = (self: FetchedPartition): ReadonlyArray<bigint> => self.queue.map(({ batch }) => batch.baseOffset)

describe("FetchedPartition", () => {
  it("C79 drops aborted transactions and control batches, and passes what has no producer", () => {
    const self = partition()
    const one = { producerId: 1n, producerEpoch: 0, isTransactional: true }
    const two = { ...one, producerId: 2n }
    const records = join(
      batch(0n, 2, one), // aborted
      batch(2n, 2, two), // committed
      batch(4n, 1), // no transaction
      marker(5n, 1n, 0),
      batch(6n, 2, one), // the next transaction of the same producer: committed
      marker(8n, 2n, 1),
      marker(9n, 1n, 1)
    )
    self.accept(records, [{ producerId: 1n, firstOffset: 0n }])
    assert.deepStrictEqual(offsets(self), [2n, 4n, 6n])
    assert.strictEqual(self.position, 10n)
  })

  it("C79 activates an aborted transaction by the batch's last offset, and takes an unordered list", () => {
    const self = partition()
    const one = { producerId: 1n, producerEpoch: 0, isTransactional: true }
    const two = { ...one, producerId: 2n }
    const aborted = [
      { producerId: 2n, firstOffset: 3n },
      { producerId: 1n, firstOffset: 1n }
    ]
    self.accept(join(batch(0n, 3, one), batch(3n, 1, two)), aborted)
    assert.deepStrictEqual(offsets(self), [])
    assert.strictEqual(self.position, 4n)
  })

  it("C76 C77 the position passes control batches and gaps, so that reading to the end ends", () => {
    const self = partition(7n)
    self.accept(join(batch(0n, 2), marker(6n, 9n, 1)), [])
    assert.strictEqual(self.position, 7n)
    assert.isTrue(self.isComplete)
  })

  it("C75 keeps nothing that lies wholly before the offset asked for, or wholly behind the end", () => {
    const self = partition(6n)
    self.position = 4n
    self.accept(join(batch(0n, 3), batch(3n, 2), batch(5n, 1), batch(6n, 1)), [])
    assert.deepStrictEqual(offsets(self), [3n, 5n])
  })

  it("C73 C74 asks for more when not one batch fits", () => {
    const self = partition()
    const large = batch(0n, 2000)
    self.accept(large.subarray(0, 1000), [])
    assert.strictEqual(self.maxBytes, large.length)
    assert.strictEqual(self.position, 0n)
  })

  it("C74 what is cut off behind whole batches is ignored, wherever it is cut", () => {
    const [first, second] = [batch(0n, 2), batch(2n, 2)]
    for (let cut = 0; cut < second.length; cut++) {
      const self = partition()
      assert.isTrue(self.accept(join(first, second.subarray(0, cut)), []))
      assert.deepStrictEqual([offsets(self), self.position, self.maxBytes, self.error], [[0n], 2n, 1000, undefined])
    }
  })

  it("C76 bytes from which nothing comes are told apart from no bytes", () => {
    const self = partition()
    self.position = 5n
    assert.isFalse(self.accept(batch(0n, 2), []))
    assert.isTrue(self.accept(new Uint8Array(0), []))
    assert.isTrue(self.accept(batch(5n, 1), []))
  })

  it("C80 the position delivered is that of what is queued first, and passes what nobody is given", () => {
    const self = partition()
    assert.strictEqual(self.delivered, 0n)
    self.accept(join(marker(0n, 9n, 1), batch(1n, 2), batch(3n, 1), marker(4n, 9n, 1)), [])
    assert.deepStrictEqual([self.delivered, self.position], [1n, 5n])
    self.take()
    assert.strictEqual(self.delivered, 3n)
    self.take()
    assert.strictEqual(self.delivered, 5n)
  })

  it("C78 damage is an error that names the place, met after what was good", () => {
    const self = partition()
    const records = batch(7n, 1)
    records[16] = 9
    self.position = 7n
    self.accept(records, [])
    assert.strictEqual(self.error?.reason._tag, "InvalidRecords")
    assert.include(self.error?.message, "topic t partition 0 from offset 7")
  })

  it("C23 batches that overlap, or come twice, are taken once", () => {
    const self = partition()
    self.accept(join(batch(0n, 3), batch(0n, 3), batch(2n, 3)), [])
    assert.deepStrictEqual(
      self.queue.map(({ batch, from }) => [batch.baseOffset, from]),
      [
        [0n, 0n],
        [2n, 3n]
      ]
    )
    assert.strictEqual(self.position, 5n)
  })

  it("counts the bytes that wait", () => {
    const self = partition()
    const records = batch(0n, 3)
    assert.isTrue(self.accept(records, []))
    assert.strictEqual(self.queuedBytes, records.length)
    self.take()
    assert.strictEqual(self.queuedBytes, 0)
  })
})
