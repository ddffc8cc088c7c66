/** The offsets of groups inside of a scripted cluster: what is committed is kept, and told; a test may answer otherwise. */
import { OffsetCommit, type OffsetCommitRequest } from "@kafka-effect/protocol/messages/OffsetCommit"
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import type * as ScriptedBroker from "./ScriptedBroker.ts"
import { respond } from "./ScriptedBroker.ts"
import type { ScriptedCluster } from "./ScriptedCluster.ts"

/** What was committed for a partition. */
export interface Kept {
  readonly offset: bigint
  readonly leaderEpoch: number
  readonly metadata: string
}

type CommitReceived = ScriptedBroker.Received<OffsetCommitRequest>

export interface ScriptedOffsets {
  /** By `topic:partition`, of all groups. */
  readonly kept: Map<string, Kept>
  /** Answers a commit otherwise: the error of each partition, or in another way. */
  answer: (
    request: CommitReceived,
    node: number
  ) => ((topic: string, partition: number) => number | undefined) | ScriptedBroker.Answer<never> | undefined
  /** The error of a partition when it is asked for; `none` leaves it out. */
  fetchError: (topic: string, partition: number) => number | "none"
  /** Milliseconds before commits are answered. */
  delay: number
  /** The commits that came in, all nodes together, by partition. */
  readonly commits: () => ReadonlyArray<string>
  readonly requests: () => ReadonlyArray<CommitReceived>
}

/** `t0=5`: what one request wants committed. */
export const describeCommit = ({ message }: CommitReceived): string =>
  message.topics
    .flatMap(({ name, partitions }) =>
      partitions.map(({ committedOffset, partitionIndex }) => `${name}${partitionIndex}=${committedOffset}`)
    )
    .sort()
    .join(" ")

export const make = (cluster: ScriptedCluster): ScriptedOffsets => {
  const requests = () => cluster.brokers.flatMap((broker) => broker.of(OffsetCommit)).sort((a, b) => a.at - b.at)
  const self: ScriptedOffsets = {
    kept: new Map(),
    answer: () => undefined,
    fetchError: () => 0,
    delay: 0,
    requests,
    commits: () => requests().map(describeCommit)
  }
  cluster.brokers.forEach((broker, index) => {
    broker.on(OffsetCommit, (request) => {
      const other = self.answer(request, index + 1)
      if (typeof other === "object") return other
      const topics = request.message.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.flatMap(
          ({ committedLeaderEpoch: leaderEpoch, committedMetadata, committedOffset: offset, partitionIndex }) => {
            const errorCode = other === undefined ? 0 : other(name, partitionIndex)
            if (errorCode === undefined) return []
            if (errorCode === 0)
              self.kept.set(`${name}:${partitionIndex}`, { offset, leaderEpoch, metadata: committedMetadata ?? "" })
            return [{ partitionIndex, errorCode }]
          }
        )
      }))
      return respond({ topics }, { delay: self.delay })
    })
    broker.on(OffsetFetch, ({ message, version }) => {
      const of = (topics: ReadonlyArray<{ readonly name: string; readonly partitionIndexes: ReadonlyArray<number> }>) =>
        topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.flatMap((partitionIndex) => {
            const error = self.fetchError(name, partitionIndex)
            if (error === "none") return []
            const kept = self.kept.get(`${name}:${partitionIndex}`)
            const isKept = error === 0 && kept !== undefined
            return [
              {
                partitionIndex,
                errorCode: error,
                committedOffset: isKept ? kept.offset : -1n,
                committedLeaderEpoch: isKept ? kept.leaderEpoch : -1,
                metadata: isKept ? kept.metadata : ""
              }
            ]
          })
        }))
      return respond(
        version >= 8
          ? { topics: [], groups: message.groups.map(({ groupId, topics }) => ({ groupId, topics: of(topics ?? []) })) }
          : { topics: of(message.topics ?? []), groups: [] }
      )
    })
  })
  return self
}
