/**
 * What a consumer counts: per array, fetch and request, never per record. Metrics carry the client's id, and the group's
 * where there is one.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { TopicPartition } from "../../Topic.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const milliseconds = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 16 })
const sizes = Metric.exponentialBoundaries({ start: 1024, factor: 4, count: 10 })

const records = counter("kafka.consumer.records", "records that were handed over")
const bytes = counter("kafka.consumer.bytes", "bytes of records in fetches, as they came")
const fetches = counter("kafka.consumer.fetches", "fetches that were answered")
const skipped = counter("kafka.consumer.skipped", "records that could not be decoded, and were left out or put aside")
const commits = counter("kafka.consumer.commits", "commit requests that were carried out")
const rebalances = counter("kafka.consumer.rebalances", "rebalances that this member took part in")
const lost = counter("kafka.consumer.partitions.lost", "partitions that were lost without having been given back")
const heartbeats = counter("kafka.consumer.heartbeats", "heartbeats that were answered")
const fetchSize = Metric.histogram("kafka.consumer.fetch.size", {
  description: "bytes of records of a fetch",
  boundaries: sizes
})
const fetchLatency = Metric.histogram("kafka.consumer.fetch.latency", {
  description: "milliseconds from a fetch to its answer, which the broker may hold back",
  boundaries: milliseconds
})
const commitLatency = Metric.histogram("kafka.consumer.commit.latency", {
  description: "milliseconds from a commit request to its answer",
  boundaries: milliseconds
})
const heartbeatLatency = Metric.histogram("kafka.consumer.heartbeat.latency", {
  description: "milliseconds from a heartbeat to its answer",
  boundaries: milliseconds
})
const lag = Metric.gauge("kafka.consumer.lag", {
  description:
    "offsets between what is handed over next and the end of the partition, as of the last fetch; 0 once it is another's"
})
const idle = Metric.gauge("kafka.consumer.poll.idle.ratio", {
  description: "part of the time that the reader of `records` has waited for them, not worked on them"
})

/** @internal */
export interface ConsumerMetrics {
  readonly handed: (count: number) => void
  readonly skipped: (count: number) => void
  readonly fetched: (bytes: number, milliseconds: number) => void
  readonly committed: (milliseconds: number) => void
  readonly rebalanced: () => void
  readonly lost: (count: number) => void
  readonly heartbeat: (milliseconds: number) => void
  /** The reader of all partitions asks for records, and is given some. */
  readonly asked: () => void
  readonly given: () => void
  /** There is no such reader any more. */
  readonly left: () => void
  /** Measures lags and idle time every few seconds, for as long as the scope. */
  readonly watch: (
    lags: () => ReadonlyArray<TopicPartition & { readonly lag: bigint | undefined }>
  ) => Effect.Effect<void, never, Scope.Scope>
}

/** How often what changes all the time is measured, in milliseconds. */
const interval = 5000

/** @internal */
export const make = (
  context: Context.Context<never>,
  attributes: { readonly "client.id": string; readonly group?: string },
  now: () => number
): ConsumerMetrics => {
  const bound = <Input, State>(metric: Metric.Metric<Input, State>) => {
    const own = Metric.withAttributes(metric, attributes)
    return (input: Input): void => own.updateUnsafe(input, context)
  }
  const countRecords = bound(records)
  const countBytes = bound(bytes)
  const countFetches = bound(fetches)
  const countCommits = bound(commits)
  const countRebalances = bound(rebalances)
  const countHeartbeats = bound(heartbeats)
  const noteFetchSize = bound(fetchSize)
  const noteFetchLatency = bound(fetchLatency)
  const noteCommitLatency = bound(commitLatency)
  const noteHeartbeatLatency = bound(heartbeatLatency)
  const noteIdle = bound(idle)
  let since = now()
  let waited = 0
  let askedAt: number | undefined
  let isRead = false
  let known: ReadonlyMap<string, TopicPartition> = new Map()

  const noteLag = ({ partition, topic }: TopicPartition, offsets: number): void => {
    const place = { ...attributes, topic, partition: String(partition) }
    Metric.withAttributes(lag, place).updateUnsafe(offsets, context)
  }

  const measure = (lags: ReadonlyArray<TopicPartition & { readonly lag: bigint | undefined }>): void => {
    const present = new Map(lags.map((place) => [`${place.topic} ${place.partition}`, place]))
    // A gauge keeps its last value: nobody is to be alarmed by what others look after now.
    for (const [key, place] of known) if (!present.has(key)) noteLag(place, 0)
    known = present
    for (const place of lags) if (place.lag !== undefined) noteLag(place, Number(place.lag))
    const time = now()
    const waiting = askedAt === undefined ? 0 : time - Math.max(askedAt, since)
    if (isRead) noteIdle(Math.min(1, (waited + waiting) / Math.max(1, time - since)))
    since = time
    waited = 0
  }

  return {
    handed: countRecords,
    skipped: bound(skipped),
    fetched: (size, time) => {
      countFetches(1)
      countBytes(size)
      noteFetchSize(size)
      noteFetchLatency(time)
    },
    committed: (time) => {
      countCommits(1)
      noteCommitLatency(time)
    },
    rebalanced: () => countRebalances(1),
    lost: bound(lost),
    heartbeat: (time) => {
      countHeartbeats(1)
      noteHeartbeatLatency(time)
    },
    asked: () => {
      isRead = true
      askedAt = now()
    },
    given: () => {
      if (askedAt !== undefined) waited += now() - Math.max(askedAt, since)
      askedAt = undefined
    },
    left: () => {
      isRead = false
      askedAt = undefined
    },
    watch: (lags) =>
      Effect.asVoid(
        Effect.forkScoped(
          Effect.forever(
            Effect.delay(
              Effect.sync(() => measure(lags())),
              interval
            )
          )
        )
      )
  }
}
