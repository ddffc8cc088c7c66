/**
 * What a log loses with time and size (`retention.ms`, `retention.bytes`), when a test asks for it. Kafka deletes whole
 * segments; here a batch is a segment of its own, so that a test sees exactly what the settings say.
 *
 * @since 0.1.0
 */
import { type Cluster, notify, type Partition } from "./Cluster.ts"
import * as Configs from "./Configs.ts"
import type { LogBatch, PartitionLog } from "./PartitionLog.ts"

const one = BigInt(1)

/** How many of the oldest batches may go, while each of them may. */
const leading = ({ batches, highWatermark }: PartitionLog, mayGo: (batch: LogBatch) => boolean): number => {
  const stays = batches.findIndex((batch) => batch.lastOffset >= highWatermark || !mayGo(batch))
  return stays < 0 ? batches.length : stays
}

const applyTo = (cluster: Cluster, partition: Partition): void => {
  const { log, topic } = partition
  if (!Configs.topicList(cluster, topic, "cleanup.policy").includes("delete")) return
  const now = cluster.loop.wallTime()
  const longest = Configs.topicNumber(cluster, topic, "retention.ms")
  const most = Configs.topicNumber(cluster, topic, "retention.bytes")
  let surplus = log.batches.reduce((sum, { bytes }) => sum + bytes.length, 0) - most
  const isOld = ({ appendedAt, maxTimestamp }: LogBatch) =>
    longest >= 0 && now - (maxTimestamp >= 0 ? maxTimestamp : appendedAt) > longest
  const isSurplus = ({ bytes }: LogBatch) => {
    surplus -= bytes.length
    return most >= 0 && surplus >= 0
  }
  const count = Math.max(leading(log, isOld), leading(log, isSurplus))
  if (count === 0) return
  log.deleteBefore(log.batches[count - 1].lastOffset + one)
  notify(partition)
}

/** Deletes what is older, or more, than topics are to keep. @internal */
export const apply = (cluster: Cluster): void => {
  for (const { partitions } of cluster.topics.values()) {
    for (const partition of partitions) applyTo(cluster, partition)
  }
}
