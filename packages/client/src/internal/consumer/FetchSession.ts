/**
 * The fetch session with one broker (KIP-227): the broker remembers which partitions are fetched, and a request names only
 * what has changed. Plain data and functions; one request is under way at a time.
 *
 * A session belongs to a connection. It begins with a full request of epoch 0; a broker that has no room answers with
 * session 0, and the next request is full again. After a failure nobody knows what the broker remembers: the next request
 * is full, and names the old session so that the broker forgets it.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { FetchResponse } from "@kafka-effect/protocol/messages/Fetch"
import type { FetchedPartition } from "./FetchedPartition.ts"

/** A partition as a request names it. @internal */
export interface Position {
  readonly owner: FetchedPartition
  /** The owner's version when it was asked about. */
  readonly version: number
  readonly topicId: string
  readonly offset: bigint
  readonly leaderEpoch: number
  readonly lastEpoch: number
  readonly maxBytes: number
}

/** @internal */
export interface FetchSession {
  /** 0 for none. */
  id: number
  /** Of the next request; 0 to begin. */
  epoch: number
  /** The broker does not do it. */
  isGivenUp: boolean
  /** Whether topics go by their ids: one session cannot have both. */
  usesIds: boolean
  /** What the broker remembers. */
  known: Map<FetchedPartition, Position>
}

/** What a request says of its partitions. @internal */
export interface Plan {
  readonly sessionId: number
  readonly sessionEpoch: number
  /** All partitions are named, and all must be answered. */
  readonly isFull: boolean
  readonly sent: ReadonlyArray<Position>
  readonly forgotten: ReadonlyArray<Position>
}

/** The first version that has sessions. @internal */
export const sessionVersion = 7

/** The epoch of a request that ends its session, or that has none. @internal */
export const finalEpoch = -1

const maxEpoch = 0x7fffffff

/** @internal */
export const make = (): FetchSession => ({ id: 0, epoch: 0, isGivenUp: false, usesIds: false, known: new Map() })

const isSame = (one: Position, other: Position): boolean =>
  one.offset === other.offset &&
  one.leaderEpoch === other.leaderEpoch &&
  one.lastEpoch === other.lastEpoch &&
  one.maxBytes === other.maxBytes

/** Plans the next request, for exactly these partitions. @internal */
export const plan = (self: FetchSession, wanted: ReadonlyArray<Position>, usesIds: boolean): Plan => {
  const full = (sessionEpoch: number): Plan => {
    self.known = new Map(wanted.map((position) => [position.owner, position]))
    self.usesIds = usesIds
    return { sessionId: self.id, sessionEpoch, isFull: true, sent: wanted, forgotten: [] }
  }
  if (self.isGivenUp) return full(finalEpoch)
  if (self.epoch === 0 || self.usesIds !== usesIds) return full(0)
  const left = new Map(self.known)
  const sent: Array<Position> = []
  let isNew = false
  for (const position of wanted) {
    const known = left.get(position.owner)
    left.delete(position.owner)
    // To the broker the same name with another id is another partition.
    if (known !== undefined && known.topicId !== position.topicId) return full(0)
    if (known === undefined) isNew = true
    if (known === undefined || !isSame(known, position)) sent.push(position)
  }
  if (isNew && left.size > 0) {
    // A partition that was let go and taken up again: the broker would forget what it has just been told.
    const names = new Set<string>()
    for (const { topic, partition } of left.keys()) names.add(`${partition} ${topic}`)
    if (wanted.some(({ owner }) => names.has(`${owner.partition} ${owner.topic}`))) return full(0)
  }
  for (const { owner } of left.values()) self.known.delete(owner)
  for (const position of wanted) self.known.set(position.owner, position)
  return { sessionId: self.id, sessionEpoch: self.epoch, isFull: false, sent, forgotten: [...left.values()] }
}

/** Takes in an answer without an error. @internal */
export const answered = (self: FetchSession, plan: Plan, { sessionId }: FetchResponse): void => {
  if (self.isGivenUp) return
  if (plan.isFull || sessionId !== self.id) {
    self.id = sessionId
    self.epoch = sessionId === 0 || !plan.isFull ? 0 : 1
  } else self.epoch = self.epoch === maxEpoch ? 1 : self.epoch + 1
}

/** The request has failed as a whole: it is not known what the broker remembers. @internal */
export const failed = (self: FetchSession): void => {
  self.epoch = 0
}

/** The broker has refused the request as a whole. Gives whether the next may be sent at once. @internal */
export const refused = (self: FetchSession, plan: Plan, errorCode: number): boolean => {
  const isUnknown = errorCode === codes.FETCH_SESSION_ID_NOT_FOUND
  self.epoch = 0
  if (isUnknown) {
    self.id = 0
    // Who does not know a session that is yet to begin will never know one.
    if (plan.sessionEpoch === 0) self.isGivenUp = true
  }
  return isUnknown ? plan.sessionEpoch >= 0 : errorCode === codes.INVALID_FETCH_SESSION_EPOCH && !plan.isFull
}
