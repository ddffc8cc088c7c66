/**
 * Spans of the consumer, after OpenTelemetry's conventions for messaging: `receive` for a fetch, `process` for an array of
 * records that is worked on, with links to what the producers were doing (W3C's Trace Context in the header
 * `traceparent`).
 *
 * @since 0.1.0
 */
import type { Record } from "@kafka-effect/protocol/Record"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import type { Cluster } from "../../Cluster.ts"
import type { TopicPartition } from "../../Topic.ts"

/** Links of one span: more of them tell no more. */
const maxLinks = 32

const utf8 = new TextDecoder()

/** What the header says; undefined where it says nothing. */
const linkOf = (traceparent: Uint8Array): Tracer.SpanLink | undefined => {
  const found = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(utf8.decode(traceparent))
  if (found === null) return undefined
  const [, traceId, spanId, flags] = found
  const sampled = (Number.parseInt(flags, 16) & 1) === 1
  return { span: Tracer.externalSpan({ traceId, spanId, sampled }), attributes: {} }
}

/** @internal */
export const linksOf = (records: ReadonlyArray<Record>): ReadonlyArray<Tracer.SpanLink> => {
  const links: Array<Tracer.SpanLink> = []
  for (let index = 0; index < records.length && links.length < maxLinks; index++) {
    const { headers } = records[index]
    for (let at = 0; at < headers.length; at++) {
      const [name, value] = headers[at]
      if (name !== "traceparent" || value === null) continue
      const link = linkOf(value)
      if (link !== undefined) links.push(link)
    }
  }
  return links
}

/** Of one fetch. @internal */
export const receive =
  (cluster: Cluster, nodeId: number, partitions: ReadonlyArray<TopicPartition>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> => {
    const broker = cluster.metadata().brokers.get(nodeId)
    const [first] = partitions
    const isOne = partitions.every(({ topic }) => topic === first.topic)
    return Effect.withSpan(self, isOne ? `receive ${first.topic}` : "receive", {
      kind: "client",
      captureStackTrace: false,
      attributes: {
        "messaging.system": "kafka",
        "messaging.operation.type": "receive",
        "messaging.operation.name": "poll",
        "messaging.client.id": cluster.settings.clientId,
        ...(isOne ? { "messaging.destination.name": first.topic } : {}),
        ...(broker === undefined ? {} : { "server.address": broker.host, "server.port": broker.port })
      }
    })
  }

/** Of the work on an array of records. @internal */
export const process =
  (
    cluster: Cluster,
    groupId: string | undefined,
    { partition, topic }: TopicPartition,
    records: ReadonlyArray<Record>
  ) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.withSpan(self, `process ${topic}`, {
      kind: "consumer",
      captureStackTrace: false,
      links: linksOf(records),
      attributes: {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.client.id": cluster.settings.clientId,
        "messaging.batch.message_count": records.length,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": String(partition),
        ...(groupId === undefined ? {} : { "messaging.consumer.group.name": groupId })
      }
    })
