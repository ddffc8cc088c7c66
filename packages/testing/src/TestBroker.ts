/**
 * A Kafka cluster inside the process: it speaks the wire protocol, keeps its logs in memory, and does what a test wants.
 *
 * `layerKafka` gives an application a `Kafka` client together with a cluster to talk to, in one line. Tests script answers
 * and pull levers through the `TestBroker` service beside it.
 *
 * @since 0.1.0
 */
import type { AnyApi, Api } from "@kafka-effect/protocol/Api"
import type * as KafkaRecord from "@kafka-effect/protocol/Record"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Kafka from "kafka-effect/Kafka"
import type { KafkaError } from "kafka-effect/KafkaError"
import * as Transport from "kafka-effect/Transport"
import type { Reply } from "./Control.ts"
import type { DataDirectoryError } from "./DataDirectoryError.ts"
import * as BrokerNodes from "./internal/BrokerNodes.ts"
import * as Cluster from "./internal/Cluster.ts"
import * as Controls from "./internal/Controls.ts"
import * as DataDirectory from "./internal/data/DataDirectory.ts"
import { handlers } from "./internal/Handlers.ts"
import * as Levers from "./internal/Levers.ts"
import * as Loop from "./internal/Loop.ts"
import * as MemoryNetwork from "./internal/MemoryNetwork.ts"
import * as Release from "./internal/Release.ts"
import type { ReleaseName } from "./internal/ReleaseVersions.ts"
import * as Settings from "./internal/Settings.ts"
import { mechanisms, type Mechanism as SaslMechanism } from "./internal/sasl/Authentication.ts"
import * as TcpNetwork from "./internal/TcpNetwork.ts"
import type { ListenError } from "./ListenError.ts"
import { SettingError } from "./SettingError.ts"

export type { ReleaseName, SaslMechanism }

/**
 * What the cluster is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The release of Kafka that it acts as: its API versions, and how it treats what it does not know. Defaults to the newest. */
  readonly actAs?: ReleaseName | undefined
  /** How many brokers there are; their ids begin with 0. Defaults to 1. */
  readonly brokers?: number | undefined
  /** Topics that are there from the start, with their numbers of partitions, or with more about them. */
  readonly topics?: Readonly<Record<string, number | TopicOptions>> | undefined
  /**
   * `tcp`: real ports of this machine. `memory`: a network within the process, without sockets, which only clients with the
   * cluster's own `transport` reach (`layerKafka` sees to it): under a `TestClock`, all of it runs in virtual time.
   * Defaults to `tcp`.
   */
  readonly network?: "tcp" | "memory" | undefined
  /** The port of the first broker; the others are on the ports behind it. Defaults to free ports. */
  readonly port?: number | undefined
  /**
   * A directory in which topics, records and committed offsets outlive the cluster (`log.dirs`); it is made if it is not
   * there. Members of groups join again. By default everything is in memory, and gone with the scope.
   */
  readonly dataDirectory?: string | undefined
  /**
   * Who may connect: users with their passwords, for the mechanisms `PLAIN`, `SCRAM-SHA-256` and `SCRAM-SHA-512`, or some of
   * them. Whoever has not proved to be one of them is refused everything else. Defaults to nobody being asked.
   */
  readonly sasl?:
    | {
        readonly users: Readonly<Record<string, string>>
        readonly mechanisms?: ReadonlyArray<SaslMechanism> | undefined
      }
    | undefined
  /**
   * TLS on every port, of the network `tcp`: the brokers' key and certificate, and the authority of clients' certificates,
   * as PEM. With `requestCert`, clients must show one. Defaults to none.
   */
  readonly tls?:
    | {
        readonly key: string
        readonly cert: string
        readonly ca?: string | undefined
        readonly requestCert?: boolean | undefined
      }
    | undefined
  /** Settings of brokers: Kafka's names and texts, as in `server.properties`. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/**
 * What a topic is like that is there from the start.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicOptions {
  /** Defaults to the setting `num.partitions`. */
  readonly partitions?: number | undefined
  /** Defaults to the setting `default.replication.factor`. */
  readonly replicationFactor?: number | undefined
  /** Settings of the topic: Kafka's names and texts, such as `cleanup.policy`. */
  readonly configs?: Readonly<Record<string, string>> | undefined
}

/**
 * A request as it came in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received<Request = unknown> {
  /** Kafka's name of the API. */
  readonly api: string
  readonly version: number
  readonly clientId: string | null
  readonly message: Request
  /** The id of the broker that was asked. */
  readonly node: number
  /** Counts the connections of the cluster. */
  readonly connection: number
}

/**
 * When a script applies.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptOptions {
  /** How many requests it is for; `"all"` for every one until the scope of the script ends. Defaults to 1. */
  readonly times?: number | "all" | undefined
  /** How many requests go by before. Defaults to 0. */
  readonly skip?: number | undefined
  /** Only requests to the broker with this id. */
  readonly node?: number | undefined
}

/**
 * The cluster as a test sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** As `host:port`, for `Kafka.Options.bootstrapServers`. */
  readonly bootstrapServers: ReadonlyArray<string>
  /** How clients reach it: for `Transport.Transport`. */
  readonly transport: Transport.Transport
  /**
   * What brokers do with requests of an API instead of answering. A script that never applied dies at the end of the
   * scope: a fault that did not happen proves nothing.
   */
  readonly on: <Request, Response>(
    api: Api<Request, Response>,
    reply: Reply<Response> | ((request: Received<Request>) => Reply<Response>),
    options?: ScriptOptions
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Every request from now on, in the order in which the cluster has taken them; a slow reader misses none. */
  readonly requests: Stream.Stream<Received>
  /** Lets another broker lead a partition, under a new leader epoch; clients hear of it when they ask. */
  readonly moveLeader: (topic: string, partition: number, nodeId: number) => Effect.Effect<void>
  /** Lets the same broker lead a partition under a new leader epoch. */
  readonly bumpLeaderEpoch: (topic: string, partition: number) => Effect.Effect<void>
  /** Lets another broker look after a group, or a transactional id. */
  readonly moveCoordinator: (kind: "group" | "transaction", key: string, nodeId: number) => Effect.Effect<void>
  /** Stops a broker: its connections are cut, and others lead what it led, where they have replicas. */
  readonly stopBroker: (nodeId: number) => Effect.Effect<void>
  /**
   * Ends a broker without a word: its connections are cut, and what it led and no other replica has yet is lost, if another
   * replica can lead. What was acknowledged with acks `all` is never among that; `delayReplication` says how much may be.
   */
  readonly crashBroker: (nodeId: number) => Effect.Effect<void>
  /**
   * How long followers take from now on to get what leaders append: until then nobody reads it, and acks `all` waits.
   * Defaults to no time at all.
   */
  readonly delayReplication: (delay: Duration.Input) => Effect.Effect<void>
  /** Starts a broker that was stopped, on the port that it had. */
  readonly startBroker: (nodeId: number) => Effect.Effect<void, ListenError>
  /**
   * Adds a broker, on a free port: its id. Topics that are there stay where they are; groups and transactional ids may go
   * to it.
   */
  readonly addBroker: Effect.Effect<number, ListenError>
  /** Takes a broker away for good: what it led and had goes to others. */
  readonly removeBroker: (nodeId: number) => Effect.Effect<void>
  /** Holds back whoever asks, as a quota does, until the scope ends; all brokers, unless one is named (KIP-219). */
  readonly throttle: (
    api: AnyApi | "all",
    duration: Duration.Input,
    options?: { readonly node?: number | undefined }
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Takes a member out of its group, as if its session had ended. */
  readonly expireSession: (groupId: string, memberId: string) => Effect.Effect<void>
  /** Begins a rebalance of a group; in one of KIP-848 that is a new epoch, in which members keep what they have. */
  readonly rebalance: (groupId: string) => Effect.Effect<void>
  /**
   * Deletes records that are older, or more, than their topics keep (`retention.ms` by the wall time, `retention.bytes`),
   * batch by batch: a log begins later then.
   */
  readonly applyRetention: Effect.Effect<void>
  /** Forgets a group without members, and what it has committed, as after `offsets.retention.minutes`. */
  readonly expireOffsets: (groupId: string) => Effect.Effect<void>
  /**
   * Compacts the logs of a topic: of each key the last record stays, tombstones for `delete.retention.ms`. It is done for any
   * topic, whatever its `cleanup.policy`; records without a key go.
   */
  readonly compact: (topic: string) => Effect.Effect<void>
  /** What is in the log of a partition: keys and values as bytes, in the order of their offsets. */
  readonly records: (topic: string, partition: number) => Effect.Effect<ReadonlyArray<KafkaRecord.Record>>
  /** What a group has committed. */
  readonly committed: (
    groupId: string
  ) => Effect.Effect<ReadonlyArray<{ readonly topic: string; readonly partition: number; readonly offset: bigint }>>
}

/**
 * The cluster as a test sees it: a service.
 *
 * @category services
 * @since 0.1.0
 */
export class TestBroker extends Context.Service<TestBroker, Service>()("@kafka-effect/testing/TestBroker") {}

/** Whether brokers and topics may have the settings that they are given. */
const checkSettings = ({ settings = {}, topics = {} }: Options): Effect.Effect<void, SettingError> => {
  const all = [
    ...Object.entries(settings).map(([name, value]) => [Settings.ofBrokers, null, name, value] as const),
    ...Object.entries(topics).flatMap(([topic, asked]) =>
      Object.entries(typeof asked === "number" ? {} : (asked.configs ?? {})).map(
        ([name, value]) => [Settings.ofTopics, topic, name, value] as const
      )
    )
  ]
  for (const [known, topic, name, value] of all) {
    const setting = known.get(name)
    const detail = setting === undefined ? "there is no setting of that name" : Settings.problem(setting, value)
    if (detail !== undefined) return Effect.fail(new SettingError({ setting: name, value, topic, detail }))
  }
  return Effect.void
}

/**
 * A cluster that lives as long as its scope. Fails with `ListenError` where a port that was asked for is taken, with
 * `DataDirectoryError` where a directory cannot be used, with `SettingError` where there is no such setting or value.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Service, DataDirectoryError | ListenError | SettingError, Scope.Scope> {
  yield* checkSettings(options)
  const chance = yield* Random.Random
  const log = yield* Effect.context<never>()
  const loop = yield* Loop.make((defect) => Effect.runForkWith(log)(Effect.logError("a broker has a defect", defect)))
  const data = options.dataDirectory === undefined ? undefined : yield* DataDirectory.open(options.dataDirectory)
  const { sasl, tls } = options
  const cluster: Cluster.Cluster = {
    clusterId: "kafka-effect-testing",
    release: Release.make(options.actAs ?? Release.newestName, handlers),
    loop,
    nodes: new Map(),
    controllerId: 0,
    nextProducerId: BigInt(1000),
    groups: new Map(),
    zookeeperOffsets: new Map(),
    transactions: new Map(),
    topics: new Map(),
    movedCoordinators: new Map(),
    replicationDelay: 0,
    throttles: new Set(),
    settings: new Map(Object.entries(options.settings ?? {})),
    configs: new Map(),
    credentials:
      sasl === undefined
        ? undefined
        : { mechanisms: sasl.mechanisms ?? mechanisms, users: new Map(Object.entries(sasl.users)) },
    random: () => chance.nextDoubleUnsafe()
  }
  const watched = yield* PubSub.unbounded<Received>()
  const controls = Controls.make((exchange) => {
    const { api, clientId, connection, message, node, version } = exchange
    PubSub.publishUnsafe(watched, { api: api.name, version, clientId, message, node: node.nodeId, connection })
  })
  const nodeIds = Array.from({ length: options.brokers ?? 1 }, (_, id) => id)
  if (data !== undefined) {
    yield* data.restore(cluster, nodeIds)
    yield* data.keep(cluster)
  }
  const memory = options.network === "memory" ? yield* MemoryNetwork.make : undefined
  const nodes = yield* BrokerNodes.make(cluster, controls, memory?.server ?? TcpNetwork.make("127.0.0.1", tls))
  for (const id of nodeIds) {
    yield* nodes.add(id, options.port === undefined ? {} : { port: options.port + id })
  }
  for (const [name, asked] of Object.entries(options.topics ?? {})) {
    if (cluster.topics.has(name)) continue
    const {
      configs = {},
      partitions = Cluster.numberSetting(cluster, "num.partitions", 1),
      replicationFactor = Cluster.numberSetting(cluster, "default.replication.factor", 1)
    } = typeof asked === "number" ? { partitions: asked } : asked
    Cluster.addTopic(cluster, name, { partitions, replicationFactor, configs: new Map(Object.entries(configs)) })
  }
  return {
    ...Levers.make(cluster, nodes),
    requests: Stream.fromPubSub(watched),
    transport: memory?.transport ?? Transport.plaintext,
    bootstrapServers: [...cluster.nodes.values()].map(({ host, port }) => `${host}:${port}`),
    on: (api, reply, { node, skip = 0, times = 1 } = {}) => {
      const script: Controls.Script = {
        api,
        node,
        skip,
        times: times === "all" ? Number.POSITIVE_INFINITY : times,
        isUsed: false,
        reply: (exchange) => {
          if (typeof reply !== "function") return reply as Reply
          const { clientId, connection, message, version } = exchange
          const received = { api: api.name, version, clientId, connection, node: exchange.node.nodeId }
          // The script's API has read the message.
          return reply({ ...received, message: message as never }) as Reply
        }
      }
      const end = Effect.suspend(() => {
        controls.remove(script)
        if (script.isUsed) return Effect.void
        return Effect.die(new Error(`what was scripted for ${api.name} never happened: no such request came`))
      })
      return Effect.andThen(
        Effect.sync(() => controls.add(script)),
        Effect.addFinalizer(() => end)
      )
    }
  }
})

/**
 * The cluster as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<TestBroker, DataDirectoryError | ListenError | SettingError> =>
  Layer.effect(TestBroker, make(options))

/**
 * A client and a cluster for it to talk to, in one line.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerKafka = (
  options?: Options,
  client?: Omit<Kafka.Options, "bootstrapServers">
): Layer.Layer<TestBroker | Kafka.Kafka, KafkaError | DataDirectoryError | ListenError | SettingError> =>
  Layer.provideMerge(
    Layer.unwrap(
      Effect.map(TestBroker, ({ bootstrapServers, transport }) =>
        Layer.provide(Kafka.layer({ ...client, bootstrapServers }), Layer.succeed(Transport.Transport, transport))
      )
    ),
    layer(options)
  )
