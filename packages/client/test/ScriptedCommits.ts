/** A committer whose coordinator is scripted: what it sends, what it is answered, and whom it tells. */
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import {
  OffsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponse
} from "@kafka-effect/protocol/messages/OffsetCommit"
import { Effect, Scope } from "effect"
import * as Committer from "../src/internal/consumer/Committer.ts"
import { DeliveredRecord } from "../src/internal/consumer/DeliveredRecord.ts"
import { Lease } from "../src/internal/consumer/Lease.ts"
import type { MemberIdentity } from "../src/internal/consumer/Membership.ts"
import * as Offsets from "../src/Offsets.ts"
import * as ScriptedBroker from "./ScriptedBroker.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"

export type Request = ScriptedBroker.Received<OffsetCommitRequest>

/** What a request commits: `t0@5`. */
export const said = ({ message }: Request): ReadonlyArray<string> =>
  message.topics
    .flatMap(({ name, partitions }) =>
      partitions.map(({ committedOffset, partitionIndex }) => `${name}${partitionIndex}@${committedOffset}`)
    )
    .sort()

/** Answers with a code for each partition; undefined leaves it out. */
export const answered = (
  { message }: Request,
  codeOf: (partition: number) => number | undefined = () => 0
): ScriptedBroker.Answer<OffsetCommitResponse> =>
  ScriptedBroker.respond({
    topics: message.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.flatMap(({ partitionIndex }) => {
        const errorCode = codeOf(partitionIndex)
        return errorCode === undefined ? [] : [{ partitionIndex, errorCode }]
      })
    }))
  })

export const anybody: MemberIdentity = { groupId: "g", memberId: "", generation: -1, groupInstanceId: undefined }
export const member = (generation: number, memberId = "m"): MemberIdentity => ({ ...anybody, memberId, generation })

/** The second of two nodes coordinates; the member has partitions 0 to 2 of topic `t`. */
export const start = (
  options: {
    readonly offered?: ScriptedBroker.Offered
    readonly isAlone?: boolean
    readonly commitTimeout?: number
    readonly requestTimeout?: number
  } = {}
) =>
  Effect.gen(function* () {
    const { commitTimeout = 5000, isAlone = false, offered = {}, requestTimeout = 2000 } = options
    const scripted = yield* ScriptedCluster.make(2, { offered })
    scripted.topics.set("t", { partitions: [0, 1, 2].map(() => ({ leader: 1, epoch: 0 })) })
    const settings = { retryBackoff: 10, retryBackoffMax: 50, requestTimeout }
    const cluster = yield* ScriptedCluster.connect(scripted, settings)
    const [first, second] = scripted.brokers
    const leases = isAlone ? [] : [0, 1, 2].map((partition) => new Lease("t", partition))
    const context = {
      identity: member(1) as MemberIdentity | undefined,
      leases,
      first,
      second,
      refused: [] as Array<readonly [generation: number, code: number]>,
      onRefused: () => {},
      committed: [] as Array<string>,
      requests: () => second.of(OffsetCommit),
      lookUps: () => scripted.brokers.flatMap((broker) => broker.of(FindCoordinator)).length,
      /** A finished record under the present lease, whose commit names `next`. */
      upTo: (next: number, partition = 0) =>
        Offsets.of(
          new DeliveredRecord(
            "t",
            partition,
            BigInt(next - 1),
            3,
            0,
            "create",
            null,
            null,
            [],
            leases[partition]?.stretch
          )
        ),
      /** Answers one request after the other; the last answer stands. */
      inTurn: (...turns: ReadonlyArray<(request: Request) => ReturnType<typeof answered>>) => {
        let turn = 0
        second.on(OffsetCommit, (request) => turns[Math.min(turn++, turns.length - 1)](request))
      }
    }
    for (const broker of scripted.brokers) broker.on(OffsetCommit, (request) => answered(request))
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const committer = yield* Committer.make(cluster, "g", {
      identity: () => context.identity,
      refused: ({ generation }, errorCode) => {
        context.refused.push([generation, errorCode])
        context.onRefused()
      },
      leaseOf: (_, partition) => leases[partition],
      isAlone,
      onCommitted: (offsets) => {
        for (const { offset, partition } of offsets) context.committed.push(`t${partition}@${offset}`)
      },
      commitTimeout
    }).pipe(Scope.provide(scope))
    return Object.assign(context, {
      ...committer,
      lastCommitted: committer.committed,
      committed: context.committed,
      scope
    })
  })

export type Context = Effect.Success<ReturnType<typeof start>>
