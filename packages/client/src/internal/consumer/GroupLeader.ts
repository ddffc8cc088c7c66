/**
 * What one member of each generation does for all: it reads their subscriptions, shares out the partitions, and keeps
 * an eye on the topics that they were shared out of.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { JoinGroupResponseMember } from "@kafka-effect/protocol/messages/JoinGroup"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import { type Assigned, type Assignor, type Member, validate } from "../../Assignor.ts"
import type { Cluster } from "../../Cluster.ts"
import { AssignorFailed, ConsumerError } from "../../ConsumerError.ts"
import * as GroupProtocol from "./GroupProtocol.ts"
import type { Options } from "./Membership.ts"

/** How many partitions there were; topics that do not exist are left out. @internal */
export type PartitionCounts = ReadonlyMap<string, number>

/** @internal */
export interface Shared {
  readonly assignments: ReadonlyArray<{ readonly memberId: string; readonly assignment: Uint8Array }>
  /** All topics that a member subscribes to. */
  readonly topics: ReadonlyArray<string>
  readonly partitionCounts: PartitionCounts
}

/** An answer that a topic does not exist may be that of a broker that has not heard of it yet; so many are believed. */
const believed = 3

/** What is known of the partitions of these topics. @internal */
export const countPartitions = (cluster: Cluster, topics: ReadonlyArray<string>): PartitionCounts => {
  const counts = new Map<string, number>()
  const known = cluster.metadata().topics
  for (const name of topics) {
    const topic = known.get(name)
    if (topic === undefined || topic.partitions.length === 0) continue
    const isGone = topic.errorCode === codes.UNKNOWN_TOPIC_OR_PARTITION && topic.unknownAnswers >= believed
    if (!isGone) counts.set(name, topic.partitions.length)
  }
  return counts
}

/** What is different now, for logs; undefined if nothing is. @internal */
export const describeChange = (before: PartitionCounts, now: PartitionCounts): string | undefined => {
  for (const [topic, count] of now) {
    const old = before.get(topic)
    if (old === undefined) return `topic ${topic} has come, with ${count} partitions`
    if (old !== count) return `topic ${topic} has ${count} partitions instead of ${old}`
  }
  for (const topic of before.keys()) if (!now.has(topic)) return `topic ${topic} has gone`
  return undefined
}

/** Fails with `AssignorFailed`. @internal */
export const share = Effect.fnUntraced(function* (
  cluster: Cluster,
  options: Options,
  assignor: Assignor,
  joined: ReadonlyArray<JoinGroupResponseMember>,
  skipAssignment: boolean
): Effect.fn.Return<Shared, ConsumerError> {
  const members = yield* attempt(options, assignor, () => joined.map(memberOf))
  const topics = [...new Set(members.flatMap((member) => member.topics))].sort()
  yield* refresh(cluster, options, topics)
  const partitionCounts = countPartitions(cluster, topics)
  // A static leader that has come back is told that everybody has partitions already (KIP-814).
  if (skipAssignment) return { assignments: [], topics, partitionCounts }
  const assignments = yield* attempt(options, assignor, () => {
    const assigned = assignor.assign(members, partitionCounts)
    const wrong = validate(assigned, members, partitionCounts, assignor.protocol)
    if (wrong !== undefined) throw new Error(wrong)
    return members.map(({ memberId }) => {
      const assignment = GroupProtocol.encodeAssignment(assigned.get(memberId) ?? nothing)
      return { memberId, assignment }
    })
  })
  return { assignments, topics, partitionCounts }
})

const nothing: Assigned = { partitions: [] }

const memberOf = ({ groupInstanceId, memberId, metadata }: JoinGroupResponseMember): Member => {
  try {
    const { generation, owned, rackId, topics, userData } = GroupProtocol.decodeSubscription(metadata)
    return { memberId, groupInstanceId: groupInstanceId ?? undefined, topics, userData, owned, generation, rackId }
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new Error(`the subscription of member ${memberId} cannot be read: ${error.message}`, { cause: error })
  }
}

/** The other members wait: what is not found out in time is left out, and found out later makes another rebalance. */
const refresh = (cluster: Cluster, options: Options, topics: ReadonlyArray<string>): Effect.Effect<void> =>
  cluster.refresh(topics).pipe(
    Effect.timeout(Math.min(cluster.settings.requestTimeout, options.sessionTimeout / 2)),
    Effect.catch((error) => Effect.logWarning(`partitions are shared out by what was known before: ${error.message}`)),
    Effect.asVoid
  )

/** Runs what is of the assignor; whatever it throws names it. @internal */
export const attempt = <A>(options: Options, assignor: Assignor, run: () => A): Effect.Effect<A, ConsumerError> =>
  Effect.try({
    try: run,
    catch: (cause) => {
      const { groupId } = options
      const detail = cause instanceof Error ? cause.message : String(cause)
      return new ConsumerError({ reason: new AssignorFailed({ groupId, assignor: assignor.name, detail, cause }) })
    }
  })
