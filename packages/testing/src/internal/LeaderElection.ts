/**
 * Who leads partitions when brokers stop and come back, or when a test wants it.
 *
 * @since 0.1.0
 */
import { type Cluster, notify, type Partition, upNodes } from "./Cluster.ts"

const lead = (partition: Partition, leader: number): void => {
  partition.leader = leader
  partition.leaderEpoch++
  // What a new leader does not have has been cut off: it waits for nobody to have what there is.
  partition.log.highWatermark = partition.log.endOffset
  notify(partition)
}

const partitionsOf = ({ topics }: Cluster): ReadonlyArray<Partition> =>
  [...topics.values()].flatMap(({ partitions }) => partitions)

/** Lets a broker lead a partition, in a new leader epoch; false where there is no such partition or broker. @internal */
export const moveLeader = (cluster: Cluster, topic: string, partition: number, nodeId: number): boolean => {
  const found = cluster.topics.get(topic)?.partitions[partition]
  if (found === undefined || !cluster.nodes.has(nodeId)) return false
  if (!found.replicas.includes(nodeId)) found.replicas = [...found.replicas, nodeId]
  lead(found, nodeId)
  return true
}

/** A new leader epoch under the same leader; false where there is no such partition. @internal */
export const bumpLeaderEpoch = (cluster: Cluster, topic: string, partition: number): boolean => {
  const found = cluster.topics.get(topic)?.partitions[partition]
  if (found === undefined) return false
  lead(found, found.leader)
  return true
}

/** What a broker led that is down goes to the first replica that is up, or to nobody. @internal */
export const brokerStopped = (cluster: Cluster, nodeId: number): void => {
  const up = upNodes(cluster).filter((node) => node.nodeId !== nodeId)
  for (const partition of partitionsOf(cluster)) {
    if (partition.leader !== nodeId) continue
    lead(partition, partition.replicas.find((id) => up.some((node) => node.nodeId === id)) ?? -1)
  }
  if (cluster.controllerId === nodeId && up.length > 0) cluster.controllerId = up[0].nodeId
}

/** A broker that is up again leads those of its partitions that nobody leads. @internal */
export const brokerStarted = (cluster: Cluster, nodeId: number): void => {
  for (const partition of partitionsOf(cluster)) {
    if (partition.leader === -1 && partition.replicas.includes(nodeId)) lead(partition, nodeId)
  }
}

/** A broker that is gone for good has no replicas: others get them. @internal */
export const brokerRemoved = (cluster: Cluster, nodeId: number): void => {
  cluster.nodes.delete(nodeId)
  const ids = [...cluster.nodes.keys()].sort((a, b) => a - b)
  for (const partition of partitionsOf(cluster)) {
    if (!partition.replicas.includes(nodeId)) continue
    const left = partition.replicas.filter((id) => id !== nodeId)
    const other = ids.find((id) => !left.includes(id))
    partition.replicas = other === undefined ? left : [...left, other]
    const leader = partition.replicas.find((id) => cluster.nodes.get(id)?.isUp === true)
    if (partition.leader === -1 && leader !== undefined) lead(partition, leader)
  }
}
