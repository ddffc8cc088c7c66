/**
 * A record as a consumer gives it, which knows under which lease it was read. Nobody sees the lease: a copy of the record
 * has none. Making one costs as much as an object literal.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import type { ConsumerRecord } from "../../Topic.ts"
import type { Lease } from "./Lease.ts"

/** @internal */
export class DeliveredRecord implements ConsumerRecord<string, unknown, unknown> {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly leaderEpoch: number
  readonly timestamp: number
  readonly timestampType: "create" | "append"
  readonly key: unknown
  readonly value: unknown
  readonly headers: Headers
  readonly #lease: Lease | undefined

  constructor(
    topic: string,
    partition: number,
    offset: bigint,
    leaderEpoch: number,
    timestamp: number,
    timestampType: "create" | "append",
    key: unknown,
    value: unknown,
    headers: Headers,
    lease: Lease | undefined
  ) {
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.leaderEpoch = leaderEpoch
    this.timestamp = timestamp
    this.timestampType = timestampType
    this.key = key
    this.value = value
    this.headers = headers
    this.#lease = lease
  }

  static leaseOf(record: object): Lease | undefined {
    return #lease in record ? record.#lease : undefined
  }
}
