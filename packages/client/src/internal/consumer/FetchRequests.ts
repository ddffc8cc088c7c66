/**
 * Makes Fetch requests.
 *
 * @since 0.1.0
 */
import type { FetchRequest } from "@kafka-effect/protocol/messages/Fetch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import type { Cluster } from "../../Cluster.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"

/** @internal */
export interface Options {
  readonly isolation: "committed" | "uncommitted"
  readonly fetchMinBytes: number
  readonly fetchMaxBytes: number
  readonly fetchMaxWait: number
}

/** The first version that names topics by their ids (KIP-516). @internal */
export const topicIdVersion = 13

/** "No session": every fetch names all its partitions (KIP-227). */
const noSession = { sessionId: 0, sessionEpoch: -1 }

/** One request for partitions that one broker leads. @internal */
export const request = (
  cluster: Cluster,
  fetched: ReadonlyArray<FetchedPartition>,
  version: number,
  options: Options,
  maxWait: number
): Wire.Input<FetchRequest> => {
  const byTopic = new Map<string, Array<FetchedPartition>>()
  for (const partition of fetched) {
    const list = byTopic.get(partition.topic)
    if (list === undefined) byTopic.set(partition.topic, [partition])
    else list.push(partition)
  }
  const topics = [...byTopic].map(([topic, list]) => {
    const partitions = list.map(({ maxBytes, partition, position }) => ({
      partition,
      currentLeaderEpoch: cluster.leaderFor(topic, partition)?.leaderEpoch ?? -1,
      fetchOffset: position,
      partitionMaxBytes: maxBytes
    }))
    return version >= topicIdVersion
      ? { topicId: cluster.metadata().topics.get(topic)?.id ?? zeroUuid, partitions }
      : { topic, partitions }
  })
  return {
    ...noSession,
    maxWaitMs: maxWait,
    minBytes: options.fetchMinBytes,
    maxBytes: options.fetchMaxBytes,
    isolationLevel: options.isolation === "committed" ? 1 : 0,
    topics
  }
}
