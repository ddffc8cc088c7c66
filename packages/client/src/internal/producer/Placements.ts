/**
 * Where the records of one array are: for each its batch and its place in it, or why it is in none.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ProducerError } from "../../ProducerError.ts"
import type { RecordMetadata } from "../../Topic.ts"
import * as Acknowledgement from "./Acknowledgement.ts"
import type { Batch } from "./Batch.ts"
import type { Encoded } from "./Encoded.ts"

/** @internal */
export class Placements {
  /** How many records, from the first on, have a place or an error. */
  count = 0
  errors: Map<number, ProducerError> | undefined = undefined
  /** The batches, each once. */
  readonly distinct: Array<Batch> = []
  private readonly encoded: Encoded
  private readonly batches: Array<Batch | undefined> = []
  private readonly indexes: Array<number> = []

  constructor(encoded: Encoded) {
    this.encoded = encoded
  }

  /** The next record is the last one of this batch. */
  place(batch: Batch): void {
    this.batches.push(batch)
    this.indexes.push(batch.builder.count - 1)
    this.count++
    if (batch.mark !== this) {
      batch.mark = this
      // Another array may have had its mark in between.
      if (!this.distinct.includes(batch)) this.distinct.push(batch)
    }
  }

  /** The next record has no place. */
  fail(error: ProducerError): void {
    this.errors ??= new Map()
    this.errors.set(this.count, error)
    this.batches.push(undefined)
    this.indexes.push(-1)
    this.count++
  }

  get isDone(): boolean {
    return this.distinct.every((batch) => batch.isDone)
  }

  outcomeOf(index: number): Exit.Exit<RecordMetadata, ProducerError> {
    const batch = this.batches[index]
    if (batch === undefined) return Exit.fail(this.errors!.get(index)!)
    return batch.outcomeOf(this.indexes[index], this.encoded.records[index].timestamp ?? this.encoded.time)
  }

  /** The outcomes of all records, in their order. */
  outcomes(): ReadonlyArray<Exit.Exit<RecordMetadata, ProducerError>> {
    const outcomes = new Array<Exit.Exit<RecordMetadata, ProducerError>>(this.count)
    for (let index = 0; index < outcomes.length; index++) outcomes[index] = this.outcomeOf(index)
    return outcomes
  }

  /** The first failure, once all is done. */
  firstFailure(): Exit.Exit<never, ProducerError> | undefined {
    const isWhole =
      this.errors === undefined && this.distinct.every(({ exit }) => exit !== undefined && isWritten(exit))
    if (isWhole) return undefined
    for (let index = 0; index < this.count; index++) {
      const outcome = this.outcomeOf(index)
      if (Exit.isFailure(outcome)) return Exit.failCause(outcome.cause)
    }
    return undefined
  }

  /** Takes out the records that are not in a request yet. */
  cancel(): void {
    for (let index = 0; index < this.count; index++) this.batches[index]?.cancel(this.indexes[index])
  }

  /**
   * The outcome of the only record. It may be run more than once. With `takesBack` an interruption takes the record back
   * if it is not in a request yet.
   */
  awaitFirst(takesBack: boolean): Effect.Effect<RecordMetadata, ProducerError> {
    const [batch] = this.distinct
    if (batch === undefined) return Effect.suspend(() => this.outcomeOf(0))
    const { records, time } = this.encoded
    return Acknowledgement.await(batch, this.indexes[0], records[0].timestamp ?? time, takesBack)
  }

  /** Waits until all is done. */
  get await(): Effect.Effect<void> {
    return Acknowledgement.all(this.distinct)
  }
}

const isWritten = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isSuccess(exit)
