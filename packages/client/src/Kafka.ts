/**
 * The client: its layer, its options, and requests of the protocol sent by hand.
 *
 * One layer is one client: connections and metadata that producers, consumers and everything else built on it share. It
 * reaches the cluster when it is built, and closes every connection when its scope ends.
 *
 * @since 0.1.0
 */
import type { Api } from "@kafka-effect/protocol/Api"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Cluster from "./Cluster.ts"
import * as Settings from "./internal/Settings.ts"
import { KafkaError } from "./KafkaError.ts"

export { topic } from "./Topic.ts"

/**
 * How the client reaches a cluster and talks to it. Names and defaults are those of Kafka's Java client, unless a
 * comment says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Servers to begin with, as `host:port` or `[IPv6]:port`; the rest of the cluster is found through any of them. All
   * addresses of a name are tried. Required, at least one. Java: `bootstrap.servers`.
   */
  readonly bootstrapServers: ReadonlyArray<string>
  /**
   * Replaces each bootstrap server by the canonical names of its addresses, found by reverse look-up; Kerberos needs it.
   * Defaults to false. Java: `client.dns.lookup=resolve_canonical_bootstrap_servers_only`.
   */
  readonly resolveCanonicalBootstrapServers?: boolean | undefined
  /** What brokers call this client in logs, metrics and quotas. Defaults to `kafka-effect`. Java: `client.id`. */
  readonly clientId?: string | undefined
  /**
   * How long to wait for a response; a connection on which none comes is closed. Time that a request allows the broker
   * to wait is added. Defaults to 30 seconds. Java: `request.timeout.ms`.
   */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * Requests in flight on one connection. Defaults to 5. Java: `max.in.flight.requests.per.connection`.
   */
  readonly maxInFlight?: number | undefined
  /**
   * Largest response in bytes that is accepted; a larger one fails and closes the connection. Defaults to 104857600
   * (100 MiB). Java has no such limit; librdkafka calls it `receive.message.max.bytes`.
   */
  readonly receiveMaxBytes?: number | undefined
  /** Closes a connection without requests after this time. Defaults to 9 minutes. Java: `connections.max.idle.ms`. */
  readonly connectionsMaxIdle?: Duration.Input | undefined
  /** Wait after a failed connection attempt, doubled with each in a row, ±20 %. Defaults to 50 ms. Java: `reconnect.backoff.ms`. */
  readonly reconnectBackoff?: Duration.Input | undefined
  /** Longest such wait. Defaults to 1 second. Java: `reconnect.backoff.max.ms`. */
  readonly reconnectBackoffMax?: Duration.Input | undefined
  /**
   * How long a new connection may take until it is ready for requests, doubled with each attempt in a row that fails.
   * Defaults to 10 seconds. Java: `socket.connection.setup.timeout.ms`.
   */
  readonly socketConnectionSetupTimeout?: Duration.Input | undefined
  /** Longest such time. Defaults to 30 seconds. Java: `socket.connection.setup.timeout.max.ms`. */
  readonly socketConnectionSetupTimeoutMax?: Duration.Input | undefined
  /** Wait before a failed request is tried again, doubled with each failure, ±20 %. Defaults to 100 ms. Java: `retry.backoff.ms`. */
  readonly retryBackoff?: Duration.Input | undefined
  /** Longest such wait. Defaults to 1 second. Java: `retry.backoff.max.ms`. */
  readonly retryBackoffMax?: Duration.Input | undefined
  /** Refreshes metadata after this time even without an error. Defaults to 5 minutes. Java: `metadata.max.age.ms`. */
  readonly metadataMaxAge?: Duration.Input | undefined
}

const maxInt32 = 0x7fffffff

const parse = (options: Options): Settings.Settings => {
  const { bootstrapServers, clientId, connectionsMaxIdle, maxInFlight, receiveMaxBytes } = options
  if (bootstrapServers.length === 0) Settings.invalid("bootstrapServers", "is empty; give at least one host:port")
  return {
    bootstrapServers: bootstrapServers.map((server) => Settings.address("bootstrapServers", server)),
    resolveCanonicalBootstrapServers: options.resolveCanonicalBootstrapServers ?? false,
    clientId: clientId ?? "kafka-effect",
    maxInFlight: Settings.integer("maxInFlight", maxInFlight, 5, { min: 1, max: maxInt32 }),
    receiveMaxBytes: Settings.integer("receiveMaxBytes", receiveMaxBytes, 100 * 1024 * 1024, {
      min: 1024,
      max: maxInt32
    }),
    connectionsMaxIdle: Settings.duration("connectionsMaxIdle", connectionsMaxIdle, "9 minutes", { infinite: true }),
    requestTimeout: Settings.duration("requestTimeout", options.requestTimeout, "30 seconds"),
    metadataMaxAge: Settings.duration("metadataMaxAge", options.metadataMaxAge, "5 minutes", { infinite: true }),
    ...backoff("reconnectBackoff", "reconnectBackoffMax", options, ["50 millis", "1 second"]),
    ...backoff("retryBackoff", "retryBackoffMax", options, ["100 millis", "1 second"]),
    ...backoff("socketConnectionSetupTimeout", "socketConnectionSetupTimeoutMax", options, ["10 seconds", "30 seconds"])
  }
}

/** A time that doubles, and its limit, which is not below it. */
const backoff = <
  First extends keyof Options & keyof Settings.Settings,
  Max extends keyof Options & keyof Settings.Settings
>(
  first: First,
  max: Max,
  options: Options,
  defaults: readonly [Duration.Input, Duration.Input]
): Record<First | Max, number> => {
  // Every option that comes here is a duration.
  const inputs = [options[first], options[max]] as ReadonlyArray<Duration.Input | undefined>
  const initial = Settings.duration(first, inputs[0], defaults[0])
  const limit = Settings.duration(max, inputs[1], defaults[1])
  const values = { [first]: initial, [max]: Math.max(initial, limit) }
  return values as Record<First | Max, number>
}

/**
 * A client of one cluster.
 *
 * @category services
 * @since 0.1.0
 */
export class Kafka extends Context.Service<
  Kafka,
  {
    /** Brokers, topics, leaders, coordinators and connections: what producers and consumers are built on. */
    readonly cluster: Cluster.Cluster
    /**
     * Sends any request of the protocol to a node by its id, to the least busy broker, or to the controller, and gives
     * the response as it is: error codes in it are the caller's to read. The version defaults to the highest that client
     * and broker have in common. One try: fails with a `KafkaError`, which says whether a retry may help.
     */
    readonly request: <Request, Response>(
      node: number | "any" | "controller",
      api: Api<Request, Response>,
      message: Wire.Input<Request>,
      version?: number
    ) => Effect.Effect<Response, KafkaError>
  }
>()("kafka-effect/Kafka") {}

/**
 * Reaches a cluster, for as long as the scope. Fails with `InvalidOption` or `Unreachable`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Kafka["Service"], KafkaError, Scope.Scope> {
  const settings = yield* Effect.try({
    try: () => parse(options),
    catch: (error) => {
      if (error instanceof KafkaError) return error
      throw error
    }
  })
  const cluster = yield* Cluster.make(settings)
  return Kafka.of({
    cluster,
    request: (node, api, message, version) => cluster.request(node, api, message, { version })
  })
})

/**
 * A client of one cluster, as a layer. Fails with `InvalidOption` or `Unreachable`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Kafka, KafkaError> => Layer.effect(Kafka, make(options))

/**
 * A client of one cluster whose options come from the configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Kafka, KafkaError | Config.ConfigError> =>
  Layer.effect(Kafka, Effect.flatMap(Config.unwrap(options), make))
