/**
 * Who leads what, since which offset.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { BrokerNode, Partition } from "./Cluster.ts"
import type { PartitionLog } from "./PartitionLog.ts"

/** Whether a broker may answer for a partition to who believes in a leader epoch (-1: in none): an error code. @internal */
export const check = (partition: Partition | undefined, node: BrokerNode, epoch: number): number => {
  if (partition === undefined) return codes.UNKNOWN_TOPIC_OR_PARTITION
  if (partition.leader !== node.nodeId) return codes.NOT_LEADER_OR_FOLLOWER
  if (epoch >= 0 && epoch < partition.leaderEpoch) return codes.FENCED_LEADER_EPOCH
  if (epoch >= 0 && epoch > partition.leaderEpoch) return codes.UNKNOWN_LEADER_EPOCH
  return codes.NONE
}

/** The leader epoch under which an offset was, or will be, written; -1 where nothing was. @internal */
export const epochAt = ({ epochs }: PartitionLog, offset: bigint): number => {
  let found = -1
  for (const { epoch, startOffset } of epochs) if (startOffset <= offset) found = epoch
  return found
}

/** The last epoch up to the one that is asked about, and the offset behind it (KIP-101, KIP-279). @internal */
export const endOf = (log: PartitionLog, current: number, asked: number): { epoch: number; endOffset: bigint } => {
  const unknown = { epoch: -1, endOffset: BigInt(-1) }
  if (asked < 0) return unknown
  if (asked === current) return { epoch: asked, endOffset: log.endOffset }
  let found = unknown
  for (const [index, { epoch, startOffset }] of log.epochs.entries()) {
    if (epoch > asked) {
      // Nothing is left of the epochs before.
      return index === 0 ? { epoch: asked, endOffset: startOffset } : found
    }
    found = { epoch, endOffset: log.epochs[index + 1]?.startOffset ?? log.endOffset }
  }
  return asked > current ? unknown : found
}
