/**
 * A record as a consumer gives it, which knows the stretch of reading that it comes from, and with that its lease. Nobody
 * sees the stretch: a copy of the record has none. Making one costs as much as an object literal.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import type { ConsumerRecord } from "../../Topic.ts"
import type { Stretch } from "./Lease.ts"

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
  readonly #stretch: Stretch | undefined

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
    stretch: Stretch | undefined
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
    this.#stretch = stretch
  }

  static stretchOf(record: object): Stretch | undefined {
    return #stretch in record ? record.#stretch : undefined
  }
}
