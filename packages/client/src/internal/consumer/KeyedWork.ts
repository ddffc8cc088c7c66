/**
 * Works on several keys of a partition at a time: the records of one key stay in order, and are worked on together as far
 * as they have gathered. How far the partition has been finished is the low-water mark.
 *
 * @since 0.1.0
 */
import type { Record } from "@kafka-effect/protocol/Record"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { SerdeError } from "../../Serde.ts"
import type * as Delivery from "./Delivery.ts"
import { LowWaterMark } from "./LowWaterMark.ts"
import type { OwnedPartition, Place } from "./OwnedPartition.ts"

/** Records that may be open before more are asked for, for each key that may be worked on. */
const openPerKey = 64

/** The records of one key that wait, in their order. */
interface Waiting<A> {
  readonly records: Array<A>
  readonly raw: Array<Record>
  readonly tickets: Array<number>
}

/** What is committed when a record is finished, and all before it. */
interface Marked extends Place {
  /** The record's own offset. */
  readonly from: bigint
  /** How often reading had gone on elsewhere when it was handed over. */
  readonly jumps: number
}

/** Keys are the same when their bytes are; a record without a key is alone. */
const keyOf = ({ key }: Record): string | undefined =>
  key === null ? undefined : Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")

/** @internal */
export const run = <A, E, R, R2>(
  owned: OwnedPartition,
  delivery: Delivery.Delivery<A, R2>,
  process: (delivered: Delivery.Delivered<A>) => Effect.Effect<void, E, R>,
  options: {
    /** How many keys are worked on at a time. */
    readonly keys: number
    /** Most records of an array. */
    readonly maxPollRecords: number
  }
): Effect.Effect<void, E | ConsumerError | SerdeError, R | R2> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { lease } = owned
      const { keys, maxPollRecords } = options
      const mark = new LowWaterMark<Marked>()
      // When all workers have ended: what was not finished is for the next who works on the partition.
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          const { firstOpen } = mark
          // What is in no mark yet comes behind what is.
          const from = firstOpen?.jumps === lease.jumps ? firstOpen.from : owned.openFrom
          if (from !== undefined && !owned.isEnding) owned.handAgain(from)
        })
      )
      const workers = yield* FiberSet.make<void, never>()
      const failed = yield* Deferred.make<never, E>()
      /** Of keys that are at work: what waits for them. */
      const busy = new Map<string | symbol, Waiting<A>>()
      /** Keys that wait for a free worker, in their order. */
      const idle = new Map<string | symbol, Waiting<A>>()
      const moved = Latch.makeUnsafe()

      const finish = (tickets: ReadonlyArray<number>): void => {
        for (const ticket of tickets) {
          const place = mark.finish(ticket)
          // What was finished before a seek is not where the group is now.
          if (place?.jumps === lease.jumps) owned.finished = place
        }
        delivery.progressed(owned)
        moved.openUnsafe()
      }

      /** Takes a key's turn: what is too much for one array keeps its place in front of what comes. */
      const begin = (key: string | symbol, waiting: Waiting<A>): Waiting<A> => {
        const { raw, records, tickets } = waiting
        idle.delete(key)
        busy.set(key, {
          records: records.splice(maxPollRecords),
          raw: raw.splice(maxPollRecords),
          tickets: tickets.splice(maxPollRecords)
        })
        return waiting
      }

      const workOn = (key: string | symbol, { raw, records, tickets }: Waiting<A>): Effect.Effect<void, never, R> => {
        const end = { offset: raw[raw.length - 1].offset + BigInt(1), leaderEpoch: -1 }
        return Effect.flatMap(Effect.exit(process({ owned, records, raw, undecoded: [], end })), (exit) => {
          if (Exit.isFailure(exit)) {
            Deferred.doneUnsafe(failed, Exit.failCause(exit.cause))
            return Effect.void
          }
          finish(tickets)
          // What waits was not handed over: its next owner gets it.
          if (owned.isEnding) return Effect.void
          const more = busy.get(key)!
          busy.delete(key)
          // A key that has more goes behind the others.
          if (more.records.length > 0) idle.set(key, more)
          const [next] = idle
          if (next === undefined) return Effect.void
          return workOn(next[0], begin(...next))
        })
      }

      const add = ({ end, raw, records }: Delivery.Delivered<A>, jumps: number): void => {
        const { leaderEpoch } = end
        for (let index = 0; index < records.length; index++) {
          const key = keyOf(raw[index]) ?? Symbol("no key")
          let waiting = busy.get(key) ?? idle.get(key)
          if (waiting === undefined) {
            waiting = nothing()
            idle.set(key, waiting)
          }
          waiting.records.push(records[index])
          waiting.raw.push(raw[index])
          const { offset } = raw[index]
          const place = { from: offset, offset: offset + one, leaderEpoch, jumps }
          waiting.tickets.push(mark.add(place))
        }
        // Behind the last one there may be what could not be decoded, or was compacted away.
        finish([mark.add({ ...end, from: end.offset, jumps })])
      }

      const startWorkers = Effect.gen(function* () {
        while (busy.size < keys) {
          const [next] = idle
          if (next === undefined) return
          yield* FiberSet.run(workers, workOn(next[0], begin(...next)))
        }
      })

      const feed = Effect.gen(function* () {
        const next = delivery.nextOf(owned)
        while (true) {
          moved.closeUnsafe()
          if (owned.isEnding) break
          if (mark.open >= keys * openPerKey) {
            yield* moved.await
            continue
          }
          const delivered = yield* next
          if (delivered === undefined) break
          const { jumps } = lease
          // What could not be decoded is put aside on its own.
          if (delivered.undecoded.length > 0) yield* process({ ...delivered, records: [], raw: [] })
          add(delivered, jumps)
          owned.openFrom = undefined
          yield* startWorkers
        }
        yield* FiberSet.awaitEmpty(workers)
      })
      yield* Effect.raceFirst(feed, Deferred.await(failed))
    })
  )

const one = BigInt(1)

const nothing = <A>(): Waiting<A> => ({ records: [], raw: [], tickets: [] })
