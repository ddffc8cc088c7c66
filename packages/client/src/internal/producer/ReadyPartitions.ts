/**
 * Which partitions have something that can be sent now, and what of it goes into one request.
 *
 * @since 0.1.0
 */
import type { Cluster } from "../../Cluster.ts"
import type { Accumulator } from "./Accumulator.ts"
import type { Batch } from "./Batch.ts"
import * as BrokerLane from "./BrokerLane.ts"
import type { PartitionQueue } from "./PartitionQueue.ts"
import type { ProducerIdentity } from "./ProducerIdentity.ts"

/** @internal */
export interface Options {
  readonly linger: number
  readonly batchSize: number
  readonly maxRequestSize: number
}

/** @internal */
export interface Survey {
  /** When to look again, in milliseconds of the clock; infinity when something has to happen first. */
  readonly nextLook: number
  /** What can be sent, by the lane of the leader. */
  readonly ready: ReadonlyMap<BrokerLane.BrokerLane, ReadonlyArray<PartitionQueue>>
  /** Topics of which a partition has no leader. */
  readonly leaderless: ReadonlySet<string>
}

/** @internal */
export interface ReadyPartitions {
  /** Looks at all partitions with something to send. `isAsking`: a producer id is on its way. */
  readonly survey: (time: number, isAsking: boolean) => Survey
  /** Takes the batches of one request to a node: one of each partition, as far as the request's size goes. */
  readonly collect: (queues: ReadonlyArray<PartitionQueue>, nodeId: number) => ReadonlyArray<Batch>
}

/** Of one partition: brokers remember as many of a producer's batches (KIP-98). */
const maxInFlightPerPartition = 5

/** What a request says of a partition besides its records and its topic's name, rounded up. */
const partitionOverhead = 64

/** @internal */
export const make = (
  cluster: Cluster,
  accumulator: Accumulator,
  identity: ProducerIdentity,
  options: Options
): ReadyPartitions => {
  const lanes = BrokerLane.make(cluster)

  /** When the oldest batch of a partition may go. */
  const readyAt = (queue: PartitionQueue): number => {
    const [batch] = queue.waiting
    const isFull = queue.waiting.length > 1 || batch.builder.sizeInBytes >= options.batchSize
    const lingers =
      !isFull && !batch.isClosed && !accumulator.memory.isExhausted && batch.createdAt > accumulator.flushBefore
    return Math.max(batch.notBefore, lingers ? batch.createdAt + options.linger : 0)
  }

  const survey: ReadyPartitions["survey"] = (time, isAsking) => {
    let nextLook = Number.POSITIVE_INFINITY
    const ready = new Map<BrokerLane.BrokerLane, Array<PartitionQueue>>()
    const leaderless = new Set<string>()
    for (const queue of accumulator.pending) {
      const exhausted = queue.renew()
      if (exhausted !== undefined) identity.exhausted(exhausted)
      if (identity.isOn() && queue.identity === undefined && identity.current() === undefined) {
        if (!isAsking) nextLook = time
        continue
      }
      const at = readyAt(queue)
      if (at > time) {
        nextLook = Math.min(nextLook, at)
        continue
      }
      const leader = cluster.leaderFor(queue.topic, queue.partition)
      if (leader === undefined || leader.nodeId < 0) {
        leaderless.add(queue.topic)
        nextLook = Math.min(nextLook, time + cluster.settings.retryBackoff)
        continue
      }
      const lane = lanes.get(leader.nodeId)
      // A broker that cannot take more now is looked at again when one of its requests goes on.
      if (!lane.canBegin() || !queue.canSend(leader.nodeId, maxInFlightPerPartition)) continue
      const queues = ready.get(lane)
      if (queues === undefined) ready.set(lane, [queue])
      else queues.push(queue)
    }
    return { nextLook, ready, leaderless }
  }

  const collect: ReadyPartitions["collect"] = (queues, nodeId) => {
    const batches: Array<Batch> = []
    let size = 0
    for (const queue of queues) {
      const batch = accumulator.withoutCancelled(queue)
      if (batch === undefined) continue
      const bytes = batch.builder.sizeInBytes + partitionOverhead + queue.topic.length
      if (batches.length > 0 && size + bytes > options.maxRequestSize) break
      const current = identity.isOn() ? (queue.identity ?? identity.current()) : undefined
      batches.push(queue.take(nodeId, current))
      // To the end of the line: what did not fit into this request is first in the next.
      accumulator.pending.delete(queue)
      accumulator.settle(queue)
      size += bytes
    }
    return batches
  }

  return { survey, collect }
}
