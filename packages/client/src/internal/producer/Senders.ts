/**
 * The ways to send: one record, an array, a Sink, or a stream that passes through; all by the same entrance.
 *
 * @since 0.1.0
 */
import { type Headers, noHeaders } from "@kafka-effect/protocol/Record"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { Producer } from "../../Producer.ts"
import type { ProducerError } from "../../ProducerError.ts"
import { SerdeError } from "../../Serde.ts"
import type { ProducerRecord, RecordMetadata, Topic } from "../../Topic.ts"
import * as Acknowledgement from "./Acknowledgement.ts"
import { Batch } from "./Batch.ts"
import { contextsOf, encode, encodePart, withOwn } from "./Encoded.ts"
import type { Entrance } from "./Entrance.ts"
import { Placements } from "./Placements.ts"
import type { ProducerMetrics } from "./ProducerMetrics.ts"

/** How many arrays of a `through` stream may wait for their acknowledgements. */
const arraysInFlight = 64

const utf8 = new TextEncoder()

/** The current span in the form of W3C's Trace Context. */
const traceHeaders: Effect.Effect<Headers> = Effect.map(Effect.option(Effect.currentParentSpan), (span) => {
  if (Option.isNone(span)) return noHeaders
  const { sampled, spanId, traceId } = span.value
  const text = `00-${traceId.padStart(32, "0")}-${spanId.padStart(16, "0")}-${sampled ? "01" : "00"}`
  return [["traceparent", utf8.encode(text)]]
})

/** The elements whose records were acknowledged, up to the first that failed. */
const acknowledgedOf = <A>(elements: ReadonlyArray<A>, placements: Placements) => {
  const acknowledged: Array<readonly [A, RecordMetadata]> = []
  for (let index = 0; index < elements.length; index++) {
    const outcome = placements.outcomeOf(index)
    if (Exit.isFailure(outcome)) return { acknowledged, failure: outcome.cause }
    acknowledged.push([elements[index], outcome.value])
  }
  return { acknowledged, failure: undefined }
}

/** @internal */
export const make = (
  entrance: Entrance,
  metrics: ProducerMetrics,
  time: () => number,
  traceContext: boolean
): Pick<Producer["Service"], "send" | "enqueue" | "sendAll" | "sink" | "through"> => {
  type Many<K, V> = ReadonlyArray<ProducerRecord<K, V>>

  const tryEncode = <K, V, R>(topic: Topic<string, K, V, R>, records: Many<K, V>, ownHeaders: Headers) => {
    try {
      return encode(topic, records, time(), ownHeaders)
    } catch (error) {
      if (error instanceof SerdeError) return error
      throw error
    }
  }

  /** Encodes and places, then goes on; an interruption in between takes back what it can. */
  const placing = <K, V, R, A, E>(
    topic: Topic<string, K, V, R>,
    records: Many<K, V>,
    whenPlaced: (placements: Placements) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | SerdeError> => {
    const withHeaders = (ownHeaders: Headers): Effect.Effect<A, E | SerdeError> => {
      const encoded = tryEncode(topic, records, ownHeaders)
      if (encoded instanceof SerdeError) return Effect.fail(encoded)
      const placements = new Placements(encoded)
      const done = entrance.appendNow(topic.name, encoded, placements)
      const next = (): Effect.Effect<A, E> => {
        if (placements.errors !== undefined) metrics.failed(placements.errors.size)
        return whenPlaced(placements)
      }
      if (done) return next()
      return entrance.append(topic.name, encoded, placements).pipe(
        Effect.onInterrupt(() => Effect.sync(() => placements.cancel())),
        Effect.flatMap(next)
      )
    }
    return traceContext ? Effect.flatMap(traceHeaders, withHeaders) : Effect.suspend(() => withHeaders(noHeaders))
  }

  /** Waits for all; an interruption takes back what it can. */
  const settled = (placements: Placements): Effect.Effect<void> =>
    Effect.onInterrupt(placements.await, () => Effect.sync(() => placements.cancel()))

  /** What `placing` does, for the usual case of one record that need not wait: one batch, one waiter, no arrays. */
  const sendWith = <K, V, R>(topic: Topic<string, K, V, R>, record: ProducerRecord<K, V>, ownHeaders: Headers) => {
    try {
      const { headers } = record
      const known = contextsOf(topic)
      const key = encodePart(topic.key, record.key, known.key, headers)
      const value = encodePart(topic.value, record.value, known.value, headers)
      const timestamp = record.timestamp ?? time()
      const placed = entrance.placeOne(topic.name, record, key, value, withOwn(headers, ownHeaders), timestamp)
      if (placed === undefined) return placing(topic, [record], (placements) => placements.awaitFirst(true))
      if (placed instanceof Batch) return Acknowledgement.await(placed, placed.builder.count - 1, timestamp, true)
      metrics.failed(1)
      return Effect.fail(placed)
    } catch (error) {
      if (error instanceof SerdeError) return Effect.fail(error)
      throw error
    }
  }

  const send: Producer["Service"]["send"] = (topic, record) =>
    traceContext
      ? Effect.flatMap(traceHeaders, (headers) => sendWith(topic, record, headers))
      : Effect.suspend(() => sendWith(topic, record, noHeaders))

  const enqueue: Producer["Service"]["enqueue"] = (topic, record) =>
    placing(topic, [record], (placements) => {
      const error = placements.errors?.get(0)
      return error === undefined ? Effect.succeed(placements.awaitFirst(false)) : Effect.fail(error)
    })

  const sendAll: Producer["Service"]["sendAll"] = (topic, records) =>
    placing(topic, records, (placements) => Effect.map(settled(placements), () => placements.outcomes()))

  const sink = <K, V, R>(
    topic: Topic<string, K, V, R>
  ): Sink.Sink<void, ProducerRecord<K, V>, never, ProducerError | SerdeError, R> =>
    Sink.unwrap(
      Effect.sync(() => {
        const open: Array<Placements> = []
        /** Forgets the arrays that are done; fails with their first failure. */
        const check = Effect.suspend((): Effect.Effect<void, ProducerError> => {
          while (open.length > 0 && open[0].isDone) {
            const failure = open.shift()!.firstFailure()
            if (failure !== undefined) return failure
          }
          return Effect.void
        })
        const add = (placements: Placements): Effect.Effect<void, ProducerError> => {
          open.push(placements)
          return check
        }
        const rest: Effect.Effect<void, ProducerError> = Effect.suspend(() =>
          open.length === 0 ? Effect.void : Effect.andThen(Effect.andThen(open[0].await, check), rest)
        )
        return Sink.forEachArray((records: Many<K, V>) => placing(topic, records, add)).pipe(
          Sink.mapEffect(() => rest),
          Sink.onExit((exit) =>
            Effect.sync(() => {
              if (Exit.isFailure(exit)) for (const placements of open) placements.cancel()
            })
          )
        )
      })
    )

  const through: Producer["Service"]["through"] = (topic, f) => (self) =>
    Stream.suspend(() => {
      const open = new Set<Placements>()
      return self.pipe(
        Stream.mapArrayEffect((elements) =>
          placing(topic, elements.map(f), (placements) => {
            open.add(placements)
            return Effect.succeed([{ elements, placements }] as const)
          })
        ),
        // Acknowledgements are waited for behind this buffer, while further arrays are sent.
        Stream.bufferArray({ capacity: arraysInFlight }),
        Stream.mapEffect(({ elements, placements }) =>
          Effect.map(placements.await, () => {
            open.delete(placements)
            return acknowledgedOf(elements, placements)
          })
        ),
        Stream.flatMap(({ acknowledged, failure }) => {
          const given = Stream.fromArray(acknowledged)
          return failure === undefined ? given : Stream.concat(given, Stream.failCause(failure))
        }),
        Stream.ensuring(
          Effect.sync(() => {
            for (const placements of open) placements.cancel()
          })
        )
      )
    })

  return { send, enqueue, sendAll, sink, through }
}
