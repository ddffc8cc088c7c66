/**
 * Which partition a record goes to: by the key's murmur2 hash, as the Java client does; records without a key stick to
 * one partition until a batch is full (KIP-480).
 *
 * @since 0.1.0
 */

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/** The 32-bit murmur2 hash as Kafka's Java client computes it. @internal */
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

/** @internal */
export interface Partitioner {
  /** The partition of a record; `size` in bytes counts towards the stickiness of records without a key. */
  readonly partition: (topic: string, key: Uint8Array | null, size: number, partitionCount: number) => number
}

interface Sticky {
  partition: number
  bytes: number
}

/** @internal */
export const make = (options: { readonly batchSize: number; readonly random: () => number }): Partitioner => {
  const sticky = new Map<string, Sticky>()
  return {
    partition: (topic, key, size, partitionCount) => {
      // The sign bit is taken off, not the absolute value taken: as Java does.
      if (key !== null) return (murmur2(key) & 0x7fffffff) % partitionCount
      let state = sticky.get(topic)
      if (state === undefined) {
        state = { partition: -1, bytes: 0 }
        sticky.set(topic, state)
      }
      if (state.partition < 0 || state.partition >= partitionCount || state.bytes >= options.batchSize) {
        // Another one than before, if there is another.
        const step =
          partitionCount > 1 && state.partition >= 0 ? 1 + Math.floor(options.random() * (partitionCount - 1)) : 0
        const start = state.partition < 0 ? Math.floor(options.random() * partitionCount) : state.partition
        state.partition = (start + step) % partitionCount
        state.bytes = 0
      }
      state.bytes += size
      return state.partition
    }
  }
}
