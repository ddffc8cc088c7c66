/**
 * OffsetForLeaderEpoch: where a leader epoch ended, for readers that look for a cut log (KIP-101, KIP-279, KIP-320).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  type EpochEndOffset,
  OffsetForLeaderEpoch,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse
} from "@kafka-effect/protocol/messages/OffsetForLeaderEpoch"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { Handler } from "../Exchange.ts"
import * as Leadership from "../Leadership.ts"

const refused = (partition: number, errorCode: number): Wire.Input<EpochEndOffset> => ({ partition, errorCode })

/** @internal */
export const handler: Handler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> = {
  api: OffsetForLeaderEpoch,
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ partitions, topic }) => ({
      topic,
      partitions: partitions.map(({ partition }) => refused(partition, errorCode))
    }))
  }),
  handle: (cluster, { answer, message, node }) =>
    answer({
      topics: message.topics.map(({ partitions, topic }) => ({
        topic,
        partitions: partitions.map(({ currentLeaderEpoch, leaderEpoch, partition }) => {
          const found = cluster.topics.get(topic)?.partitions[partition]
          const code = Leadership.check(found, node, currentLeaderEpoch)
          if (found === undefined || code !== codes.NONE) return refused(partition, code)
          const { endOffset, epoch } = Leadership.endOf(found.log, found.leaderEpoch, leaderEpoch)
          return { partition, errorCode: code, leaderEpoch: epoch, endOffset }
        })
      }))
    })
}
