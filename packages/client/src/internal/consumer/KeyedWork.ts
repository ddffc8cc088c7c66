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
import type { Delivered, Delivery } from "./Delivery.ts"
import { LowWaterMark } from "./LowWaterMark.ts"
import type { OwnedPartition } from "./OwnedPartition.ts"

/** Records that may be open before more are asked for, for each key that may be worked on. */
const openPerKey = 64

/** The records of one key that wait, in their order. */
interface Waiting<A> {
  readonly records: Array<A>
  readonly raw: Array<Record>
  readonly tickets: Array<number>
}

/** Keys are the same when their bytes are; a record without a key is alone. */
const keyOf = ({ key }: Record): string | undefined =>
  key === null ? undefined : Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")

/** @internal */
export const run = <A, E, R, R2>(
  owned: OwnedPartition,
  delivery: Delivery<A, R2>,
  process: (delivered: Delivered<A>) => Effect.Effect<void, E, R>,
  keys: number
): Effect.Effect<void, E | ConsumerError | SerdeError, R | R2> =>
  Effect.scoped(
    Effect.gen(function* () {
      const workers = yield* FiberSet.make<void, never>()
      const failed = yield* Deferred.make<never, E>()
      const mark = new LowWaterMark()
      /** Of keys that are at work: what waits for them. */
      const busy = new Map<string | symbol, Waiting<A>>()
      /** Keys that wait for a free worker, in their order. */
      const idle = new Map<string | symbol, Waiting<A>>()
      const moved = Latch.makeUnsafe()

      const finish = (tickets: ReadonlyArray<number>): void => {
        for (const ticket of tickets) {
          const place = mark.finish(ticket)
          if (place !== undefined) owned.finished = place
        }
        moved.openUnsafe()
      }

      const workOn = (key: string | symbol, { raw, records, tickets }: Waiting<A>): Effect.Effect<void, never, R> => {
        const end = { offset: raw[raw.length - 1].offset + BigInt(1), leaderEpoch: -1 }
        return Effect.flatMap(Effect.exit(process({ owned, records, raw, undecoded: [], end })), (exit) => {
          if (Exit.isFailure(exit)) {
            if (!Exit.hasInterrupts(exit)) Deferred.doneUnsafe(failed, Exit.failCause(exit.cause))
            return Effect.void
          }
          finish(tickets)
          const more = busy.get(key)!
          busy.delete(key)
          // A key that has more goes behind the others.
          if (more.records.length > 0) idle.set(key, more)
          const [next] = idle
          if (next === undefined) return Effect.void
          idle.delete(next[0])
          busy.set(next[0], nothing())
          return workOn(next[0], next[1])
        })
      }

      const add = ({ raw, records }: Delivered<A>, leaderEpoch: number): void => {
        for (let index = 0; index < records.length; index++) {
          const key = keyOf(raw[index]) ?? Symbol("no key")
          let waiting = busy.get(key) ?? idle.get(key)
          if (waiting === undefined) {
            waiting = nothing()
            idle.set(key, waiting)
          }
          waiting.records.push(records[index])
          waiting.raw.push(raw[index])
          waiting.tickets.push(mark.add({ offset: raw[index].offset + BigInt(1), leaderEpoch }))
        }
      }

      const startWorkers = Effect.gen(function* () {
        while (busy.size < keys) {
          const [next] = idle
          if (next === undefined) return
          idle.delete(next[0])
          busy.set(next[0], nothing())
          yield* FiberSet.run(workers, workOn(next[0], next[1]))
        }
      })

      const feed = Effect.gen(function* () {
        const next = delivery.nextOf(owned)
        while (true) {
          moved.closeUnsafe()
          if (mark.open >= keys * openPerKey) {
            yield* moved.await
            continue
          }
          const delivered = yield* next
          if (delivered === undefined) break
          // What could not be decoded is put aside on its own.
          if (delivered.undecoded.length > 0) yield* process({ ...delivered, records: [], raw: [] })
          add(delivered, delivered.end.leaderEpoch)
          yield* startWorkers
        }
        yield* FiberSet.awaitEmpty(workers)
      })
      yield* Effect.raceFirst(feed, Deferred.await(failed))
    })
  )

const nothing = <A>(): Waiting<A> => ({ records: [], raw: [], tickets: [] })
