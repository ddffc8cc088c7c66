/**
 * Makes Produce requests out of batches, in the format of the broker's time, and reads their responses.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import type { MaybePromise } from "@kafka-effect/protocol/MaybePromise"
import {
  type PartitionProduceResponse,
  Produce,
  type ProduceRequest,
  type ProduceResponse
} from "@kafka-effect/protocol/messages/Produce"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { Cluster } from "../../Cluster.ts"
import type * as Connection from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { Unsupported } from "../../ProducerError.ts"
import type { Batch } from "./Batch.ts"

/** @internal */
export interface Options {
  readonly acks: -1 | 0 | 1
  readonly compression: CompressionType
  readonly compressionLevel: number | undefined
}

/** A batch, and how many bytes it is in a request. @internal */
export interface Encoded {
  readonly batch: Batch
  readonly size: number
}

/** A batch that this broker cannot take. @internal */
export interface Refused {
  readonly batch: Batch
  readonly reason: Unsupported
}

/** A request, and what is not in it because this broker cannot take it. @internal */
export interface Prepared {
  readonly version: number
  readonly message: Wire.Input<ProduceRequest>
  readonly sent: ReadonlyArray<Encoded>
  readonly refused: ReadonlyArray<Refused>
  /** The topics' names by the ids that the request gives them. */
  readonly topicNames: ReadonlyMap<string, string>
}

/** The record format that belongs to a version of Produce. */
const magicOf = (version: number): 0 | 1 | 2 => (version >= 3 ? 2 : version === 2 ? 1 : 0)

/** The first version of Produce whose brokers know zstd (KIP-110). */
const zstdVersion = 7

/** The first version that names topics by their ids (KIP-516). */
const topicIdVersion = 13

/** @internal */
export const prepare = Effect.fnUntraced(function* (
  cluster: Cluster,
  connection: Connection.Connection,
  batches: ReadonlyArray<Batch>,
  options: Options
): Effect.fn.Return<Prepared, KafkaError> {
  const ids = new Map<string, string>()
  for (const { topic } of batches) ids.set(topic, cluster.metadata().topics.get(topic)?.id ?? zeroUuid)
  const haveIds = ![...ids.values()].includes(zeroUuid)
  const version = yield* connection.version(Produce, haveIds ? {} : { maxVersion: topicIdVersion - 1 })
  const magic = magicOf(version)
  const refused: Array<Refused> = []
  const taken = batches.filter((batch) => {
    if (options.compression !== "zstd" || version >= zstdVersion) return true
    refused.push(refusal(batch, "compression zstd needs Kafka 2.1 or newer; choose another compression"))
    return false
  })
  // All begin before any is waited for: the thread pool works on several at a time.
  const started = taken.map((batch) => encode(batch, magic, options))
  const topics = new Map<string, Array<{ readonly index: number; readonly records: Uint8Array }>>()
  const sent: Array<Encoded> = []
  for (let index = 0; index < taken.length; index++) {
    const batch = taken[index]
    const encoded = started[index]
    const records = encoded instanceof Promise ? yield* Effect.promise(() => encoded) : encoded
    if (records instanceof WireError) {
      refused.push(refusal(batch, records.message))
      continue
    }
    const partitions = topics.get(batch.topic)
    if (partitions === undefined) topics.set(batch.topic, [{ index: batch.partition, records }])
    else partitions.push({ index: batch.partition, records })
    sent.push({ batch, size: records.length })
  }
  const topicData = [...topics].map(([name, partitionData]) =>
    version >= topicIdVersion ? { topicId: ids.get(name)!, partitionData } : { name, partitionData }
  )
  const timeoutMs = cluster.settings.requestTimeout
  const topicNames = new Map([...ids].map(([name, id]) => [id, name]))
  return { version, sent, refused, topicNames, message: { acks: options.acks, timeoutMs, topicData } }
})

const refusal = (batch: Batch, detail: string): Refused => {
  const { partition, topic } = batch
  return { batch, reason: new Unsupported({ topic, partition, detail }) }
}

/** Errors come as values: a promise must not fail before it is waited for. */
const encode = (
  batch: Batch,
  magic: 0 | 1 | 2,
  { compression, compressionLevel }: Options
): MaybePromise<Uint8Array | WireError> => {
  const wireError = (error: unknown): WireError => {
    if (error instanceof WireError) return error
    throw error
  }
  try {
    const bytes = batch.encode(magic, compression, compressionLevel)
    return bytes instanceof Promise ? bytes.catch(wireError) : bytes
  } catch (error) {
    return wireError(error)
  }
}

/** The span of a request, after OpenTelemetry's conventions for messaging. @internal */
export const span =
  (cluster: Cluster, nodeId: number, batches: ReadonlyArray<Batch>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> => {
    const broker = cluster.metadata().brokers.get(nodeId)
    const topics = new Set(batches.map(({ topic }) => topic))
    const [topic] = topics
    const isOne = topics.size === 1
    return Effect.withSpan(self, isOne ? `send ${topic}` : "send", {
      kind: "producer",
      captureStackTrace: false,
      attributes: {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.client.id": cluster.settings.clientId,
        "messaging.batch.message_count": batches.reduce((sum, { builder }) => sum + builder.count, 0),
        ...(isOne ? { "messaging.destination.name": topic } : {}),
        ...(batches.length === 1 ? { "messaging.destination.partition.id": String(batches[0].partition) } : {}),
        ...(broker === undefined ? {} : { "server.address": broker.host, "server.port": broker.port })
      }
    })
  }

/** The answers by topic and partition. @internal */
export const byPartition = (
  response: ProduceResponse,
  topicNames: ReadonlyMap<string, string>
): ReadonlyMap<string, ReadonlyMap<number, PartitionProduceResponse>> => {
  const found = new Map<string, ReadonlyMap<number, PartitionProduceResponse>>()
  for (const { name, partitionResponses, topicId } of response.responses) {
    const topic = name === "" ? topicNames.get(topicId) : name
    if (topic !== undefined) found.set(topic, new Map(partitionResponses.map((answer) => [answer.index, answer])))
  }
  return found
}
