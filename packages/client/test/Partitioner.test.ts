import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import type * as ClusterMetadata from "../src/ClusterMetadata.ts"
import type { TopicQueues } from "../src/internal/producer/Accumulator.ts"
import { Batch } from "../src/internal/producer/Batch.ts"
import * as Partitioning from "../src/internal/producer/Partitioning.ts"
import { PartitionQueue } from "../src/internal/producer/PartitionQueue.ts"
import * as Partitioner from "../src/Partitioner.ts"
import * as murmur2Keys from "./murmur2Keys.ts"

/** Computed with Kafka's own `Utils.murmur2` (kafka-clients 4.4.0). */
const texts: ReadonlyArray<readonly [string, number]> = [
  ["", 275646681],
  ["a", -1563381124],
  ["ab", 316155434],
  ["abc", 479470107],
  ["abcd", -1323649548],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["größe", 588164084],
  ["日本語のトピック", -291967324],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971]
]

/** The same, of the last n of the bytes 0 to 255. */
const ends: ReadonlyArray<readonly [number, number]> = [
  [1, -311467685],
  [3, 1883754278],
  [128, 872916902],
  [129, -797639911],
  [130, 1380692011],
  [131, -1267773073],
  [255, -40751598],
  [256, -1948347274]
]

const bytes = (text: string) => new TextEncoder().encode(text)

/** A topic whose partitions are led by node 1, or by none. */
const topicOf = (leaders: ReadonlyArray<number>, name = "t"): Partitioning.TopicState => {
  const partitions = leaders.map((leader, partition) => ({
    partition,
    leader,
    leaderEpoch: 1,
    replicas: [],
    isr: [],
    offlineReplicas: [],
    errorCode: 0
  }))
  const topic: ClusterMetadata.Topic = {
    name,
    id: "",
    isInternal: false,
    errorCode: 0,
    unknownAnswers: 0,
    partitions
  }
  return { topic, queues: [] }
}

const led = (count: number, name?: string) => topicOf(new Array(count).fill(1), name)

/** Numbers from 0 to 1, evenly spread and always the same. */
const numbers = () => {
  let last = 0
  return () => {
    last = (last + 0.381966) % 1
    return last
  }
}

const make = (partitioner: Partitioner.Partitioner, batchSize = 100) =>
  Partitioning.make({ partitioner, batchSize, random: numbers() })

describe("Partitioner", () => {
  it("murmur2 is Java's", () => {
    for (const [text, hash] of texts)
      assert.strictEqual(Partitioner.murmur2(new TextEncoder().encode(text)), hash, text)
    const all = Uint8Array.from({ length: 256 }, (_, index) => index)
    for (const [length, hash] of ends) assert.strictEqual(Partitioner.murmur2(all.subarray(256 - length)), hash)
  })

  it("C52 10,000 keys go where Java's partitioner puts them", () => {
    const golden = readFileSync(new URL("murmur2.golden.bin", import.meta.url))
    const choose = make("default")
    const state = led(1009)
    murmur2Keys.make().forEach((key, index) => {
      assert.strictEqual(Partitioner.murmur2(key), golden.readInt32BE(index * 6), Buffer.from(key).toString("hex"))
      assert.strictEqual(choose(state, key, null, 10), golden.readInt16BE(index * 6 + 4))
    })
    assert.strictEqual(golden.length, murmur2Keys.count * 6)
  })

  it("C52 records without a key stay together for batchSize bytes, then go elsewhere; each topic for itself", () => {
    const choose = make("default", 100)
    const state = led(3)
    const chosen = Array.from({ length: 300 }, () => choose(state, null, null, 10))
    for (let start = 0; start < 300; start += 10) assert.strictEqual(new Set(chosen.slice(start, start + 10)).size, 1)
    assert.strictEqual(new Set(chosen).size, 3)
    const one = led(1, "one")
    for (let index = 0; index < 5; index++) assert.strictEqual(choose(one, null, null, 1000), 0)
  })

  it("C52 records without a key go less often where more waits, and nowhere without a leader (KIP-794)", () => {
    const choose = make("default", 1)
    const state = topicOf([1, 1, -1, 1])
    const busy = new PartitionQueue("t", 0)
    for (let index = 0; index < 9; index++) busy.waiting.push(new Batch("t", 0, 100, 0))
    const queues: TopicQueues = state.queues
    queues[0] = busy
    const counts = [0, 0, 0, 0]
    for (let index = 0; index < 21_000; index++) counts[choose(state, null, null, 10)]++
    assert.strictEqual(counts[2], 0)
    // Weights 1, 10 and 10.
    assert.isTrue(Math.abs(counts[0] - 1000) < 50 && Math.abs(counts[1] - 10_000) < 500, String(counts))
  })

  it("follows when a topic has fewer partitions than it had", () => {
    const choose = make("default", 1000)
    for (let index = 0; index < 20; index++) choose(led(10), null, null, 10)
    assert.isBelow(choose(led(1), null, null, 10), 1)
  })

  it("sticky takes no notice of keys", () => {
    const choose = make("sticky", 100)
    const state = led(50)
    const chosen = texts.map(([text]) => choose(state, bytes(text), null, 10))
    assert.strictEqual(new Set(chosen).size, 1)
  })

  it("round robin takes the partitions with a leader in turn", () => {
    const choose = make("roundRobin")
    const state = topicOf([1, -1, 1])
    assert.deepStrictEqual(
      Array.from({ length: 4 }, () => choose(state, bytes("k"), null, 1)),
      [0, 2, 0, 2]
    )
  })

  it("random reaches every partition that has a leader; where none has one, any", () => {
    const choose = make("random")
    const chosen = (state: Partitioning.TopicState) =>
      new Set(Array.from({ length: 100 }, () => choose(state, bytes("k"), null, 1)))
    assert.deepStrictEqual([...chosen(topicOf([1, -1, 1]))].sort(), [0, 2])
    assert.strictEqual(chosen(topicOf([-1, -1, -1])).size, 3)
  })

  it("librdkafka's hashes: CRC-32 and FNV-1a", () => {
    const state = led(1000)
    // CRC-32 of "123456789" is 0xcbf43926; FNV-1a of "foobar" is 0xbf9cf968, as a signed number -1080231576.
    assert.strictEqual(make("consistent")(state, bytes("123456789"), null, 1), 0xcbf43926 % 1000)
    assert.strictEqual(make("fnv1a")(state, bytes("foobar"), null, 1), 576)
    assert.strictEqual(make("murmur2")(state, bytes("foobar"), null, 1), (-790332482 & 0x7fffffff) % 1000)
  })

  it("what is no key counts as an empty one, or goes anywhere, as the name says", () => {
    const state = led(1000)
    const spread = (name: Partitioner.Name, key: Uint8Array | null) => {
      const choose = make(name)
      return new Set(Array.from({ length: 20 }, () => choose(state, key, null, 1))).size
    }
    for (const name of ["murmur2", "consistent", "fnv1a"] as const) {
      assert.strictEqual(spread(name, null), 1)
      assert.strictEqual(make(name)(state, null, null, 1), make(name)(state, new Uint8Array(0), null, 1))
    }
    for (const name of ["murmur2Random", "consistentRandom", "fnv1aRandom"] as const)
      assert.isAbove(spread(name, null), 1)
    assert.isAbove(spread("consistentRandom", new Uint8Array(0)), 1)
    assert.strictEqual(spread("murmur2Random", new Uint8Array(0)), 1)
  })

  it("a function of the user's sees the record and the partitions", () => {
    const seen: Array<Partitioner.Input> = []
    const choose = make((input) => {
      seen.push(input)
      return 2
    })
    assert.strictEqual(choose(topicOf([1, -1, 1]), bytes("k"), bytes("v"), 10), 2)
    assert.deepStrictEqual([...seen[0].available()], [0, 2])
    assert.strictEqual(seen[0].partitionCount, 3)
    assert.deepStrictEqual([seen[0].key, seen[0].value], [bytes("k"), bytes("v")])
  })
})
