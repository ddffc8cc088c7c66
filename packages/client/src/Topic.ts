/**
 * A topic with what its keys and values are: said once, used by producers and consumers.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import type * as Option from "effect/Option"
import type { Serde } from "./Serde.ts"

/**
 * A topic and its serdes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Topic<Name extends string, K, V, R = never> {
  readonly name: Name
  readonly key: Serde<K, R>
  readonly value: Serde<V, R>
}

/**
 * Any topic, where its types do not matter.
 *
 * @category models
 * @since 0.1.0
 */
// biome-ignore lint/suspicious/noExplicitAny: serdes are invariant in their type, so nothing narrower holds all topics
export type AnyTopic = Topic<any, any, any, any>

/**
 * Makes a topic.
 *
 * @example
 * ```ts
 * const Orders = Kafka.topic("orders", { key: Serde.string, value: Serde.json(Order) })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const topic = <const Name extends string, K, V, R = never>(
  name: Name,
  serdes: { readonly key: Serde<K, R>; readonly value: Serde<V, R> }
): Topic<Name, K, V, R> => ({ name, key: serdes.key, value: serdes.value })

/**
 * A topic and the number of one of its partitions.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/**
 * A record as a consumer gives it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsumerRecord<Name extends string, K, V> extends TopicPartition {
  readonly topic: Name
  readonly offset: bigint
  /** Epoch of the leader that appended the record; -1 where the broker is too old to say. */
  readonly leaderEpoch: number
  /** Milliseconds since 1970; -1 where the broker is too old to keep one. */
  readonly timestamp: number
  /** `append` where the broker set the time (topic setting `message.timestamp.type`). */
  readonly timestampType: "create" | "append"
  readonly key: K
  readonly value: V
  readonly headers: Headers
}

/**
 * A record to be sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProducerRecord<K, V> {
  readonly key: K
  readonly value: V
  /** Defaults to what the partitioner chooses. */
  readonly partition?: number | undefined
  /** Milliseconds since 1970. Defaults to now. */
  readonly timestamp?: number | undefined
  readonly headers?: Headers | undefined
}

/**
 * Where an acknowledged record was written.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordMetadata extends TopicPartition {
  /** None where the broker was not asked to acknowledge (`acks: 0`). */
  readonly offset: Option.Option<bigint>
  /** Milliseconds since 1970: the record's, or the broker's where the topic says so. */
  readonly timestamp: number
}

/**
 * The record type that a consumer of this topic gives.
 *
 * @category models
 * @since 0.1.0
 */
export type RecordOf<T> = T extends Topic<infer Name, infer K, infer V, infer _R> ? ConsumerRecord<Name, K, V> : never

/**
 * What the serdes of this topic need.
 *
 * @category models
 * @since 0.1.0
 */
export type ServicesOf<T> = T extends Topic<infer _N, infer _K, infer _V, infer R> ? R : never
