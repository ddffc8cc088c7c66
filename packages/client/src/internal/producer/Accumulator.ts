/**
 * Records that wait to be sent: one open batch per partition, written into as records come, under one budget of memory.
 *
 * Plain data and synchronous functions: callers append, the sender takes batches and gives them their outcomes. Nothing
 * here waits.
 *
 * @since 0.1.0
 */
import { type Headers, noHeaders } from "@kafka-effect/protocol/Record"
import * as Exit from "effect/Exit"
import type { ProducerError } from "../../ProducerError.ts"
import type { RecordMetadata } from "../../Topic.ts"
import { Batch, type Owner, type Piece, type Written } from "./Batch.ts"
import { BufferMemory } from "./BufferMemory.ts"
import { PartitionQueue } from "./PartitionQueue.ts"

/** @internal */
export interface Options {
  readonly batchSize: number
  readonly bufferMemory: number
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
  /** Called when there is something new for the sender. */
  readonly wake: () => void
}

/** What becomes of the records of a batch that is rebuilt: a group of batches' number, or an outcome. @internal */
export type Fate = number | Exit.Exit<RecordMetadata, ProducerError>

/** The queues of a topic, by partition; made as they are used. @internal */
export type TopicQueues = Array<PartitionQueue | undefined>

/** @internal */
export class Accumulator {
  readonly memory: BufferMemory
  /** Every batch that has no outcome yet, in flight or not; oldest first. */
  readonly incomplete = new Set<Batch>()
  /** Those among them that are parts of others: as old as these, though they came last. */
  readonly parts = new Set<Batch>()
  /** Partitions with batches that are not in flight; whose turn was longest ago comes first. */
  readonly pending = new Set<PartitionQueue>()
  /** Batches created until now are to be sent without waiting for more records. */
  flushBefore = Number.NEGATIVE_INFINITY
  private readonly options: Options
  private readonly owner: Owner = { cancelled: (batch) => this.cancelled(batch) }
  private readonly topics = new Map<string, TopicQueues>()
  private lastOrder = 0
  private hasCancelled = false

  constructor(options: Options) {
    this.options = options
    this.memory = new BufferMemory(options.bufferMemory, options.batchSize)
  }

  /** Tells the sender that there is something new. */
  wake(): void {
    this.options.wake()
  }

  queues(topic: string): TopicQueues {
    let queues = this.topics.get(topic)
    if (queues === undefined) {
      queues = []
      this.topics.set(topic, queues)
    }
    return queues
  }

  queueOf(batch: Batch): PartitionQueue {
    return this.queues(batch.topic)[batch.partition]!
  }

  /**
   * Writes a record into the open batch of its partition, and gives the batch; its place is `batch.builder.count - 1`.
   * `size` is what it needs at most. Throws `WireError` for what no record can hold.
   */
  append(
    queues: TopicQueues,
    topic: string,
    partition: number,
    size: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Headers
  ): Batch {
    let queue = queues[partition]
    if (queue === undefined) {
      queue = new PartitionQueue(topic, partition)
      queues[partition] = queue
    }
    const { waiting } = queue
    let batch = waiting[waiting.length - 1]
    if (batch === undefined || batch.isClosed || batch.builder.sizeInBytes + size > this.options.batchSize) {
      const slab = this.memory.slab(Math.max(queue.usualSize, size + batchOverhead))
      const order = { from: ++this.lastOrder, width: 1 }
      batch = new Batch(topic, partition, slab, this.options.now(), order, this.owner)
      // What no batch can hold leaves nothing behind.
      batch.builder.append(timestamp, key, value, headers)
      waiting.push(batch)
      this.incomplete.add(batch)
      this.pending.add(queue)
      // A new batch starts its linger, and the one before it is full.
      this.options.wake()
      batch.reserved = batch.builder.sizeInBytes
      this.memory.used += batch.reserved
      return batch
    }
    const { builder } = batch
    const before = builder.sizeInBytes
    builder.append(timestamp, key, value, headers)
    const used = builder.sizeInBytes - before
    batch.reserved += used
    this.memory.used += used
    return batch
  }

  /** Gives a batch its outcome, if it has none yet, and its memory back. */
  complete(batch: Batch, exit: Exit.Exit<Written, ProducerError>): void {
    if (!this.forget(batch)) return
    this.memory.release(batch.reserved)
    batch.complete(exit)
  }

  /** Keeps the slab of a batch that is done and of which no request can be left. */
  reuse(batch: Batch): void {
    const { builder } = batch
    // What was sent twice may still be on its way through a connection that is given up.
    if (batch.attempts > 1) return
    if (builder.count > 1) this.queueOf(batch).usualSize = builder.sizeInBytes
    this.memory.reuse(builder.detach())
  }

  /**
   * Makes other batches out of one: records of one group stay together and in order, and groups come in the order of
   * their numbers, from 0 to less than `groupCount`. `place` puts the new ones in the old one's place.
   */
  rebuild(
    batch: Batch,
    groupCount: number,
    fateOf: (index: number) => Fate,
    place: (queue: PartitionQueue, others: ReadonlyArray<Batch>) => void
  ): void {
    const records = batch.records()
    const groups = new Map<number, Batch>()
    const pieces = records.map(({ headers, key, timestamp, value }, index): Piece => {
      const fate = fateOf(index)
      if (typeof fate !== "number") return { exit: fate }
      let group = groups.get(fate)
      if (group === undefined) {
        const width = batch.order.width / groupCount
        const order = { from: batch.order.from + fate * width, width }
        group = new Batch(batch.topic, batch.partition, 1024, batch.createdAt, order, this.owner)
        // New records come behind all that is there: another batch may be in between.
        group.isClosed = true
        groups.set(fate, group)
      }
      group.builder.append(timestamp, key, value, headers ?? noHeaders)
      return { batch: group, index: group.builder.count - 1 }
    })
    const others = [...groups.values()]
    for (const other of others) {
      other.reserved = other.builder.sizeInBytes
      this.memory.used += other.reserved
      this.incomplete.add(other)
      this.parts.add(other)
    }
    this.forget(batch)
    batch.isClosed = true
    const queue = this.queueOf(batch)
    place(queue, others)
    this.settle(queue)
    // Last: whoever hears of it may go on at once.
    this.memory.release(batch.reserved)
    batch.replace(pieces)
  }

  /** The oldest batch that has records whose callers still wait, without the others. */
  withoutCancelled(queue: PartitionQueue): Batch | undefined {
    while (queue.waiting.length > 0) {
      const [batch] = queue.waiting
      if (batch.cancelledRecords.size === 0 || batch.isTaken) return batch
      this.dropCancelled(batch)
    }
    return undefined
  }

  /** Frees the memory of records whose callers have gone. */
  reclaim(): void {
    if (!this.hasCancelled) return
    this.hasCancelled = false
    for (const batch of [...this.incomplete]) {
      if (batch.cancelledRecords.size > 0 && !batch.isTaken) this.dropCancelled(batch)
    }
  }

  /** Keeps `pending` true to a queue. */
  settle(queue: PartitionQueue): void {
    if (queue.waiting.length > 0) this.pending.add(queue)
    else this.pending.delete(queue)
  }

  /** Records were taken out of a batch that is in no request. */
  private cancelled(batch: Batch): void {
    const { size } = batch.cancelledRecords
    this.hasCancelled = true
    // Who waits for room gets it soon, though not for each record at the price of writing all others anew.
    if (size < batch.builder.count && !(this.memory.isExhausted && size * 2 >= batch.builder.count)) return
    this.dropCancelled(batch)
    this.wake()
  }

  private dropCancelled(batch: Batch): void {
    const { cancelledRecords } = batch
    const fateOf = (index: number): Fate => (cancelledRecords.has(index) ? interrupted : 0)
    this.rebuild(batch, 1, fateOf, (queue, others) => queue.drop(batch, others))
  }

  private forget(batch: Batch): boolean {
    this.parts.delete(batch)
    return this.incomplete.delete(batch)
  }
}

/** Bytes of a batch besides its records. */
const batchOverhead = 61

/** Of records that nobody waits for any more. */
const interrupted: Exit.Exit<never> = Exit.interrupt()
