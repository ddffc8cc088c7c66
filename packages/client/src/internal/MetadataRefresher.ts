/**
 * Keeps metadata fresh: one fiber runs the rounds, by age, after errors, and for topics that are used for the first
 * time. The topics that were asked for by name are asked for again in each round over what is tracked.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Metadata, type MetadataResponse } from "@kafka-effect/protocol/messages/Metadata"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as ClusterMetadata from "../ClusterMetadata.ts"
import type { Connection } from "../Connection.ts"
import type { KafkaError } from "../KafkaError.ts"
import { clientClosed } from "./Background.ts"
import * as Backoff from "./Backoff.ts"
import { brokerError } from "./BrokerErrors.ts"
import type { ConnectionPool } from "./ConnectionPool.ts"
import type { Contact } from "./Contact.ts"
import * as MetadataRequest from "./MetadataRequest.ts"
import { MetadataRounds, type Round, type Wanted } from "./MetadataRounds.ts"
import type { MetadataStore } from "./MetadataStore.ts"
import type { Settings } from "./Settings.ts"

/** @internal */
export interface MetadataRefresher {
  /** Waits for an answer to what is wanted, shared with all who want no more. */
  readonly ask: (wanted: Wanted) => Effect.Effect<ClusterMetadata.ClusterMetadata, KafkaError>
  /** Whether a topic was asked for before. */
  readonly isTracked: (topic: string) => boolean
  /** What is known is out of date; a topic that is given is tracked from now on. */
  readonly invalidate: (topic?: string) => void
}

type Topics = ReadonlyArray<string> | "all"

const isRebootstrap = ({ reason }: KafkaError): boolean =>
  reason._tag === "BrokerError" && reason.code === codes.REBOOTSTRAP_REQUIRED

const askOne = (topics: Topics, allowAutoTopicCreation: boolean) =>
  Effect.fnUntraced(function* (connection: Connection): Effect.fn.Return<MetadataResponse, KafkaError> {
    const version = yield* connection.version(Metadata)
    const message = MetadataRequest.make(topics, version, allowAutoTopicCreation)
    const response = yield* connection.request(Metadata, message, { version })
    const { broker, nodeId } = connection
    const at = { nodeId, broker, api: "Metadata" }
    if (response.errorCode !== 0) return yield* brokerError({ ...at, code: response.errorCode })
    // Brokers of 0.8.2 know of none, themselves included, until there is a topic.
    if (response.brokers.length > 0 || connection.apiVersions.source !== "negotiated") return response
    return yield* brokerError({ ...at, code: codes.LEADER_NOT_AVAILABLE, detail: "it names no brokers" })
  })

/** @internal */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  contact: Contact,
  pool: ConnectionPool,
  store: MetadataStore
): Effect.fn.Return<MetadataRefresher, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = (): number => Backoff.monotonicMillis(clock)
  const rounds = new MetadataRounds<ClusterMetadata.ClusterMetadata>()
  const tracked = new Set<string>()
  const wake = Latch.makeUnsafe(false)
  // When the next round is due by age or error, and until when none is made but for a topic's first use.
  let staleAt = Infinity
  let quietUntil = 0
  let failures = 0
  let isClosed = false

  const load = Effect.fnUntraced(function* (topics: Topics, allowAutoTopicCreation: boolean) {
    const one = askOne(topics, allowAutoTopicCreation)
    const goOn = (error: KafkaError) => !isRebootstrap(error) && error.reason._tag !== "InvalidRequest"
    const response = yield* Effect.catchIf(contact.any(one, { goOn }), isRebootstrap, () =>
      contact.any(one, { goOn, bootstrap: true })
    )
    const isWanted = (topic: string) => topics === "all" || tracked.has(topic)
    store.set(ClusterMetadata.merge(store.current(), response, isWanted))
    const { brokers } = store.current()
    if (brokers.size > 0) yield* pool.retain(brokers)
  })

  const loadRound = Effect.fnUntraced(function* (round: Round<ClusterMetadata.ClusterMetadata>) {
    if (round.tracked) for (const topic of tracked) round.topics.add(topic)
    const created = [...round.created]
    const others = [...round.topics].filter((topic) => !round.created.has(topic))
    if (created.length > 0) yield* load(created, true)
    if (round.all) yield* load("all", false)
    else if (created.length === 0 || others.length > 0) yield* load(others, false)
    return store.current()
  })

  const runRound = Effect.suspend(() => {
    const round = rounds.start()
    staleAt = round.tracked ? Infinity : staleAt
    return Effect.gen(function* () {
      const answer = yield* Effect.exit(loadRound(round))
      failures = Exit.isSuccess(answer) ? 0 : failures + 1
      quietUntil = now() + (yield* Backoff.delay(settings.retryBackoff, settings.retryBackoffMax, failures))
      if (Exit.isFailure(answer)) staleAt = quietUntil
      else if (round.tracked) staleAt = Math.min(staleAt, now() + settings.metadataMaxAge)
      rounds.end()
      Deferred.doneUnsafe(round.done, answer)
    })
  })

  const step = Effect.suspend(() => {
    const time = now()
    const isUrgent = rounds.isNextUrgent
    const due = isUrgent === true ? time : Math.max(quietUntil, isUrgent === false ? time : staleAt)
    if (due <= time) return runRound
    wake.closeUnsafe()
    return Effect.raceFirst(Effect.sleep(due - time), wake.await)
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { done } of rounds.unfinished) Deferred.doneUnsafe(done, Exit.fail(clientClosed()))
    })
  )
  yield* Effect.forkScoped(Effect.forever(step))

  return {
    ask: (wanted) =>
      Effect.suspend(() => {
        if (isClosed) return Effect.fail(clientClosed())
        for (const topic of wanted.topics ?? []) tracked.add(topic)
        const { done } = rounds.ask(wanted)
        wake.openUnsafe()
        return Deferred.await(done)
      }),
    isTracked: (topic) => tracked.has(topic),
    invalidate: (topic) => {
      if (topic !== undefined) tracked.add(topic)
      staleAt = 0
      wake.openUnsafe()
    }
  }
})
