import { assert, describe, it } from "@effect/vitest"
import { Metadata, type MetadataResponse } from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import * as ClusterMetadata from "../src/ClusterMetadata.ts"
import * as MetadataRequest from "../src/internal/MetadataRequest.ts"

const idA = "AAAAAAAAAAAAAAAAAAAAAQ"
const idB = "AAAAAAAAAAAAAAAAAAAAAg"

/** A response as it would be decoded, with its defaults. */
const response = (input: Wire.Input<MetadataResponse>): MetadataResponse =>
  WireCodec.decode(Metadata.response, 12, WireCodec.encode(Metadata.response, 12, input))

interface Part {
  readonly leader: number
  readonly epoch: number
  readonly errorCode?: number
  readonly index?: number
}

const topic = (partitions: ReadonlyArray<Part>, options: { readonly id?: string; readonly errorCode?: number } = {}) =>
  response({
    brokers: [{ nodeId: 1, host: "a", port: 1 }],
    topics: [
      {
        name: "t",
        topicId: options.id ?? idA,
        errorCode: options.errorCode ?? 0,
        partitions: partitions.map(({ epoch, errorCode = 0, index, leader }, position) => ({
          partitionIndex: index ?? position,
          leaderId: leader,
          leaderEpoch: epoch,
          errorCode
        }))
      }
    ]
  })

const all = () => true

const mergeAll = (...responses: ReadonlyArray<MetadataResponse>): ClusterMetadata.ClusterMetadata =>
  responses.reduce((metadata, next) => ClusterMetadata.merge(metadata, next, all), ClusterMetadata.empty)

const leaders = (metadata: ClusterMetadata.ClusterMetadata) =>
  metadata.topics.get("t")?.partitions.map(({ leader, leaderEpoch }) => [leader, leaderEpoch])

describe("ClusterMetadata", () => {
  it("C25: a partition with an older leader epoch than known is ignored", () => {
    const metadata = mergeAll(
      topic([
        { leader: 1, epoch: 7 },
        { leader: 1, epoch: 3 }
      ]),
      topic([
        { leader: 2, epoch: 6 },
        { leader: 2, epoch: 4 }
      ])
    )
    assert.deepStrictEqual(leaders(metadata), [
      [1, 7],
      [2, 4]
    ])
  })

  it("C25: the same epoch is taken, and so is a broker's that knows no epochs", () => {
    assert.deepStrictEqual(leaders(mergeAll(topic([{ leader: 1, epoch: 7 }]), topic([{ leader: -1, epoch: 7 }]))), [
      [-1, 7]
    ])
    assert.deepStrictEqual(leaders(mergeAll(topic([{ leader: 1, epoch: 7 }]), topic([{ leader: 2, epoch: -1 }]))), [
      [2, -1]
    ])
  })

  it("C25, C30: an older epoch is taken when the topic was created again", () => {
    const metadata = mergeAll(topic([{ leader: 1, epoch: 7 }]), topic([{ leader: 2, epoch: 0 }], { id: idB }))
    assert.deepStrictEqual(leaders(metadata), [[2, 0]])
    assert.strictEqual(metadata.topics.get("t")?.id, idB)
    assert.deepStrictEqual([...metadata.topicNames], [[idB, "t"]])
  })

  it("C30: a topic that is created again with fewer partitions keeps none of the old", () => {
    const before = topic([
      { leader: 1, epoch: 7 },
      { leader: 1, epoch: 7 }
    ])
    assert.deepStrictEqual(leaders(mergeAll(before, topic([{ leader: 2, epoch: 0 }], { id: idB }))), [[2, 0]])
    assert.deepStrictEqual(leaders(mergeAll(before, topic([], { id: idB, errorCode: 5 }))), [])
  })

  it("C26: one partition without a leader leaves the others as they are", () => {
    const metadata = mergeAll(
      topic([
        { leader: 1, epoch: 1 },
        { leader: -1, epoch: 2, errorCode: 5 }
      ])
    )
    assert.deepStrictEqual(leaders(metadata), [
      [1, 1],
      [-1, 2]
    ])
    assert.strictEqual(metadata.topics.get("t")?.partitions[1].errorCode, 5)
  })

  it("C27: all topics are an empty list at version 0 and null from version 1 on, none is an empty list", () => {
    const bytes = (topics: ReadonlyArray<string> | "all", version: number) => [
      ...WireCodec.encode(Metadata.request, version, MetadataRequest.make(topics, version, false))
    ]
    assert.deepStrictEqual(bytes("all", 0), [0, 0, 0, 0])
    assert.deepStrictEqual(bytes([], 0), [0, 0, 0, 0])
    assert.deepStrictEqual(bytes("all", 1), [255, 255, 255, 255])
    assert.deepStrictEqual(bytes([], 1), [0, 0, 0, 0])
    assert.deepStrictEqual(bytes("all", 4), [255, 255, 255, 255, 0])
    assert.strictEqual(bytes("all", 9)[0], 0)
    assert.strictEqual(bytes([], 9)[0], 1)
    for (let version = 0; version <= Metadata.highestStableVersion; version++) {
      const decoded = WireCodec.decode(Metadata.request, version, Uint8Array.from(bytes(["x"], version)))
      assert.deepStrictEqual([decoded.topics?.[0].name, decoded.allowAutoTopicCreation], ["x", version < 4])
    }
  })

  it("C28: answers in a row that a topic is unknown are counted; other errors do not reset the count", () => {
    const unknown = topic([], { errorCode: 3 })
    const counts = [unknown, unknown, topic([], { errorCode: 5 }), unknown, topic([{ leader: 1, epoch: 1 }]), unknown]
    let metadata = ClusterMetadata.empty
    const counted = counts.map((next) => {
      metadata = ClusterMetadata.merge(metadata, next, all)
      return metadata.topics.get("t")?.unknownAnswers
    })
    assert.deepStrictEqual(counted, [1, 2, 2, 3, 0, 1])
    assert.deepStrictEqual(leaders(metadata), [[1, 1]], "what is known of its leaders is kept")
  })

  it("C29: an error of access is kept per topic", () => {
    const metadata = mergeAll(topic([{ leader: 1, epoch: 1 }]), topic([], { errorCode: 29 }))
    assert.deepStrictEqual(metadata.topics.get("t")?.partitions, [])
    assert.strictEqual(metadata.topics.get("t")?.errorCode, 29)
  })

  it("C31: more partitions are taken in", () => {
    const metadata = mergeAll(
      topic([{ leader: 1, epoch: 1 }]),
      topic([
        { leader: 1, epoch: 1 },
        { leader: 2, epoch: 0 }
      ])
    )
    assert.strictEqual(metadata.topics.get("t")?.partitions.length, 2)
  })

  it("C23: partitions that come twice, with gaps or with absurd numbers do no harm", () => {
    const metadata = mergeAll(
      topic([
        { index: 2147483647, leader: 1, epoch: 1 },
        { index: 0, leader: 1, epoch: 1 },
        { index: 0, leader: 2, epoch: 2 },
        { index: -5, leader: 3, epoch: 1 }
      ])
    )
    assert.deepStrictEqual(leaders(metadata), [
      [2, 2],
      [-1, -1]
    ])
  })

  it("C34: a leader that a response names is taken if its epoch is newer", () => {
    const metadata = mergeAll(topic([{ leader: 1, epoch: 5 }]))
    const same = ClusterMetadata.withLeader(metadata, "t", 0, { nodeId: 2, leaderEpoch: 5 })
    assert.strictEqual(same, metadata)
    assert.strictEqual(ClusterMetadata.withLeader(metadata, "t", 1, { nodeId: 2, leaderEpoch: 9 }), metadata)
    assert.strictEqual(ClusterMetadata.withLeader(metadata, "u", 0, { nodeId: 2, leaderEpoch: 9 }), metadata)
    const newer = ClusterMetadata.withLeader(metadata, "t", 0, { nodeId: 2, leaderEpoch: 6 })
    assert.deepStrictEqual(leaders(newer), [[2, 6]])
    assert.deepStrictEqual(leaders(ClusterMetadata.merge(newer, topic([{ leader: 1, epoch: 5 }]), all)), [[2, 6]])
  })

  it("brokers of other responses are added, and never replace those that are known", () => {
    const metadata = mergeAll(topic([]))
    const added = ClusterMetadata.withEndpoints(metadata, [
      { nodeId: 1, host: "other", port: 9 },
      { nodeId: 2, host: "b", port: 2 },
      { nodeId: -1, host: "", port: -1 }
    ])
    assert.deepStrictEqual(
      [...added.brokers.values()].map(({ host, nodeId }) => [nodeId, host]),
      [
        [1, "a"],
        [2, "b"]
      ]
    )
  })
})
