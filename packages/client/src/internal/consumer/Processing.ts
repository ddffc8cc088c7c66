/**
 * What is done with the records that `run` is given: the user's function, tried again as the schedule says; then, if
 * there is a place for dead letters, record by record, those that still fail go there.
 *
 * @since 0.1.0
 */
import type { Headers, Record } from "@kafka-effect/protocol/Record"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type { DeadLetter, FailedRecord } from "../../Consumer.ts"
import type { ProducerError } from "../../ProducerError.ts"
import * as Serde from "../../Serde.ts"
import type { ConsumerRecord } from "../../Topic.ts"
import * as Topic from "../../Topic.ts"
import type { Delivered } from "./Delivery.ts"

/** @internal */
export interface Options<E, E2, R2> {
  readonly groupId: string | undefined
  readonly retry: Schedule.Schedule<unknown, E, never, R2> | undefined
  readonly deadLetter: DeadLetter<E, E2, R2> | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: keys and values do not matter here, whatever their types
type AnyRecord = ConsumerRecord<string, any, any>

/** What records share with their batch. */
type OfBatch = Pick<AnyRecord, "leaderEpoch" | "timestampType">

const utf8 = new TextEncoder()

/** The headers of a dead letter: the record's own, and behind them where it was and what failed. */
const headersOf = ({ cause, record }: FailedRecord<unknown>, groupId: string | undefined): Headers => {
  const [first] = Cause.prettyErrors(cause)
  const said: ReadonlyArray<readonly [string, string | undefined]> = [
    ["x-original-topic", record.topic],
    ["x-original-partition", String(record.partition)],
    ["x-original-offset", String(record.offset)],
    ["x-original-timestamp", String(record.timestamp)],
    ["x-group-id", groupId],
    ["x-error-name", first?.name],
    ["x-error-message", first?.message]
  ]
  const added = said.flatMap(([name, text]) => (text === undefined ? [] : [[name, utf8.encode(text)] as const]))
  return [...record.headers, ...added]
}

const toHandler = <E, E2, R2>(
  deadLetter: DeadLetter<E, E2, R2>,
  groupId: string | undefined
): ((failed: FailedRecord<E>) => Effect.Effect<void, E2 | ProducerError, R2>) => {
  if (typeof deadLetter === "function") return deadLetter
  const { producer } = deadLetter
  const topic = Topic.topic(deadLetter.topic, { key: Serde.bytes, value: Serde.bytes })
  return (failed) => {
    const { key, timestamp, value } = failed.record
    const record = { key, value, headers: headersOf(failed, groupId), ...(timestamp < 0 ? {} : { timestamp }) }
    return producer.send(topic, record).pipe(
      Effect.asVoid,
      // Bytes need no encoding.
      Effect.catchTag("SerdeError", Effect.die)
    )
  }
}

/** @internal */
export const make = <A extends AnyRecord, E, R, E2, R2>(
  f: (records: ReadonlyArray<A>) => Effect.Effect<void, E, R>,
  options: Options<E, E2, R2>
): ((delivered: Delivered<A>) => Effect.Effect<void, E | E2 | ProducerError, R | R2>) => {
  const { deadLetter, groupId, retry } = options
  const attempt = (records: ReadonlyArray<A>): Effect.Effect<void, E, R | R2> => {
    const once = Effect.suspend(() => f(records))
    return retry === undefined ? once : Effect.retry(once, retry)
  }
  if (deadLetter === undefined) return ({ records }) => attempt(records)

  const putAside = toHandler(deadLetter, groupId)
  const putAsideOf = ({ owned }: Delivered<A>, raw: Record, of: OfBatch, cause: Cause.Cause<E | Serde.SerdeError>) =>
    putAside({ record: toRecord(owned.topic, owned.partition, raw, of), cause })

  /** Work that was ended from outside has not failed. */
  const orElse = <E3, R3>(
    self: Effect.Effect<void, E, R | R2>,
    f: (cause: Cause.Cause<E>) => Effect.Effect<void, E3, R3>
  ): Effect.Effect<void, E | E3, R | R2 | R3> =>
    Effect.catchCause(
      self,
      (cause): Effect.Effect<void, E | E3, R3> => (Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : f(cause))
    )

  const oneByOne = (delivered: Delivered<A>) =>
    Effect.forEach(
      delivered.records,
      (record, index) =>
        orElse(attempt([record]), (cause) => putAsideOf(delivered, delivered.raw[index], record, cause)),
      { discard: true }
    )

  return (delivered) => {
    const { raw, records, undecoded } = delivered
    const all =
      records.length === 0
        ? Effect.void
        : orElse(attempt(records), (cause) =>
            records.length === 1 ? putAsideOf(delivered, raw[0], records[0], cause) : oneByOne(delivered)
          )
    if (undecoded.length === 0) return all
    return Effect.andThen(
      all,
      Effect.forEach(undecoded, (one) => putAsideOf(delivered, one.record, one, Cause.fail(one.error)), {
        discard: true
      })
    )
  }
}

/** The record as it was fetched. */
const toRecord = (
  topic: string,
  partition: number,
  { headers, key, offset, timestamp, value }: Record,
  { leaderEpoch, timestampType }: OfBatch
): ConsumerRecord<string, Uint8Array | null, Uint8Array | null> => ({
  topic,
  partition,
  offset,
  leaderEpoch,
  timestamp,
  timestampType,
  key,
  value,
  headers
})
