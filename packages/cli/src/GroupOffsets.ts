/**
 * Where a group stands: per partition what it has committed, where the log ends, and who reads it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import type { TopicPartition } from "kafka-effect/Topic"
import type { Group, Member, PartitionOffset } from "./GroupRequests.ts"
import * as GroupRequests from "./GroupRequests.ts"
import * as Table from "./Table.ts"

/**
 * A partition that a group has committed something for, or that a member of it has.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row extends TopicPartition {
  readonly committed: bigint | undefined
  /** Undefined where the partition does not exist any more, or has no leader. */
  readonly end: bigint | undefined
  /** Undefined where one of both is not known. */
  readonly lag: bigint | undefined
  readonly member: Member | undefined
}

const keyOf = ({ partition, topic }: TopicPartition): string => `${partition} ${topic}`

const lagOf = (committed: bigint | undefined, end: bigint | undefined): bigint | undefined => {
  if (committed === undefined || end === undefined) return undefined
  return end > committed ? end - committed : BigInt(0)
}

/**
 * A row for each partition, in the order of topics and partitions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rows = (
  members: ReadonlyArray<Member>,
  committed: ReadonlyArray<PartitionOffset>,
  ends: ReadonlyArray<PartitionOffset>
): ReadonlyArray<Row> => {
  const owners = new Map(members.flatMap((member) => member.partitions.map((place) => [keyOf(place), member] as const)))
  const endOf = new Map(ends.map((place) => [keyOf(place), place.offset]))
  const offsetOf = new Map(committed.map((place) => [keyOf(place), place.offset]))
  const places = new Map(
    [...committed, ...members.flatMap(({ partitions }) => partitions)].map((place) => [keyOf(place), place])
  )
  return [...places]
    .map(([key, { partition, topic }]) => {
      const [offset, end] = [offsetOf.get(key), endOf.get(key)]
      return { topic, partition, committed: offset, end, lag: lagOf(offset, end), member: owners.get(key) }
    })
    .sort(GroupRequests.byPlace)
}

/**
 * The sum of what is known.
 *
 * @category combinators
 * @since 0.1.0
 */
export const totalLag = (self: ReadonlyArray<Row>): bigint =>
  self.reduce((sum, { lag }) => sum + (lag ?? BigInt(0)), BigInt(0))

/**
 * Those of the partitions that exist: with a leader, which can be asked for offsets, and without one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const existing = Effect.fnUntraced(function* <A extends TopicPartition>(places: ReadonlyArray<A>) {
  const { cluster } = yield* Kafka.Kafka
  const { topics } = yield* cluster.refresh("all")
  const leaderOf = ({ partition, topic }: A): number | undefined => topics.get(topic)?.partitions[partition]?.leader
  return {
    led: places.filter((place) => (leaderOf(place) ?? -1) >= 0),
    leaderless: places.filter((place) => leaderOf(place) === -1)
  }
})

/**
 * A consumer that reads nothing: it can be asked for offsets. Ends are those of all records, decided or not, as Kafka's own
 * tool counts them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const offsetsReader = Consumer.make({ partitions: [], isolation: "uncommitted" })

/**
 * Asks where a group stands.
 *
 * @category constructors
 * @since 0.1.0
 */
export const look = Effect.fnUntraced(function* (groupId: string, members: ReadonlyArray<Member>) {
  const committed = yield* GroupRequests.committed(groupId)
  const places = rows(members, committed, []).map(({ partition, topic }) => ({ topic, partition }))
  const { led: asked } = yield* existing(places)
  const reader = yield* offsetsReader
  const found = yield* reader.endOffsets(asked)
  return rows(
    members,
    committed,
    asked.map((place, index) => ({ ...place, offset: found[index] }))
  )
})

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const titles = ["topic", "partition", "committed", "end", "lag"]

const cellsOf = ({ committed, end, lag, partition, topic }: Row): ReadonlyArray<string> => [
  topic,
  ...[partition, committed, end, lag].map(Table.cell)
]

/**
 * Lags as text for people, with the total.
 *
 * @category encoding
 * @since 0.1.0
 */
export const lagToText = (self: ReadonlyArray<Row>): string =>
  Table.format(titles, [...self.map(cellsOf), ["total", "", "", "", String(totalLag(self))]], [1, 2, 3, 4])

// Offsets in the millions of millions are exact as numbers.
const number = (value: bigint | undefined): number | null => (value === undefined ? null : Number(value))

const rowToJson = ({ committed, end, lag, partition, topic }: Row) => ({
  topic,
  partition,
  committed: number(committed),
  end: number(end),
  lag: number(lag)
})

/**
 * Lags as one line of JSON.
 *
 * @category encoding
 * @since 0.1.0
 */
export const lagToJson = (group: string, self: ReadonlyArray<Row>): string =>
  `${JSON.stringify({ group, lag: Number(totalLag(self)), partitions: self.map(rowToJson) })}\n`

/**
 * Partitions in a line, by topic: `orders 0,2; payments 1`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const describePartitions = (partitions: ReadonlyArray<TopicPartition>): string => {
  if (partitions.length === 0) return "no partitions"
  return [...Map.groupBy(partitions.toSorted(GroupRequests.byPlace), ({ topic }) => topic)]
    .map(([topic, places]) => `${topic} ${places.map(({ partition }) => partition).join(",")}`)
    .join("; ")
}

/**
 * A group as text for people. What the broker does not say is left out.
 *
 * @category encoding
 * @since 0.1.0
 */
export const groupToText = (group: Group, self: ReadonlyArray<Row>): string => {
  const { assignor, coordinator, members, state, type } = group
  const facts = [
    `group ${group.groupId}`,
    ...(state === "" ? [] : [state]),
    ...(type === "" ? [] : [`${type} protocol`]),
    ...(assignor === "" ? [] : [`assignor ${assignor}`]),
    `coordinator ${coordinator.nodeId} at ${coordinator.address}`,
    plural(members.length, "member")
  ]
  const lines = members.map(({ clientId, host, instanceId, memberId, partitions }) => {
    const instance = instanceId === null ? "" : `, instance ${instanceId}`
    return `  member ${memberId}, client ${clientId} at ${host.replace(/^\//, "")}${instance}: ${describePartitions(partitions)}\n`
  })
  const table = Table.format(
    [...titles, "member"],
    self.map((row) => [...cellsOf(row), Table.cell(row.member?.memberId)]),
    [1, 2, 3, 4]
  )
  return `${facts.join(", ")}\n${lines.join("")}${self.length === 0 ? "" : table}`
}

/**
 * A group as one line of JSON.
 *
 * @category encoding
 * @since 0.1.0
 */
export const groupToJson = (group: Group, self: ReadonlyArray<Row>): string => {
  const { assignor, coordinator, groupId, members, protocolType, state, type } = group
  const described = {
    group: groupId,
    state,
    type,
    protocolType,
    assignor,
    coordinator: coordinator.nodeId,
    members: members.map(({ clientId, host, instanceId, memberId, partitions }) => ({
      member: memberId,
      client: clientId,
      host,
      instance: instanceId,
      partitions: partitions.map(({ partition, topic }) => ({ topic, partition }))
    })),
    lag: Number(totalLag(self)),
    partitions: self.map((row) => ({ ...rowToJson(row), member: row.member?.memberId ?? null }))
  }
  return `${JSON.stringify(described)}\n`
}
