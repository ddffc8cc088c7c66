/**
 * Makes Fetch requests.
 *
 * @since 0.1.0
 */
import type { FetchRequest } from "@kafka-effect/protocol/messages/Fetch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Plan, Position } from "./FetchSession.ts"

/** @internal */
export interface Options {
  readonly isolation: "committed" | "uncommitted"
  readonly fetchMinBytes: number
  readonly fetchMaxBytes: number
  readonly fetchMaxWait: number
  /** Where the client is; undefined to read from leaders alone. */
  readonly clientRack?: string | undefined
}

/** The first version that names topics by their ids (KIP-516). @internal */
export const topicIdVersion = 13

/** The first version that can say of which epoch the last record was (KIP-595). */
const lastEpochVersion = 12

const byTopic = <A>(
  positions: ReadonlyArray<Position>,
  version: number,
  each: (position: Position) => A
): ReadonlyArray<{ readonly topic: string; readonly topicId: string; readonly partitions: ReadonlyArray<A> }> => {
  const topics = new Map<string, { topic: string; topicId: string; partitions: Array<A> }>()
  const hasIds = version >= topicIdVersion
  for (const position of positions) {
    const { owner, topicId } = position
    const name = hasIds ? topicId : owner.topic
    let found = topics.get(name)
    if (found === undefined) {
      found = { topic: hasIds ? "" : owner.topic, topicId, partitions: [] }
      topics.set(name, found)
    }
    found.partitions.push(each(position))
  }
  return [...topics.values()]
}

/** One request to one broker, which is to hold it back for `maxWait` milliseconds at most. @internal */
export const request = (
  plan: Plan,
  version: number,
  options: Options,
  limits: { readonly maxWait: number; readonly maxBytes: number }
): Wire.Input<FetchRequest> => ({
  sessionId: plan.sessionId,
  sessionEpoch: plan.sessionEpoch,
  maxWaitMs: limits.maxWait,
  minBytes: options.fetchMinBytes,
  maxBytes: limits.maxBytes,
  isolationLevel: options.isolation === "committed" ? 1 : 0,
  rackId: options.clientRack ?? "",
  topics: byTopic(plan.sent, version, ({ lastEpoch, leaderEpoch, maxBytes, offset, owner }) => ({
    partition: owner.partition,
    currentLeaderEpoch: leaderEpoch,
    fetchOffset: offset,
    ...(version >= lastEpochVersion ? { lastFetchedEpoch: lastEpoch } : {}),
    partitionMaxBytes: maxBytes
  })),
  // Without a session there is nothing to forget, and older versions have no place for it.
  ...(plan.forgotten.length === 0
    ? {}
    : { forgottenTopicsData: byTopic(plan.forgotten, version, ({ owner }) => owner.partition) })
})
