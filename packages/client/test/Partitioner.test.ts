import { assert, describe, it } from "@effect/vitest"
import * as Partitioner from "../src/internal/producer/Partitioner.ts"

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

describe("partitioner", () => {
  it("murmur2 is Java's", () => {
    for (const [text, hash] of texts)
      assert.strictEqual(Partitioner.murmur2(new TextEncoder().encode(text)), hash, text)
    const all = Uint8Array.from({ length: 256 }, (_, index) => index)
    for (const [length, hash] of ends) assert.strictEqual(Partitioner.murmur2(all.subarray(256 - length)), hash)
  })

  it("a key always goes to the same partition, within the topic's", () => {
    const partitioner = Partitioner.make({ batchSize: 100, random: () => 0.5 })
    for (const [text] of texts) {
      const key = new TextEncoder().encode(text)
      const partition = partitioner.partition("t", key, 10, 7)
      assert.isTrue(partition >= 0 && partition < 7)
      assert.strictEqual(partitioner.partition("t", key, 10, 7), partition)
    }
  })

  it("records without a key stay together until a batch is full, then go elsewhere", () => {
    let random = 0
    const partitioner = Partitioner.make({
      batchSize: 100,
      random: () => {
        random = (random + 0.37) % 1
        return random
      }
    })
    const chosen = Array.from({ length: 100 }, () => partitioner.partition("t", null, 10, 3))
    for (let start = 0; start < 100; start += 10) {
      assert.strictEqual(new Set(chosen.slice(start, start + 10)).size, 1)
      if (start > 0) assert.notStrictEqual(chosen[start], chosen[start - 1])
    }
  })

  it("follows when a topic has fewer partitions than it had, and knows a topic with one", () => {
    const partitioner = Partitioner.make({ batchSize: 1000, random: () => 0.99 })
    assert.strictEqual(partitioner.partition("t", null, 10, 10), 9)
    assert.isBelow(partitioner.partition("t", null, 10, 2), 2)
    for (let index = 0; index < 5; index++) assert.strictEqual(partitioner.partition("one", null, 1000, 1), 0)
  })
})
