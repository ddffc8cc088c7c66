/**
 * One rebalance as a member of the classic protocol sees it: Join, the leader's work, Sync; and what makes another one
 * necessary afterwards.
 *
 * @since 0.1.0
 */
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Assigned, Assignor } from "../../Assignor.ts"
import type { Cluster } from "../../Cluster.ts"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { ClassicRequests } from "./ClassicRequests.ts"
import * as GroupLeader from "./GroupLeader.ts"
import * as GroupProtocol from "./GroupProtocol.ts"
import type { MemberState } from "./MemberState.ts"
import type { Options } from "./Membership.ts"

/** @internal */
export interface ClassicJoin {
  /** Joins once and takes in what the group answers; fails with what the coordinator says, or what ends the membership. */
  readonly join: (reason: string) => Effect.Effect<Assigned, KafkaError | ConsumerError>
  /** Asks for another rebalance when what the last one was based on has changed. */
  readonly check: () => void
  /** Checks whenever metadata changes. */
  readonly watch: Effect.Effect<void>
}

/** What the last rebalance was based on. */
interface Basis {
  /** What this member subscribed to. */
  readonly topics: ReadonlyArray<string>
  /** The topics of all members, and their partitions; nothing where another member leads. */
  readonly shared: Pick<GroupLeader.Shared, "topics" | "partitionCounts"> | undefined
}

/** @internal */
export const make = (
  cluster: Cluster,
  options: Options,
  state: MemberState,
  requests: ClassicRequests
): ClassicJoin => {
  const { assignors } = options
  let basis: Basis | undefined

  const subscribed = (): ReadonlyArray<string> => [...new Set(options.subscription())].sort()

  /** What each assignor is to know of this member. */
  const protocolsOf = (topics: ReadonlyArray<string>) =>
    Effect.forEach(assignors, (assignor) =>
      GroupLeader.attempt(options, assignor, () => {
        // What it kept through a Join it owns in the generation of that Join, whether or not Sync was answered (KIP-792).
        const { assigned, assignedGeneration, generation, owned } = state
        const userData = assignor.userData?.({ topics, assigned, generation: assignedGeneration }) ?? null
        const rackId = options.clientRack
        return {
          name: assignor.name,
          metadata: GroupProtocol.encodeSubscription({ topics, userData, owned, generation, rackId })
        }
      })
    )

  const join = Effect.fnUntraced(function* (reason: string): Effect.fn.Return<Assigned, KafkaError | ConsumerError> {
    const topics = subscribed()
    basis = undefined
    const response = yield* requests.join({
      memberId: state.memberId,
      protocols: yield* protocolsOf(topics),
      reason,
      named: (memberId) => {
        state.memberId = memberId
      }
    })
    const identity = state.sync(response.memberId, response.generationId)
    const assignor = yield* chosen(response.protocolName)
    const leads = response.leader === response.memberId
    const shared = leads
      ? yield* GroupLeader.share(cluster, options, assignor, response.members, response.skipAssignment)
      : undefined
    if (shared !== undefined) yield* Effect.logDebug(`shared out the group's partitions by ${assignor.name}`)
    const bytes = yield* requests.sync(identity, assignor.name, shared?.assignments ?? [])
    basis = { topics, shared }
    return yield* GroupLeader.attempt(options, assignor, () => {
      const assigned = decode(bytes)
      assignor.onAssigned?.(assigned, identity.generation)
      return assigned
    })
  })

  const chosen = (name: string | null): Effect.Effect<Assignor, ConsumerError> => {
    const found = assignors.find((assignor) => assignor.name === name)
    if (found !== undefined) return Effect.succeed(found)
    const other = { name: name ?? "", protocol: "eager", assign: () => new Map() } as const
    return GroupLeader.attempt(options, other, () => {
      throw new Error("the group has chosen it, but this member does not have it")
    })
  }

  /** What has changed since; undefined if nothing has. */
  const change = ({ shared, topics }: Basis): string | undefined => {
    const now = subscribed()
    if (now.length !== topics.length || now.some((topic, index) => topic !== topics[index])) {
      return "the subscription has changed"
    }
    if (shared === undefined) return undefined
    return GroupLeader.describeChange(shared.partitionCounts, GroupLeader.countPartitions(cluster, shared.topics))
  }

  const check = (): void => {
    // Who joins anyway will say it all.
    if (basis === undefined || state.phase !== "member") return
    const reason = change(basis)
    if (reason !== undefined) state.want(reason)
  }

  return { join, check, watch: Stream.runForEach(cluster.changes, () => Effect.sync(check)) }
}

const decode = (bytes: Uint8Array): Assigned => {
  try {
    return GroupProtocol.decodeAssignment(bytes)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new Error(`the assignment of the group's leader cannot be read: ${error.message}`, { cause: error })
  }
}
