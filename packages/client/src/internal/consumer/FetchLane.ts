/**
 * The fetches from one broker: one at a time, on the fetcher's own connection, in a session where the broker has them.
 *
 * @since 0.1.0
 */
import * as ErrorCode from "@kafka-effect/protocol/ErrorCode"
import { Fetch, type FetchResponse, type PartitionData } from "@kafka-effect/protocol/messages/Fetch"
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import type { Connection } from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import { type Clock, type FetchOutcomes, isUnderstood } from "./FetchOutcomes.ts"
import * as FetchRequests from "./FetchRequests.ts"
import * as FetchSession from "./FetchSession.ts"

/** @internal */
export interface FetchLane {
  readonly nodeId: number
  isBusy: boolean
  /** Whether the broker is being asked about positions. */
  isAsked: boolean
  /** How long the last fetch was held back at most, when that left full partitions out; 0 otherwise. In milliseconds. */
  partialWait: number
  /** What the last fetch has brought: what the next may bring, roughly. */
  lastBytes: number
  connection: Connection | undefined
  session: FetchSession.FetchSession
}

/** @internal */
export interface Limits {
  /** Milliseconds that the broker may wait for data. */
  readonly maxWait: number
  readonly maxBytes: number
}

/** @internal */
export interface Options extends FetchRequests.Options {
  /** Which connections of the cluster are the fetcher's own. */
  readonly purpose: string
  readonly metadataMaxAge: number
  /** Hears of each fetch that was answered: how many bytes of records came, and how long that took. */
  readonly onFetched?: ((bytes: number, milliseconds: number) => void) | undefined
}

/** How long the end of a fetcher waits for brokers to forget their sessions, in milliseconds. */
const closeTimeout = 100

/** @internal */
export const make = (nodeId: number): FetchLane => ({
  nodeId,
  isBusy: false,
  isAsked: false,
  partialWait: 0,
  lastBytes: 0,
  connection: undefined,
  session: FetchSession.make()
})

/**
 * One fetch of partitions, all of which are to be fetched from this broker. Gives those that have records now.
 *
 * @internal
 */
export const fetch = Effect.fnUntraced(function* (
  self: FetchLane,
  cluster: Cluster,
  wanted: ReadonlyArray<FetchedPartition>,
  limits: Limits,
  options: Options,
  outcomes: FetchOutcomes,
  clock: Clock
): Effect.fn.Return<ReadonlyArray<FetchedPartition>, KafkaError> {
  const connection = yield* cluster.connection(self.nodeId, options.purpose)
  if (self.connection !== connection) {
    self.connection = connection
    self.session = FetchSession.make()
  }
  const { session } = self
  // Much may have happened while the connection was opened.
  const fetched = wanted.filter(
    ({ isPaused, isRemoved, unsettled }) => !isPaused && !isRemoved && unsettled === undefined
  )
  if (fetched.length === 0) return []
  const haveIds = fetched.every(({ topicId }) => topicId !== zeroUuid)
  const version = yield* connection.version(Fetch, haveIds ? {} : { maxVersion: FetchRequests.topicIdVersion - 1 })
  if (version < FetchSession.sessionVersion) session.isGivenUp = true
  const usesIds = version >= FetchRequests.topicIdVersion
  const positions = fetched.map(positionOf)
  const plan = FetchSession.plan(session, positions, usesIds)
  const message = FetchRequests.request(plan, version, options, limits)
  const sentAt = clock.now()
  const response = yield* Effect.onError(connection.request(Fetch, message, { version }), () =>
    Effect.sync(() => FetchSession.failed(session))
  )
  const { errorCode: code } = response
  if (code !== ErrorCode.codes.NONE) {
    if (FetchSession.refused(session, plan, code)) return []
    const error = brokerError({ nodeId: self.nodeId, broker: connection.broker, api: "Fetch", code })
    // Nothing is wrong with the partitions when the broker does not know what is wrong.
    if (error.isRetriable || !isUnderstood(code)) {
      outcomes.backOffAll(fetched)
      for (const topic of new Set(fetched.map(({ topic }) => topic))) yield* cluster.invalidate(topic)
      return []
    }
    return yield* error
  }
  FetchSession.answered(session, plan, response)
  const filled: Array<FetchedPartition> = []
  const unanswered = new Set(positions)
  self.lastBytes = 0
  for (const [position, data] of answers(response, positions, usesIds)) {
    // Said twice.
    if (!unanswered.delete(position)) continue
    self.lastBytes += data.records?.length ?? 0
    const { owner, version } = position
    // An answer about where it was before (a seek, a removal).
    if (owner.version !== version || owner.isRemoved) continue
    const isFollower = owner.replica?.nodeId === self.nodeId
    if (data.errorCode !== ErrorCode.codes.NONE) {
      // Followers may be behind, or gone: the leader knows.
      owner.replica = undefined
      if (isFollower && data.errorCode === ErrorCode.codes.OFFSET_OUT_OF_RANGE) continue
      yield* outcomes.failedPartition(owner, data, self.nodeId, response)
      continue
    }
    owner.observe(data)
    if (data.divergingEpoch.epoch >= 0 && data.divergingEpoch.endOffset >= 0) {
      diverge(owner, data, outcomes)
    } else if (data.preferredReadReplica >= 0 && data.preferredReadReplica !== self.nodeId) {
      // There are no records in such an answer (KIP-392).
      owner.failures = 0
      owner.replica = { nodeId: data.preferredReadReplica, until: clock.now() + options.metadataMaxAge }
    } else takeIn(data, owner, options, outcomes)
    if (owner.queue.length > 0) filled.push(owner)
  }
  options.onFetched?.(self.lastBytes, clock.now() - sentAt)
  // A throttled answer to a full request is empty (KIP-219).
  const isThrottled = response.throttleTimeMs > 0 && response.responses.length === 0
  if (plan.isFull && !isThrottled) {
    const silent = [...unanswered].filter(({ owner, version }) => owner.version === version)
    outcomes.backOffAll(silent.map(({ owner }) => owner))
  }
  return filled
})

const positionOf = (owner: FetchedPartition): FetchSession.Position => ({
  owner,
  version: owner.version,
  topicId: owner.topicId,
  offset: owner.position,
  leaderEpoch: owner.leaderEpoch,
  lastEpoch: owner.epoch,
  maxBytes: owner.maxBytes
})

/** The answers to what was asked. */
function* answers(
  { responses }: FetchResponse,
  positions: ReadonlyArray<FetchSession.Position>,
  usesIds: boolean
): Generator<readonly [FetchSession.Position, PartitionData]> {
  const byTopic = new Map<string, Map<number, FetchSession.Position>>()
  for (const position of positions) {
    const name = usesIds ? position.topicId : position.owner.topic
    const partitions = byTopic.get(name)
    if (partitions === undefined) byTopic.set(name, new Map([[position.owner.partition, position]]))
    else partitions.set(position.owner.partition, position)
  }
  for (const { partitions, topic, topicId } of responses) {
    const known = byTopic.get(usesIds ? topicId : topic)
    for (const data of partitions) {
      const position = known?.get(data.partitionIndex)
      if (position !== undefined) yield [position, data]
    }
  }
}

/** Takes in an answer with records. */
const takeIn = (data: PartitionData, owner: FetchedPartition, { isolation }: Options, outcomes: FetchOutcomes) => {
  owner.failures = 0
  const aborted = isolation === "committed" ? (data.abortedTransactions ?? []) : []
  // Bytes that lead nowhere are not asked for again at once.
  if (data.records !== null && !owner.accept(data.records, aborted)) outcomes.backOff(owner)
}

/** The broker's log is another one than the one that was read (KIP-595). */
const diverge = (owner: FetchedPartition, { divergingEpoch }: PartitionData, outcomes: FetchOutcomes): void => {
  const { epoch } = owner
  // An answer that changes nothing would come again at once.
  if (outcomes.isInLog(owner, divergingEpoch.epoch, divergingEpoch.endOffset) && owner.epoch === epoch) {
    outcomes.backOff(owner)
  }
}

/** Lets the broker forget the session; waits for it only briefly. @internal */
export const close = ({ connection, session }: FetchLane): Effect.Effect<void> => {
  if (connection === undefined || session.id === 0 || !connection.isAlive()) return Effect.void
  const message = {
    sessionId: session.id,
    sessionEpoch: FetchSession.finalEpoch,
    maxWaitMs: 0,
    minBytes: 0,
    topics: []
  }
  const request = Effect.interruptible(connection.request(Fetch, message))
  return Effect.ignore(Effect.timeout(request, closeTimeout))
}
