/** Records: what is written, read, looked up and deleted, and what of it is refused. */
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { Fetch } from "@kafka-effect/protocol/messages/Fetch"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { Effect } from "effect"
import type { Conversation } from "./Conversation.ts"
import { batch, reading, writing } from "./messages.ts"

/** @internal */
export const produce = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("written")
  yield* ask("first", Produce, writing("written", batch(["a", "b"])), 8)
  yield* ask("acks 1", Produce, writing("written", batch(["c"]), 1), 8)
  yield* ask("acks 2", Produce, writing("written", batch(["d"]), 2), 8)
  yield* ask("unknown topic", Produce, writing("unknown", batch(["d"])), 8)
  yield* ask("unknown partition", Produce, writing("written", batch(["d"]), -1, 9), 8)
  const broken = batch(["d"])
  broken[broken.length - 1]! ^= 1
  yield* ask("bad CRC", Produce, writing("written", broken), 8)
  yield* ask("too large", Produce, writing("written", batch(["x".repeat(1_100_000)])), 8)
  yield* ask("two batches", Produce, writing("written", Buffer.concat([batch(["d"]), batch(["e"])])), 8)
  for (const version of [3, 5, 7, 9]) yield* ask(`v${version}`, Produce, writing("written", batch(["f"])), version)
  for (const version of [10, 11, 12]) {
    yield* askIfOffered(`v${version}`, Produce, writing("written", batch(["f"])), version)
    yield* askIfOffered(`v${version}, unknown`, Produce, writing("unknown", batch(["f"])), version)
  }
  yield* ask("empty records", Produce, writing("written", new Uint8Array()), 8)
  yield* ask("a part of a batch", Produce, writing("written", batch(["d"]).subarray(0, 40)), 8)
  yield* ask("a control batch", Produce, writing("written", batch(["d"], { isControl: true })), 8)
  yield* topic("compacted", 1, { "cleanup.policy": "compact" })
  yield* ask("no keys", Produce, writing("compacted", batch(["d", "e"])), 8)
  yield* topic("timed", 1, { "message.timestamp.type": "LogAppendTime" })
  yield* ask("the broker's time", Produce, writing("timed", batch(["d", "e"])), 8)
  yield* ask("of 2100", Produce, writing("written", batch(["d"], {}, 4_100_000_000_000)), 8)
  const sequenced = { producerId: 900_002n, producerEpoch: 0, baseSequence: 0 }
  yield* ask(
    "transactional, no id",
    Produce,
    writing("written", batch(["d"], { ...sequenced, isTransactional: true })),
    8
  )
})

/** @internal */
export const sequences = Effect.fnUntraced(function* ({ ask, topic }: Conversation) {
  yield* topic("sequenced")
  const write = (what: string, producerEpoch: number, baseSequence: number, values = ["a", "b"]) =>
    ask(what, Produce, writing("sequenced", batch(values, { producerId: 900_001n, producerEpoch, baseSequence })), 8)
  yield* write("first", 1, 0)
  yield* write("the same again", 1, 0)
  yield* write("a part of it", 1, 1, ["b"])
  yield* write("a gap", 1, 5)
  yield* write("next", 1, 2)
  yield* write("the first again", 1, 0)
  yield* write("an old epoch", 0, 4)
  yield* write("a new epoch in the middle", 2, 4)
  yield* write("a new epoch", 2, 0)
  for (let index = 1; index <= 6; index++) yield* write(`number ${index}`, 2, index * 2)
  yield* write("before the window", 2, 0)
  yield* write("in the window", 2, 8)
})

/** @internal */
export const fetch = Effect.fnUntraced(function* ({ ask, topic }: Conversation) {
  yield* topic("read")
  for (const value of ["a", "b", "c"]) yield* ask(value, Produce, writing("read", batch([value.repeat(100)])), 8)
  for (const offset of [0n, 1n, 3n, 4n, -1n]) yield* ask(`from ${offset}`, Fetch, reading("read", offset), 12)
  for (const version of [4, 5, 7, 9, 10, 11]) yield* ask(`v${version}`, Fetch, reading("read", 1n), version)
  yield* ask("one byte", Fetch, reading("read", 0n, { maxBytes: 1 }), 12)
  yield* ask("one byte of a partition", Fetch, reading("read", 0n, {}, { partitionMaxBytes: 1 }), 12)
  yield* ask("unknown topic", Fetch, reading("unknown", 0n), 12)
  yield* ask("unknown partition", Fetch, reading("read", 0n, {}, { partition: 9 }), 12)
  yield* ask("newer epoch", Fetch, reading("read", 0n, {}, { currentLeaderEpoch: 5 }), 12)
  yield* ask("its epoch", Fetch, reading("read", 0n, {}, { currentLeaderEpoch: 0 }), 12)
  yield* ask("diverging", Fetch, reading("read", 3n, {}, { lastFetchedEpoch: 0 }), 12)
  yield* ask("long poll", Fetch, reading("read", 3n, { maxWaitMs: 100, minBytes: 1 }), 12)
})

/** @internal */
export const fetchById = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("by-id")
  yield* ask("a record", Produce, writing("by-id", batch(["a"])), 8)
  const { topics } = yield* ask("its id", Metadata, { topics: [{ name: "by-id" }] }, 11)
  const [{ topicId }] = topics
  for (const version of [13, 15, 16, 17, 18]) {
    const read = (what: string, id: string, partition: object = {}, session: object = {}) => {
      const { topics, ...message } = reading("", 0n, session, partition)
      const byId = topics.map(({ partitions }) => ({ topicId: id, partitions }))
      return askIfOffered(`${what}, v${version}`, Fetch, { ...message, topics: byId }, version)
    }
    yield* read("all", topicId)
    yield* read("an unknown id", "AAAAAAAAAAAAAAAAAAAAEQ")
    yield* read("no id", "AAAAAAAAAAAAAAAAAAAAAA")
    yield* read("an unknown partition", topicId, { partition: 9 })
    yield* read("newer epoch", topicId, { currentLeaderEpoch: 5 })
    yield* read("beyond the end", topicId, { fetchOffset: 9n })
    yield* read("an unknown id, in a session", "AAAAAAAAAAAAAAAAAAAAEQ", {}, { sessionEpoch: 0 })
  }
})

/** @internal */
export const sessions = Effect.fnUntraced(function* ({ ask, topic }: Conversation) {
  yield* topic("kept")
  yield* ask("a record", Produce, writing("kept", batch(["a"])), 8)
  const { sessionId } = yield* ask("new", Fetch, reading("kept", 0n, { sessionEpoch: 0 }), 12)
  const none = (sessionEpoch: number, id = sessionId) => ({
    ...reading("", 0n, { sessionId: id, sessionEpoch }),
    topics: []
  })
  yield* ask("again", Fetch, none(1), 12)
  yield* ask("further", Fetch, reading("kept", 1n, { sessionId, sessionEpoch: 2 }), 12)
  yield* ask("nothing new", Fetch, none(3), 12)
  yield* ask("an old epoch", Fetch, none(3), 12)
  yield* ask("a skipped epoch", Fetch, none(9), 12)
  yield* ask("unknown", Fetch, none(1, sessionId ^ 1), 12)
  yield* ask("forget", Fetch, { ...none(4), forgottenTopicsData: [{ topic: "kept", partitions: [0] }] }, 12)
  yield* ask("closed", Fetch, none(-1), 12)
  yield* ask("after the end", Fetch, none(5), 12)
})

/** @internal */
export const offsets = Effect.fnUntraced(function* ({ ask, askIfOffered, topic }: Conversation) {
  yield* topic("found")
  const look = (what: string, timestamp: bigint, version: number, more: object = {}, name = "found") => {
    const topics = [{ name, partitions: [{ partitionIndex: 0, timestamp, ...more }] }]
    return ask(`${what}, v${version}`, ListOffsets, { replicaId: -1, topics }, version)
  }
  for (const timestamp of [-1n, -2n, 0n]) yield* look(`${timestamp} of nothing`, timestamp, 5)
  yield* ask("records", Produce, writing("found", batch(["a", "b", "c"])), 8)
  for (const version of [1, 2, 4, 5, 6]) {
    for (const timestamp of [-1n, -2n, 1_700_000_000_001n, 1_800_000_000_000n]) {
      yield* look(`${timestamp}`, timestamp, version)
    }
  }
  for (const [timestamp, version] of [
    [-3n, 7],
    [-4n, 8],
    [-5n, 9],
    [-6n, 11]
  ] as const) {
    const topics = [{ name: "found", partitions: [{ partitionIndex: 0, timestamp }] }]
    yield* askIfOffered(`${timestamp}, v${version}`, ListOffsets, { replicaId: -1, topics }, version)
  }
  yield* look("of no such kind", -9n, 5)
  yield* look("newer epoch", -1n, 5, { currentLeaderEpoch: 5 })
  yield* look("unknown", -1n, 5, {}, "unknown")
  yield* look("unknown partition", -1n, 5, { partitionIndex: 9 })
  const ends = (leaderEpoch: number, currentLeaderEpoch: number, name = "found") => {
    const partitions = [{ partition: 0, leaderEpoch, currentLeaderEpoch }]
    const request = { replicaId: -1, topics: [{ topic: name, partitions }] }
    return ask(`end of ${leaderEpoch} at ${currentLeaderEpoch} of ${name}`, OffsetForLeaderEpoch, request, 3)
  }
  for (const epoch of [0, 5]) for (const current of [-1, 0, 5]) yield* ends(epoch, current)
  yield* ends(0, 0, "unknown")
  for (const offset of [4n, -2n, 1n, 0n, -1n]) {
    const topics = [{ name: "found", partitions: [{ partitionIndex: 0, offset }] }]
    yield* ask(`delete before ${offset}`, DeleteRecords, { topics, timeoutMs: 5000 }, 1)
  }
  yield* look("first after it", -2n, 5)
})
