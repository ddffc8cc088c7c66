/**
 * What a log knows of idempotent producers: their epochs, and their last batches, by which a repeated one is recognised
 * (KIP-98; Kafka keeps five, as many as a producer may have in flight).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { Batch } from "@kafka-effect/protocol/Record"

/** A batch that a producer has written. @internal */
export interface Written {
  readonly first: number
  readonly last: number
  readonly baseOffset: bigint
  /** The latest of its records. */
  readonly maxTimestamp: number
}

/** What a log knows of a producer. @internal */
export interface ProducerState {
  readonly epoch: number
  /** Oldest first. */
  readonly batches: ReadonlyArray<Written>
  /** The time of the last batch, in milliseconds since 1970. */
  readonly lastTimestamp: number
  /** Of the coordinator that wrote the last marker; -1 where there was none. */
  readonly coordinatorEpoch: number
}

/** What becomes of a batch: it is the next, one of the last again, or is refused. @internal */
export type Verdict =
  | { readonly _tag: "Next" }
  | { readonly _tag: "Duplicate"; readonly baseOffset: bigint; readonly logAppendTime: number }
  | { readonly _tag: "Refused"; readonly code: number; readonly message: string }

const kept = 5

const maxSequence = 0x7fffffff

/** Sequences begin again at 0 behind the greatest. */
const after = (sequence: number, count: number): number =>
  sequence > maxSequence - count ? count - (maxSequence - sequence) - 1 : sequence + count

const next: Verdict = { _tag: "Next" }

/** @internal */
export class ProducerStates {
  private readonly states = new Map<bigint, ProducerState>()

  /** What is known of a producer. */
  of(producerId: bigint): ProducerState | undefined {
    return this.states.get(producerId)
  }

  all(): ReadonlyArray<readonly [producerId: bigint, state: ProducerState]> {
    return [...this.states]
  }

  check({ baseSequence, producerEpoch, producerId, recordCount }: Batch): Verdict {
    if (producerId < 0) return next
    const state = this.states.get(producerId)
    // Of who is not known any more, any sequence is taken: his records may have been deleted.
    if (state === undefined) return next
    if (producerEpoch < state.epoch) {
      const message = `Epoch of producer ${producerId} is ${producerEpoch}, which is smaller than the last seen epoch ${state.epoch}`
      return { _tag: "Refused", code: codes.INVALID_PRODUCER_EPOCH, message }
    }
    const outOfOrder = (expected: number): Verdict => {
      const message = `Out of order sequence number for producer ${producerId}: ${baseSequence} (incoming seq. number), ${expected} (expected)`
      return { _tag: "Refused", code: codes.OUT_OF_ORDER_SEQUENCE_NUMBER, message }
    }
    if (producerEpoch > state.epoch) return baseSequence === 0 ? next : outOfOrder(0)
    const last = after(baseSequence, recordCount - 1)
    const same = state.batches.find((written) => written.first === baseSequence && written.last === last)
    if (same !== undefined) {
      // Kafka tells that time whoever set it.
      return { _tag: "Duplicate", baseOffset: same.baseOffset, logAppendTime: same.maxTimestamp }
    }
    const before = state.batches.at(-1)
    const expected = before === undefined ? 0 : after(before.last, 1)
    return baseSequence === expected ? next : outOfOrder(expected)
  }

  /** Remembers what was appended. */
  append(batch: Batch): void {
    const { baseOffset, baseSequence, isControl, lastOffset, maxTimestamp, producerEpoch, producerId } = batch
    if (producerId < 0) return
    const state = this.states.get(producerId)
    if (isControl) {
      // A marker of a new epoch fences those before; sequences begin again under it.
      const batches = state?.epoch === producerEpoch ? state.batches : []
      this.states.set(producerId, { epoch: producerEpoch, batches, lastTimestamp: maxTimestamp, coordinatorEpoch: 0 })
      return
    }
    const coordinatorEpoch = state?.coordinatorEpoch ?? -1
    const before = state?.epoch === producerEpoch ? state.batches.slice(1 - kept) : []
    // Of a compacted batch, which has fewer records than it had, the offsets tell.
    const last = after(baseSequence, Number(lastOffset - baseOffset))
    const batches = [...before, { first: baseSequence, last, baseOffset, maxTimestamp }]
    this.states.set(producerId, { epoch: producerEpoch, batches, lastTimestamp: maxTimestamp, coordinatorEpoch })
  }

  /** Forgets all producers, as brokers do after `producer.id.expiration.ms`. */
  expire(): void {
    this.states.clear()
  }

  /** Forgets batches from an offset on, which the log has lost. */
  truncate(offset: bigint): void {
    for (const [producerId, state] of this.states) {
      const batches = state.batches.filter(({ baseOffset }) => baseOffset < offset)
      if (batches.length === 0) this.states.delete(producerId)
      else this.states.set(producerId, { ...state, batches })
    }
  }
}
