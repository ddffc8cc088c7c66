/**
 * The consumer's options, checked and in plain numbers: durations in milliseconds, sizes in bytes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Assignor from "../../Assignor.ts"
import type { AssignOptions, FetchOptions, Options, Topics } from "../../Consumer.ts"
import { ConsumerError, InvalidOption } from "../../ConsumerError.ts"
import { KafkaError } from "../../KafkaError.ts"
import type { AnyTopic, TopicPartition } from "../../Topic.ts"
import * as Settings from "../Settings.ts"
import type { Policy } from "./Delivery.ts"
import type * as Fetcher from "./Fetcher.ts"
import type { Listener } from "./Ownership.ts"
import { type Fallback, problemOf, type StartPosition } from "./StartPosition.ts"

/** Of the fetcher. @internal */
export interface Assigned extends Fetcher.Options {
  readonly maxPartitionFetchBytes: number
  readonly checkCrcs: boolean
}

/** @internal */
export interface ConsumerSettings<T extends AnyTopic> extends Assigned {
  readonly groupId: string | undefined
  readonly topics: Topics<T>
  /** Chosen by the user: no membership. */
  readonly partitions: ReadonlyArray<TopicPartition> | undefined
  /** Where the chosen ones begin, as far as that was said. */
  readonly starts: ReadonlyArray<readonly [TopicPartition, StartPosition]>
  readonly groupInstanceId: string | undefined
  readonly assignors: ReadonlyArray<Assignor.Assignor>
  readonly sessionTimeout: number
  readonly heartbeatInterval: number
  readonly rebalanceTimeout: number
  readonly startAt: "committed" | StartPosition
  readonly enableAutoCommit: boolean
  readonly autoCommitInterval: number
  readonly commitTimeout: number
  readonly drainTimeout: number
  readonly stallTimeout: number
  readonly maxPollRecords: number
  readonly idleTimeout: number
  readonly onSerdeError: Policy
  readonly listener: Listener
}

const maxInt32 = 0x7fffffff

const fallbackOf = (fallback: FetchOptions["fallback"]): Fallback => {
  if (typeof fallback !== "object") {
    return Settings.oneOf("fallback", ["earliest", "latest", "nearest", "fail"] as const, fallback ?? "fail")
  }
  if ("duration" in fallback) return { duration: Settings.duration("fallback", fallback.duration, fallback.duration) }
  return startOf("fallback", fallback)
}

const startOf = <A extends StartPosition>(option: string, start: A): A => {
  const problem = problemOf(start)
  return problem === undefined ? start : Settings.invalid(option, problem)
}

const fetchUnsafe = (options: FetchOptions): Assigned => {
  const bytes = (option: keyof FetchOptions, input: number | undefined, byDefault: number): number =>
    Settings.integer(option, input, byDefault, { min: 1, max: maxInt32 })
  return {
    isolation: Settings.oneOf("isolation", ["committed", "uncommitted"], options.isolation ?? "committed"),
    fallback: fallbackOf(options.fallback),
    clientRack: options.clientRack,
    fetchMinBytes: bytes("fetchMinBytes", options.fetchMinBytes, 1),
    fetchMaxBytes: bytes("fetchMaxBytes", options.fetchMaxBytes, 50 * 1024 * 1024),
    fetchMaxWait: Settings.duration("fetchMaxWait", options.fetchMaxWait, "500 millis"),
    maxPartitionFetchBytes: bytes("maxPartitionFetchBytes", options.maxPartitionFetchBytes, 1024 * 1024),
    checkCrcs: options.checkCrcs ?? true,
    prefetchBytes: bytes("prefetchBytes", options.prefetchBytes, 64 * 1024 * 1024)
  }
}

const checkOnce = (places: ReadonlyArray<TopicPartition>): void => {
  const names = new Set<string>()
  for (const { partition, topic } of places) {
    const name = `${topic} partition ${partition}`
    if (names.has(name)) Settings.invalid("partitions", `names topic ${name} twice`)
    names.add(name)
  }
}

const attempt = <A>(parse: () => A): Effect.Effect<A, ConsumerError> =>
  Effect.try({
    try: parse,
    catch: (error) => {
      if (!(error instanceof KafkaError) || error.reason._tag !== "InvalidOption") throw error
      const { detail, option } = error.reason
      return new ConsumerError({ reason: new InvalidOption({ option, detail }) })
    }
  })

/** Fails with `InvalidOption`. @internal */
export const parseAssign = <T extends AnyTopic>(options: AssignOptions<T>): Effect.Effect<Assigned, ConsumerError> =>
  attempt(() => {
    checkOnce(options.partitions.map(([{ name: topic }, partition]) => ({ topic, partition })))
    for (const [, , position] of options.partitions) startOf("partitions", position)
    return fetchUnsafe(options)
  })

const groupIdOf = ({ groupId, partitions }: Options<AnyTopic>): string | undefined => {
  if (groupId === "") return Settings.invalid("groupId", "is empty; give the name of the group")
  if (groupId === undefined && partitions === undefined) {
    return Settings.invalid("groupId", "is missing; give the name of the group, or partitions to read without one")
  }
  return groupId
}

const topicsOf = <T extends AnyTopic>({ partitions, topics }: Options<T>): Topics<T> => {
  if (partitions !== undefined) {
    if (topics !== undefined) Settings.invalid("partitions", "are given besides topics; give one of both")
    return [...new Map(partitions.map(([topic]) => [topic.name, topic])).values()]
  }
  if (topics === undefined) return Settings.invalid("topics", "are missing; give topics, a pattern, or partitions")
  if (!("matches" in topics) && topics.length === 0) Settings.invalid("topics", "are none; give at least one")
  return topics
}

const parseUnsafe = <T extends AnyTopic>(options: Options<T>, requestTimeout: number): ConsumerSettings<T> => {
  const { duration } = Settings
  const sessionTimeout = duration("sessionTimeout", options.sessionTimeout, "45 seconds")
  const heartbeatInterval = duration("heartbeatInterval", options.heartbeatInterval, "3 seconds")
  if (heartbeatInterval >= sessionTimeout) {
    Settings.invalid(
      "heartbeatInterval",
      `is ${heartbeatInterval} ms, not less than sessionTimeout (${sessionTimeout} ms); give a third of it at most`
    )
  }
  const rebalanceTimeout = duration("maxPollInterval", options.maxPollInterval, "5 minutes")
  const drainTimeout = duration("drainTimeout", options.drainTimeout, Math.min(30_000, rebalanceTimeout * 0.6))
  if (drainTimeout > rebalanceTimeout) {
    const detail = `is ${drainTimeout} ms, longer than maxPollInterval (${rebalanceTimeout} ms): the group would not wait for it`
    Settings.invalid("drainTimeout", detail)
  }
  const places = options.partitions?.map(([{ name: topic }, partition]) => ({ topic, partition }))
  if (places !== undefined) checkOnce(places)
  const infinite = { infinite: true }
  const ignore = () => Effect.void
  const { listener = {} } = options
  return {
    ...fetchUnsafe(options),
    groupId: groupIdOf(options),
    topics: topicsOf(options),
    partitions: places,
    starts: (options.partitions ?? []).flatMap(([, , position], index) =>
      position === undefined || places === undefined ? [] : [[places[index], startOf("partitions", position)] as const]
    ),
    groupInstanceId: options.groupInstanceId,
    assignors: options.assignors ?? [Assignor.cooperativeSticky],
    sessionTimeout,
    heartbeatInterval,
    rebalanceTimeout,
    startAt:
      options.startAt === undefined || options.startAt === "committed"
        ? "committed"
        : startOf("startAt", options.startAt),
    enableAutoCommit: options.enableAutoCommit ?? false,
    autoCommitInterval: duration("autoCommitInterval", options.autoCommitInterval, "5 seconds"),
    commitTimeout: duration("commitTimeout", options.commitTimeout, Math.max(60_000, requestTimeout)),
    drainTimeout,
    stallTimeout: duration("stallTimeout", options.stallTimeout, rebalanceTimeout, infinite),
    maxPollRecords: Settings.integer("maxPollRecords", options.maxPollRecords, maxInt32, { min: 1, max: maxInt32 }),
    idleTimeout: duration("idleTimeout", options.idleTimeout, Number.POSITIVE_INFINITY, infinite),
    onSerdeError: Settings.oneOf("onSerdeError", ["fail", "skip"], options.onSerdeError ?? "fail"),
    listener: {
      assigned: listener.onAssigned ?? ignore,
      revoked: listener.onRevoked ?? ignore,
      lost: listener.onLost ?? ignore
    }
  }
}

/** Fails with `InvalidOption`. @internal */
export const parse = <T extends AnyTopic>(
  options: Options<T>,
  { requestTimeout }: Settings.Settings
): Effect.Effect<ConsumerSettings<T>, ConsumerError> => attempt(() => parseUnsafe(options, requestTimeout))
