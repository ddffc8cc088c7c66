/**
 * Puts a group elsewhere: which partitions, where to, and the plan that comes out.
 *
 * @since 0.1.0
 */
import { ListOffsets } from "@kafka-effect/protocol/messages/ListOffsets"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Position } from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import type { TopicPartition } from "kafka-effect/Topic"
import * as From from "./From.ts"
import * as GroupOffsets from "./GroupOffsets.ts"
import type { Member, PartitionOffset } from "./GroupRequests.ts"
import * as GroupRequests from "./GroupRequests.ts"
import * as Table from "./Table.ts"
import * as Topics from "./Topics.ts"

/**
 * A topic, and which of its partitions; all where none is named.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  readonly topic: string
  readonly partitions: ReadonlyArray<number>
}

/**
 * A step of the plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface Move extends TopicPartition {
  /** Undefined where nothing was committed. */
  readonly current: bigint | undefined
  readonly next: bigint
}

/**
 * The group has members: they would go on where they are, and commit over it.
 *
 * @category errors
 * @since 0.1.0
 */
export class GroupInUse extends Data.TaggedError("GroupInUse")<{
  readonly groupId: string
  readonly members: ReadonlyArray<Member>
}> {
  override get message(): string {
    const shown = this.members.slice(0, 3).map(({ clientId, host, memberId }) => {
      return `${memberId} (client ${clientId} at ${host.replace(/^\//, "")})`
    })
    const more = this.members.length > shown.length ? ` and ${this.members.length - shown.length} more` : ""
    return `group ${this.groupId} has members: ${shown.join(", ")}${more}; stop them first`
  }
}

/**
 * There is nothing to reset, or no such partition.
 *
 * @category errors
 * @since 0.1.0
 */
export class NothingToReset extends Data.TaggedError("NothingToReset")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/**
 * Reads `TOPIC`, `TOPIC:0` or `TOPIC:0,2`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseTarget = (text: string): Result.Result<Target, string> => {
  const matched = /^([^:]+)(?::([0-9]{1,9}(?:,[0-9]{1,9})*))?$/.exec(text)
  if (matched === null) return Result.fail("TOPIC, or TOPIC:PARTITION with several partitions by commas")
  const partitions = matched[2] === undefined ? [] : matched[2].split(",").map(Number)
  return Result.succeed({ topic: matched[1], partitions: [...new Set(partitions)] })
}

/** The partitions of the targets; each has to exist. */
const placesOf = Effect.fnUntraced(function* (targets: ReadonlyArray<Target>) {
  const places = new Map<string, TopicPartition>()
  for (const { partitions, topic } of targets) {
    const found = yield* Topics.find(topic, { isCreated: false })
    const all = found.partitions.map(({ partition }) => partition)
    const missing = partitions.find((partition) => !all.includes(partition))
    if (missing !== undefined) {
      return yield* new NothingToReset({
        detail: `topic ${topic} has no partition ${missing}: it has ${all.length}, counted from 0`
      })
    }
    for (const partition of partitions.length === 0 ? all : partitions) {
      places.set(`${partition} ${topic}`, { topic, partition })
    }
  }
  return [...places.values()].sort(GroupRequests.byPlace)
})

/** The partitions that something was committed for, as far as they can be reset. */
const placesWith = Effect.fnUntraced(function* (committed: ReadonlyArray<PartitionOffset>) {
  const { leaderless, led } = yield* GroupOffsets.existing(committed)
  if (leaderless.length > 0) {
    yield* Effect.logWarning(
      `left as they are, for they have no leader: ${GroupOffsets.describePartitions(leaderless)}`
    )
  }
  return led
})

/**
 * What the log of a partition has.
 *
 * @category models
 * @since 0.1.0
 */
export interface Log {
  readonly earliest: bigint
  readonly end: bigint
  /** The first offset at or after the time that is asked for; undefined where there is none. */
  readonly atTime: bigint | undefined
}

/**
 * The offset of a position: within what the log has.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resolve = (position: Position, { atTime, earliest, end }: Log): bigint => {
  const offset = (): bigint => {
    if (position === "earliest") return earliest
    if (position === "latest") return end
    if (typeof position === "bigint") return position
    return "timestamp" in position ? (atTime ?? end) : end - BigInt(position.beforeEnd)
  }
  const wanted = offset()
  if (wanted < earliest) return earliest
  return wanted > end ? end : wanted
}

/** Older versions answer with the beginning of a segment, or with nothing. */
const knowsTimes = 1

/** Fails where brokers are too old to find records by their time (before 0.10.1). */
const checkTimes = Effect.gen(function* () {
  const { cluster } = yield* Kafka.Kafka
  for (const nodeId of cluster.metadata().brokers.keys()) {
    const connection = yield* cluster.connection(nodeId, "main")
    yield* connection.version(ListOffsets, { minVersion: knowsTimes })
  }
})

/**
 * Finds out where each partition goes. Without targets: all partitions that the group has committed something for and that
 * exist; those of them that have no leader are left out with a warning.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plan = Effect.fnUntraced(function* (
  groupId: string,
  targets: ReadonlyArray<Target> | undefined,
  to: From.From
) {
  const committed = yield* GroupRequests.committed(groupId)
  const places = targets === undefined ? yield* placesWith(committed) : yield* placesOf(targets)
  if (places.length === 0) {
    return yield* new NothingToReset({ detail: `group ${groupId} has committed nothing: name topics by --topic` })
  }
  const position = From.toPosition(to, yield* Clock.currentTimeMillis)
  const reader = yield* GroupOffsets.offsetsReader
  const earliest = yield* reader.beginningOffsets(places)
  const ends = yield* reader.endOffsets(places)
  const isTime = typeof position === "object" && "timestamp" in position
  if (isTime) yield* checkTimes
  const times = isTime
    ? yield* reader.offsetsForTimes(places.map((place) => ({ ...place, timestamp: position.timestamp })))
    : []
  return moves(
    committed,
    places,
    places.map((_, index) => resolve(position, { earliest: earliest[index], end: ends[index], atTime: times[index] }))
  )
})

/**
 * The steps from what was committed to the next offsets, in the order of the partitions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const moves = (
  committed: ReadonlyArray<PartitionOffset>,
  places: ReadonlyArray<TopicPartition>,
  next: ReadonlyArray<bigint>
): ReadonlyArray<Move> =>
  places.map(({ partition, topic }, index) => {
    const current = committed.find((one) => one.topic === topic && one.partition === partition)?.offset
    return { topic, partition, current, next: next[index] }
  })

/**
 * The plan as text for people.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toText = (self: ReadonlyArray<Move>): string =>
  Table.format(
    ["topic", "partition", "current", "new"],
    self.map(({ current, next, partition, topic }) => [topic, ...[partition, current, next].map(Table.cell)]),
    [1, 2, 3]
  )

/**
 * The plan as one line of JSON.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toJson = (group: string, dryRun: boolean, self: ReadonlyArray<Move>): string => {
  const partitions = self.map(({ current, next, partition, topic }) => ({
    topic,
    partition,
    current: current === undefined ? null : Number(current),
    new: Number(next)
  }))
  return `${JSON.stringify({ group, dryRun, partitions })}\n`
}
