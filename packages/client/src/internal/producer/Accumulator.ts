/**
 * Records that wait to be sent: one open batch per partition, written into as records come, under one budget of memory.
 *
 * Plain data and synchronous functions: callers append, the sender takes batches and gives back what has to be tried
 * again. Nothing here waits, except those who find no room.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ProducerError } from "../../ProducerError.ts"
import { Batch, type Written } from "./Batch.ts"

/** The batches of one partition. @internal */
export interface PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Oldest first; the last one is the one that is being written. */
  readonly batches: Array<Batch>
  /** A batch is in flight: no other may overtake it. */
  inFlight: Batch | undefined
}

/** @internal */
export interface Options {
  readonly batchSize: number
  readonly bufferMemory: number
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
  /** Called when there is something new for the sender. */
  readonly wake: () => void
}

interface Waiter {
  readonly size: number
  readonly deferred: Deferred.Deferred<void>
}

/** @internal */
export class Accumulator {
  /** Every batch that has no outcome yet, in flight or not. */
  readonly incomplete = new Set<Batch>()
  /** Batches created until now are to be sent without waiting for more records. */
  flushBefore = Number.NEGATIVE_INFINITY
  private readonly options: Options
  private readonly queues = new Map<string, Array<PartitionQueue | undefined>>()
  /** Those with batches that are not in flight. */
  private readonly waiting = new Set<PartitionQueue>()
  private reserved = 0
  private readonly waiters: Array<Waiter> = []

  constructor(options: Options) {
    this.options = options
  }

  /** Bytes of the buffer that are used. */
  get usedBytes(): number {
    return this.reserved
  }

  /** Whether somebody waits for room: the sender need not wait for batches to fill. */
  get isExhausted(): boolean {
    return this.waiters.length > 0
  }

  /** Whether a record of this size can be appended now. */
  hasRoom(size: number): boolean {
    return this.waiters.length === 0 && this.fits(size)
  }

  /**
   * Waits, in turn with others, until there is room for this many bytes, and holds it for the caller, who appends and
   * then calls `giveBack`.
   */
  room(size: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const waiter: Waiter = { size, deferred: Deferred.makeUnsafe() }
      this.waiters.push(waiter)
      this.admit()
      this.options.wake()
      return Effect.onInterrupt(Deferred.await(waiter.deferred), () =>
        Effect.sync(() => {
          const place = this.waiters.indexOf(waiter)
          if (place < 0) this.giveBack(size)
          else {
            this.waiters.splice(place, 1)
            // Whoever gives up may have been what others waited behind.
            this.admit()
          }
        })
      )
    })
  }

  /** Ends what `room` held. */
  giveBack(size: number): void {
    this.reserved -= size
    this.admit()
  }

  /**
   * Writes a record into the open batch of its partition, and gives the batch; its place is `batch.builder.count - 1`.
   * Throws `WireError` for what no record can hold.
   */
  append(
    topic: string,
    partition: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Headers
  ): Batch {
    const queue = this.queue(topic, partition)
    const { batchSize } = this.options
    const size = RecordBatchBuilder.maximumRecordBytes(key, value, headers)
    let batch = queue.batches[queue.batches.length - 1]
    if (batch === undefined || batch.attempts > 0 || batch.builder.sizeInBytes + size > batchSize) {
      batch = new Batch(topic, partition, Math.min(batchSize, Math.max(size * 4, 1024)), this.options.now())
      queue.batches.push(batch)
      this.incomplete.add(batch)
      this.waiting.add(queue)
      // A new batch starts its linger, and the one before it is full.
      this.options.wake()
    }
    const before = batch.builder.sizeInBytes
    try {
      batch.builder.append(timestamp, key, value, headers)
    } catch (error) {
      if (batch.builder.count === 0)
        this.abandon(queue, batch, Exit.succeed({ baseOffset: BigInt(-1), appendTime: -1 }))
      throw error
    }
    const used = batch.builder.sizeInBytes - before
    batch.reserved += used
    this.reserved += used
    return batch
  }

  /** The partitions that have something to send. */
  pending(): Iterable<PartitionQueue> {
    return this.waiting
  }

  /** Takes the oldest batch of a partition: until `release`, no other of this partition can be taken. */
  take(queue: PartitionQueue): Batch {
    const batch = queue.batches.shift()!
    queue.inFlight = batch
    this.waiting.delete(queue)
    return batch
  }

  /** The batch is not in flight any more: it is done, or, with `retry`, the next one to be sent again. */
  release(batch: Batch, retry: boolean): void {
    const queue = this.queue(batch.topic, batch.partition)
    queue.inFlight = undefined
    if (retry) queue.batches.unshift(batch)
    if (queue.batches.length > 0) this.waiting.add(queue)
  }

  /** Gives a batch its outcome, and its memory back. */
  complete(batch: Batch, exit: Exit.Exit<Written, ProducerError>): void {
    if (!this.incomplete.delete(batch)) return
    this.reserved -= batch.reserved
    batch.complete(exit)
    this.admit()
  }

  /** Takes a batch out that is not in flight, and gives it its outcome. */
  abandon(queue: PartitionQueue, batch: Batch, exit: Exit.Exit<Written, ProducerError>): void {
    const index = queue.batches.indexOf(batch)
    if (index >= 0) queue.batches.splice(index, 1)
    if (queue.batches.length === 0) this.waiting.delete(queue)
    this.complete(batch, exit)
  }

  private fits(size: number): boolean {
    // A record larger than the whole buffer was refused before.
    return this.reserved + size <= this.options.bufferMemory
  }

  private admit(): void {
    while (this.waiters.length > 0 && this.fits(this.waiters[0].size)) {
      const { deferred, size } = this.waiters.shift()!
      this.reserved += size
      Deferred.doneUnsafe(deferred, Exit.void)
    }
  }

  private queue(topic: string, partition: number): PartitionQueue {
    let partitions = this.queues.get(topic)
    if (partitions === undefined) {
      partitions = []
      this.queues.set(topic, partitions)
    }
    let queue = partitions[partition]
    if (queue === undefined) {
      queue = { topic, partition, batches: [], inFlight: undefined }
      partitions[partition] = queue
    }
    return queue
  }
}
