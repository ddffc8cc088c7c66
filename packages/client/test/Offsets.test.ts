import { assert, describe, it } from "@effect/vitest"
import { Equal, Hash, Schema } from "effect"
import { DeliveredRecord } from "../src/internal/consumer/DeliveredRecord.ts"
import { Lease } from "../src/internal/consumer/Lease.ts"
import { LowWaterMark } from "../src/internal/consumer/LowWaterMark.ts"
import * as Offsets from "../src/Offsets.ts"

const record = (partition: number, offset: number, lease?: Lease) =>
  new DeliveredRecord("t", partition, BigInt(offset), 3, 0, "create", null, null, [], lease?.stretch)

const describeOffsets = (offsets: Offsets.Offsets) =>
  [...offsets]
    .map(({ offset, partition }) => `${partition}=${offset}`)
    .sort()
    .join(" ")

const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
const places = Schema.Array(Schema.Tuple([small, small]))

describe("Offsets", () => {
  it("of: one more than the last record of each partition, in any order", () => {
    const offsets = Offsets.of([record(0, 1), record(1, 7), record(0, 5), record(0, 2), record(1, 3)])
    assert.strictEqual(describeOffsets(offsets), "0=6 1=8")
    assert.strictEqual(offsets.get("t", 0)?.leaderEpoch, 3)
    assert.strictEqual(offsets.size, 2)
    assert.strictEqual(describeOffsets(Offsets.of(record(2, 0))), "2=1")
    assert.strictEqual(Offsets.of([]).size, 0)
  })

  it("equals what says the same of the same partitions, under whatever lease", () => {
    const offsets = Offsets.of([record(0, 1), record(1, 7)])
    const same = Offsets.of([record(1, 7, new Lease("t", 1)), record(0, 1)])
    assert.isTrue(Equal.equals(offsets, same))
    assert.strictEqual(Hash.hash(offsets), Hash.hash(same))
    for (const other of [Offsets.of([record(0, 1)]), Offsets.of([record(0, 1), record(1, 8)]), Offsets.empty]) {
      assert.isFalse(Equal.equals(offsets, other))
    }
    assert.isFalse(Equal.equals(offsets, Offsets.withMetadata(offsets, "x")))
  })

  it("what was read under a lease that has ended does not stand in the way of what was read later", () => {
    const stale = new Lease("t", 0)
    const fresh = new Lease("t", 0)
    stale.end()
    const old = record(0, 9, stale)
    const now = record(0, 4, fresh)
    for (const records of [
      [old, now],
      [now, old],
      [old, record(1, 0), now]
    ]) {
      assert.strictEqual(Offsets.of(records).get("t", 0)?.offset, 5n)
    }
    assert.strictEqual(Offsets.merge(Offsets.of(old), Offsets.of(now)).get("t", 0)?.offset, 5n)
    assert.strictEqual(Offsets.merge(Offsets.of(now), Offsets.of(old)).get("t", 0)?.offset, 5n)
  })

  it("what was read before a seek does not stand in the way of what was read since", () => {
    const lease = new Lease("t", 0)
    const old = [record(0, 9, lease), record(0, 20, lease)]
    lease.jump()
    const now = record(0, 4, lease)
    for (const records of [
      [...old, now],
      [now, ...old],
      [...old, record(1, 0), now]
    ]) {
      assert.strictEqual(Offsets.of(records).get("t", 0)?.offset, 5n)
    }
    assert.strictEqual(Offsets.merge(Offsets.of(old), Offsets.of(now)).get("t", 0)?.offset, 5n)
    assert.strictEqual(Offsets.merge(Offsets.of(now), Offsets.of(old)).get("t", 0)?.offset, 5n)
  })

  it("metadata and leases stay with their entries; a copy of a record has no lease", () => {
    const lease = new Lease("t", 0)
    const [entry] = Offsets.entriesOf(Offsets.from(Offsets.withMetadata(Offsets.of(record(0, 1, lease)), "half way")))
    assert.deepStrictEqual([entry.metadata, entry.offset], ["half way", 2n])
    assert.strictEqual(entry.stretch, lease.stretch)
    const [copy] = Offsets.entriesOf(Offsets.of({ ...record(0, 1, lease) }))
    assert.isUndefined(copy.stretch)
    assert.include(JSON.stringify(Offsets.withMetadata(Offsets.of(record(0, 1, lease)), "x")), '"offset":"2"')
  })

  it.prop("merge of parts is of of the whole, whatever the order", [places, places], ([one, two]) => {
    const records = (list: typeof one) => list.map(([partition, offset]) => record(partition, offset))
    const whole = describeOffsets(Offsets.of(records([...one, ...two])))
    const [first, second] = [Offsets.of(records(one)), Offsets.of(records(two))]
    assert.strictEqual(describeOffsets(Offsets.merge(first, second)), whole)
    assert.strictEqual(describeOffsets(Offsets.merge(second, first)), whole)
    assert.strictEqual(describeOffsets(Offsets.merge(first, Offsets.empty)), describeOffsets(first))
  })
})

describe("Low-water mark", () => {
  it.prop("is behind the last record before which none is open", [Schema.Array(small)], ([choices]) => {
    const mark = new LowWaterMark<number>()
    const open: Array<readonly [ticket: number, place: number]> = []
    const done = new Set<number>()
    let added = 0
    let last = 0
    // Enough for what is done with to be let go on the way.
    for (let round = 0; round < 400; round++) {
      for (const choice of [...choices, 0, 1]) {
        for (let index = 0; index <= choice; index++) open.push([mark.add(++added), added])
        const [[ticket, place]] = open.splice((choice * 7919 + round) % open.length, 1)
        done.add(place)
        const moved = mark.finish(ticket)
        let expected = last
        while (done.has(expected + 1)) expected++
        assert.strictEqual(moved, expected === last ? undefined : expected)
        last = expected
        assert.strictEqual(mark.open, added - last)
        assert.strictEqual(mark.firstOpen, last === added ? undefined : last + 1)
      }
    }
  })
})
