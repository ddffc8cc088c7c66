/**
 * A partition that is being read: where the next fetch begins, and the batches that were fetched and not yet taken.
 *
 * Plain data that the fetcher's fibers and its owner change, synchronously. Each jump of the position counts the version
 * up: who has asked a broker something about an older version throws the answer away. What users never see is dropped
 * here, by batch: control batches, batches of aborted transactions.
 *
 * @since 0.1.0
 */
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import type { AbortedTransaction, PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import type { Batch } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Latch from "effect/Latch"
import { ConsumerError, InvalidRecords } from "../../ConsumerError.ts"
import type { StartPosition } from "./StartPosition.ts"

/** A batch that was fetched. @internal */
export interface FetchedBatch {
  readonly batch: Batch
  /** Records below are not wanted: a batch may begin before the offset that was asked for. */
  readonly from: bigint
}

/**
 * Why there is no position to fetch from: it still has to be looked up, the broker has said that it is out of range, or
 * the topic that it belonged to was deleted and created again.
 *
 * @internal
 */
export type Unsettled =
  | { readonly _tag: "Start"; readonly start: StartPosition }
  | { readonly _tag: "OutOfRange" }
  | { readonly _tag: "Recreated" }

/** @internal */
export interface Options {
  readonly topic: string
  readonly partition: number
  readonly start: StartPosition
  /** Records from here on are not wanted; `latest`: those that are written after the start was found. Undefined to read for ever. */
  readonly end?: bigint | "latest" | undefined
  readonly maxBytes: number
  /** The owner's own mark; the fetcher only carries it. */
  readonly lease?: unknown
}

const one = BigInt(1)
const unknownOffset = BigInt(-1)

/** Records that are less than this part of their response do not keep it in memory. */
const pinnedShare = 4

/** @internal */
export class FetchedPartition {
  readonly topic: string
  readonly partition: number
  readonly lease: unknown
  /** Where the next fetch begins; not to be used while `unsettled`. */
  position = unknownOffset
  unsettled: Unsettled | undefined
  /** The position before the first fetch since it last jumped; undefined before that. */
  origin: bigint | undefined
  /** Records from here on are not wanted; undefined to read for ever, or while it has to be looked up. */
  end: bigint | undefined
  /** Whether `end` has yet to be looked up. */
  needsEnd: boolean
  /** Counts the jumps of the position. */
  version = 0
  isPaused = false
  isRemoved = false
  /** Leader epoch of the record before the position; -1 where it is not known (KIP-320). */
  epoch = -1
  /** The newest leader epoch under which the position is known to be good; -1 for none. */
  leaderEpoch = -1
  /** Of the topic that the position belongs to, as far as it is known. */
  topicId = zeroUuid
  /** A nearer replica to read from, until that time of a clock that only goes forward (KIP-392). */
  replica: { readonly nodeId: number; readonly until: number } | undefined = undefined
  /** What the last answer said; undefined before. */
  highWatermark: bigint | undefined = undefined
  lastStableOffset: bigint | undefined = undefined
  logStartOffset: bigint | undefined = undefined
  /** Bytes to ask for in one fetch: grows when a single batch does not fit. */
  maxBytes: number
  readonly queue: Array<FetchedBatch> = []
  queuedBytes = 0
  /** Batches that were taken and neither handed over nor put back: whoever took them may have been interrupted. */
  private readonly out: Array<FetchedBatch> = []
  /** Whether a reader of this partition alone waits for records. */
  isAwaited = false
  /** Behind the last batch that was ever queued: what follows up to the position is nothing for the reader. */
  queuedEnd: bigint | undefined = undefined
  /** Whether a broker is being asked about it. */
  isInFlight = false
  /** No fetch before this time: milliseconds of a clock that only goes forward. */
  notBefore = 0
  failures = 0
  /** Whether it waits for its leader to be known. */
  isLeaderless = false
  /** What the reader meets once the queue is empty. */
  error: ConsumerError | undefined = undefined
  /** Opened when there is something new for a reader of this partition alone. */
  readonly news = Latch.makeUnsafe()

  constructor(options: Options) {
    this.topic = options.topic
    this.partition = options.partition
    this.lease = options.lease
    this.maxBytes = options.maxBytes
    this.end = options.end === "latest" ? undefined : options.end
    this.needsEnd = options.end === "latest"
    this.begin(options.start)
  }

  private begin(start: StartPosition): void {
    const isOffset = typeof start === "bigint" || (typeof start === "object" && "offset" in start)
    this.epoch = typeof start === "object" && "offset" in start ? start.leaderEpoch : -1
    this.leaderEpoch = -1
    this.origin = undefined
    this.position = typeof start === "bigint" ? start : isOffset ? start.offset : unknownOffset
    this.unsettled = isOffset && !this.needsEnd ? undefined : { _tag: "Start", start }
  }

  /** Reads on elsewhere: drops what is queued, and the answers that are on their way. */
  seek(start: StartPosition): void {
    this.version++
    this.clear()
    this.error = undefined
    this.failures = 0
    this.notBefore = 0
    this.begin(start)
  }

  /** Delivers and fetches nothing until `resume`; what is queued stays. */
  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  /** Goes on at an offset that the log has: what is queued from there on is not what the log has now. */
  moveTo(position: bigint, epoch: number): void {
    this.version++
    this.out.length = 0
    while (this.queue.length > 0 && this.queue[this.queue.length - 1].batch.lastOffset >= position) {
      this.queuedBytes -= this.queue.pop()!.batch.bytes.length
    }
    this.origin = this.queue[0]?.from
    this.position = position
    this.epoch = epoch
    this.unsettled = undefined
  }

  /** Reads no more: a reader is told so at once. */
  remove(): void {
    this.isRemoved = true
    this.version++
    this.clear()
  }

  /** Drops what is queued; the position, and what is wrong with it, stay. */
  drop(): void {
    this.version++
    this.clear()
  }

  private clear(): void {
    this.queue.length = 0
    this.out.length = 0
    this.queuedBytes = 0
  }

  /** The offset that the reader is given next; undefined while it is not known. */
  get delivered(): bigint | undefined {
    if (this.queue.length > 0) return this.queue[0].from
    return this.unsettled?._tag === "Start" ? undefined : this.position
  }

  /** How many offsets the reader is behind what it may read, as of the last answer. */
  lag(isolation: "committed" | "uncommitted", delivered = this.delivered): bigint | undefined {
    const { highWatermark, lastStableOffset } = this
    // Brokers without transactions do not name the last stable offset.
    const isStable = isolation === "committed" && lastStableOffset !== undefined && lastStableOffset >= 0
    const last = isStable ? lastStableOffset : highWatermark
    if (delivered === undefined || last === undefined) return undefined
    return last > delivered ? last - delivered : BigInt(0)
  }

  /** Whether its position is worth nothing until its owner, or a look-up, has decided where to go on. */
  get isBlocked(): boolean {
    return this.error !== undefined || this.unsettled?._tag === "Recreated"
  }

  /** Whether all that is wanted was fetched. */
  get isComplete(): boolean {
    return this.unsettled === undefined && this.end !== undefined && this.position >= this.end
  }

  /** Whether a reader that asked now would be told something. */
  get hasNews(): boolean {
    return !this.isPaused && !this.isRemoved && (this.queue.length > 0 || this.error !== undefined)
  }

  /** Whether a broker may be asked, as far as this partition alone is concerned. */
  wantsMore(now: number): boolean {
    if (this.isInFlight || this.isComplete || this.error !== undefined || now < this.notBefore) return false
    // Where a paused partition stands is found out all the same.
    return !this.isPaused || this.unsettled !== undefined
  }

  /** Takes in what an answer says about the log. */
  observe({ highWatermark, lastStableOffset, logStartOffset }: PartitionData): void {
    this.highWatermark = highWatermark
    this.lastStableOffset = lastStableOffset
    this.logStartOffset = logStartOffset
  }

  /** A batch keeps all of its response in memory: where that is much more, and others wait before it, it is copied. */
  private own(records: Uint8Array): Uint8Array {
    const isPinning = this.queue.length > 0 && records.length < records.buffer.byteLength / pinnedShare
    return isPinning ? records.slice() : records
  }

  /** Takes in what a fetch from the position on has brought. False when it brought bytes that are of no use. */
  accept(records: Uint8Array, aborted: ReadonlyArray<AbortedTransaction>): boolean {
    const { maxBytes, position } = this
    this.origin ??= position
    try {
      const { batches, partialBatchBytes, partialBytes } = Records.split(this.own(records))
      if (batches.length === 0 && partialBytes > 0) {
        // Brokers before 0.10.1 cut even the first batch at the limit.
        this.maxBytes = Math.min(Math.max(maxBytes * 2, partialBatchBytes), 0x7fffffff)
      }
      const isAborted = abortedFilter(aborted)
      for (const batch of batches) {
        const next = batch.lastOffset + one
        // The filter has to see every batch, wanted or not.
        const isHidden = isAborted(batch) || batch.isControl
        const from = this.position
        const isWanted = batch.lastOffset >= from && !isHidden
        if (isWanted && (this.end === undefined || batch.baseOffset < this.end || batch.recordCount < 0)) {
          this.queue.push({ batch, from })
          this.queuedBytes += batch.bytes.length
          this.queuedEnd = next
        }
        if (next > this.position) {
          this.position = next
          this.epoch = batch.partitionLeaderEpoch
        }
      }
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause
      this.error = damaged(this, this.position, cause)
    }
    return records.length === 0 || this.position > position || this.maxBytes > maxBytes || this.error !== undefined
  }

  /** The oldest batch. */
  take(): FetchedBatch | undefined {
    const taken = this.queue.shift()
    if (taken === undefined) return undefined
    this.queuedBytes -= taken.batch.bytes.length
    this.out.push(taken)
    return taken
  }

  /** What was taken is with its reader, or is for nobody. */
  handedOver(): void {
    this.out.length = 0
  }

  /** A reader begins: what a former one took and did not live to hand over is for this one. */
  recover(): void {
    const left = this.out.splice(0)
    for (let index = left.length - 1; index >= 0; index--) this.putBack(left[index])
  }

  /** Puts back what was taken, in front of the rest. */
  putBack(taken: FetchedBatch): void {
    const place = this.out.indexOf(taken)
    if (place >= 0) this.out.splice(place, 1)
    this.queue.unshift(taken)
    this.queuedBytes += taken.batch.bytes.length
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
