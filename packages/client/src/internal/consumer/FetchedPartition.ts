/**
 * A partition that is being read: where the next fetch begins, and the batches that were fetched and not yet taken.
 *
 * Plain data that the fetcher's fibers change, synchronously. What users never see is dropped here, by batch: control
 * batches, batches of aborted transactions.
 *
 * @since 0.1.0
 */
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import type { AbortedTransaction } from "@kafka-effect/protocol/messages/Fetch"
import type { Batch } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import { WireError } from "@kafka-effect/protocol/WireError"
import { ConsumerError, InvalidRecords } from "../../ConsumerError.ts"

/** A batch that was fetched. @internal */
export interface FetchedBatch {
  readonly batch: Batch
  /** Records below are not wanted: a batch may begin before the offset that was asked for. */
  readonly from: bigint
}

/** @internal */
export class FetchedPartition {
  readonly topic: string
  readonly partition: number
  /** Where the next fetch begins. */
  position: bigint
  /** Records from here on are not wanted; undefined to read for ever. */
  end: bigint | undefined
  /** Of the topic that the position belongs to, as far as it is known. */
  topicId = zeroUuid
  /** Bytes to ask for in one fetch: grows when a single batch does not fit. */
  maxBytes: number
  readonly queue: Array<FetchedBatch> = []
  queuedBytes = 0
  isInFlight = false
  /** No fetch before this time: milliseconds of a clock that only goes forward. */
  notBefore = 0
  failures = 0
  /** What the reader meets once the queue is empty. */
  error: ConsumerError | undefined = undefined

  constructor(options: {
    readonly topic: string
    readonly partition: number
    readonly position: bigint
    readonly end: bigint | undefined
    readonly maxBytes: number
  }) {
    this.topic = options.topic
    this.partition = options.partition
    this.position = options.position
    this.end = options.end
    this.maxBytes = options.maxBytes
  }

  /** Whether all that is wanted was fetched. */
  get isComplete(): boolean {
    return this.end !== undefined && this.position >= this.end
  }

  /** Whether a fetch may be sent, as far as this partition alone is concerned. */
  wantsMore(now: number): boolean {
    return !this.isInFlight && !this.isComplete && this.error === undefined && now >= this.notBefore
  }

  /** Takes in what a fetch from the position on has brought. Gives the bytes that were queued. */
  accept(records: Uint8Array, aborted: ReadonlyArray<AbortedTransaction>): number {
    const before = this.queuedBytes
    try {
      const { batches, partialBatchBytes, partialBytes } = Records.split(records)
      if (batches.length === 0 && partialBytes > 0) {
        // Brokers before 0.10.1 cut even the first batch at the limit.
        this.maxBytes = Math.min(Math.max(this.maxBytes * 2, partialBatchBytes), 0x7fffffff)
      }
      const isAborted = abortedFilter(aborted)
      for (const batch of batches) {
        const next = batch.lastOffset + BigInt(1)
        // The filter has to see every batch, wanted or not.
        const isHidden = isAborted(batch) || batch.isControl
        const from = this.position
        const isWanted = batch.lastOffset >= from && !isHidden
        if (isWanted && (this.end === undefined || batch.baseOffset < this.end || batch.recordCount < 0)) {
          this.queue.push({ batch, from })
          this.queuedBytes += batch.bytes.length
        }
        if (next > this.position) this.position = next
      }
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause
      this.error = damaged(this, this.position, cause)
    }
    return this.queuedBytes - before
  }

  /** The oldest batch. */
  take(): FetchedBatch | undefined {
    const taken = this.queue.shift()
    if (taken !== undefined) this.queuedBytes -= taken.batch.bytes.length
    return taken
  }
}

/** @internal */
export const damaged = (
  { partition, topic }: { readonly topic: string; readonly partition: number },
  offset: bigint,
  cause: WireError
): ConsumerError =>
  new ConsumerError({ reason: new InvalidRecords({ topic, partition, offset, detail: cause.message, cause }) })

/**
 * Tells for each batch, in the order of offsets, whether its transaction was aborted. A producer's transaction is aborted
 * from the offset that the broker names until the producer's abort marker.
 */
const abortedFilter = (aborted: ReadonlyArray<AbortedTransaction>): ((batch: Batch) => boolean) => {
  if (aborted.length === 0) return () => false
  const waiting = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  const producers = new Set<bigint>()
  return (batch) => {
    while (waiting.length > 0 && waiting[0].firstOffset <= batch.lastOffset) producers.add(waiting.shift()!.producerId)
    if (!batch.isTransactional) return false
    if (!batch.isControl) return producers.has(batch.producerId)
    if (producers.has(batch.producerId) && isAbortMarker(batch)) producers.delete(batch.producerId)
    return false
  }
}

const isAbortMarker = (batch: Batch): boolean => {
  const records = Records.decode(batch)
  // Brokers do not compress markers.
  return !(records instanceof Promise) && records.length > 0 && ControlRecord.decode(records[0]).type === "abort"
}
