/**
 * What a producer counts: per batch and per request, never per record. Metrics carry the client's id.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Batch } from "./Batch.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const milliseconds = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 16 })
const parts = Metric.linearBoundaries({ start: 0.1, width: 0.1, count: 10 })

const records = counter("kafka.producer.records", "records that were acknowledged")
const bytes = counter("kafka.producer.bytes", "bytes of records in requests, as they were sent, retries included")
const batches = counter("kafka.producer.batches", "batches in requests, retries included")
const retries = counter("kafka.producer.retries", "batches that had to be sent again")
const errors = counter("kafka.producer.errors", "records that failed")
const fill = Metric.histogram("kafka.producer.batch.fill", {
  description: "size of batches before compression, as a part of batchSize",
  boundaries: parts
})
const compression = Metric.histogram("kafka.producer.compression.ratio", {
  description: "size of batches after compression, as a part of their size before",
  boundaries: parts
})
const queueTime = Metric.histogram("kafka.producer.queue.time", {
  description: "milliseconds from a batch's first record to its first request",
  boundaries: milliseconds
})
const latency = Metric.histogram("kafka.producer.request.latency", {
  description: "milliseconds from a request to its response",
  boundaries: milliseconds
})
const buffer = Metric.gauge("kafka.producer.buffer.used", {
  description: "bytes of bufferMemory that are used"
})

/** @internal */
export interface ProducerMetrics {
  /** A batch goes into a request, as so many bytes. */
  readonly sent: (batch: Batch, encodedBytes: number, now: number) => void
  readonly acknowledged: (batch: Batch) => void
  readonly retried: () => void
  readonly failed: (count: number) => void
  /** A request was answered; `usedBytes` of the buffer are left. */
  readonly answered: (milliseconds: number, usedBytes: number) => void
}

/** @internal */
export const make = (context: Context.Context<never>, clientId: string, batchSize: number): ProducerMetrics => {
  const bound = <Input, State>(metric: Metric.Metric<Input, State>) => {
    const own = Metric.withAttributes(metric, { "client.id": clientId })
    return (input: Input): void => own.updateUnsafe(input, context)
  }
  const countRecords = bound(records)
  const countBytes = bound(bytes)
  const countBatches = bound(batches)
  const countRetries = bound(retries)
  const countErrors = bound(errors)
  const noteFill = bound(fill)
  const noteCompression = bound(compression)
  const noteQueueTime = bound(queueTime)
  const noteLatency = bound(latency)
  const noteBuffer = bound(buffer)
  return {
    sent: (batch, encodedBytes, now) => {
      countBatches(1)
      countBytes(encodedBytes)
      if (batch.attempts > 1) return
      const size = batch.builder.sizeInBytes
      noteFill(size / Math.max(1, batchSize))
      noteCompression(encodedBytes / size)
      noteQueueTime(now - batch.createdAt)
    },
    acknowledged: (batch) => countRecords(batch.builder.count),
    retried: () => countRetries(1),
    failed: countErrors,
    answered: (milliseconds, usedBytes) => {
      noteLatency(milliseconds)
      noteBuffer(usedBytes)
    }
  }
}
