/** Transactions: ids and epochs, what is in them, how they end, and what of it is refused. */
import { AddOffsetsToTxn } from "@kafka-effect/protocol/messages/AddOffsetsToTxn"
import { AddPartitionsToTxn } from "@kafka-effect/protocol/messages/AddPartitionsToTxn"
import { DescribeProducers } from "@kafka-effect/protocol/messages/DescribeProducers"
import { DescribeTransactions } from "@kafka-effect/protocol/messages/DescribeTransactions"
import { EndTxn } from "@kafka-effect/protocol/messages/EndTxn"
import { Fetch, type FetchResponse } from "@kafka-effect/protocol/messages/Fetch"
import { InitProducerId } from "@kafka-effect/protocol/messages/InitProducerId"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { ListTransactions } from "@kafka-effect/protocol/messages/ListTransactions"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { TxnOffsetCommit } from "@kafka-effect/protocol/messages/TxnOffsetCommit"
import * as Records from "@kafka-effect/protocol/Records"
import { Effect, Schedule } from "effect"
import type { Conversation } from "./Conversation.ts"
import { batch, reading, writing } from "./messages.ts"

interface Producer {
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** Whether the last of a partition is a marker. */
const isEnded = ({ responses: [topic] }: FetchResponse): boolean => {
  const [{ highWatermark, lastStableOffset, records }] = topic!.partitions
  if (highWatermark !== lastStableOffset || records === null) return false
  return Records.split(records).batches.at(-1)?.isControl === true
}

/** What is said of a transaction of one id, over topics with two partitions of the same name. */
const speak = ({ ask, askIfOffered, kafka, node }: Conversation, transactionalId: string) => ({
  init: (what: string, more: object = {}, version = 3) =>
    ask(what, InitProducerId, { transactionalId, transactionTimeoutMs: 60_000, ...more }, version),
  add: (
    what: string,
    { producerEpoch, producerId }: Producer,
    name = transactionalId,
    partition = 0,
    more: object = {}
  ) =>
    ask(
      what,
      AddPartitionsToTxn,
      {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: [
          { name: "also", partitions: [1] },
          { name, partitions: [partition] }
        ],
        ...more
      },
      2
    ),
  write: (what: string, producer: Producer, baseSequence: number, partition = 0, version = 8) => {
    // Of now, as the markers are: other times would begin another segment, at which a real broker's answer ends.
    const { producerEpoch, producerId } = producer
    const options = { producerEpoch, producerId, baseSequence, isTransactional: true }
    const records = batch(["a", "b"], options, Date.now())
    return askIfOffered(what, Produce, writing(transactionalId, records, -1, partition, transactionalId), version)
  },
  end: (what: string, producer: Producer, committed: boolean, version = 2) =>
    askIfOffered(what, EndTxn, { transactionalId, ...producer, committed }, version),
  /** What readers are told of the first partition; after an end, once its marker is there. */
  look: Effect.fnUntraced(function* (when: string, isOpen = false) {
    const read = kafka.request(node, Fetch, reading(transactionalId, 0n), 11)
    if (!isOpen) yield* read.pipe(Effect.repeat({ until: isEnded, schedule: Schedule.spaced("20 millis"), times: 100 }))
    for (const isolationLevel of [0, 1]) {
      const topics = [{ name: transactionalId, partitions: [{ partitionIndex: 0, timestamp: -1n }] }]
      yield* ask(`${when}: end at ${isolationLevel}`, ListOffsets, { replicaId: -1, isolationLevel, topics }, 5)
      yield* ask(`${when}: read at ${isolationLevel}`, Fetch, reading(transactionalId, 0n, { isolationLevel }), 11)
    }
    const transactionalIds = [transactionalId]
    yield* askIfOffered(`${when}: transaction`, DescribeTransactions, { transactionalIds }, 0)
    const topics = [{ name: transactionalId, partitionIndexes: [0] }]
    yield* askIfOffered(`${when}: producers`, DescribeProducers, { topics }, 0)
  })
})

/** @internal */
export const producerIds = Effect.fnUntraced(function* (broker: Conversation) {
  const { ask } = broker
  const { init } = speak(broker, "ids")
  for (const version of [0, 1, 2, 3, 4]) {
    yield* ask(`none, v${version}`, InitProducerId, { transactionalId: null, transactionTimeoutMs: 0 }, version)
  }
  yield* init("empty", { transactionalId: "" })
  yield* init("no timeout", { transactionTimeoutMs: 0 })
  yield* init("too long a timeout", { transactionTimeoutMs: 100_000_000 })
  yield* init("a producer without its epoch", { producerId: 5n })
  yield* init("an epoch without its producer", { producerEpoch: 5 })
  yield* init("an unknown producer", { producerId: 987_654n, producerEpoch: 5 })
  const first = yield* init("first")
  yield* init("first of another", { producerId: first.producerId + 1n, producerEpoch: 0 })
  const { producerEpoch, producerId } = first
  yield* init("it goes on", { producerId, producerEpoch })
  yield* init("again with the old epoch", { producerId, producerEpoch })
  yield* init("with an older epoch", { producerId, producerEpoch: producerEpoch - 1 })
  yield* init("with a newer epoch", { producerId, producerEpoch: producerEpoch + 9 })
  yield* init("anew")
  yield* init("of no id, with an epoch", { transactionalId: null, producerId, producerEpoch })
})

/** @internal */
export const transactions = Effect.fnUntraced(function* (broker: Conversation) {
  const { askIfOffered, topic } = broker
  yield* topic("tx", 2)
  yield* topic("also", 2)
  const { add, end, init, look, write } = speak(broker, "tx")
  const me = yield* init("first")
  const { producerEpoch, producerId } = me
  yield* end("nothing to commit", me, true)
  yield* add("of another producer", { ...me, producerId: producerId + 1n })
  yield* add("of an old epoch", { ...me, producerEpoch: producerEpoch - 1 })
  yield* add("of a newer epoch", { ...me, producerEpoch: producerEpoch + 1 })
  yield* add("of an unknown id", me, "tx", 0, { v3AndBelowTransactionalId: "unknown" })
  yield* add("of no id", me, "tx", 0, { v3AndBelowTransactionalId: "" })
  yield* add("an unknown topic", me, "unknown")
  yield* add("an unknown partition", me, "tx", 9)
  yield* look("before", true)
  yield* add("a partition", me)
  yield* add("it again", me)
  yield* look("begun", true)
  yield* write("two", me, 0)
  yield* write("a gap", me, 7)
  yield* write("again", me, 0)
  yield* look("written", true)
  yield* askIfOffered("all that are open", ListTransactions, { stateFilters: ["Ongoing", "NoSuch"] }, 0)
  yield* end("with an old epoch", { ...me, producerEpoch: producerEpoch - 1 }, true)
  yield* end("with a newer epoch", { ...me, producerEpoch: producerEpoch + 1 }, true)
  yield* end("of another producer", { ...me, producerId: producerId + 1n }, true)
  yield* end("commit", me, true)
  yield* end("commit again", me, true)
  yield* end("abort what is committed", me, false)
  yield* look("committed")
  yield* add("the next", me)
  yield* write("two more", me, 2)
  yield* end("abort", me, false)
  yield* end("abort again", me, false)
  yield* end("commit what is aborted", me, true)
  yield* look("aborted")
})

/** @internal */
export const fencing = Effect.fnUntraced(function* (broker: Conversation) {
  yield* broker.topic("fenced", 2)
  yield* broker.topic("also", 2)
  const { add, end, init, look, write } = speak(broker, "fenced")
  const old = yield* init("first")
  yield* add("a partition", old)
  yield* write("two", old, 0)
  const me = yield* init("anew")
  yield* write("of the old", old, 2)
  yield* add("of the old", old)
  yield* end("of the old", old, true)
  yield* look("aborted for it")
  yield* add("a partition", me)
  yield* write("in the middle", me, 2)
  yield* write("two", me, 0)
  yield* end("commit", me, true)
  yield* look("committed")
})

/** @internal */
export const offsetsInTransactions = Effect.fnUntraced(function* (broker: Conversation) {
  const { ask, topic } = broker
  yield* topic("with", 2)
  const { end, init } = speak(broker, "with")
  const me = yield* init("first")
  const add = (what: string, producer: Producer, groupId = "of it") =>
    ask(what, AddOffsetsToTxn, { transactionalId: "with", ...producer, groupId }, 2)
  const commit = (what: string, producer: Producer, name = "with", more: object = {}, metadata = "m") => {
    const partitions = [{ partitionIndex: 0, committedOffset: 5n, committedMetadata: metadata }]
    const message = { transactionalId: "with", groupId: "of it", ...producer, ...more, topics: [{ name, partitions }] }
    return ask(what, TxnOffsetCommit, message, 3)
  }
  const told = (when: string, stable: ReadonlyArray<boolean> = [true, false]) =>
    Effect.forEach(stable, (requireStable) => {
      const topics = [{ name: "with", partitionIndexes: [0, 1] }]
      return ask(`${when}: stable ${requireStable}`, OffsetFetch, { groupId: "of it", topics, requireStable }, 7)
    })
  yield* add("to an unknown producer's", { ...me, producerId: me.producerId + 1n })
  yield* add("to an older epoch's", { ...me, producerEpoch: me.producerEpoch - 1 })
  yield* add("no group", me, "")
  yield* add("a group", me)
  yield* commit("offsets", me)
  yield* commit("an unknown topic", me, "unknown")
  yield* commit("much metadata", me, "with", {}, "x".repeat(4097))
  yield* commit("of an unknown member", me, "with", { memberId: "nobody", generationIdOrMemberEpoch: 1 })
  yield* commit("of a generation", me, "with", { generationIdOrMemberEpoch: 1 })
  yield* commit("of no group", me, "with", { groupId: "" })
  yield* told("open", [false])
  yield* end("commit", me, true)
  yield* told("committed")
  yield* add("a group", me)
  yield* commit("other offsets", me)
  yield* end("abort", me, false)
  yield* told("aborted")
})

/** Of version 2 (KIP-890): no partition is added by the client, and each end has an epoch of its own. @internal */
export const transactionsOfVersion2 = Effect.fnUntraced(function* (broker: Conversation) {
  yield* broker.topic("second", 2)
  const { end, init, look, write } = speak(broker, "second")
  const first = yield* init("first", {}, 4)
  yield* write("two", first, 0, 0, 12)
  yield* look("written", true)
  const second = yield* end("commit", first, true, 5)
  if (second === undefined) return
  yield* end("commit again", first, true, 5)
  yield* end("abort what is committed", first, false, 5)
  yield* write("with the old epoch", first, 2, 0, 12)
  yield* write("two more", second, 0, 0, 12)
  const third = yield* end("abort", second, false, 5)
  if (third === undefined) return
  yield* end("abort again", second, false, 5)
  yield* end("nothing to abort", third, false, 5)
  yield* look("aborted")
})
