/**
 * The log of one partition: batches as they are on the wire, by offset.
 *
 * @since 0.1.0
 */
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import type { Batch, Record } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"

import { ProducerStates } from "./ProducerStates.ts"

/** A batch in the log, with the offsets that it has there. @internal */
export interface LogBatch {
  /** As a fetch gives it. Never changed. */
  readonly bytes: Uint8Array
  readonly header: Batch
  readonly baseOffset: bigint
  readonly lastOffset: bigint
  /** The time that counts for look-ups: the greatest of its records, or when it was appended. */
  readonly maxTimestamp: number
  /** When it was appended, for retention: milliseconds since 1970. */
  readonly appendedAt: number
  /** From when on compaction takes its tombstones, once it has met them. */
  readonly deleteHorizon?: number
}

const one = BigInt(1)

/** @internal */
export class PartitionLog {
  readonly batches: Array<LogBatch> = []
  /** The first offset that can be read. */
  startOffset = BigInt(0)
  /** The offset that the next record gets. */
  endOffset = BigInt(0)
  /** What lies behind is not replicated yet: nobody may read it, and a crash loses it. */
  highWatermark = BigInt(0)
  readonly producers = new ProducerStates()
  /** Offsets of the first record of each open transaction, by producer id. */
  readonly openTransactions = new Map<bigint, bigint>()
  /** Transactions that were aborted, in the order of their ends. */
  readonly aborted: Array<{ readonly producerId: bigint; readonly firstOffset: bigint; readonly lastOffset: bigint }> =
    []
  /** Where each leader epoch begins, oldest first. */
  readonly epochs: Array<{ readonly epoch: number; readonly startOffset: bigint }> = []

  /** What lies behind belongs to transactions that are not decided. */
  get lastStableOffset(): bigint {
    let first = this.highWatermark
    for (const offset of this.openTransactions.values()) if (offset < first) first = offset
    return first
  }

  append(batch: LogBatch): void {
    const epoch = batch.header.partitionLeaderEpoch
    const last = this.epochs.at(-1)
    // Formats before v2 tell none.
    if (epoch > (last?.epoch ?? -1)) this.epochs.push({ epoch, startOffset: batch.baseOffset })
    this.batches.push(batch)
    this.endOffset = batch.lastOffset + one
    this.follow(batch)
  }

  /** Keeps up which transactions are open, and which were aborted. */
  private follow({ baseOffset, header, lastOffset }: LogBatch): void {
    const { isControl, isTransactional, producerId } = header
    if (!isTransactional) return
    const begun = this.openTransactions.get(producerId)
    if (!isControl) {
      if (begun === undefined) this.openTransactions.set(producerId, baseOffset)
      return
    }
    this.openTransactions.delete(producerId)
    // Markers are never compressed: their records are at hand.
    const [marker] = Records.decode(header, { checkCrcs: false }) as ReadonlyArray<Record>
    if (begun === undefined || ControlRecord.decode(marker).type !== "abort") return
    this.aborted.push({ producerId, firstOffset: begun, lastOffset })
  }

  /** Index of the first batch that has the offset, or one behind it. */
  indexOf(offset: bigint): number {
    const { batches } = this
    let low = 0
    let high = batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (batches[middle].lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Batches from the one with the offset on, below the limit, up to so many bytes; one comes in any case if `atLeastOne`. */
  read(offset: bigint, limit: bigint, maxBytes: number, atLeastOne: boolean): ReadonlyArray<LogBatch> {
    const found: Array<LogBatch> = []
    let bytes = 0
    for (let index = this.indexOf(offset); index < this.batches.length; index++) {
      const batch = this.batches[index]
      if (batch.baseOffset >= limit) break
      bytes += batch.bytes.length
      if (bytes > maxBytes && !(found.length === 0 && atLeastOne)) break
      found.push(batch)
    }
    return found
  }

  /** Forgets what lies before the offset (DeleteRecords, retention). */
  deleteBefore(offset: bigint): void {
    if (offset <= this.startOffset) return
    this.startOffset = offset
    this.batches.splice(0, this.indexOf(offset))
    // The epoch that the log begins in now begins with it.
    const begun = this.epochs.findLastIndex(({ startOffset }) => startOffset <= offset)
    if (begun >= 0) this.epochs.splice(0, begun + 1, { epoch: this.epochs[begun].epoch, startOffset: offset })
  }

  /** Loses what lies from the offset on, as a follower does that becomes leader without it. */
  truncate(offset: bigint): void {
    if (offset >= this.endOffset) return
    this.batches.splice(this.indexOf(offset))
    this.producers.truncate(offset)
    const last = this.batches.at(-1)
    this.endOffset =
      last === undefined ? (offset > this.startOffset ? offset : this.startOffset) : last.lastOffset + one
    if (this.highWatermark > this.endOffset) this.highWatermark = this.endOffset
    while (this.epochs.length > 0 && this.epochs.at(-1)!.startOffset >= this.endOffset) this.epochs.pop()
    // What was decided behind the cut is open again.
    this.openTransactions.clear()
    this.aborted.length = 0
    for (const batch of this.batches) this.follow(batch)
  }
}
