/**
 * Markers: the control batches by which a log says how a transaction has ended (KIP-98).
 *
 * @since 0.1.0
 */
import * as ControlRecord from "@kafka-effect/protocol/ControlRecord"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Appending from "../Appending.ts"
import type { Cluster, Partition } from "../Cluster.ts"

/** @internal */
export interface Marker {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly isCommit: boolean
  readonly coordinatorEpoch: number
}

/** Appends a marker. @internal */
export const write = (cluster: Cluster, partition: Partition, marker: Marker): void => {
  const { coordinatorEpoch, isCommit, producerEpoch, producerId } = marker
  const { key, value } = ControlRecord.encode(isCommit ? "commit" : "abort", coordinatorEpoch)
  const builder = new RecordBatchBuilder()
  builder.append(cluster.loop.wallTime(), key, value)
  const { endOffset: baseOffset } = partition.log
  const bytes = builder.build({
    baseOffset,
    partitionLeaderEpoch: partition.leaderEpoch,
    producerId,
    producerEpoch,
    isTransactional: true,
    isControl: true
  })
  // Without compression it is there at once; the copy is as large as it is.
  Appending.write(cluster, partition, Uint8Array.from(bytes as Uint8Array), -1)
}
