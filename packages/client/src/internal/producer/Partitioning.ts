/**
 * Chooses partitions by the partitioner that the producer was given.
 *
 * @since 0.1.0
 */
import { crc32 } from "node:zlib"
import type * as ClusterMetadata from "../../ClusterMetadata.ts"
import * as Partitioner from "../../Partitioner.ts"
import type { TopicQueues } from "./Accumulator.ts"

/** @internal */
export interface Options {
  readonly partitioner: Partitioner.Partitioner
  readonly batchSize: number
  /** From 0 to 1. */
  readonly random: () => number
}

/** What the choice depends on besides the record. @internal */
export interface TopicState {
  readonly topic: ClusterMetadata.Topic
  readonly queues: TopicQueues
}

/** `size` in bytes counts towards the stickiness of records without a key. @internal */
export type Choose = (state: TopicState, key: Uint8Array | null, value: Uint8Array | null, size: number) => number

const noKey = new Uint8Array(0)

const availableOf = ({ partitions }: ClusterMetadata.Topic): ReadonlyArray<number> =>
  partitions.flatMap(({ leader }, partition) => (leader >= 0 ? [partition] : []))

/** @internal */
export const make = (options: Options): Choose => {
  const { partitioner, random } = options
  const anyOf = (topic: ClusterMetadata.Topic): number => {
    const available = availableOf(topic)
    const count = available.length > 0 ? available.length : topic.partitions.length
    const place = Math.floor(random() * count)
    return available.length > 0 ? available[place] : place
  }
  const byHash =
    (hash: (key: Uint8Array) => number): Choose =>
    ({ topic }, key) =>
      hash(key ?? noKey) % topic.partitions.length
  const atRandom: Choose = ({ topic }) => anyOf(topic)
  const either =
    (hasKey: (key: Uint8Array) => boolean, keyed: Choose, others: Choose): Choose =>
    (state, key, value, size) =>
      key !== null && hasKey(key) ? keyed(state, key, value, size) : others(state, key, value, size)
  const isAny = () => true
  const isLong = (key: Uint8Array) => key.length > 0
  // The sign bit is taken off, not the absolute value taken: as Java does.
  const murmur2 = byHash((key) => Partitioner.murmur2(key) & 0x7fffffff)
  const fnv1a = byHash(Partitioner.fnv1a)
  const consistent = byHash(crc32)
  const named: Record<Partitioner.Name, () => Choose> = {
    default: () => either(isAny, murmur2, sticky(options)),
    sticky: () => sticky(options),
    roundRobin,
    random: () => atRandom,
    murmur2: () => murmur2,
    murmur2Random: () => either(isAny, murmur2, atRandom),
    consistent: () => consistent,
    consistentRandom: () => either(isLong, consistent, atRandom),
    fnv1a: () => fnv1a,
    fnv1aRandom: () => either(isAny, fnv1a, atRandom)
  }
  if (typeof partitioner === "string") return named[partitioner]()
  return ({ topic }, key, value) =>
    partitioner({
      topic: topic.name,
      key,
      value,
      partitionCount: topic.partitions.length,
      available: () => availableOf(topic)
    })
}

/** @internal */
export const names: ReadonlyArray<Partitioner.Name> = [
  "default",
  "sticky",
  "roundRobin",
  "random",
  "murmur2",
  "murmur2Random",
  "consistent",
  "consistentRandom",
  "fnv1a",
  "fnv1aRandom"
]

const roundRobin = (): Choose => {
  const turns = new Map<string, number>()
  return ({ topic }) => {
    const available = availableOf(topic)
    const turn = turns.get(topic.name) ?? 0
    turns.set(topic.name, turn + 1)
    return available.length > 0 ? available[turn % available.length] : turn % topic.partitions.length
  }
}

interface Sticky {
  partition: number
  bytes: number
}

/** Stays with a partition for the bytes of a batch, then goes to another: the less waits for it, the likelier. */
const sticky = ({ batchSize, random }: Options): Choose => {
  const current = new Map<string, Sticky>()
  const next = ({ queues, topic }: TopicState): number => {
    const available = availableOf(topic)
    const candidates = available.length > 0 ? available : topic.partitions.map((_, partition) => partition)
    const lengths = candidates.map((partition) => {
      const queue = queues[partition]
      return queue === undefined ? 0 : queue.waiting.length
    })
    // As KIP-794 has it: a partition's weight is how much shorter its queue is than the longest, and one more.
    const longest = Math.max(...lengths)
    let place = random() * lengths.reduce((sum, length) => sum + longest + 1 - length, 0)
    for (let index = 0; index < candidates.length; index++) {
      place -= longest + 1 - lengths[index]
      if (place < 0) return candidates[index]
    }
    return candidates[candidates.length - 1]
  }
  return (state, _key, _value, size) => {
    const { topic } = state
    let stay = current.get(topic.name)
    if (stay === undefined) {
      stay = { partition: next(state), bytes: 0 }
      current.set(topic.name, stay)
    } else if (stay.bytes >= batchSize || stay.partition >= topic.partitions.length) {
      stay.partition = next(state)
      stay.bytes = 0
    }
    stay.bytes += size
    return stay.partition
  }
}
