/**
 * Hands fetched batches to those who wait for them: of any partition in turn, or of a certain one.
 *
 * @since 0.1.0
 */

import type { Batch } from "@kafka-effect/protocol/Record"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { FetchedBatch, FetchedPartition } from "./FetchedPartition.ts"
import * as LoopTurns from "./LoopTurns.ts"

/** A batch for the reader, with where it is from. @internal */
export interface Taken extends FetchedBatch {
  readonly source: FetchedPartition
}

/** @internal */
export interface FetchReaders {
  readonly take: Effect.Effect<Taken | undefined, ConsumerError>
  readonly takeFrom: (partition: FetchedPartition) => Effect.Effect<Taken | undefined, ConsumerError>
  /** The batch behind the one that was taken of a partition, if it is there already and wanted. */
  readonly takeNext: (source: FetchedPartition, isWanted: (batch: Batch) => boolean) => FetchedBatch | undefined
  /** The event loop has turned: readers have a slice of it again. */
  readonly turned: () => void
  /** Something may have changed for those who wait. */
  readonly notify: (partitions: ReadonlyArray<FetchedPartition>) => void
  /** Every reader comes to its end, or fails, from now on. */
  readonly end: (error?: ConsumerError) => void
  /** Every reader dies of it, from now on. */
  readonly die: (cause: Cause.Cause<never>) => void
}

/** @internal */
export const make = (options: {
  readonly partitions: ReadonlySet<FetchedPartition>
  /** Whether partitions may still come when all have ended. */
  readonly staysOpen: boolean
  /** Something was taken: there may be room for more. Or a partition's reader begins to wait. */
  readonly onTaken: (source: FetchedPartition) => void
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
}): FetchReaders => {
  const { onTaken, partitions, staysOpen } = options
  /** Those that may have something for a reader, in the order of their turns. */
  const ready = new Set<FetchedPartition>()
  const arrived = Latch.makeUnsafe()
  // What is taken is decoded before the next is: a reader that never waits would hold the event loop.
  const turns = LoopTurns.make(options.now)
  let defect: Cause.Cause<never> | undefined
  let ended: Exit.Exit<undefined, ConsumerError> | undefined

  const notify: FetchReaders["notify"] = (changed) => {
    for (const partition of changed) {
      if (partition.hasNews) ready.add(partition)
      partition.news.openUnsafe()
    }
    arrived.openUnsafe()
  }

  const isOver = (): boolean => {
    if (staysOpen) return false
    for (const partition of partitions) if (!partition.isComplete || partition.queue.length > 0) return false
    return true
  }

  const taken = (source: FetchedPartition): Taken | undefined => {
    const batch = source.take()
    if (batch === undefined) return undefined
    turns.spend(batch.batch.bytes.length)
    onTaken(source)
    return { ...batch, source }
  }

  const takeNext: FetchReaders["takeNext"] = (source, isWanted) => {
    const { queue } = source
    return queue.length > 0 && !source.isPaused && isWanted(queue[0].batch) ? taken(source) : undefined
  }

  const take: FetchReaders["take"] = Effect.suspend(() => {
    if (turns.isOver()) return Effect.andThen(turns.next, take)
    arrived.closeUnsafe()
    if (defect !== undefined) return Effect.failCause(defect)
    if (ended !== undefined) return ended
    for (const source of ready) {
      ready.delete(source)
      if (!source.hasNews) continue
      const found = taken(source)
      // It goes behind the others.
      if (source.hasNews) ready.add(source)
      if (found !== undefined) return Effect.succeed(found)
      if (source.error !== undefined) return Effect.fail(source.error)
    }
    return isOver() ? Effect.undefined : Effect.andThen(arrived.await, take)
  })

  const takeFrom: FetchReaders["takeFrom"] = (source) => {
    const next: Effect.Effect<Taken | undefined, ConsumerError> = Effect.suspend(() => {
      if (turns.isOver()) return Effect.andThen(turns.next, next)
      source.news.closeUnsafe()
      source.isAwaited = source.isAwaited && !source.hasNews
      if (defect !== undefined) return Effect.failCause(defect)
      if (ended !== undefined) return ended
      if (source.isRemoved) return Effect.undefined
      if (source.hasNews) {
        const found = taken(source)
        if (found !== undefined) return Effect.succeed(found)
        if (source.error !== undefined) return Effect.fail(source.error)
      }
      if (source.isComplete && source.queue.length === 0) return Effect.undefined
      if (!source.isAwaited) {
        source.isAwaited = true
        onTaken(source)
      }
      return Effect.andThen(source.news.await, next)
    })
    return next
  }

  const die: FetchReaders["die"] = (cause) => {
    if (Cause.hasInterruptsOnly(cause)) return
    defect = cause
    notify([...partitions])
  }

  const end: FetchReaders["end"] = (error) => {
    // The first reason is the one that counts.
    ended ??= error === undefined ? Exit.succeed(undefined) : Exit.fail(error)
    notify([...partitions])
  }

  return { take, takeFrom, takeNext, turned: turns.turned, notify, end, die }
}
