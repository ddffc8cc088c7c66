/**
 * How far the followers of a partition are: what they do not have yet nobody may read, and a crash of the leader loses it
 * (the high watermark; KIP-101).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { type Cluster, notify, type Partition, upNodes } from "./Cluster.ts"

/** Whether there is another broker that could have a copy. */
const hasFollower = (cluster: Cluster, { leader, replicas }: Partition): boolean =>
  upNodes(cluster).some(({ nodeId }) => nodeId !== leader && replicas.includes(nodeId))

const reach = (partition: Partition, offset: bigint): void => {
  const { log } = partition
  log.highWatermark = offset < log.endOffset ? offset : log.endOffset
  notify(partition)
}

/** The log has grown: followers fetch it, at once or as late as the test wants. @internal */
export const appended = (cluster: Cluster, partition: Partition): void => {
  const { endOffset } = partition.log
  const { leaderEpoch } = partition
  if (cluster.replicationDelay === 0 || !hasFollower(cluster, partition)) return void reach(partition, endOffset)
  // Nothing is new for readers, but it is to be kept.
  notify(partition)
  cluster.loop.after(cluster.replicationDelay, () => {
    if (partition.leaderEpoch === leaderEpoch && partition.log.highWatermark < endOffset) reach(partition, endOffset)
  })
}

/** The followers have all that there is: so it is before a broker stops politely, or hands over. @internal */
export const catchUp = (partition: Partition): void => reach(partition, partition.log.endOffset)

/** What only a leader had is lost with it, if another replica can take its place. @internal */
export const lose = (cluster: Cluster, partition: Partition): void => {
  if (hasFollower(cluster, partition)) partition.log.truncate(partition.log.highWatermark)
  else catchUp(partition)
}

/** Waits until all replicas have what lies before the offset; an error code when they do not get it (acks all). @internal */
export const awaitReplicas = (
  cluster: Cluster,
  partition: Partition,
  offset: bigint,
  timeout: number
): number | Promise<number> => {
  if (partition.log.highWatermark >= offset) return codes.NONE
  const { leaderEpoch } = partition
  return new Promise((resolve) => {
    const cancel = cluster.loop.after(timeout, () => {
      partition.waiting.delete(look)
      resolve(codes.REQUEST_TIMED_OUT)
    })
    const look = (): void => {
      const isLost = partition.leaderEpoch !== leaderEpoch
      if (!isLost && partition.log.highWatermark < offset) return void partition.waiting.add(look)
      cancel()
      resolve(isLost ? codes.NOT_LEADER_OR_FOLLOWER : codes.NONE)
    }
    partition.waiting.add(look)
  })
}
