/**
 * Commits offsets for a group: one request at a time; what comes meanwhile goes together with the next, each partition
 * with the furthest offset.
 *
 * A partition that is refused for the moment waits by itself: the others go on. Only when it is the coordinator that cannot
 * take any, all wait.
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
import type { TopicPartition } from "../../Topic.ts"
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
  /** Waits until these, or further ones, are committed. `ended` is told of each partition as soon as it has. */
  readonly commit: (offsets: Offsets.Offsets, ended?: Ended) => Effect.Effect<void, CommitError>
  /** Waits until nothing of these is left to be committed. */
  readonly flush: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /** What was committed last for a partition under a lease. */
  readonly committed: (lease: Lease) => bigint | undefined
  /** The member may have another identity now. */
  readonly wake: () => void
}

/** A partition of a commit has ended; the reason is undefined where it was committed. @internal */
export type Ended = (place: TopicPartition, reason: Reason | undefined) => void

type Reason = CommitError["reason"]

/** One call of `commit`: it ends when all of its partitions have, or its time is over. */
interface Call {
  open: number
  readonly failed: Array<{ readonly topic: string; readonly partition: number; readonly reason: Reason }>
  readonly done: Deferred.Deferred<void, CommitError>
  readonly deadline: number
  readonly ended: Ended | undefined
}

/** What is to be committed for a partition, and who waits for it. */
interface Waiting {
  entry: Offsets.LeasedEntry
  /** The lease under which it was asked for; undefined where the partition is nobody's. */
  readonly lease: Lease | undefined
  /** The lease's jumps then. */
  jumps: number
  readonly calls: Array<Call>
  maybeCommitted: boolean
  lastError: string
  /** How often in a row it was refused for the moment, though the coordinator takes others. */
  failures: number
  /** Not to be sent again before this time. */
  notBefore: number
}

/** These say that the identity is no good; what it was to commit may be committed with another. */
const ofMembership: ReadonlySet<number> = new Set([
  codes.REBALANCE_IN_PROGRESS,
  codes.ILLEGAL_GENERATION,
  codes.UNKNOWN_MEMBER_ID,
  codes.FENCED_INSTANCE_ID,
  codes.STALE_MEMBER_EPOCH
])

/** Whether a code says that the coordinator can take no commits for the moment. */
const isOfCoordinator = (code: number): boolean =>
  code === codes.COORDINATOR_LOAD_IN_PROGRESS || ErrorCode.of(code).invalidates.includes("coordinator")

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
  /** By place. */
  const waiting = new Map<string, Waiting>()
  /** What is in the request that is under way. */
  let sending: ReadonlyArray<Waiting> = []
  const committed = new WeakMap<Lease, { readonly offset: bigint; readonly jumps: number }>()
  const wanted = Latch.makeUnsafe()
  let isClosed = false

  const keyOf = ({ partition, topic }: TopicPartition): string => `${partition} ${topic}`

  const endCall = (call: Call, { partition, topic }: TopicPartition, reason: Reason | undefined): void => {
    call.ended?.({ topic, partition }, reason)
    if (reason !== undefined) call.failed.push({ topic, partition, reason })
    call.open--
    if (call.open > 0) return
    // That partitions were lost needs no cure: another reason says more.
    const first = call.failed.find(({ reason }) => reason._tag !== "PartitionLost") ?? call.failed[0]
    const partitions = call.failed.map(({ partition, topic }) => ({ topic, partition }))
    const exit = first === undefined ? Exit.void : Exit.fail(new CommitError({ partitions, reason: first.reason }))
    Deferred.doneUnsafe(call.done, exit)
  }

  const end = (one: Waiting, reason: Reason | undefined): void => {
    for (const call of one.calls.splice(0)) endCall(call, one.entry, reason)
  }

  const lost = (): Reason => new PartitionLost({ groupId })

  const timeout = (maybeCommitted: boolean, detail: string): Reason =>
    new CommitTimeout({ timeout: commitTimeout, maybeCommitted, detail })

  /** Ends the calls whose time is over; whether others wait still. */
  const expire = (one: Waiting, isUnderWay: boolean): boolean => {
    const time = now()
    const over = one.calls.filter(({ deadline }) => time >= deadline)
    if (over.length === 0) return one.calls.length > 0
    const left = one.calls.filter((call) => !over.includes(call))
    one.calls.splice(0, one.calls.length, ...left)
    const detail = one.lastError === "" ? "the group rebalances" : one.lastError
    // For whoever waits still, it may yet be committed.
    const reason = timeout(one.maybeCommitted || isUnderWay || left.length > 0, detail)
    for (const call of over) endCall(call, one.entry, reason)
    return left.length > 0
  }

  const expireAll = (): void => {
    for (const [key, one] of [...waiting]) {
      // Who is told commits the next at once, perhaps.
      if (!expire(one, false) && waiting.get(key) === one) waiting.delete(key)
    }
    for (const one of sending) expire(one, true)
  }

  /** Whether a partition may be committed under the lease that it was asked for with. */
  const isOwned = ({ partition, topic }: TopicPartition, lease: Lease | undefined): boolean =>
    lease === undefined ? options.isAlone : lease.isActive && leaseOf(topic, partition) === lease

  const committedOf = (lease: Lease | undefined): bigint | undefined => {
    const known = lease === undefined ? undefined : committed.get(lease)
    return known?.jumps === lease?.jumps ? known?.offset : undefined
  }

  /** Whether something further was committed under the lease. Offsets that the user names may go back. */
  const isPast = ({ entry: { metadata, offset, stretch } }: Waiting): boolean => {
    const before = committedOf(stretch?.lease)
    return before !== undefined && (before > offset || (before === offset && metadata === undefined))
  }

  /** Whether reading has gone on elsewhere since its records were handed over: it neither lands nor stands in the way. */
  const isVoid = ({ entry: { stretch } }: Waiting): boolean => stretch?.isPresent === false

  /** Puts a partition to what waits for the next request, `later` being what was asked for after the other. */
  const join = (earlier: Waiting, later: Waiting): void => {
    const { entry } = later
    const isFurther = entry.stretch === undefined || later.jumps > earlier.jumps || entry.offset >= earlier.entry.offset
    waiting.set(keyOf(entry), {
      ...later,
      entry: isFurther ? entry : earlier.entry,
      calls: [...earlier.calls.splice(0), ...later.calls.splice(0)],
      maybeCommitted: earlier.maybeCommitted || later.maybeCommitted,
      lastError: later.lastError === "" ? earlier.lastError : later.lastError,
      failures: earlier.failures,
      notBefore: earlier.notBefore
    })
  }

  /** Adds a partition to what waits, or ends it at once. */
  const add = (entry: Offsets.LeasedEntry, call: Call): void => {
    const { partition, topic } = entry
    // Explicit offsets are of the present lease.
    const lease = entry.stretch === undefined ? leaseOf(topic, partition) : entry.stretch.lease
    const jumps = lease?.jumps ?? 0
    const fresh = { maybeCommitted: false, lastError: "", failures: 0, notBefore: 0 }
    const one: Waiting = { entry, lease, jumps, calls: [call], ...fresh }
    const known = waiting.get(keyOf(entry))
    if (isClosed) end(one, timeout(false, closed))
    else if (!isOwned(entry, lease)) end(one, lost())
    else if (isVoid(one) || isPast(one)) end(one, undefined)
    else if (known?.lease === lease && known !== undefined) join(known, one)
    else {
      waiting.set(keyOf(entry), one)
      if (known !== undefined) end(known, lost())
    }
  }

  const commit: Committer["commit"] = (offsets, ended) =>
    Effect.suspend(() => {
      const entries = [...Offsets.entriesOf(offsets)]
      if (entries.length === 0) return Effect.void
      const deadline = now() + commitTimeout
      const call: Call = { open: entries.length, failed: [], done: Deferred.makeUnsafe(), deadline, ended }
      for (const entry of entries) add(entry, call)
      if (waiting.size > 0) wanted.openUnsafe()
      if (Deferred.isDoneUnsafe(call.done)) return Deferred.await(call.done)
      // A request that is under way may last longer than the caller's time.
      return Effect.timeoutOrElse(Deferred.await(call.done), {
        duration: commitTimeout,
        orElse: () => Effect.andThen(Effect.sync(expireAll), Deferred.await(call.done))
      })
    })

  /** Puts back what is to be sent again, behind nothing newer of the same partition. */
  const again = (one: Waiting): void => {
    const newer = waiting.get(keyOf(one.entry))
    if (newer === undefined) waiting.set(keyOf(one.entry), one)
    else if (newer.lease === one.lease) join(one, newer)
    else end(one, lost())
  }

  /** Takes what may be sent now; the rest has ended, or its time has not come. */
  const takeDue = (): ReadonlyArray<Waiting> => {
    const due: Array<Waiting> = []
    const time = now()
    const all = [...waiting.values()]
    // First: who is told that it has ended commits the next at once, perhaps.
    waiting.clear()
    for (const one of all) {
      if (!isOwned(one.entry, one.lease)) end(one, lost())
      else if (isVoid(one) || isPast(one)) end(one, undefined)
      else if (!expire(one, false)) continue
      else if (time < one.notBefore) again(one)
      else due.push(one)
    }
    return due
  }

  const succeeded = (one: Waiting): void => {
    const { entry, jumps, lease } = one
    if (lease !== undefined) committed.set(lease, { offset: entry.offset, jumps })
    end(one, undefined)
  }

  /** Lets a partition wait before it is sent again, longer each time in a row. */
  const backOff = Effect.fnUntraced(function* (one: Waiting) {
    one.failures++
    one.notBefore = now() + (yield* Backoff.delay(retryBackoff, retryBackoffMax, one.failures))
    again(one)
  })

  /** Whether the cluster has no such partition, as far as is known: a coordinator may hear later of new ones than others. */
  const isGone = ({ partition, topic }: TopicPartition): boolean => {
    const known = cluster.metadata().topics.get(topic)
    return known === undefined || known.unknownAnswers > 0 || partition >= known.partitions.length
  }

  /** A try has failed as a whole; whether there is another. */
  const failed = Effect.fnUntraced(function* (due: ReadonlyArray<Waiting>, error: KafkaError) {
    yield* cluster.invalidateCoordinator("group", groupId)
    const { reason } = error
    const code = reason._tag === "BrokerError" ? reason.code : codes.NONE
    for (const one of due) {
      one.lastError = error.message
      if (error.maybeSent) one.maybeCommitted = true
      if (error.isRetriable) again(one)
      else end(one, reasonOf(groupId, code, error))
    }
    return error.isRetriable
  })

  /** Sends what is due; whether the coordinator is to be let alone for a while. */
  const send = Effect.fnUntraced(function* (due: ReadonlyArray<Waiting>, member: MemberIdentity) {
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
    if (Result.isFailure(result)) return yield* failed(due, result.failure)
    const { answers, connection } = result.success
    const { broker, nodeId } = connection
    const codeOf = new Map(answers.map((answer) => [keyOf(answer), answer.errorCode]))
    const done: Array<Offsets.LeasedEntry> = []
    let isAgain = false
    let refusal: number | undefined
    for (const one of due) {
      const { partition, topic } = one.entry
      const known = codeOf.get(keyOf(one.entry))
      const code = known ?? codes.COORDINATOR_NOT_AVAILABLE
      if (code === codes.NONE) {
        done.push(one.entry)
        succeeded(one)
        continue
      }
      const detail = known === undefined ? "the response does not name the partition" : undefined
      const { invalidates } = ErrorCode.of(code)
      if (invalidates.includes("coordinator")) yield* cluster.invalidateCoordinator("group", groupId)
      const isUnknown = code === codes.UNKNOWN_TOPIC_OR_PARTITION
      if (isUnknown) yield* cluster.invalidate(topic)
      const isRetriable = isUnknown && isGone(one.entry) ? false : undefined
      const error = brokerError({ nodeId, broker, api: "OffsetCommit", code, topic, partition, detail, isRetriable })
      const isIdentity = isMember && ofMembership.has(code)
      if (isIdentity) refusal = code
      one.lastError = error.message
      if (isIdentity || (known !== undefined && isOfCoordinator(code))) {
        isAgain = true
        again(one)
      } else if (error.isRetriable) yield* backOff(one)
      else end(one, reasonOf(groupId, code, error))
    }
    if (refusal !== undefined) options.refused(member, refusal)
    if (done.length > 0) options.onCommitted(Offsets.from(done), now() - started)
    return isAgain
  })

  /** Waits for the time of the first that may be sent again, or for what is new. */
  const untilDue = Effect.suspend(() => {
    const times = [...waiting.values()].map(({ notBefore }) => notBefore)
    if (times.length === 0) return Effect.void
    const first = times.reduce((one, other) => Math.min(one, other))
    return Effect.raceFirst(Effect.sleep(Math.max(0, first - now())), wanted.await)
  })

  let failures = 0
  const round = Effect.gen(function* () {
    wanted.closeUnsafe()
    if (waiting.size === 0) return yield* wanted.await
    const due = takeDue()
    if (due.length === 0) return yield* untilDue
    const member = identity()
    let isAgain = true
    if (member === undefined) for (const one of due) again(one)
    else {
      sending = due
      isAgain = yield* send(due, member)
      sending = []
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
      isClosed = true
      for (const one of waiting.values()) end(one, timeout(one.maybeCommitted, one.lastError || closed))
      waiting.clear()
      for (const one of sending) end(one, timeout(true, one.lastError || closed))
    })
  )

  /** Waits for what is on its way of a partition. */
  const pending = (partitions: ReadonlyArray<TopicPartition>): ReadonlyArray<Deferred.Deferred<void, CommitError>> => {
    const keys = new Set(partitions.map(keyOf))
    return [...waiting.values(), ...sending].flatMap((one) => {
      if (!keys.has(keyOf(one.entry)) || one.calls.length === 0) return []
      const deadline = now() + commitTimeout
      const call: Call = { open: 1, failed: [], done: Deferred.makeUnsafe(), deadline, ended: undefined }
      one.calls.push(call)
      return [call.done]
    })
  }

  return {
    commit,
    flush: (partitions) =>
      Effect.suspend(() =>
        Effect.forEach(pending(partitions), (done) => Effect.exit(Deferred.await(done)), { discard: true })
      ),
    committed: committedOf,
    wake: () => void wanted.openUnsafe()
  }
})

const closed = "the consumer is closed"
