/**
 * How far partitions have been finished, as data: for each the offset of the next record to be read. Made of records that
 * have been finished, merged, kept elsewhere if need be, and committed.
 *
 * They know where their records come from: what was read before a seek, or before the partition was taken away, counts no
 * more beside what was read since, and is not committed.
 *
 * @since 0.1.0
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { DeliveredRecord } from "./internal/consumer/DeliveredRecord.ts"
import type { Stretch } from "./internal/consumer/Lease.ts"
import type { ConsumerRecord, TopicPartition } from "./Topic.ts"

/**
 * What is committed for one partition.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry extends TopicPartition {
  /** Of the next record to be read: one more than that of the last that is finished. */
  readonly offset: bigint
  /** Leader epoch of the last record that is finished (KIP-320); -1 where it is not known. Defaults to -1. */
  readonly leaderEpoch?: number | undefined
  /** A text that is kept with the offset: as long as the broker's `offset.metadata.max.bytes` allows (4,096 bytes). Defaults to none. */
  readonly metadata?: string | undefined
}

/**
 * Offsets of partitions, each once. Equal (`Equal.equals`) to others that say the same of the same partitions.
 *
 * @category models
 * @since 0.1.0
 */
export interface Offsets extends Iterable<Entry> {
  readonly _tag: "Offsets"
  /** How many partitions there are. */
  readonly size: number
  readonly get: (topic: string, partition: number) => Entry | undefined
}

/** An entry that knows where its records come from. @internal */
export interface LeasedEntry extends Entry {
  readonly leaderEpoch: number
  readonly stretch: Stretch | undefined
}

type Topics = Map<string, Map<number, LeasedEntry>>

const isSame = (one: LeasedEntry, other: LeasedEntry | undefined): boolean =>
  one.offset === other?.offset && one.leaderEpoch === other.leaderEpoch && one.metadata === other.metadata

class OffsetsImpl implements Offsets, Equal.Equal {
  readonly _tag = "Offsets"
  readonly #topics: Topics

  constructor(topics: Topics) {
    this.#topics = topics
  }

  get size(): number {
    let size = 0
    for (const partitions of this.#topics.values()) size += partitions.size
    return size
  }

  get(topic: string, partition: number): LeasedEntry | undefined {
    return this.#topics.get(topic)?.get(partition)
  }

  *[Symbol.iterator](): Iterator<LeasedEntry> {
    for (const partitions of this.#topics.values()) yield* partitions.values()
  }

  // Stretches end, and say nothing of how far a partition has been finished: they do not count.
  [Equal.symbol](that: unknown): boolean {
    if (!(that instanceof OffsetsImpl) || that.size !== this.size) return false
    for (const entry of this) if (!isSame(entry, that.get(entry.topic, entry.partition))) return false
    return true
  }

  [Hash.symbol](): number {
    let sum = 0
    // A sum, because the order of the partitions does not count.
    for (const { offset, partition, topic } of this) sum = (sum + Hash.array([topic, partition, offset])) | 0
    return Hash.optimize(sum)
  }

  toJSON(): unknown {
    return {
      _tag: this._tag,
      entries: [...this].map(({ offset, stretch: _, ...rest }) => ({ ...rest, offset: String(offset) }))
    }
  }
}

/** With the stretches. @internal */
export const entriesOf = (offsets: Offsets): Iterable<LeasedEntry> =>
  // Only this module makes them.
  offsets as OffsetsImpl

const put = (topics: Topics, entry: LeasedEntry): void => {
  const { partition, topic } = entry
  let partitions = topics.get(topic)
  if (partitions === undefined) {
    partitions = new Map()
    topics.set(topic, partitions)
  }
  const known = partitions.get(partition)
  if (known === undefined || isNewer(entry, known)) partitions.set(partition, entry)
}

/** Whether an entry takes the place of another. */
const isNewer = (one: LeasedEntry, other: LeasedEntry): boolean => {
  // After a seek, or under a later lease, reading may have begun earlier: what an ended stretch has said is void.
  if (one.stretch !== other.stretch && other.stretch?.isPresent === false) return true
  if (one.stretch !== other.stretch && one.stretch?.isPresent === false) return false
  return one.offset >= other.offset
}

/**
 * No partition.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: Offsets = new OffsetsImpl(new Map())

// biome-ignore lint/suspicious/noExplicitAny: keys and values do not matter here, whatever their types
type AnyRecord = ConsumerRecord<string, any, any>

const isOne = (records: AnyRecord | Iterable<AnyRecord>): records is AnyRecord => !(Symbol.iterator in records)

/**
 * Of records that have been finished: a record, or many, of any partitions and in any order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (records: AnyRecord | Iterable<AnyRecord>): Offsets => {
  const topics: Topics = new Map()
  const add = (last: AnyRecord): void => {
    const { leaderEpoch, offset, partition, topic } = last
    put(topics, { topic, partition, offset: offset + one, leaderEpoch, stretch: DeliveredRecord.stretchOf(last) })
  }
  if (isOne(records)) add(records)
  else {
    let last: AnyRecord | undefined
    let lastStretch: Stretch | undefined
    for (const record of records) {
      const stretch = DeliveredRecord.stretchOf(record)
      if (last !== undefined) {
        if (record.partition !== last.partition || record.topic !== last.topic || stretch !== lastStretch) add(last)
        else if (record.offset < last.offset) continue
      }
      last = record
      lastStretch = stretch
    }
    if (last !== undefined) add(last)
  }
  return new OffsetsImpl(topics)
}

const one = BigInt(1)

/**
 * Of given offsets, for example those that were kept elsewhere. These may also go back.
 *
 * @category constructors
 * @since 0.1.0
 */
export const from = (entries: Iterable<Entry>): Offsets => {
  const topics: Topics = new Map()
  for (const entry of entries) {
    // An entry of another `Offsets` brings its stretch along.
    const { stretch } = entry as Partial<LeasedEntry>
    put(topics, { ...entry, leaderEpoch: entry.leaderEpoch ?? -1, stretch })
  }
  return new OffsetsImpl(topics)
}

/**
 * Both: of a partition that both have, what is further.
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = (self: Offsets, that: Offsets): Offsets => {
  const topics: Topics = new Map()
  for (const entry of entriesOf(self)) put(topics, entry)
  for (const entry of entriesOf(that)) put(topics, entry)
  return new OffsetsImpl(topics)
}

/**
 * The same offsets, with a text that is kept with each.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMetadata = (self: Offsets, metadata: string): Offsets =>
  from([...entriesOf(self)].map((entry) => ({ ...entry, metadata })))
