/**
 * A cluster as this client sees it: who its brokers are, who leads which partition, who coordinates which group, and a
 * connection to any of them.
 *
 * Metadata is refreshed by age, and when an error or a lost connection says that it is out of date; one request at a
 * time, shared by all who ask. When no known broker can be reached, the bootstrap servers are asked again (KIP-899).
 * Whoever sends requests asks here for a connection each time: it is the same one for as long as it lives.
 *
 * @since 0.1.0
 */
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClusterMetadata from "./ClusterMetadata.ts"
import type * as Connection from "./Connection.ts"
import * as Backoff from "./internal/Backoff.ts"
import { brokerError } from "./internal/BrokerErrors.ts"
import * as ConnectionPool from "./internal/ConnectionPool.ts"
import * as Contact from "./internal/Contact.ts"
import * as Coordinators from "./internal/Coordinators.ts"
import * as MetadataRefresher from "./internal/MetadataRefresher.ts"
import * as MetadataStore from "./internal/MetadataStore.ts"
import type { Settings } from "./internal/Settings.ts"
import { KafkaError, UnknownBroker, UnknownPartition } from "./KafkaError.ts"

/**
 * What a topic's look-up may do.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicOptions {
  /** Whether a broker whose `auto.create.topics.enable` is on may create the topic. Defaults to false. */
  readonly allowAutoTopicCreation?: boolean | undefined
}

/**
 * How a request to a node is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestOptions extends Connection.RequestOptions {
  /** Requests of one purpose share a connection; a request that waits on the broker holds up the rest. Defaults to `main`. */
  readonly purpose?: string | undefined
}

/**
 * What happened to one of the client's connections.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionEvent = ConnectionPool.Event

/**
 * What a coordinator coordinates.
 *
 * @category models
 * @since 0.1.0
 */
export type CoordinatorType = Coordinators.CoordinatorType

/**
 * A cluster, for as long as the scope that it was made in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cluster {
  /** The client's options in plain numbers. @internal */
  readonly settings: Settings
  /** What is known now. */
  readonly metadata: () => ClusterMetadata.ClusterMetadata
  /** What is known now, and each time that it has changed; a slow reader misses states in between. */
  readonly changes: Stream.Stream<ClusterMetadata.ClusterMetadata>
  /** What happens to connections from now on; a slow reader misses events. */
  readonly connectionEvents: Stream.Stream<ConnectionEvent>
  /**
   * Asks the cluster: for some topics, for `"all"` of them, or, by default, for those that were asked for before. Askers
   * share one request; topics that are asked for by name are refreshed from then on.
   */
  readonly refresh: (
    topics?: ReadonlyArray<string> | "all",
    options?: TopicOptions
  ) => Effect.Effect<ClusterMetadata.ClusterMetadata, KafkaError>
  /** Says that what is known (of a topic) is out of date: it is refreshed in the background, soon but not at once. */
  readonly invalidate: (topic?: string) => Effect.Effect<void>
  /** A topic that exists and has partitions; asked for if it is not known. One try: fails with what was answered. */
  readonly topic: (name: string, options?: TopicOptions) => Effect.Effect<ClusterMetadata.Topic, KafkaError>
  /** A partition's leader; asked for if it is not known. One try: fails with what was answered. */
  readonly leader: (
    topicPartition: { readonly topic: string; readonly partition: number },
    options?: TopicOptions
  ) => Effect.Effect<ClusterMetadata.Leader, KafkaError>
  /** A partition's leader as far as it is known now. */
  readonly leaderFor: (topic: string, partition: number) => ClusterMetadata.Leader | undefined
  /**
   * Takes in a leader that a response has named (KIP-951), with the nodes that it named; true if its epoch is newer than
   * what was known. Metadata is refreshed besides.
   */
  readonly updateLeader: (
    topic: string,
    partition: number,
    leader: ClusterMetadata.Leader,
    endpoints?: ReadonlyArray<ClusterMetadata.Endpoint>
  ) => Effect.Effect<boolean>
  /** The node id of a coordinator: asked for once, and retried within `requestTimeout` while there is none. */
  readonly coordinator: (type: CoordinatorType, key: string) => Effect.Effect<number, KafkaError>
  /** Says that a node is no longer this coordinator: the next look-up asks again. */
  readonly invalidateCoordinator: (type: CoordinatorType, key: string) => Effect.Effect<void>
  /** The live connection to a node for a purpose, opened if there is none. Ask for it for each request. */
  readonly connection: (nodeId: number, purpose: string) => Effect.Effect<Connection.Connection, KafkaError>
  /** Lets go of the connections of a purpose. */
  readonly release: (purpose: string) => Effect.Effect<void>
  /** Sends a request to a node, to the least busy one, or to the controller. */
  readonly request: <Request, Response>(
    node: number | "any" | "controller",
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    options?: RequestOptions
  ) => Effect.Effect<Response, KafkaError>
}

// Kafka's own limit.
const maxTopicLength = 249

/**
 * Reaches a cluster through its bootstrap servers and keeps up with it until the scope ends. Fails with `Unreachable`
 * when no server answers.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  settings: Settings
): Effect.fn.Return<Cluster, KafkaError, Scope.Scope> {
  // One scope for all connections, whenever they are opened: what is made after the client in the caller's scope ends
  // before it, and can still send while it does.
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* makeIn(settings).pipe(
    Scope.provide(scope),
    Effect.onError(() => Scope.close(scope, Exit.void))
  )
})

const makeIn = Effect.fnUntraced(function* (settings: Settings): Effect.fn.Return<Cluster, KafkaError, Scope.Scope> {
  const store = yield* MetadataStore.make
  const events = yield* PubSub.sliding<ConnectionEvent>(256)
  yield* Effect.addFinalizer(() => PubSub.shutdown(events))
  const heard = yield* PubSub.subscribe(events)
  const pool = yield* ConnectionPool.make(settings, (event) => PubSub.publishUnsafe(events, event))
  const contact = yield* Contact.make(settings, pool, store.current)
  const refresher = yield* MetadataRefresher.make(settings, contact, pool, store)
  const coordinators = yield* Coordinators.make(settings, contact, (endpoint) =>
    store.set(ClusterMetadata.withEndpoints(store.current(), [endpoint]))
  )
  // A broker that cannot be reached may have left, and its partitions have other leaders.
  yield* PubSub.take(heard).pipe(
    Effect.tap((event) => Effect.sync(() => isAlarming(event) && refresher.invalidate())),
    Effect.forever,
    Effect.forkScoped
  )
  // A broker that has just started answers before it knows of any broker; who cannot be reached is not waited for.
  yield* Backoff.retryUntil(refresher.ask({ tracked: true, isUrgent: true }), {
    ...settings,
    timeout: settings.requestTimeout,
    while: ({ isRetriable, reason }) => isRetriable && reason._tag === "BrokerError"
  })
  const { ask } = refresher
  return {
    settings,
    metadata: store.current,
    changes: store.changes,
    connectionEvents: Stream.fromPubSub(events),
    refresh: (topics, options) =>
      ask(topics === "all" ? { all: true } : topics === undefined ? { tracked: true } : { topics, ...options }),
    invalidate: (topic) => Effect.sync(() => refresher.invalidate(topic)),
    leaderFor: store.leaderFor,
    updateLeader: (topic, partition, leader, endpoints = []) =>
      Effect.sync(() => {
        const before = ClusterMetadata.withEndpoints(store.current(), endpoints)
        const after = ClusterMetadata.withLeader(before, topic, partition, leader)
        store.set(after)
        refresher.invalidate(topic)
        return after !== before
      }),
    coordinator: coordinators.find,
    invalidateCoordinator: coordinators.invalidate,
    ...lookups(store, refresher),
    ...requests(store, refresher, pool, contact)
  }
})

const lookups = (
  store: MetadataStore.MetadataStore,
  refresher: MetadataRefresher.MetadataRefresher
): Pick<Cluster, "topic" | "leader"> => {
  const askTopic = (name: string, options: TopicOptions = {}): Effect.Effect<ClusterMetadata.Topic, KafkaError> => {
    if (name.length === 0 || name.length > maxTopicLength)
      return Effect.fail(topicError(codes.INVALID_TOPIC_EXCEPTION, name))
    const wanted = { topics: [name], ...options, isUrgent: !refresher.isTracked(name) }
    return Effect.flatMap(refresher.ask(wanted), ({ topics }) => {
      const found = topics.get(name)
      if (found === undefined) return Effect.fail(topicError(codes.UNKNOWN_TOPIC_OR_PARTITION, name))
      if (found.errorCode !== 0) return Effect.fail(topicError(found.errorCode, name))
      return found.partitions.length > 0
        ? Effect.succeed(found)
        : Effect.fail(topicError(codes.LEADER_NOT_AVAILABLE, name))
    })
  }
  return {
    topic: (name, options) =>
      Effect.suspend(() => {
        const known = store.current().topics.get(name)
        return known !== undefined && known.errorCode === 0 && known.partitions.length > 0
          ? Effect.succeed(known)
          : askTopic(name, options)
      }),
    leader: ({ partition, topic }, options) =>
      Effect.suspend(() => {
        const known = store.leaderFor(topic, partition)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.flatMap(askTopic(topic, options), ({ partitions }) => {
          const found = store.leaderFor(topic, partition)
          if (found !== undefined) return Effect.succeed(found)
          const partitionCount = partitions.length
          return Effect.fail(
            partition < partitionCount
              ? topicError(partitions[partition].errorCode || codes.LEADER_NOT_AVAILABLE, topic, partition)
              : new KafkaError({ reason: new UnknownPartition({ topic, partition, partitionCount }) })
          )
        })
      })
  }
}

const requests = (
  store: MetadataStore.MetadataStore,
  refresher: MetadataRefresher.MetadataRefresher,
  pool: ConnectionPool.ConnectionPool,
  contact: Contact.Contact
): Pick<Cluster, "connection" | "release" | "request"> => {
  const nodeOf = (nodeId: number): Effect.Effect<ClusterMetadata.Broker, KafkaError> =>
    Effect.suspend(() => {
      const known = store.current().brokers.get(nodeId)
      if (known !== undefined) return Effect.succeed(known)
      return Effect.flatMap(refresher.ask({ tracked: true }), ({ brokers }) => {
        const found = brokers.get(nodeId)
        if (found !== undefined) return Effect.succeed(found)
        return Effect.fail(new KafkaError({ reason: new UnknownBroker({ nodeId, known: [...brokers.keys()] }) }))
      })
    })
  const connection: Cluster["connection"] = (nodeId, purpose) =>
    Effect.flatMap(nodeOf(nodeId), ({ host, port }) => pool.get({ nodeId, address: { host, port } }, purpose))
  const controller = Effect.suspend(() => {
    const { brokers, controllerId } = store.current()
    if (brokers.has(controllerId)) return Effect.succeed(controllerId)
    return Effect.map(refresher.ask({ tracked: true }), (metadata) => metadata.controllerId)
  })
  const request: Cluster["request"] = (node, api, message, options) => {
    const purpose = options?.purpose ?? "main"
    const to = (nodeId: number) =>
      Effect.flatMap(connection(nodeId, purpose), (connection) => connection.request(api, message, options))
    const any = contact.any((connection) => connection.request(api, message, options), {
      goOn: (error) => error.isRetriable && !error.maybeSent
    })
    if (node === "any") return any
    // Brokers of 0.9 and older name no controller.
    return typeof node === "number" ? to(node) : Effect.flatMap(controller, (id) => (id < 0 ? any : to(id)))
  }
  return { connection, release: pool.release, request }
}

/** A connection failed, or ended for no reason of ours. */
const isAlarming = (event: ConnectionEvent): boolean =>
  event._tag === "Failed" || (event._tag === "Closed" && !ConnectionPool.isOurs(event.error))

const topicError = (code: number, topic: string, partition?: number): KafkaError =>
  brokerError({ nodeId: -1, broker: "the cluster", api: "Metadata", code, topic, partition })
