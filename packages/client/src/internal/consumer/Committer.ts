/**
 * Commits offsets for a group: one request at a time; what comes meanwhile goes together with the next, each partition
 * with the furthest offset.
 *
 * An offset of records is never sent once their lease has ended, and never goes back. A commit that the group refuses
 * because it rebalances waits for the member's next identity, as long as its lease lasts and its time is not over.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Cluster } from "../../Cluster.ts"
import {
  CommitError,
  CommitTimeout,
  MetadataTooLarge,
  NotAuthorized,
  PartitionLost,
  Rejected
} from "../../CommitError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import * as Offsets from "../../Offsets.ts"
import * as Backoff from "../Backoff.ts"
import { brokerError } from "../BrokerErrors.ts"
import * as CommitRequests from "./CommitRequests.ts"
import type { Lease } from "./Lease.ts"
import type { MemberIdentity } from "./Membership.ts"

const { codes } = ErrorCode

/** @internal */
export interface Options {
  /** Who commits; undefined while nobody may. */
  readonly identity: () => MemberIdentity | undefined
  /** The group does not take commits of this identity. */
  readonly refused: (identity: MemberIdentity, errorCode: number) => void
  /** The present lease of a partition; undefined where it belongs to somebody else. */
  readonly leaseOf: (topic: string, partition: number) => Lease | undefined
  /** Whether partitions that this consumer does not have may be committed: nobody else has them. */
  readonly isAlone: boolean
  readonly onCommitted: (offsets: Offsets.Offsets, milliseconds: number) => void
  /** Milliseconds for a commit, with all its tries. */
  readonly commitTimeout: number
}

/** @internal */
export interface Committer {
  /** Waits until these, or further ones, are committed. */
  readonly commit: (offsets: Offsets.Offsets) => Effect.Effect<void, CommitError>
  /** Waits until nothing is left to be committed. */
  readonly flush: Effect.Effect<void>
  /** What was committed last for a partition under a lease. */
  readonly committed: (lease: Lease) => bigint | undefined
  /** The member may have another identity now. */
  readonly wake: () => void
}

type Reason = CommitError["reason"]

/** One call of `commit`: it ends when all of its partitions have. */
interface Call {
  open: number
  readonly failed: Array<{ readonly topic: string; readonly partition: number; readonly reason: Reason }>
  readonly done: Deferred.Deferred<void, CommitError>
}

/** What is to be committed for a partition, and who waits for it. */
interface Waiting {
  entry: Offsets.LeasedEntry
  readonly calls: Array<Call>
  readonly deadline: number
  maybeCommitted: boolean
  lastError: string
}

/** These say that the identity is no good; what it was to commit may be committed with another. */
const ofMembership: ReadonlySet<number> = new Set([
  codes.REBALANCE_IN_PROGRESS,
  codes.ILLEGAL_GENERATION,
  codes.UNKNOWN_MEMBER_ID,
  codes.FENCED_INSTANCE_ID,
  codes.STALE_MEMBER_EPOCH
])

const reasonOf = (groupId: string, code: number, cause: KafkaError): Reason => {
  if (code === codes.OFFSET_METADATA_TOO_LARGE) return new MetadataTooLarge({ cause })
  if (code === codes.GROUP_AUTHORIZATION_FAILED || code === codes.TOPIC_AUTHORIZATION_FAILED) {
    return new NotAuthorized({ groupId, cause })
  }
  return new Rejected({ cause })
}

/**
 * Commits for as long as the scope.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  groupId: string,
  options: Options
): Effect.fn.Return<Committer, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = (): number => Backoff.monotonicMillis(clock)
  const { commitTimeout, identity, leaseOf } = options
  const { retryBackoff, retryBackoffMax } = cluster.settings
  /** By lease, and those without one by their place. */
  const waiting = new Map<Lease | string, Waiting>()
  const committed = new WeakMap<Lease, bigint>()
  const wanted = Latch.makeUnsafe()
  const idle = Latch.makeUnsafe(true)
  let isSending = false

  const keyOf = ({ lease, partition, topic }: Offsets.LeasedEntry): Lease | string => lease ?? `${partition} ${topic}`

  const end = (one: Waiting, reason: Reason | undefined): void => {
    const { partition, topic } = one.entry
    for (const call of one.calls) {
      if (reason !== undefined) call.failed.push({ topic, partition, reason })
      call.open--
      if (call.open > 0) continue
      const [first] = call.failed
      const partitions = call.failed.map(({ partition, topic }) => ({ topic, partition }))
      const exit = first === undefined ? Exit.void : Exit.fail(new CommitError({ partitions, reason: first.reason }))
      Deferred.doneUnsafe(call.done, exit)
    }
  }

  const lost = (): Reason => new PartitionLost({ groupId })

  /** Whether something further was committed under the lease. */
  const isPast = ({ lease, metadata, offset }: Offsets.LeasedEntry): boolean => {
    const before = lease === undefined ? undefined : committed.get(lease)
    return before !== undefined && (before > offset || (before === offset && metadata === undefined))
  }

  /** Adds a partition to what waits; gives why it cannot be. */
  const add = (given: Offsets.LeasedEntry, call: Call): void => {
    const { partition, topic } = given
    // Explicit offsets are of the present lease.
    const lease = given.lease ?? leaseOf(topic, partition)
    const entry = { ...given, lease: given.lease }
    const alone: Waiting = {
      entry,
      calls: [call],
      deadline: now() + commitTimeout,
      maybeCommitted: false,
      lastError: ""
    }
    if (lease === undefined ? !options.isAlone : !lease.isActive) {
      end(alone, lost())
      return
    }
    if (isPast(entry)) {
      end(alone, undefined)
      return
    }
    const key = keyOf(entry)
    const known = waiting.get(key)
    if (known === undefined) waiting.set(key, alone)
    else {
      known.calls.push(call)
      if (entry.lease === undefined || entry.offset >= known.entry.offset) known.entry = entry
    }
  }

  const commit: Committer["commit"] = (offsets) =>
    Effect.suspend(() => {
      const entries = [...Offsets.entriesOf(offsets)]
      if (entries.length === 0) return Effect.void
      const call: Call = { open: entries.length, failed: [], done: Deferred.makeUnsafe() }
      for (const entry of entries) add(entry, call)
      if (waiting.size > 0) {
        idle.closeUnsafe()
        wanted.openUnsafe()
      }
      return Deferred.await(call.done)
    })

  /** Puts back what is to be sent again, behind nothing newer of the same partition. */
  const again = (one: Waiting): void => {
    const key = keyOf(one.entry)
    const newer = waiting.get(key)
    if (newer === undefined) waiting.set(key, one)
    else newer.calls.push(...one.calls)
  }

  /** Takes what may be sent now; the rest has failed. */
  const takeDue = (): Array<Waiting> => {
    const due: Array<Waiting> = []
    const time = now()
    for (const one of waiting.values()) {
      const { entry, lastError, maybeCommitted } = one
      const lease = entry.lease ?? leaseOf(entry.topic, entry.partition)
      if (lease === undefined ? !options.isAlone : !lease.isActive) end(one, lost())
      else if (time >= one.deadline) {
        const detail = lastError === "" ? "the group rebalances" : lastError
        end(one, new CommitTimeout({ timeout: commitTimeout, maybeCommitted, detail }))
      } else if (isPast(entry)) end(one, undefined)
      else due.push(one)
    }
    waiting.clear()
    return due
  }

  const succeeded = (one: Waiting): void => {
    const { lease, offset } = one.entry
    if (lease !== undefined) committed.set(lease, offset)
    end(one, undefined)
  }

  /** Sends what is due; whether something is to be tried again. */
  const send = Effect.fnUntraced(function* (due: Array<Waiting>, member: MemberIdentity) {
    const started = now()
    const isMember = member.memberId !== ""
    const attempt = Effect.gen(function* () {
      const connection = yield* CommitRequests.connect(cluster, groupId)
      const answers = yield* CommitRequests.commit(
        connection,
        member,
        due.map(({ entry }) => entry)
      )
      return { answers, connection }
    })
    const result = yield* Effect.result(attempt)
    if (Result.isFailure(result)) {
      const { failure } = result
      yield* cluster.invalidateCoordinator("group", groupId)
      for (const one of due) {
        one.lastError = failure.message
        if (failure.maybeSent) one.maybeCommitted = true
        if (failure.isRetriable) again(one)
        else end(one, new Rejected({ cause: failure }))
      }
      return failure.isRetriable
    }
    const { answers, connection } = result.success
    const { broker, nodeId } = connection
    const done: Array<Offsets.LeasedEntry> = []
    let isAgain = false
    let refusal: number | undefined
    for (const one of due) {
      const { partition, topic } = one.entry
      const answer = answers.find((other) => other.partition === partition && other.topic === topic)
      const code = answer?.errorCode ?? codes.COORDINATOR_NOT_AVAILABLE
      if (code === codes.NONE) {
        done.push(one.entry)
        succeeded(one)
        continue
      }
      const detail = answer === undefined ? "the response does not name the partition" : undefined
      const error = brokerError({ nodeId, broker, api: "OffsetCommit", code, topic, partition, detail })
      const { invalidates } = ErrorCode.of(code)
      if (invalidates.includes("coordinator")) yield* cluster.invalidateCoordinator("group", groupId)
      const isIdentity = isMember && ofMembership.has(code)
      if (isIdentity) refusal = code
      one.lastError = error.message
      if (isIdentity || error.isRetriable) {
        isAgain = true
        again(one)
      } else end(one, reasonOf(groupId, code, error))
    }
    if (refusal !== undefined) options.refused(member, refusal)
    if (done.length > 0) options.onCommitted(Offsets.from(done), now() - started)
    return isAgain
  })

  let failures = 0
  const round = Effect.gen(function* () {
    wanted.closeUnsafe()
    if (waiting.size === 0) {
      idle.openUnsafe()
      yield* wanted.await
      return
    }
    const due = takeDue()
    if (due.length === 0) return
    const member = identity()
    let isAgain = true
    if (member === undefined) for (const one of due) again(one)
    else {
      isSending = true
      isAgain = yield* send(due, member)
      isSending = false
    }
    failures = isAgain ? failures + 1 : 0
    if (!isAgain) return
    const wait = yield* Backoff.delay(retryBackoff, retryBackoffMax, failures)
    // Another identity may come sooner.
    if (member === undefined) yield* Effect.raceFirst(Effect.sleep(wait), wanted.await)
    else yield* Effect.sleep(wait)
  })
  yield* Effect.forkScoped(Effect.forever(round))
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const one of waiting.values()) {
        const { lastError, maybeCommitted } = one
        const detail = lastError === "" ? "the consumer is closed" : lastError
        end(one, new CommitTimeout({ timeout: commitTimeout, maybeCommitted: maybeCommitted || isSending, detail }))
      }
    })
  )

  return {
    commit,
    flush: Effect.suspend(() => idle.await),
    committed: (lease) => committed.get(lease),
    wake: () => void wanted.openUnsafe()
  }
})
