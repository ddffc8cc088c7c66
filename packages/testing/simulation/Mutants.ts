/** Deliberate mistakes, each a change of one text in one file, which the simulation has to find. */

export interface Mutant {
  readonly name: string
  /** Under `packages`. */
  readonly file: string
  readonly changes: ReadonlyArray<readonly [text: string, replacement: string]>
}

const client = "client/src/internal"
const broker = "testing/src/internal"

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "the broker takes batches in any sequence",
    file: `${broker}/ProducerStates.ts`,
    changes: [["return baseSequence === expected ? next : outOfOrder(expected)", "return next"]]
  },
  {
    name: "the broker does not know repeated batches",
    file: `${broker}/ProducerStates.ts`,
    changes: [["if (same !== undefined) {", "if (same !== undefined && recordCount < 0) {"]]
  },
  {
    name: "the broker takes commits of former generations",
    file: `${broker}/apis/OffsetCommit.ts`,
    changes: [
      [
        "const errorCode = group.check(memberId, groupInstanceId, generation)\n  if (errorCode !== codes.NONE) return errorCode",
        "const errorCode = group.check(memberId, groupInstanceId, generation)\n  if (errorCode !== codes.NONE) return codes.NONE"
      ]
    ]
  },
  {
    name: "the broker never misses a dead member",
    file: `${broker}/groups/ClassicGroup.ts`,
    changes: [["else this.remove(member)\n", "else this.touch(member)\n"]]
  },
  {
    name: "the broker does not wake those who wait for records",
    file: `${broker}/Replication.ts`,
    changes: [["offset : log.endOffset\n  notify(partition)\n", "offset : log.endOffset\n"]]
  },
  {
    name: "leaders acknowledge what no other replica has",
    file: `${broker}/apis/Produce.ts`,
    changes: [["message.acks === -1 ? Replication", "message.acks === -2 ? Replication"]]
  },
  {
    name: "readers are given what no other replica has",
    file: `${broker}/PartitionLog.ts`,
    changes: [["let first = this.highWatermark", "let first = this.endOffset"]]
  },
  {
    name: "a retry has new sequence numbers",
    file: `${client}/producer/PartitionQueue.ts`,
    changes: [["if (current !== undefined && batch.baseSequence < 0) {", "if (current !== undefined) {"]]
  },
  {
    name: "a retry comes behind later batches",
    file: `${client}/producer/PartitionQueue.ts`,
    changes: [["this.waiting.splice(index < 0 ? this.waiting.length : index, 0, batch)", "this.waiting.push(batch)"]]
  },
  {
    name: "without idempotence several batches of a partition are in flight",
    file: `${client}/producer/PartitionQueue.ts`,
    changes: [["if (this.isRecovering || this.node !== node || this.identity === undefined) return false", ""]]
  },
  {
    name: "what may have been written is reported as not written",
    file: `${client}/producer/BatchOutcomes.ts`,
    changes: [
      ['if (error.maybeSent || error.reason._tag === "InvalidResponse") batch.maybeWritten = true', ""],
      ["const maybeWritten = batch.maybeWritten || queue.inFlight.includes(batch)", "const { maybeWritten } = batch"]
    ]
  },
  {
    name: "a stale leader is kept",
    file: `${client}/producer/BatchOutcomes.ts`,
    changes: [
      [
        'if (!invalidates.includes("leader") && !invalidates.includes("topicId")) return Effect.void',
        "if (invalidates.length >= 0) return Effect.void"
      ]
    ]
  },
  {
    name: "a new batch does not wake the sender",
    file: `${client}/producer/Accumulator.ts`,
    changes: [["      this.options.wake()\n      batch.reserved", "      batch.reserved"]]
  },
  {
    name: "the memory of batches that are done is not given back",
    file: `${client}/producer/Accumulator.ts`,
    changes: [["    this.memory.release(batch.reserved)\n    batch.complete(exit)", "    batch.complete(exit)"]]
  },
  {
    name: "the end of a fetch does not wake the fetcher",
    file: `${client}/consumer/Fetcher.ts`,
    changes: [["          readers.notify(asked)\n          wanted.openUnsafe()\n", "          readers.notify(asked)\n"]]
  },
  {
    name: "the bytes of batches that were read still count as fetched ahead",
    file: `${client}/consumer/FetchedPartition.ts`,
    changes: [["    this.queuedBytes -= taken.batch.bytes.length\n", ""]]
  },
  {
    name: "no heartbeat is sent",
    file: `${client}/consumer/Heartbeats.ts`,
    changes: [['Effect.whileLoop({ while: () => state.phase === "member"', "Effect.whileLoop({ while: () => false"]]
  },
  {
    name: "records are committed before they are finished",
    file: `${client}/consumer/Work.ts`,
    changes: [
      [
        "            yield* process(delivered)\n",
        "            owned.finished = delivered.end\n            yield* process(delivered)\n"
      ]
    ]
  },
  {
    name: "what was handed over is committed instead of what is finished",
    file: `${client}/consumer/AutoCommit.ts`,
    changes: [
      [
        "const { committable, lease, partition, topic } = owned",
        "const { handed: committable, lease, partition, topic } = owned"
      ]
    ]
  },
  {
    name: "with keys side by side, the last record that is finished is committed",
    file: `${client}/consumer/LowWaterMark.ts`,
    changes: [
      [
        "while (this.head < this.places.length && this.isFinished[this.head]) this.head++",
        "this.head = Math.max(this.head, ticket - this.first + 1)"
      ]
    ]
  },
  {
    name: "records of one key are worked on side by side",
    file: `${client}/consumer/KeyedWork.ts`,
    changes: [["let waiting = busy.get(key) ?? idle.get(key)", "let waiting = idle.get(key)"]]
  },
  {
    name: "records of partitions that were taken away are handed over",
    file: `${client}/consumer/Delivery.ts`,
    changes: [
      ["drop: (owned) => void rests.delete(owned),", "drop: () => {},"],
      [
        "if (owned.isEnding || version !== taken.source.version) return Effect.undefined",
        "if (version !== taken.source.version && !owned.isEnding) return Effect.undefined"
      ],
      [
        "if (!owned.isEnding && rest.version === owned.fetched.version) return rest",
        "if (owned.isEnding || rest.version === owned.fetched.version) return rest"
      ]
    ]
  },
  {
    name: "partitions are given back while their records are worked on",
    file: `${client}/consumer/Ownership.ts`,
    changes: [
      ["yield* Effect.timeoutOption(drained, leftOf(workShare))", "yield* Effect.timeoutOption(drained, 0)"],
      ["      if (owned.isReleased) continue\n      owned.interrupt()", "      continue"]
    ]
  },
  {
    name: "a partition begins one record behind what was committed",
    file: `${client}/consumer/Ownership.ts`,
    changes: [
      [
        "const start = committed ?? withoutCommit(owned)",
        "const start = committed === undefined ? withoutCommit(owned) : { ...committed, offset: committed.offset + BigInt(1) }"
      ]
    ]
  },
  {
    name: "an error of a fetch sends the reader back to the beginning",
    file: `${client}/consumer/FetchOutcomes.ts`,
    changes: [
      [
        "      backOff(partition)\n      if (currentLeader",
        '      reset(partition, BigInt(0), -1, "out-of-range")\n      if (currentLeader'
      ]
    ]
  },
  {
    name: "eager members join without having given back their partitions",
    file: `${client}/consumer/Rebalance.ts`,
    changes: [["if (owned.length === 0 || !cooperative) return owned", "if (owned.length === 0) return owned"]]
  },
  {
    name: "automatic commits go on when the consumer has ended",
    file: `${client}/consumer/AutoCommit.ts`,
    changes: [
      [
        "yield* Effect.forkScoped(Effect.forever(Effect.delay(turn, interval)))",
        "yield* Effect.forkDetach(Effect.forever(Effect.delay(turn, interval)))"
      ]
    ]
  },
  {
    name: "connections stay open when the client has ended",
    file: `${client}/ConnectionPool.ts`,
    changes: [["const attempt = yield* Scope.fork(scope)", "const attempt = yield* Scope.make()"]]
  }
]
