/**
 * The batches of one partition in their order, and how far the broker has confirmed it.
 *
 * Plain data. Several batches may be in flight when the broker checks their sequence numbers (idempotence), and it has
 * acknowledged one since the last failure: a batch whose predecessor was not written is then refused, so none can
 * overtake another. A batch keeps its numbers through every retry; they are given anew, in a new epoch, only where it is
 * certain that what had them was not written. Each partition has an epoch of its own: brokers keep them per partition
 * (KIP-360).
 *
 * @since 0.1.0
 */
import type { Batch } from "./Batch.ts"

/** @internal */
export interface Identity {
  readonly producerId: bigint
  readonly epoch: number
}

/** After this epoch comes another producer id. */
const lastEpoch = 0x7fff

/** The place in the sequence behind so many records: it wraps from 2^31 - 1 to 0. @internal */
export const nextSequence = (sequence: number, count: number): number => (sequence + count) % 0x80000000

/** @internal */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Not in a request. Oldest first: those that have to be sent again come before the others; the last may be open. */
  readonly waiting: Array<Batch> = []
  /** In a request, in the order of sending. */
  readonly inFlight: Array<Batch> = []
  /** Of the idempotent producer; undefined before the first batch, and when a new producer id is needed. */
  identity: Identity | undefined = undefined
  /** Of the next new batch. */
  sequence = 0
  /** Offset of the last record that was acknowledged; -1 before the first. */
  lastOffset = BigInt(-1)
  /** Bytes of the last full batch: what the next one is likely to need. */
  usualSize = 0
  /** A batch was acknowledged since the last failure, by the node that leads now. */
  private isProven = false
  /** A batch has failed: those in flight behind it are waited for. */
  private isRecovering = false
  /** The next batch without numbers begins a new epoch. */
  private needsEpoch = false
  /** Batches from this place on have numbers that cannot be used any more; infinity for none. */
  private outdatedFrom = Number.POSITIVE_INFINITY
  private node = -1

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Whether the oldest batch may go to this node, as far as order is concerned. */
  canSend(node: number, maxInFlight: number): boolean {
    const underWay = this.inFlight.length
    if (underWay === 0) return true
    if (this.isRecovering || this.node !== node || this.identity === undefined) return false
    if (this.needsEpoch || this.outdatedFrom < Number.POSITIVE_INFINITY) return false
    return this.isProven && underWay < maxInFlight
  }

  /** Takes the oldest batch for a request to this node; it is numbered if the producer has an identity. */
  take(node: number, current: Identity | undefined): Batch {
    const batch = this.waiting.shift()!
    if (this.node !== node) this.isProven = false
    this.node = node
    batch.isClosed = true
    batch.isTaken = true
    if (current !== undefined && batch.baseSequence < 0) {
      this.identity ??= current
      batch.number(this.identity.producerId, this.identity.epoch, this.sequence)
      this.sequence = nextSequence(this.sequence, batch.builder.count)
    }
    this.inFlight.push(batch)
    return batch
  }

  /**
   * Begins a new epoch where one is due and nothing is in flight. Gives the producer id that has no epochs left, if that
   * is the case: the next batch needs another.
   */
  renew(): bigint | undefined {
    const isOutdated = this.outdatedFrom < Number.POSITIVE_INFINITY
    if ((!this.needsEpoch && !isOutdated) || this.inFlight.length > 0) return undefined
    // What precedes keeps its numbers, and has to have its outcome first.
    const [first] = this.waiting
    if (first !== undefined && hasNumbers(first) && first.order.from < this.outdatedFrom) return undefined
    if (isOutdated) {
      for (const batch of this.waiting) {
        batch.number(BigInt(-1), -1, -1)
        batch.maybeWritten = false
      }
    }
    this.needsEpoch = false
    this.outdatedFrom = Number.POSITIVE_INFINITY
    this.isProven = false
    this.sequence = 0
    const { identity } = this
    if (identity === undefined) return undefined
    this.identity = identity.epoch < lastEpoch ? { ...identity, epoch: identity.epoch + 1 } : undefined
    return this.identity === undefined ? identity.producerId : undefined
  }

  /** A batch was acknowledged. */
  acknowledged(batch: Batch, lastOffset: bigint): void {
    const wasRecovering = this.isRecovering
    this.leave(batch)
    // Those that are sent again go one by one: brokers recognise no more than the last five, new ones among them.
    this.isProven = !wasRecovering && (this.waiting.length === 0 || !hasNumbers(this.waiting[0]))
    if (lastOffset > this.lastOffset) this.lastOffset = lastOffset
  }

  /** A batch goes back, to be sent again with the numbers that it has. */
  retry(batch: Batch): void {
    this.leave(batch)
    this.recover()
    this.insert(batch)
  }

  /** Whether something before this batch has ended without being written, for what is known: its numbers are no good. */
  hasGapBefore(batch: Batch): boolean {
    return this.needsEpoch || this.outdatedFrom < batch.order.from
  }

  /** Whether every batch that was sent before this one has its outcome. */
  isFirst(batch: Batch): boolean {
    return this.inFlight[0] === batch && (this.waiting.length === 0 || isBefore(batch, this.waiting[0]))
  }

  /**
   * The broker's count is another than ours, and this batch, the first that is outstanding, was not written: neither were
   * those behind it. All get new numbers and are sent again.
   */
  restart(batch: Batch): void {
    this.retry(batch)
    this.outdate(batch)
  }

  /**
   * A batch that was sent ends without having been acknowledged. Its numbers may be used again if nothing came after it;
   * else what follows has a gap before it. `others` take its place.
   */
  abandon(batch: Batch, others: ReadonlyArray<Batch> = []): void {
    const isLast = this.inFlight[this.inFlight.length - 1] === batch && !this.waiting.some(hasNumbers)
    this.leave(batch)
    this.recover()
    for (const other of others) this.insert(other)
    if (batch.baseSequence < 0) return
    if (batch.maybeWritten) this.needsEpoch = true
    else if (isLast && this.outdatedFrom === Number.POSITIVE_INFINITY) this.sequence = batch.baseSequence
    else this.outdate(batch)
  }

  /** Takes out a batch that is not in flight: it has its outcome, or `others` take its place. */
  drop(batch: Batch, others: ReadonlyArray<Batch> = []): void {
    const index = this.waiting.indexOf(batch)
    if (index < 0) return
    this.waiting.splice(index, 1, ...others)
    if (batch.baseSequence < 0) return
    if (batch.maybeWritten) this.needsEpoch = true
    else this.outdate(batch)
  }

  /** This batch was not written, so nothing behind it was. */
  private outdate(batch: Batch): void {
    this.outdatedFrom = Math.min(this.outdatedFrom, batch.order.from)
  }

  private leave(batch: Batch): void {
    const index = this.inFlight.indexOf(batch)
    if (index >= 0) this.inFlight.splice(index, 1)
    if (this.inFlight.length === 0) this.isRecovering = false
  }

  private recover(): void {
    this.isProven = false
    this.isRecovering = this.inFlight.length > 0
  }

  /** Puts a batch back before those that came after it. */
  private insert(batch: Batch): void {
    const index = this.waiting.findIndex((other) => isBefore(batch, other))
    this.waiting.splice(index < 0 ? this.waiting.length : index, 0, batch)
  }
}

const hasNumbers = (batch: Batch): boolean => batch.baseSequence >= 0

/** Whether the records of one batch came before those of the other. */
const isBefore = (one: Batch, other: Batch): boolean => one.order.from < other.order.from
