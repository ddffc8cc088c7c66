/**
 * WriteTxnMarkers: writes the markers of transactions, as coordinators ask leaders to do; with it, tools end transactions
 * whose coordinators have forgotten them (KIP-98, KIP-664).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  WriteTxnMarkers,
  type WriteTxnMarkersRequest,
  type WriteTxnMarkersResponse
} from "@kafka-effect/protocol/messages/WriteTxnMarkers"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"
import * as Markers from "../transactions/Markers.ts"

const answerAll = (
  { markers }: WriteTxnMarkersRequest,
  codeOf: (marker: WriteTxnMarkersRequest["markers"][number], topic: string, partition: number) => number
): Wire.Input<WriteTxnMarkersResponse> => ({
  markers: markers.map((marker) => ({
    producerId: marker.producerId,
    topics: marker.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        errorCode: codeOf(marker, name, partitionIndex)
      }))
    }))
  }))
})

/** @internal */
export const handler: Handler<WriteTxnMarkersRequest, WriteTxnMarkersResponse> = {
  api: WriteTxnMarkers,
  refuse: (request, errorCode) => answerAll(request, () => errorCode),
  handle: (cluster, { answer, message, node }) =>
    answer(
      answerAll(message, (marker, name, index) => {
        const partition = cluster.topics.get(name)?.partitions[index]
        const code = Leadership.check(partition, node, -1)
        if (partition === undefined || code !== codes.NONE) return code
        const { epoch } = partition.log.producers.of(marker.producerId) ?? { epoch: -1 }
        if (marker.producerEpoch < epoch) return codes.INVALID_PRODUCER_EPOCH
        Markers.write(cluster, partition, { ...marker, isCommit: marker.transactionResult })
        return codes.NONE
      })
    )
}
