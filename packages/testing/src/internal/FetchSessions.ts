/**
 * Fetch sessions of one broker: what each client reads, so that it says it once (KIP-227).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { FetchPartition, FetchRequest } from "@kafka-effect/protocol/messages/Fetch"

/** A partition that a client reads. @internal */
export interface Wanted extends FetchPartition {
  /** Of those two the one that the version has. */
  readonly topic: string
  readonly topicId: string
}

interface Session {
  epoch: number
  readonly usesIds: boolean
  /** In the order of their turns. */
  readonly partitions: Map<string, Wanted>
  /** What the last answer said of each: highWatermark and log start. */
  readonly told: Map<string, string>
  lastUsed: number
}

/** What one request reads. @internal */
export interface Plan {
  readonly errorCode: number
  readonly sessionId: number
  readonly wanted: ReadonlyArray<Wanted>
  /** Whether only what has changed is answered. */
  readonly isIncremental: boolean
  /** Whether a partition has anything to tell that the client does not know yet; remembers that it was told. */
  readonly isNews: (wanted: Wanted, state: string) => boolean
  /** Partitions that were answered go behind the others. */
  readonly answered: (wanted: ReadonlyArray<Wanted>) => void
}

/** @internal */
export interface FetchSessions {
  readonly plan: (request: FetchRequest, version: number, now: number) => Plan
}

const keyOf = ({ partition, topic, topicId }: Wanted): string => `${topic} ${topicId} ${partition}`

const list = ({ topics }: FetchRequest): ReadonlyArray<Wanted> =>
  topics.flatMap(({ partitions, topic, topicId }) => partitions.map((partition) => ({ ...partition, topic, topicId })))

const whole = (request: FetchRequest, sessionId: number): Plan => ({
  errorCode: codes.NONE,
  sessionId,
  wanted: list(request),
  isIncremental: false,
  isNews: () => true,
  answered: () => {}
})

const refused = (errorCode: number): Plan => ({
  errorCode,
  sessionId: 0,
  wanted: [],
  isIncremental: false,
  isNews: () => false,
  answered: () => {}
})

const nextEpoch = (epoch: number): number => (epoch >= 0x7fffffff ? 1 : epoch + 1)

/** `slots`: how many sessions a broker keeps (`max.incremental.fetch.session.cache.slots`). @internal */
export const make = (slots: number, random: () => number): FetchSessions => {
  const sessions = new Map<number, Session>()
  /** How long an unused session keeps its slot, in milliseconds. */
  const idle = 120_000

  const open = (request: FetchRequest, version: number, now: number): Plan => {
    if (sessions.size >= slots) {
      const [oldest] = [...sessions].sort((a, b) => a[1].lastUsed - b[1].lastUsed)
      if (oldest === undefined || now - oldest[1].lastUsed < idle) return whole(request, 0)
      sessions.delete(oldest[0])
    }
    let id = 0
    while (id === 0 || sessions.has(id)) id = 1 + Math.floor(random() * 0x7ffffffe)
    const wanted = list(request)
    const session: Session = {
      epoch: 1,
      usesIds: version >= 13,
      partitions: new Map(wanted.map((one) => [keyOf(one), one])),
      told: new Map(),
      lastUsed: now
    }
    sessions.set(id, session)
    return { ...whole(request, id), isNews: (one, state) => remember(session, one, state) || true }
  }

  const remember = ({ told }: Session, wanted: Wanted, state: string): boolean => {
    const key = keyOf(wanted)
    if (told.get(key) === state) return false
    told.set(key, state)
    return true
  }

  const goOn = (id: number, session: Session, request: FetchRequest): Plan => {
    const { partitions, told } = session
    for (const { partitions: forgotten, topic, topicId } of request.forgottenTopicsData) {
      for (const partition of forgotten) {
        const key = `${topic} ${topicId} ${partition}`
        partitions.delete(key)
        told.delete(key)
      }
    }
    for (const wanted of list(request)) partitions.set(keyOf(wanted), wanted)
    return {
      errorCode: codes.NONE,
      sessionId: id,
      wanted: [...partitions.values()],
      isIncremental: true,
      isNews: (wanted, state) => remember(session, wanted, state),
      answered: (served) => {
        for (const wanted of served) {
          const key = keyOf(wanted)
          if (!partitions.delete(key)) continue
          partitions.set(key, wanted)
        }
      }
    }
  }

  return {
    plan: (request, version, now) => {
      const { sessionEpoch, sessionId } = request
      if (version < 7) return whole(request, 0)
      if (sessionEpoch === -1) {
        if (sessionId !== 0) sessions.delete(sessionId)
        return whole(request, 0)
      }
      if (sessionEpoch === 0) {
        if (sessionId !== 0) sessions.delete(sessionId)
        return open(request, version, now)
      }
      const session = sessions.get(sessionId)
      if (session === undefined) return refused(codes.FETCH_SESSION_ID_NOT_FOUND)
      if (session.epoch !== sessionEpoch) return refused(codes.INVALID_FETCH_SESSION_EPOCH)
      if (session.usesIds !== version >= 13) return refused(codes.FETCH_SESSION_TOPIC_ID_ERROR)
      session.epoch = nextEpoch(session.epoch)
      session.lastUsed = now
      return goOn(sessionId, session, request)
    }
  }
}
