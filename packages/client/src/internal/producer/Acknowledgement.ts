/**
 * Waiting for batches: for one record's outcome, or for several batches to be done.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ProducerError } from "../../ProducerError.ts"
import type { RecordMetadata } from "../../Topic.ts"
import type { Batch, Listener } from "./Batch.ts"

type Outcome = Exit.Exit<RecordMetadata, ProducerError>

/** One caller of `send`. */
class Waiter implements Listener {
  private readonly batch: Batch
  private readonly index: number
  private readonly timestamp: number
  private readonly resume: (outcome: Outcome) => void

  constructor(batch: Batch, index: number, timestamp: number, resume: (outcome: Outcome) => void) {
    this.batch = batch
    this.index = index
    this.timestamp = timestamp
    this.resume = resume
  }

  done(): void {
    this.resume(this.batch.outcomeOf(this.index, this.timestamp))
  }
}

/**
 * The outcome of a record; it may be run more than once. With `takesBack` an interruption takes the record back if it is
 * not in a request yet.
 *
 * @internal
 */
const awaitOne = (batch: Batch, index: number, timestamp: number, takesBack: boolean) =>
  Effect.callback<RecordMetadata, ProducerError>((resume) => {
    if (batch.isDone) return resume(batch.outcomeOf(index, timestamp))
    const waiter = new Waiter(batch, index, timestamp, resume)
    batch.listen(waiter)
    return Effect.sync(() => {
      batch.forget(waiter)
      if (takesBack) batch.cancel(index)
    })
  })

export {
  /** @internal */
  awaitOne as await
}

/** Waits until all of them are done. @internal */
export const all = (batches: ReadonlyArray<Batch>): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const open = batches.filter((batch) => !batch.isDone)
    if (open.length === 0) return resume(Effect.void)
    let left = open.length
    const listener: Listener = {
      done: () => {
        left--
        if (left === 0) resume(Effect.void)
      }
    }
    for (const batch of open) batch.listen(listener)
    return Effect.sync(() => {
      for (const batch of open) batch.forget(listener)
    })
  })
