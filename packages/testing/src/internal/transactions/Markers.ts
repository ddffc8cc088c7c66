/**
 * Markers: the control batches by which a log says how a transaction has ended (KIP-98).
 *
 * @since 0.1.0
 */
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Appending from "../Appending.ts"
import type { Cluster, Partition } from "../Cluster.ts"
import * as Replication from "../Replication.ts"

/** @internal */
export interface Marker {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly isCommit: boolean
  readonly coordinatorEpoch: number
}

/** How long followers may take, in milliseconds: as `request.timeout.ms` of coordinators. */
const replicationTimeout = 30_000

/** Appends a marker: an error code, once all replicas have it. @internal */
export const write = (cluster: Cluster, partition: Partition, marker: Marker): number | Promise<number> => {
  const { coordinatorEpoch, isCommit, producerEpoch, producerId } = marker
  const { key, value } = ControlRecord.encode(isCommit ? "commit" : "abort", coordinatorEpoch)
  const builder = new RecordBatchBuilder()
  builder.append(cluster.loop.wallTime(), key, value)
  // Without compression it is there at once.
  const bytes = builder.build({
    baseOffset: partition.log.endOffset,
    partitionLeaderEpoch: partition.leaderEpoch,
    producerId,
    producerEpoch,
    isTransactional: true,
    isControl: true
  }) as Uint8Array
  Appending.write(cluster, partition, Uint8Array.from(bytes), -1)
  return Replication.awaitReplicas(cluster, partition, partition.log.endOffset, replicationTimeout)
}
