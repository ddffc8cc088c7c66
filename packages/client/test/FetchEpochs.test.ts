/** What the fetcher does about other leaders and other replicas: validation, truncation, the closest replica. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import { OffsetForLeaderEpoch } from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import { Effect } from "effect"
import type { ResetCause } from "../src/internal/consumer/FetchOutcomes.ts"
import { until } from "./harness.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import { append, fetcher, make, partition, place, type Scripted } from "./ScriptedFetches.ts"

type Reset = readonly [partition: number, from: bigint, to: bigint, cause: ResetCause]

const listening = () => {
  const resets: Array<Reset> = []
  const onReset = (one: { readonly partition: number }, from: bigint, to: bigint, cause: ResetCause) =>
    void resets.push([one.partition, from, to, cause])
  return { resets, onReset }
}

/** One partition with ten records of epoch 1, each in a batch of its own. */
const ten = (options?: Parameters<typeof make>[2]) =>
  Effect.tap(make(2, 1, options), (self) =>
    Effect.gen(function* () {
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)])
      yield* self.cluster.topic("t")
    })
  )

/** An election that loses records: the log is cut back, and the new leader writes. */
const cutBack = (self: Scripted, offset: bigint, leader = 1) => {
  const [log] = self.logs
  log.batches = log.batches.filter(({ end }) => end <= offset)
  for (let index = 0; index < 15; index++) append(log, [`new ${index}`], 2)
  return elect(self, leader)
}

const elect = (self: Scripted, leader = 1) => {
  self.scripted.topics.set("t", { partitions: [{ leader, epoch: 2 }] })
  return self.cluster.refresh(["t"])
}

const questions = (self: Scripted, node = 1) => self.scripted.brokers[node - 1].of(OffsetForLeaderEpoch)

describe("Fetcher: leader epochs", () => {
  it.live("C89 a new leader is asked, before the next fetch, whether it has what was read", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      assert.strictEqual(questions(self).length, 0)
      yield* elect(self, 2)
      append(self.logs[0], ["10"], 2)
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 10n])
      const [question] = questions(self, 2)
      const { currentLeaderEpoch, leaderEpoch } = question.message.topics[0].partitions[0]
      assert.deepStrictEqual([question.message.replicaId, currentLeaderEpoch, leaderEpoch], [-1, 2, 1])
      assert.isBelow(question.at, self.fetches(2)[0].at)
      assert.strictEqual(questions(self, 2).length, 1)
      assert.deepStrictEqual(resets, [])
    })
  )

  it.live("C89 a log that was cut back is read on where it parted, and what is queued from there is dropped", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "latest", onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 3; index++) yield* takeFrom(one)
      yield* until(() => one.queue.length === 7)
      yield* cutBack(self, 6n)
      yield* until(() => resets.length > 0)
      assert.deepStrictEqual(resets, [[0, 10n, 6n, "truncation"]])
      const seen: Array<readonly [bigint, number]> = []
      for (let index = 0; index < 6; index++) {
        const { batch } = (yield* takeFrom(one))!
        seen.push([batch.baseOffset, batch.partitionLeaderEpoch])
      }
      assert.deepStrictEqual(seen, [
        [3n, 1],
        [4n, 1],
        [5n, 1],
        [6n, 2],
        [7n, 2],
        [8n, 2]
      ])
    })
  )

  it.live("C89 without a fallback the error names both offsets; a seek goes on", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { add, takeFrom, wake } = yield* fetcher(self)
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      yield* cutBack(self, 6n)
      const error = yield* Effect.flip(takeFrom(one))
      assert.strictEqual(error.reason._tag, "Truncated")
      assert.include(error.message, "topic t partition 0 was cut back to offset 6")
      assert.include(error.message, "read up to offset 10")
      one.seek(6n)
      wake()
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 6n])
    })
  )

  it.live("C89 a leader that does not know the epoch proves nothing", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      self.scripted.brokers[0].on(OffsetForLeaderEpoch, () =>
        ScriptedBroker.respond({ topics: [{ topic: "t", partitions: [{ partition: 0, endOffset: -1n }] }] })
      )
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "earliest", onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      yield* elect(self)
      append(self.logs[0], ["10"], 2)
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 10n])
      assert.deepStrictEqual(resets, [])
      assert.strictEqual(questions(self).length, 1)
    })
  )

  it.live("C89 a start with an epoch, as from a commit, is validated before the first fetch", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      yield* cutBack(self, 6n)
      const { add, takeFrom } = yield* fetcher(self, { fallback: "earliest", onReset })
      const one = partition(0, { start: { offset: 9n, leaderEpoch: 1 } })
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 6n])
      assert.deepStrictEqual(resets, [[0, 9n, 6n, "truncation"]])
      assert.isBelow(questions(self)[0].at, self.fetches()[0].at)
    })
  )

  it.live("C89 a fetch that is told of a diverging epoch goes on there", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "earliest", onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      self.replace = (reply, asked) =>
        asked.fetchOffset > 4n && asked.lastFetchedEpoch === 1
          ? { partitionIndex: 0, divergingEpoch: { epoch: 0, endOffset: 4n }, records: null }
          : reply
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 4n])
      assert.deepStrictEqual(resets, [[0, 10n, 4n, "truncation"]])
      assert.strictEqual(questions(self).length, 0)
    })
  )

  it.live("C89 a diverging epoch that ends behind the position loses nothing, and is not asked for in circles", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "earliest", onReset })
      self.replace = (reply, asked) =>
        asked.lastFetchedEpoch === 1
          ? { partitionIndex: 0, divergingEpoch: { epoch: 1, endOffset: 99n }, records: null }
          : reply
      const one = partition(0, { start: { offset: 5n, leaderEpoch: 1 } })
      add([one])
      yield* Effect.sleep("200 millis")
      assert.isBelow(self.fetches().length, 10)
      self.replace = (reply) => reply
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 5n])
      assert.deepStrictEqual(resets, [])
    })
  )

  it.live("C89 brokers that only tell those who may see the whole cluster are not asked", () =>
    Effect.gen(function* () {
      const self = yield* ten({ offered: { OffsetForLeaderEpoch: [0, 2], Fetch: [0, 11] } })
      const { add, takeFrom } = yield* fetcher(self)
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      yield* elect(self)
      append(self.logs[0], ["10"], 2)
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 10n])
      assert.strictEqual(questions(self).length, 0)
    })
  )

  it.live("C89 a leader that refuses is asked again, and what it says of an older position is dropped", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      const { onReset, resets } = listening()
      const { add, takeFrom, wake } = yield* fetcher(self, { fallback: "earliest", onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      let asked = 0
      self.scripted.brokers[0].on(OffsetForLeaderEpoch, () => {
        const errorCode = asked++ === 0 ? codes.UNKNOWN_LEADER_EPOCH : 0
        if (asked === 2) {
          one.seek(1n)
          wake()
        }
        return ScriptedBroker.respond({
          topics: [{ topic: "t", partitions: [{ partition: 0, errorCode, leaderEpoch: 1, endOffset: 6n }] }]
        })
      })
      yield* elect(self)
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 1n])
      assert.strictEqual(asked, 2)
      assert.deepStrictEqual(resets, [])
    })
  )

  it.live("C30 positions in a topic that was made anew are void, its epochs too", () =>
    Effect.gen(function* () {
      const self = yield* make(1, 1)
      const idOf = (first: string) => `${first}${"A".repeat(21)}`
      for (let index = 0; index < 10; index++) append(self.logs[0], [String(index)], 9)
      self.scripted.topics.set("t", { id: idOf("B"), partitions: [{ leader: 1, epoch: 9 }] })
      yield* self.cluster.topic("t")
      const { onReset, resets } = listening()
      const { add, takeFrom } = yield* fetcher(self, { fallback: "nearest", onReset })
      const one = partition(0)
      add([one])
      for (let index = 0; index < 10; index++) yield* takeFrom(one)
      self.logs[0].batches = []
      for (let index = 0; index < 5; index++) append(self.logs[0], [`new ${index}`], 0)
      self.scripted.topics.set("t", { id: idOf("C"), partitions: [{ leader: 1, epoch: 0 }] })
      // In flight it may hear first that its position is out of range: then nothing is concluded from that.
      self.replace = (reply) =>
        (reply.errorCode ?? 0) === 0 ? reply : { partitionIndex: 0, errorCode: codes.UNKNOWN_TOPIC_ID, records: null }
      yield* self.cluster.refresh(["t"])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      assert.deepStrictEqual(resets, [[0, 10n, 0n, "recreated"]])
      assert.strictEqual(one.leaderEpoch, 0)
    })
  )
})

/** The leader, node 1, sends readers of this rack to node 2. */
const near = (self: Scripted): void => {
  self.replace = (reply, _, node) =>
    node === 1 ? { partitionIndex: 0, preferredReadReplica: 2, highWatermark: 10n, records: null } : reply
}

describe("Fetcher: the closest replica", () => {
  it.live("C88 a partition is read from the replica that the leader names", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      near(self)
      const { add, takeFrom } = yield* fetcher(self, { clientRack: "b" })
      const one = partition(0, { start: "earliest" })
      add([one])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
      yield* until(() => self.fetches(2).length > 3)
      assert.strictEqual(self.fetches(1).length, 1)
      assert.strictEqual(self.fetches(1)[0].message.rackId, "b")
      assert.strictEqual(self.fetches(2)[0].message.rackId, "b")
      // Offsets are the leader's business (C91).
      assert.strictEqual(self.scripted.brokers[1].of(ListOffsets).length, 0)
    })
  )

  it.live("C88 the leader is asked again when its word is as old as metadata may be", () =>
    Effect.gen(function* () {
      const self = yield* ten({ settings: { metadataMaxAge: 300 } })
      near(self)
      const { add } = yield* fetcher(self, { clientRack: "b" })
      add([partition(0)])
      yield* until(() => self.fetches(1).length === 3)
      const [first, second, third] = self.fetches(1)
      assert.isAtLeast(second.at - first.at, 290)
      assert.isAtLeast(third.at - second.at, 290)
      assert.isAbove(self.fetches(2).length, 5)
    })
  )

  for (const name of ["NOT_LEADER_OR_FOLLOWER", "OFFSET_NOT_AVAILABLE", "OFFSET_OUT_OF_RANGE"] as const) {
    it.live(`C87 C88 ${name} from the replica: back to the leader`, () =>
      Effect.gen(function* () {
        const self = yield* ten()
        const { onReset, resets } = listening()
        self.replace = (reply, asked, node) => {
          if (node === 2) return { partitionIndex: 0, errorCode: codes[name], records: null }
          return self.fetches(2).length === 0 && asked.partition === 0
            ? { partitionIndex: 0, preferredReadReplica: 2, records: null }
            : reply
        }
        const { add, takeFrom } = yield* fetcher(self, { clientRack: "b", fallback: "latest", onReset })
        const one = partition(0)
        add([one])
        assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 0n])
        assert.strictEqual(self.fetches(2).length, 1)
        // A follower may be behind: only the leader knows what is out of range.
        assert.deepStrictEqual(resets, [])
        assert.deepStrictEqual(
          self.scripted.brokers.map((broker) => broker.of(ListOffsets).length),
          [0, 0]
        )
      })
    )
  }

  it.live("C88 a replica that is lost, or not known: back to the leader", () =>
    Effect.gen(function* () {
      const self = yield* ten()
      let named = 2
      self.replace = (reply, _, node) =>
        node === 1 && named > 0 ? { partitionIndex: 0, preferredReadReplica: named, records: null } : reply
      const { add, takeFrom } = yield* fetcher(self, { clientRack: "b" })
      const one = partition(0)
      add([one])
      yield* takeFrom(one)
      named = 0
      yield* self.scripted.brokers[1].stop
      append(self.logs[0], ["10"])
      for (let index = 1; index <= 10; index++) assert.deepStrictEqual(place(yield* takeFrom(one)), [0, BigInt(index)])
      named = 77
      yield* Effect.sleep("150 millis")
      named = 0
      append(self.logs[0], ["11"])
      assert.deepStrictEqual(place(yield* takeFrom(one)), [0, 11n])
    })
  )
})
