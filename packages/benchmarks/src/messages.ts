/**
 * Encoding and decoding of messages: the compiled codecs alone, without a socket. A component suite, for finding hot
 * spots; what a user feels is in the end-to-end suites.
 */
import assert from "node:assert/strict"
import { FetchResponse } from "@kafka-effect/protocol/messages/Fetch"
import { MetadataResponse } from "@kafka-effect/protocol/messages/Metadata"
import { ProduceRequest } from "@kafka-effect/protocol/messages/Produce"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { Bench } from "tinybench"
import { print } from "./table.ts"

const range = (length: number): ReadonlyArray<number> => Array.from({ length }, (_, index) => index)

const produce: Wire.Input<ProduceRequest> = {
  acks: -1,
  timeoutMs: 30_000,
  topicData: [
    { name: "orders", partitionData: range(6).map((index) => ({ index, records: new Uint8Array(1000).fill(index) })) }
  ]
}

const fetch: Wire.Input<FetchResponse> = {
  sessionId: 4711,
  responses: [
    {
      topic: "orders",
      partitions: range(6).map((partitionIndex) => ({
        partitionIndex,
        highWatermark: 1_000_000n,
        lastStableOffset: 1_000_000n,
        logStartOffset: 0n,
        records: new Uint8Array(1000).fill(partitionIndex)
      }))
    }
  ]
}

const metadata: Wire.Input<MetadataResponse> = {
  brokers: range(6).map((nodeId) => ({ nodeId, host: `broker-${nodeId}.example.com`, port: 9092, rack: null })),
  clusterId: "cluster",
  controllerId: 1,
  topics: range(20).map((topic) => ({
    name: `topic-${topic}`,
    partitions: range(12).map((partitionIndex) => ({
      partitionIndex,
      leaderId: partitionIndex % 6,
      leaderEpoch: 3,
      replicaNodes: [0, 1, 2],
      isrNodes: [0, 1, 2]
    }))
  }))
}

/** Adds the tasks; each codec is checked before it is timed. */
const suite = async (): Promise<Bench> => {
  const bench = new Bench({ time: 1000, warmupTime: 250 })
  const add = <A>(name: string, message: Wire.Message<A>, version: number, value: Wire.Input<A>): void => {
    const codec = WireCodec.of(message, version)
    const bytes = codec.encode(value)
    assert.deepEqual(codec.decode(codec.encode(codec.decode(bytes) as Wire.Input<A>)), codec.decode(bytes))
    bench.add(`encode ${name} v${version} (${bytes.length} bytes)`, () => {
      codec.encode(value)
    })
    bench.add(`decode ${name} v${version} (${bytes.length} bytes)`, () => {
      codec.decode(bytes)
    })
  }
  add("ProduceRequest, 6 partitions", ProduceRequest, 9, produce)
  add("FetchResponse, 6 partitions", FetchResponse, 12, fetch)
  add("MetadataResponse, 20 topics of 12 partitions", MetadataResponse, 12, metadata)
  await bench.run()
  return bench
}

if (import.meta.main) print(await suite(), "messages")
