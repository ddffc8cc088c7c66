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
import { Batch, type Piece, type Written } from "./Batch.ts"
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
  /** Partitions with batches that are not in flight. */
  readonly pending = new Set<PartitionQueue>()
  /** Batches created until now are to be sent without waiting for more records. */
  flushBefore = Number.NEGATIVE_INFINITY
  private readonly options: Options
  private readonly topics = new Map<string, TopicQueues>()
  private lastOrder = 0

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
    if (batch === undefined || batch.isTaken || batch.builder.sizeInBytes + size > this.options.batchSize) {
      const slab = this.memory.slab(Math.max(queue.usualSize, size + batchOverhead))
      batch = new Batch(topic, partition, slab, this.options.now(), { from: ++this.lastOrder, width: 1 })
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

  /** Gives a batch its outcome, and its memory back. */
  complete(batch: Batch, exit: Exit.Exit<Written, ProducerError>): void {
    if (this.incomplete.delete(batch)) {
      batch.complete(exit)
      this.memory.release(batch.reserved)
    }
  }

  /** Keeps the slab of a batch that is done and of which no request can be left. */
  reuse(batch: Batch): void {
    const { builder } = batch
    if (builder.count > 1) this.queueOf(batch).usualSize = builder.sizeInBytes
    this.memory.reuse(builder.detach())
  }

  /**
   * Makes other batches out of one: records of one group stay together and in order, and groups come in the order of
   * their numbers, from 0 to less than `groupCount`. Gives the new ones, which the caller puts in the old one's place.
   */
  rebuild(batch: Batch, groupCount: number, fateOf: (index: number) => Fate): ReadonlyArray<Batch> {
    const records = batch.records()
    const groups = new Map<number, Batch>()
    const pieces = records.map(({ headers, key, timestamp, value }, index): Piece => {
      const fate = fateOf(index)
      if (typeof fate !== "number") return { exit: fate }
      let group = groups.get(fate)
      if (group === undefined) {
        const width = batch.order.width / groupCount
        const order = { from: batch.order.from + fate * width, width }
        group = new Batch(batch.topic, batch.partition, 1024, batch.createdAt, order)
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
    }
    this.incomplete.delete(batch)
    batch.replace(pieces)
    this.memory.release(batch.reserved)
    return others
  }

  /** Takes the records out of a batch whose callers have gone; gives the batch to send now, if any record is left. */
  withoutCancelled(queue: PartitionQueue): Batch | undefined {
    const [batch] = queue.waiting
    const { cancelledRecords } = batch
    if (cancelledRecords.size === 0 || batch.isTaken) return batch
    const others = this.rebuild(batch, 1, (index) => (cancelledRecords.has(index) ? interrupted : 0))
    queue.drop(batch, others)
    this.settle(queue)
    return others[0]
  }

  /** Keeps `pending` true to a queue. */
  settle(queue: PartitionQueue): void {
    if (queue.waiting.length > 0) this.pending.add(queue)
    else this.pending.delete(queue)
  }
}

/** Bytes of a batch besides its records. */
const batchOverhead = 61

/** Of records that nobody waits for any more. */
const interrupted: Exit.Exit<never> = Exit.interrupt()
