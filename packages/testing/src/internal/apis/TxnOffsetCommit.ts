/**
 * TxnOffsetCommit: commits the offsets of a group as a part of a transaction (KIP-98, KIP-447); since version 5 the
 * transaction takes them in by itself (KIP-890).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  TxnOffsetCommit,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse
} from "@kafka-effect/protocol/messages/TxnOffsetCommit"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"
import * as Commits from "../groups/Commits.ts"
import * as Groups from "../groups/Groups.ts"
import { atLeast } from "../Release.ts"
import * as Transactions from "../transactions/Transactions.ts"

const secondVersion = 5
/** The first version that knows TRANSACTION_ABORTABLE. */
const abortableVersion = 4
const idVersion = 6

/** Whether the group takes offsets of who commits: whoever says of which member they are has to be that one still. */
const membership = (cluster: Cluster, message: TxnOffsetCommitRequest): number => {
  const { generationIdOrMemberEpoch: generation, groupId, groupInstanceId, memberId } = message
  if (generation < 0 && memberId === "" && groupInstanceId === null) return codes.NONE
  const group = cluster.groups.get(groupId)
  if (group === undefined) return codes.ILLEGAL_GENERATION
  if (group.type === "consumer") return group.checkCommit(memberId, generation, [])
  // Brokers before 3.0 take a generation without a member.
  if (memberId === "" && !atLeast(cluster.release, "3.0")) {
    return generation === group.generation ? codes.NONE : codes.ILLEGAL_GENERATION
  }
  return group.check(memberId, groupInstanceId, generation)
}

/** Whether the transaction has the group's offsets, or takes them in. */
const inTransaction = (cluster: Cluster, message: TxnOffsetCommitRequest, version: number): number => {
  const group = message.groupId
  if (version >= secondVersion) return Transactions.add(cluster, message, { group }, true)
  // Before KIP-890, coordinators of groups believed what they were told.
  if (!atLeast(cluster.release, "3.8")) return codes.NONE
  const code = Transactions.verify(cluster, message, { group })
  return code === codes.TRANSACTION_ABORTABLE && version < abortableVersion ? codes.INVALID_TXN_STATE : code
}

/** @internal */
export const handler: Handler<TxnOffsetCommitRequest, TxnOffsetCommitResponse> = {
  api: TxnOffsetCommit,
  refuse: ({ topics }, errorCode) => Commits.answerAll(topics, () => errorCode),
  handle: (cluster, { answer, message, node, version }) => {
    const { groupId, producerId } = message
    const refused =
      Groups.check(cluster, groupId, node) || membership(cluster, message) || inTransaction(cluster, message, version)
    if (refused !== codes.NONE) return answer(Commits.answerAll(message.topics, () => refused))
    const { offsets } = Groups.of(cluster, groupId)
    answer(
      Commits.commit(cluster, message.topics, version >= idVersion, (topic, partition, committed) =>
        offsets.setPending(producerId, topic, partition, committed)
      )
    )
  }
}
