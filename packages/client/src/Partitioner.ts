/**
 * Which partition a record goes to, where the record does not say.
 *
 * By name: those of Kafka's Java client, of librdkafka and of kafka-python, so that records of one key stay together
 * whoever writes them. Or a function of yours.
 *
 * @since 0.1.0
 */

/**
 * A record whose partition is to be chosen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly topic: string
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  /** How many partitions the topic has. */
  readonly partitionCount: number
  /** The partitions that have a leader now, in order. */
  readonly available: () => ReadonlyArray<number>
}

/**
 * A partitioner of yours: gives the number of a partition, from 0 to `partitionCount` - 1. What it throws, and any other
 * number, fails the record with `InvalidPartition`.
 *
 * @category models
 * @since 0.1.0
 */
export type Custom = (input: Input) => number

/**
 * - `default`: Java's. Keys by murmur2; records without a key stay with one partition for `batchSize` bytes, then go to
 *   another, the less likely the more waits for it (KIP-480, KIP-794).
 * - `sticky`: like that, whatever the key. Java: `partitioner.ignore.keys`.
 * - `roundRobin`: in turn over those with a leader, whatever the key. Java: `RoundRobinPartitioner`.
 * - `random`: any with a leader, whatever the key. librdkafka: `random`.
 * - `murmur2`: all by murmur2; no key counts as an empty one. librdkafka: `murmur2`; kafka-python: `HashedPartitioner`.
 * - `murmur2Random`: keys by murmur2, others at random. librdkafka: `murmur2_random`; kafka-python: the default.
 * - `consistent`: all by CRC-32; no key counts as an empty one. librdkafka: `consistent`.
 * - `consistentRandom`: keys by CRC-32, empty and missing ones at random. librdkafka: `consistent_random`, its default.
 * - `fnv1a`: all by FNV-1a; no key counts as an empty one. librdkafka: `fnv1a`; Sarama: the default.
 * - `fnv1aRandom`: keys by FNV-1a, others at random. librdkafka: `fnv1a_random`.
 *
 * @category models
 * @since 0.1.0
 */
export type Name =
  | "default"
  | "sticky"
  | "roundRobin"
  | "random"
  | "murmur2"
  | "murmur2Random"
  | "consistent"
  | "consistentRandom"
  | "fnv1a"
  | "fnv1aRandom"

/**
 * @category models
 * @since 0.1.0
 */
export type Partitioner = Name | Custom

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/**
 * The 32-bit murmur2 hash as Kafka's Java client computes it (`Utils.murmur2`), as a signed number. The partition of a key
 * is `(murmur2(key) & 0x7fffffff) % partitionCount`.
 *
 * @category hashing
 * @since 0.1.0
 */
export const murmur2 = (bytes: Uint8Array): number => {
  const length = bytes.length
  let hash = seed ^ length
  const whole = length & ~3
  for (let index = 0; index < whole; index += 4) {
    let word = bytes[index] | (bytes[index + 1] << 8) | (bytes[index + 2] << 16) | (bytes[index + 3] << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const rest = length & 3
  if (rest === 3) hash ^= bytes[whole + 2] << 16
  if (rest >= 2) hash ^= bytes[whole + 1] << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[whole], multiplier)
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}

/**
 * The 32-bit FNV-1a hash as librdkafka and Sarama use it: the absolute value of the signed number.
 *
 * @category hashing
 * @since 0.1.0
 */
export const fnv1a = (bytes: Uint8Array): number => {
  let hash = 0x811c9dc5 | 0
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return Math.abs(hash)
}
