/**
 * The way of records into the accumulator, the same for all ways to send: finds the topic, the partition and room.
 *
 * @since 0.1.0
 */
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
  PartitionerFailed,
  ProducerError,
  RecordTooLarge,
  TopicUnavailable
} from "../../ProducerError.ts"
import { retryUntil } from "../Backoff.ts"
import type { Accumulator } from "./Accumulator.ts"
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
    }).pipe(Effect.mapError((cause) => new ProducerError({ reason: new TopicUnavailable({ topic: name, cause }) })))

  /** The topic as far as it is known now. */
  const stateOf = (name: string): TopicState | undefined => {
    const known = cluster.metadata().topics.get(name)
    const isUsable = known !== undefined && known.errorCode === 0 && known.partitions.length > 0
    return isUsable ? { topic: known, queues: accumulator.queues(name) } : undefined
  }

  const tooLarge = (topic: string, size: number): ProducerError => {
    const limit = size > maxRequestSize ? `maxRequestSize (${maxRequestSize})` : `bufferMemory (${memory.total})`
    return new ProducerError({ reason: new RecordTooLarge({ topic, size, limit }) })
  }

  /** Writes the next record into its batch, room or no room. */
  const place = (state: TopicState, encoded: Encoded, placements: Placements, size: number): void => {
    const index = placements.count
    const key = encoded.keys[index]
    const value = encoded.values[index]
    const record = encoded.records[index]
    const { name } = state.topic
    const partitionCount = state.topic.partitions.length
    let partition = record.partition
    if (partition === undefined) {
      try {
        partition = choose(state, key, value, size)
      } catch (cause) {
        placements.fail(new ProducerError({ reason: new PartitionerFailed({ topic: name, cause }) }))
        return
      }
    }
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) {
      const reason = new InvalidPartition({ topic: name, partition: Number(partition), partitionCount })
      placements.fail(new ProducerError({ reason }))
      return
    }
    const timestamp = record.timestamp ?? encoded.time
    try {
      placements.place(
        accumulator.append(state.queues, name, partition, size, timestamp, key, value, headersOf(encoded, index))
      )
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      placements.fail(new ProducerError({ reason: new InvalidRecord({ topic: name, detail: error.message }) }))
    }
  }

  const sizeOf = (encoded: Encoded, index: number): number =>
    RecordBatchBuilder.maximumRecordBytes(encoded.keys[index], encoded.values[index], headersOf(encoded, index))

  /** Places records until one finds no room; gives how much that one needs, or 0 when all are placed. */
  const fill = (state: TopicState, encoded: Encoded, placements: Placements): number => {
    const { length } = encoded.records
    while (placements.count < length) {
      const size = sizeOf(encoded, placements.count)
      if (size > largest) placements.fail(tooLarge(state.topic.name, size))
      else if (memory.hasRoom(size)) place(state, encoded, placements, size)
      else return size
    }
    return 0
  }

  const failRest = (encoded: Encoded, placements: Placements, error: ProducerError): void => {
    while (placements.count < encoded.records.length) placements.fail(error)
  }

  const closed = (topic: string) => new ProducerError({ reason: new Closed({ topic, maybeWritten: false }) })

  const appendNow: Entrance["appendNow"] = (name, encoded, placements) => {
    if (isClosed()) failRest(encoded, placements, closed(name))
    else {
      const state = stateOf(name)
      if (state === undefined || fill(state, encoded, placements) > 0) return false
    }
    return true
  }

  /** Waits for room and uses it: whoever got room has to use it or give it back, so nothing may come between. */
  const placeWithRoom = (state: TopicState, encoded: Encoded, placements: Placements, size: number) =>
    Effect.uninterruptibleMask((restore) =>
      restore(
        Effect.timeoutOrElse(memory.room(size), {
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
            else place(state, encoded, placements, size)
            memory.release(size)
          })
        )
      )
    )

  const append: Entrance["append"] = Effect.fnUntraced(function* (name, encoded, placements) {
    while (!appendNow(name, encoded, placements)) {
      const state = stateOf(name)
      if (state === undefined) {
        const found = yield* Effect.result(topic(name))
        if (Result.isFailure(found)) return failRest(encoded, placements, found.failure)
        continue
      }
      // Whoever waits for room makes the sender hurry.
      accumulator.wake()
      const size = sizeOf(encoded, placements.count)
      const placed = yield* Effect.result(placeWithRoom(state, encoded, placements, size))
      // One wait in vain is enough for all: the others do not wait again.
      if (Result.isFailure(placed)) return failRest(encoded, placements, placed.failure)
    }
  })

  return { append, appendNow, topic }
}
