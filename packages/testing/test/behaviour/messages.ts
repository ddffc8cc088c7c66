/** Messages that several conversations send. */
import { type BuildOptions, RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"

/** A batch of records without keys, a millisecond apart. @internal */
export const batch = (
  values: ReadonlyArray<string>,
  options: BuildOptions = {},
  timestamp = 1_700_000_000_000
): Uint8Array => {
  const builder = new RecordBatchBuilder()
  for (const [index, value] of values.entries()) {
    builder.append(timestamp + index, null, new TextEncoder().encode(value))
  }
  // Without compression it is there at once.
  return Uint8Array.from(builder.build(options) as Uint8Array)
}

/** @internal */
export const writing = (
  name: string,
  records: Uint8Array | null,
  acks = -1,
  index = 0,
  transactionalId: string | null = null
) => ({
  transactionalId,
  acks,
  timeoutMs: 5000,
  topicData: [{ name, partitionData: [{ index, records }] }]
})

interface Reading {
  readonly isolationLevel: number
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly sessionId: number
  readonly sessionEpoch: number
}

/** @internal */
export const reading = (topic: string, fetchOffset: bigint, more: Partial<Reading> = {}, partition: object = {}) => ({
  maxWaitMs: 0,
  minBytes: 0,
  maxBytes: 1_000_000,
  sessionId: 0,
  sessionEpoch: -1,
  forgottenTopicsData: [],
  ...more,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000, ...partition }] }]
})
