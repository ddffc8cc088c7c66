/**
 * Who of a consumer group reads which partitions: the assignors of the classic group protocol.
 *
 * Each member names the assignors that it can do, in order of preference; the group uses the first that all of them
 * can, and one member, the leader, runs it for all. Those here have the names and the bytes of Kafka's Java client, so
 * one group may mix clients. All are without state: what a member knows of its last assignment is handed to them.
 *
 * Write your own as an object of type `Assignor`. It is given what every member wrote into its subscription and may
 * send bytes of its own with each assignment. Whatever it gives is checked with `validate` before it goes out.
 *
 * @since 0.1.0
 */
import * as Range from "./internal/consumer/assignors/Range.ts"
import * as RoundRobin from "./internal/consumer/assignors/RoundRobin.ts"
import * as Sticky from "./internal/consumer/assignors/Sticky.ts"
import * as StickyUserData from "./internal/consumer/assignors/StickyUserData.ts"
import type { TopicPartition } from "./Topic.ts"

/**
 * A member of the group, as the leader sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Member {
  readonly memberId: string
  /** The name of a static member (KIP-345). Java: `group.instance.id`. */
  readonly groupInstanceId: string | undefined
  readonly topics: ReadonlyArray<string>
  /** What the member's assignor wrote; null where it wrote nothing. */
  readonly userData: Uint8Array | null
  /** What the member still reads; nothing with the eager protocol, and from clients before Kafka 2.4 (KIP-429). */
  readonly owned: ReadonlyArray<TopicPartition>
  /** The generation of the group that gave it `owned`; -1 where the member does not know or say (KIP-792). */
  readonly generation: number
  /** Java: `client.rack` (KIP-881). */
  readonly rackId: string | undefined
}

/**
 * What one member gets.
 *
 * @category models
 * @since 0.1.0
 */
export interface Assigned {
  readonly partitions: ReadonlyArray<TopicPartition>
  /** Bytes for the member's own assignor; none by default. */
  readonly userData?: Uint8Array | null | undefined
}

/**
 * What a member knows of itself when it joins.
 *
 * @category models
 * @since 0.1.0
 */
export interface Joining {
  readonly topics: ReadonlyArray<string>
  /** The last assignment, also after its partitions were revoked or lost; undefined before the first. */
  readonly assigned: Assigned | undefined
  /** The generation of that assignment; -1 before the first. */
  readonly generation: number
}

/**
 * How partitions are shared out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Assignor {
  /** The name in the group protocol: all members that use it must mean the same by it. */
  readonly name: string
  /**
   * - `eager`: all members stop and give up everything before partitions are shared out anew.
   * - `cooperative`: members go on reading; what is to change hands must be left out of one assignment (KIP-429).
   *
   * A consumer is cooperative only if all the assignors that it names are.
   */
  readonly protocol: "eager" | "cooperative"
  /**
   * Shares out the partitions: `partitionCounts` has the topics that exist. A member that the result leaves out gets
   * nothing. Runs in the leader only.
   */
  readonly assign: (
    members: ReadonlyArray<Member>,
    partitionCounts: ReadonlyMap<string, number>
  ) => ReadonlyMap<string, Assigned>
  /** The bytes that go into this member's subscription; none by default. */
  readonly userData?: (joining: Joining) => Uint8Array | null
  /** Told each assignment that this member gets, with the generation of the group. */
  readonly onAssigned?: (assigned: Assigned, generation: number) => void
}

/**
 * Each topic by itself in ranges: partitions of the same number of topics with the same members go to one member. The
 * default of Kafka's Java client, with its results but for racks, which are not looked at.
 *
 * @category assignors
 * @since 0.1.0
 */
export const range: Assignor = { name: "range", protocol: "eager", assign: Range.assign }

/**
 * All partitions of all topics in turn, with the results of Kafka's Java client.
 *
 * @category assignors
 * @since 0.1.0
 */
export const roundRobin: Assignor = { name: "roundrobin", protocol: "eager", assign: RoundRobin.assign }

/**
 * As even as the subscriptions allow, and of all that moves as little as possible; members stop while it is shared out
 * (KIP-54).
 *
 * @category assignors
 * @since 0.1.0
 */
export const sticky: Assignor = {
  name: "sticky",
  protocol: "eager",
  assign: Sticky.assignEager,
  userData: ({ assigned, generation }) =>
    assigned === undefined ? null : StickyUserData.encode({ partitions: assigned.partitions, generation })
}

/**
 * As `sticky`, but members go on reading what they keep: what moves is revoked first and given in the next round
 * (KIP-429).
 *
 * @category assignors
 * @since 0.1.0
 */
export const cooperativeSticky: Assignor = {
  name: "cooperative-sticky",
  protocol: "cooperative",
  assign: Sticky.assignCooperative,
  userData: ({ generation }) => StickyUserData.encodeGeneration(generation)
}

/** Who reads which partitions, as far as the newest generation knows: older claims have been overtaken. */
const readersOf = (members: ReadonlyArray<Member>): ReadonlyMap<string, string> => {
  const newest = Math.max(-1, ...members.map(({ generation, owned }) => (owned.length > 0 ? generation : -1)))
  const readers = new Map<string, string>()
  for (const { generation, memberId, owned } of members) {
    if (generation !== newest) continue
    for (const { partition, topic } of owned) readers.set(`${topic} ${partition}`, memberId)
  }
  return readers
}

/**
 * What is wrong with the result of an assignor, the first thing that is; undefined if it can go out. Partitions may be
 * left out, and so may members. In a `cooperative` group nobody may be given what somebody else still reads (KIP-429).
 *
 * @category guards
 * @since 0.1.0
 */
export const validate = (
  assignments: ReadonlyMap<string, Assigned>,
  members: ReadonlyArray<Member>,
  partitionCounts: ReadonlyMap<string, number>,
  protocol: Assignor["protocol"] = "eager"
): string | undefined => {
  const readers = protocol === "cooperative" ? readersOf(members) : undefined
  const topicsOf = new Map(members.map(({ memberId, topics }) => [memberId, new Set(topics)]))
  const owners = new Map<string, Array<string | undefined>>()
  for (const [memberId, { partitions }] of assignments) {
    const topics = topicsOf.get(memberId)
    if (topics === undefined) return `the group has no member ${memberId}`
    for (const { partition, topic } of partitions) {
      const count = partitionCounts.get(topic)
      const given = `member ${memberId} was given topic ${topic} partition ${partition}`
      if (count === undefined) return `${given}, but there is no such topic`
      if (!Number.isInteger(partition) || partition < 0 || partition >= count)
        return `${given}, but the topic has ${count} partitions, counted from 0`
      if (!topics.has(topic)) return `${given}, but has not subscribed to the topic`
      const ownersOfTopic = owners.get(topic) ?? []
      owners.set(topic, ownersOfTopic)
      const other = ownersOfTopic[partition]
      if (other === memberId) return `${given} twice`
      if (other !== undefined) return `${given}, but so was member ${other}`
      ownersOfTopic[partition] = memberId
      const reader = readers?.get(`${topic} ${partition}`) ?? memberId
      if (reader !== memberId) {
        return `${given}, which member ${reader} still reads: leave it out of this assignment, it can move in the next`
      }
    }
  }
  return undefined
}
