/**
 * Sorts the partitions by what is to be done next, and by the broker to do it with.
 *
 * @since 0.1.0
 */
import type { Cluster } from "../../Cluster.ts"
import type { Leader } from "../../ClusterMetadata.ts"
import * as EpochValidation from "./EpochValidation.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import type { FetchOutcomes } from "./FetchOutcomes.ts"

/** What there is to do with one broker. @internal */
export interface Work {
  /** Where to fetch from is not known. */
  readonly unsettled: Array<FetchedPartition>
  /** The broker is to say, under this epoch, whether it has what was read. */
  readonly unvalidated: Map<FetchedPartition, Leader>
  /** Nothing of these waits for the reader: they may be fetched always. */
  readonly hungry: Array<FetchedPartition>
  /** These may be fetched if the budget allows. */
  readonly open: Array<FetchedPartition>
  /** How many are not fetched because nobody takes their records. */
  full: number
}

/** @internal */
export interface Survey {
  /** By node. */
  readonly work: ReadonlyMap<number, Work>
  /** Topics with partitions whose leader is not known. */
  readonly leaderless: ReadonlySet<string>
  /** Partitions that end here. */
  readonly ended: ReadonlyArray<FetchedPartition>
  /** When to look again, if nothing happens before: milliseconds of the clock. */
  readonly nextLook: number
}

/** @internal */
export const make = (
  partitions: Iterable<FetchedPartition>,
  cluster: Cluster,
  outcomes: FetchOutcomes,
  now: number
): Survey => {
  const byNode = new Map<number, Work>()
  const leaderless = new Set<string>()
  const ended: Array<FetchedPartition> = []
  let nextLook = Number.POSITIVE_INFINITY

  const workOf = (nodeId: number): Work => {
    let work = byNode.get(nodeId)
    if (work === undefined) {
      work = { unsettled: [], unvalidated: new Map(), hungry: [], open: [], full: 0 }
      byNode.set(nodeId, work)
    }
    return work
  }

  /** The replica that the leader has named, while that may be relied on (KIP-392). */
  const nearest = (partition: FetchedPartition): number | undefined => {
    const { replica } = partition
    if (replica === undefined) return undefined
    if (replica.until > now && cluster.metadata().brokers.has(replica.nodeId)) return replica.nodeId
    partition.replica = undefined
    return undefined
  }

  const sort = (partition: FetchedPartition, leader: Leader): void => {
    if (partition.unsettled !== undefined) return void workOf(leader.nodeId).unsettled.push(partition)
    if (EpochValidation.isNeeded(partition, leader)) {
      return void workOf(leader.nodeId).unvalidated.set(partition, leader)
    }
    partition.leaderEpoch = leader.leaderEpoch
    const work = workOf(nearest(partition) ?? leader.nodeId)
    if (partition.queue.length === 0) work.hungry.push(partition)
    else if (partition.queuedBytes < partition.maxBytes) work.open.push(partition)
    else work.full++
  }

  for (const partition of partitions) {
    const leader = cluster.leaderFor(partition.topic, partition.partition)
    if (leader !== undefined && partition.isLeaderless) {
      // What it waited for has come.
      partition.isLeaderless = false
      partition.notBefore = 0
    }
    if (partition.notBefore > now) nextLook = Math.min(nextLook, partition.notBefore)
    if (!partition.wantsMore(now)) continue
    if (leader === undefined) {
      partition.isLeaderless = true
      leaderless.add(partition.topic)
      outcomes.backOff(partition)
      nextLook = Math.min(nextLook, partition.notBefore)
    } else if (outcomes.isSameTopic(partition) || partition.error === undefined) sort(partition, leader)
    else ended.push(partition)
  }
  return { work: byNode, leaderless, ended, nextLook }
}
