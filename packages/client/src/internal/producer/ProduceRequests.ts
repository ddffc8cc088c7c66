/**
 * Makes Produce requests out of batches, in the format of the broker's time, and reads their responses.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
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
import type { Cluster } from "../../Cluster.ts"
import type * as Connection from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { Unsupported } from "../../ProducerError.ts"
import type { Batch } from "./Batch.ts"

/** @internal */
export interface Options {
  readonly acks: -1 | 0 | 1
  readonly compression: CompressionType
}

/** A request, and what is not in it because this broker cannot take it. @internal */
export interface Prepared {
  readonly version: number
  readonly message: Wire.Input<ProduceRequest>
  readonly batches: ReadonlyArray<Batch>
  readonly refused: ReadonlyArray<{ readonly batch: Batch; readonly reason: Unsupported }>
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
  const topics = new Map<string, Array<{ readonly index: number; readonly records: Uint8Array }>>()
  const sent: Array<Batch> = []
  const refused: Array<{ readonly batch: Batch; readonly reason: Unsupported }> = []
  for (const batch of batches) {
    const { partition, topic } = batch
    const refuse = (detail: string): void => {
      refused.push({ batch, reason: new Unsupported({ topic, partition, detail }) })
    }
    if (options.compression === "zstd" && version < zstdVersion) {
      refuse("compression zstd needs Kafka 2.1 or newer; choose another compression")
      continue
    }
    const records = yield* encode(batch, magic, options.compression)
    if (records instanceof WireError) {
      refuse(records.message)
      continue
    }
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, [{ index: partition, records }])
    else partitions.push({ index: partition, records })
    sent.push(batch)
  }
  const topicData = [...topics].map(([name, partitionData]) =>
    version >= topicIdVersion ? { topicId: ids.get(name)!, partitionData } : { name, partitionData }
  )
  const timeoutMs = cluster.settings.requestTimeout
  return { version, batches: sent, refused, message: { acks: options.acks, timeoutMs, topicData } }
})

const encode = (batch: Batch, magic: 0 | 1 | 2, compression: CompressionType): Effect.Effect<Uint8Array | WireError> =>
  Effect.suspend(() => {
    const wireError = (error: unknown): WireError => {
      if (error instanceof WireError) return error
      throw error
    }
    try {
      const bytes = batch.encode(magic, compression)
      return bytes instanceof Promise ? Effect.promise(() => bytes.catch(wireError)) : Effect.succeed(bytes)
    } catch (error) {
      return Effect.succeed(wireError(error))
    }
  })

/** The answers by topic and partition. @internal */
export const byPartition = (
  response: ProduceResponse,
  cluster: Cluster
): ReadonlyMap<string, ReadonlyMap<number, PartitionProduceResponse>> => {
  const { topicNames } = cluster.metadata()
  const found = new Map<string, ReadonlyMap<number, PartitionProduceResponse>>()
  for (const { name, partitionResponses, topicId } of response.responses) {
    const topic = name === "" ? topicNames.get(topicId) : name
    if (topic !== undefined) found.set(topic, new Map(partitionResponses.map((answer) => [answer.index, answer])))
  }
  return found
}
