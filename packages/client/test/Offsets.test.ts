import { assert, describe, it } from "@effect/vitest"
import { Equal, Hash } from "effect"
import { DeliveredRecord } from "../src/internal/consumer/DeliveredRecord.ts"
import { Lease } from "../src/internal/consumer/Lease.ts"
import * as Offsets from "../src/Offsets.ts"
import { randomOf } from "./random.ts"

const record = (offset: number, options: { topic?: string; partition?: number; epoch?: number; lease?: Lease } = {}) =>
  new DeliveredRecord(
    options.topic ?? "t",
    options.partition ?? 0,
    BigInt(offset),
    options.epoch ?? 3,
    1_600_000_000_000,
    "create",
    null,
    null,
    [],
    options.lease
  )

/** What is in it, without leases, in order of topic and partition. */
const entries = (offsets: Offsets.Offsets) =>
  [...offsets]
    .map(({ leaderEpoch, metadata, offset, partition, topic }) => ({ topic, partition, offset, leaderEpoch, metadata }))
    .sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition)

const entry = (offset: number, partition = 0, leaderEpoch = 3, metadata: string | undefined = undefined) => ({
  topic: "t",
  partition,
  offset: BigInt(offset),
  leaderEpoch,
  metadata
})

const leaseIn = (offsets: Offsets.Offsets) => [...Offsets.entriesOf(offsets)][0]?.lease

describe("Offsets", () => {
  it("of a record is the next one to be read, with its leader epoch", () => {
    const offsets = Offsets.of(record(41))
    assert.deepStrictEqual(entries(offsets), [entry(42)])
    assert.strictEqual(offsets.size, 1)
    assert.strictEqual(offsets.get("t", 0)?.offset, 42n)
    assert.isUndefined(offsets.get("t", 1))
    assert.isUndefined(offsets.get("u", 0))
  })

  it("of none is empty", () => {
    assert.strictEqual(Offsets.of([]).size, 0)
    assert.deepStrictEqual([...Offsets.empty], [])
  })

  it("of many, in any order and of any iterable: the furthest of each partition, with the epoch of that record", () => {
    const random = randomOf(7)
    for (let round = 0; round < 300; round++) {
      const records = Array.from({ length: Math.floor(random() * 40) }, () =>
        record(Math.floor(random() * 100), {
          topic: random() < 0.5 ? "t" : "u",
          partition: Math.floor(random() * 3)
        })
      ).map((one) => record(Number(one.offset), { ...one, epoch: Number(one.offset) * 2 }))
      const furthest = new Map<string, DeliveredRecord>()
      for (const one of records) {
        const key = `${one.topic} ${one.partition}`
        const known = furthest.get(key)
        if (known === undefined || one.offset > known.offset) furthest.set(key, one)
      }
      const expected = [...furthest.values()]
        .map(({ leaderEpoch, offset, partition, topic }) => ({
          topic,
          partition,
          offset: offset + 1n,
          leaderEpoch,
          metadata: undefined
        }))
        .sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition)
      assert.deepStrictEqual(entries(Offsets.of(records)), expected)
      assert.deepStrictEqual(entries(Offsets.of(new Set(records))), expected)
    }
  })

  it("merging is of any order and grouping: the same as all at once", () => {
    const random = randomOf(11)
    const lease = [0, 1, 2].map((partition) => new Lease("t", partition))
    const some = () =>
      Array.from({ length: Math.floor(random() * 6) }, () => {
        const partition = Math.floor(random() * 3)
        const offset = Math.floor(random() * 50)
        return record(offset, { partition, epoch: offset, lease: lease[partition] })
      })
    for (let round = 0; round < 300; round++) {
      const [a, b, c] = [some(), some(), some()]
      const all = entries(Offsets.of([...a, ...b, ...c]))
      const { merge, of } = Offsets
      assert.deepStrictEqual(entries(merge(merge(of(a), of(b)), of(c))), all)
      assert.deepStrictEqual(entries(merge(of(c), merge(of(b), of(a)))), all)
      assert.deepStrictEqual(entries(merge(of(a), of(a))), entries(of(a)))
      assert.deepStrictEqual(entries(merge(Offsets.empty, of(a))), entries(of(a)))
    }
  })

  it("merging leaves both as they were", () => {
    const one = Offsets.of(record(1))
    const other = Offsets.of(record(5))
    Offsets.merge(one, other)
    assert.deepStrictEqual(entries(one), [entry(2)])
    assert.deepStrictEqual(entries(other), [entry(6)])
    assert.strictEqual(Offsets.empty.size, 0)
  })

  it("C104 what an ended lease has said is void beside a later one, though it was further", () => {
    const before = new Lease("t", 0)
    const now = new Lease("t", 0)
    const old = Offsets.of(record(90, { lease: before }))
    const fresh = Offsets.of(record(10, { lease: now }))
    before.end()
    for (const merged of [Offsets.merge(old, fresh), Offsets.merge(fresh, old)]) {
      assert.deepStrictEqual(entries(merged), [entry(11)])
      assert.strictEqual(leaseIn(merged), now)
    }
  })

  it("records know their lease and show it nowhere; a copy has none", () => {
    const lease = new Lease("t", 0)
    const original = record(1, { lease })
    assert.strictEqual(DeliveredRecord.leaseOf(original), lease)
    assert.isUndefined(DeliveredRecord.leaseOf({ ...original }))
    assert.notProperty(original, "lease")
    assert.deepStrictEqual(Reflect.ownKeys(original), Reflect.ownKeys({ ...original }))
    assert.strictEqual(leaseIn(Offsets.of([original])), lease)
    assert.isUndefined(leaseIn(Offsets.of([{ ...original }])))
    assert.strictEqual(leaseIn(Offsets.from(Offsets.of(original))), lease)
  })

  it("from entries: given as they are, the epoch unknown where it is left out, the furthest of one partition", () => {
    const offsets = Offsets.from([
      { topic: "t", partition: 1, offset: 0n },
      { topic: "t", partition: 0, offset: 9n, leaderEpoch: 4, metadata: "m" },
      { topic: "t", partition: 0, offset: 3n }
    ])
    assert.deepStrictEqual(entries(offsets), [entry(9, 0, 4, "m"), entry(0, 1, -1)])
  })

  it("withMetadata gives each the text and keeps the rest, leases too", () => {
    const lease = new Lease("t", 0)
    const offsets = Offsets.withMetadata(Offsets.of(record(7, { lease })), "from shard 3")
    assert.deepStrictEqual(entries(offsets), [entry(8, 0, 3, "from shard 3")])
    assert.strictEqual(leaseIn(offsets), lease)
  })

  it("is data: equal by what is in it, in whatever order and under whatever lease", () => {
    const one = { topic: "t", partition: 0, offset: 2n, leaderEpoch: 3 }
    const other = { topic: "u", partition: 1, offset: 5n }
    const offsets = Offsets.from([one, other])
    const leased = Offsets.of(record(1, { lease: new Lease("t", 0) }))
    const same = [Offsets.from([other, one]), Offsets.merge(leased, Offsets.from([other]))]
    for (const that of same) {
      assert.isTrue(Equal.equals(offsets, that))
      assert.strictEqual(Hash.hash(offsets), Hash.hash(that))
    }
    const different = [
      Offsets.empty,
      leased,
      Offsets.from([{ ...one, offset: 3n }, other]),
      Offsets.from([{ ...one, leaderEpoch: 4 }, other]),
      Offsets.from([{ ...one, metadata: "m" }, other]),
      Offsets.from([{ ...one, partition: 2 }, other]),
      Offsets.from([{ ...one, topic: "v" }, other])
    ]
    for (const that of different) assert.isFalse(Equal.equals(offsets, that))
  })

  it("is JSON without leases", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(Offsets.of(record(1, { lease: new Lease("t", 0) })))), {
      _tag: "Offsets",
      entries: [{ topic: "t", partition: 0, offset: "2", leaderEpoch: 3 }]
    })
  })
})
