/**
 * The way of records into the accumulator, the same for all ways to send: finds the topic, the partition and room.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Cluster } from "../../Cluster.ts"
import type * as ClusterMetadata from "../../ClusterMetadata.ts"
import {
  BufferExhausted,
  Closed,
  InvalidPartition,
  InvalidRecord,
  NotAuthorized,
  PartitionerFailed,
  ProducerError,
  RecordTooLarge,
  TopicUnavailable
} from "../../ProducerError.ts"
import type { ProducerRecord } from "../../Topic.ts"
import { retryUntil } from "../Backoff.ts"
import type { Accumulator } from "./Accumulator.ts"
import { Batch } from "./Batch.ts"
import { type Encoded, headersOf } from "./Encoded.ts"
import type { Choose, TopicState } from "./Partitioning.ts"
import type { Placements } from "./Placements.ts"

/** @internal */
export interface Options {
  readonly maxBlock: number
  readonly maxRequestSize: number
  /** Whether the producer takes no more. */
  readonly isClosed: () => boolean
}

/** @internal */
export interface Entrance {
  /**
   * Gives every record a place, in order, or an error; waits for the topic and for room, `maxBlock` at most. Interrupted,
   * it leaves the records that have a place where they are.
   */
  readonly append: (topic: string, encoded: Encoded, placements: Placements) => Effect.Effect<void>
  /** Does as much of that as needs no waiting; true if that was all. */
  readonly appendNow: (topic: string, encoded: Encoded, placements: Placements) => boolean
  /** The same for one record; undefined where it would have to wait. */
  readonly placeOne: (
    topic: string,
    record: ProducerRecord<unknown, unknown>,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Headers,
    timestamp: number
  ) => Batch | ProducerError | undefined
  readonly topic: (name: string) => Effect.Effect<ClusterMetadata.Topic, ProducerError>
}

/** @internal */
export const make = (cluster: Cluster, accumulator: Accumulator, choose: Choose, options: Options): Entrance => {
  const { isClosed, maxBlock, maxRequestSize } = options
  const { memory } = accumulator
  const largest = Math.min(maxRequestSize, memory.total)
  const { retryBackoff, retryBackoffMax } = cluster.settings

  const topic: Entrance["topic"] = (name) =>
    retryUntil(cluster.topic(name, { allowAutoTopicCreation: true }), {
      retryBackoff,
      retryBackoffMax,
      timeout: maxBlock
    }).pipe(
      Effect.mapError((cause) => {
        const isDenied = cause.reason._tag === "BrokerError" && cause.reason.name === "TOPIC_AUTHORIZATION_FAILED"
        const reason = { topic: name, cause }
        return new ProducerError({ reason: isDenied ? new NotAuthorized(reason) : new TopicUnavailable(reason) })
      })
    )

  const states = new Map<string, TopicState>()
  /** The topic as far as it is known now. */
  const stateOf = (name: string): TopicState | undefined => {
    const known = cluster.metadata().topics.get(name)
    const state = states.get(name)
    if (known !== undefined && known === state?.topic) return state
    if (known === undefined || known.errorCode !== 0 || known.partitions.length === 0) return undefined
    const fresh = { topic: known, queues: accumulator.queues(name) }
    states.set(name, fresh)
    return fresh
  }

  const closed = (topic: string) => new ProducerError({ reason: new Closed({ topic, maybeWritten: false }) })

  const tooLarge = (topic: string, size: number): ProducerError => {
    const limit = size > maxRequestSize ? `maxRequestSize (${maxRequestSize})` : `bufferMemory (${memory.total})`
    return new ProducerError({ reason: new RecordTooLarge({ topic, size, limit }) })
  }

  /** Writes a record into its batch, room or no room; gives the batch, whose last record it then is. */
  const write = (
    state: TopicState,
    record: ProducerRecord<unknown, unknown>,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Headers,
    timestamp: number,
    size: number
  ): Batch | ProducerError => {
    const { name } = state.topic
    const partitionCount = state.topic.partitions.length
    let partition = record.partition
    if (partition === undefined) {
      try {
        partition = choose(state, key, value, size)
      } catch (cause) {
        return new ProducerError({ reason: new PartitionerFailed({ topic: name, cause }) })
      }
    }
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) {
      const reason = new InvalidPartition({ topic: name, partition: Number(partition), partitionCount })
      return new ProducerError({ reason })
    }
    try {
      return accumulator.append(state.queues, name, partition, size, timestamp, key, value, headers)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return new ProducerError({ reason: new InvalidRecord({ topic: name, detail: error.message }) })
    }
  }

  /** Writes the next record of an array. */
  const place = (state: TopicState, encoded: Encoded, placements: Placements, headers: Headers, size: number): void => {
    const index = placements.count
    const record = encoded.records[index]
    const timestamp = record.timestamp ?? encoded.time
    const placed = write(state, record, encoded.keys[index], encoded.values[index], headers, timestamp, size)
    if (placed instanceof Batch) placements.place(placed)
    else placements.fail(placed)
  }

  const placeOne: Entrance["placeOne"] = (name, record, key, value, headers, timestamp) => {
    if (isClosed()) return closed(name)
    const state = stateOf(name)
    if (state === undefined) return undefined
    const size = RecordBatchBuilder.maximumRecordBytes(key, value, headers)
    if (size > largest) return tooLarge(name, size)
    return memory.hasRoom(size) ? write(state, record, key, value, headers, timestamp, size) : undefined
  }

  /** Places records until one finds no room; gives how much that one needs, or 0 when all are placed. */
  const fill = (state: TopicState, encoded: Encoded, placements: Placements): number => {
    const { length } = encoded.records
    while (placements.count < length) {
      const index = placements.count
      const headers = headersOf(encoded, index)
      const size = RecordBatchBuilder.maximumRecordBytes(encoded.keys[index], encoded.values[index], headers)
      if (size > largest) placements.fail(tooLarge(state.topic.name, size))
      else if (memory.hasRoom(size)) place(state, encoded, placements, headers, size)
      else return size
    }
    return 0
  }

  const failRest = (encoded: Encoded, placements: Placements, error: ProducerError): void => {
    while (placements.count < encoded.records.length) placements.fail(error)
  }

  const appendNow: Entrance["appendNow"] = (name, encoded, placements) => {
    if (isClosed()) failRest(encoded, placements, closed(name))
    else {
      const state = stateOf(name)
      if (state === undefined || fill(state, encoded, placements) > 0) return false
    }
    return true
  }

  /** Waits for room and uses it: whoever got room has to use it or give it back, so nothing may come between. */
  const placeWithRoom = (state: TopicState, encoded: Encoded, placements: Placements) => {
    const index = placements.count
    const headers = headersOf(encoded, index)
    const size = RecordBatchBuilder.maximumRecordBytes(encoded.keys[index], encoded.values[index], headers)
    const admission = { isAdmitted: false }
    return Effect.uninterruptibleMask((restore) =>
      restore(
        Effect.timeoutOrElse(memory.room(size, admission), {
          duration: maxBlock,
          orElse: () => {
            const { name: topic } = state.topic
            const reason = new BufferExhausted({ topic, bufferMemory: memory.total, maxBlock })
            return Effect.fail(new ProducerError({ reason }))
          }
        })
      ).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            if (isClosed()) placements.fail(closed(state.topic.name))
            else place(state, encoded, placements, headers, size)
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            if (admission.isAdmitted) memory.release(size)
          })
        )
      )
    )
  }

  const append: Entrance["append"] = Effect.fnUntraced(function* (name, encoded, placements) {
    while (!appendNow(name, encoded, placements)) {
      const state = stateOf(name)
      if (state === undefined) {
        const found = yield* Effect.result(topic(name))
        if (Result.isFailure(found)) return failRest(encoded, placements, found.failure)
        continue
      }
      accumulator.reclaim()
      if (appendNow(name, encoded, placements)) return
      // Whoever waits for room makes the sender hurry.
      accumulator.wake()
      const placed = yield* Effect.result(placeWithRoom(state, encoded, placements))
      // One wait in vain is enough for all: the others do not wait again.
      if (Result.isFailure(placed)) return failRest(encoded, placements, placed.failure)
    }
  })

  return { append, appendNow, placeOne, topic }
}
