/**
 * One scoped connection to one broker: it knows what the broker can do, and sends it any request of the protocol.
 *
 * Requests are pipelined in order, up to `maxInFlight` on the wire. An interrupted request leaves the connection sound:
 * its late response is recognised and dropped. One that times out closes the connection, since its response could still
 * come; what else was in flight fails with a retriable error. A connection that has ended stays so: whoever wants
 * another opens another, which is what `Cluster` does.
 *
 * @since 0.1.0
 */
import { type AnyApi, type Api, responseHeaderVersion } from "@kafka-effect/protocol/Api"
import type { ByteReader } from "@kafka-effect/protocol/ByteReader"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as ApiVersions from "./ApiVersions.ts"
import * as Negotiation from "./internal/Negotiation.ts"
import * as RequestChannel from "./internal/RequestChannel.ts"
import type { Settings } from "./internal/Settings.ts"
import { ConnectFailed, KafkaError, UnsupportedVersion } from "./KafkaError.ts"
import * as Transport from "./Transport.ts"

/**
 * How one request is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestOptions extends ApiVersions.VersionLimits {
  /** The version to send it at. Defaults to the highest that client and broker have in common. */
  readonly version?: number | undefined
  /**
   * How long to wait for the response, from when the request is written. Defaults to `requestTimeout` and, in addition,
   * the time that the request itself allows the broker to wait (`maxWaitMs`, `timeoutMs`, `rebalanceTimeoutMs`).
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * An open connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  /** The broker's node id; -1 for a bootstrap server. */
  readonly nodeId: number
  /** `host:port` of the broker. */
  readonly broker: string
  readonly apiVersions: ApiVersions.ApiVersions
  /** The version at which an API would be used. Fails with `UnsupportedVersion`, naming both ranges. */
  readonly version: (api: AnyApi, limits?: ApiVersions.VersionLimits) => Effect.Effect<number, KafkaError>
  /** Sends a request and gives its response; error codes in the response are the caller's to read. */
  readonly request: <Request, Response>(
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    options?: RequestOptions
  ) => Effect.Effect<Response, KafkaError>
  /** Sends a request that has no response (Produce with `acks=0`): succeeds when it is written, in order with the rest. */
  readonly send: <Request>(
    api: Api<Request, unknown>,
    message: Wire.Input<Request>,
    options?: RequestOptions
  ) => Effect.Effect<void, KafkaError>
  /** How many requests wait or are in flight. */
  readonly load: () => number
  /** Whether it takes requests. */
  readonly isAlive: () => boolean
  /** Waits until the connection has ended, and gives why. */
  readonly closed: Effect.Effect<KafkaError>
  /** Takes no new request, and closes once those that are under way have ended. */
  readonly retire: Effect.Effect<void>
}

/** @internal */
export interface Options {
  readonly nodeId: number
  readonly address: Transport.Address
  /** The IP address to connect to. */
  readonly ip: string
  /** Milliseconds until the connection must be ready for requests. */
  readonly setupTimeout: number
  readonly settings: Settings
  /** What is known of this broker already; it is asked otherwise. */
  readonly apiVersions?: ApiVersions.ApiVersions | undefined
}

/**
 * `host:port`, with brackets around an IPv6 address.
 *
 * @category combinators
 * @since 0.1.0
 */
export const formatAddress = ({ host, port }: Transport.Address): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/**
 * Opens a connection to one address of a broker and asks the broker what it can do. The connection ends with the scope.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Connection, KafkaError, Scope.Scope> {
  const broker = formatAddress(options.address)
  const { channel, apiVersions } = yield* openingSteps(options, broker).pipe(
    Effect.timeoutOrElse({
      duration: options.setupTimeout,
      orElse: () => {
        const detail = `${options.ip}: it was not ready within ${options.setupTimeout} ms (socketConnectionSetupTimeout)`
        return Effect.fail(new KafkaError({ reason: new ConnectFailed({ nodeId: options.nodeId, broker, detail }) }))
      }
    })
  )
  return connection(channel, apiVersions, options, broker)
})

interface Opened {
  readonly channel: RequestChannel.RequestChannel
  readonly apiVersions: ApiVersions.ApiVersions
}

/** Everything that happens before a connection takes requests: the socket, ApiVersions; authentication comes last. */
const openingSteps = Effect.fnUntraced(function* (
  options: Options,
  broker: string
): Effect.fn.Return<Opened, KafkaError, Scope.Scope> {
  const { apiVersions, settings } = options
  const dial = openChannel(options, broker)
  if (apiVersions !== undefined) return { channel: yield* dial, apiVersions }
  const asked = { nodeId: options.nodeId, broker, clientId: settings.clientId, requestTimeout: settings.requestTimeout }
  const scope = yield* Effect.scope
  let first: KafkaError | undefined
  for (const question of Negotiation.questions) {
    // What a question leaves behind that the broker did not understand is closed before the next.
    const attempt = yield* Scope.fork(scope)
    const opened = yield* dial.pipe(
      Effect.flatMap((channel) =>
        Effect.map(question(channel, asked), (apiVersions): Opened => ({ channel, apiVersions }))
      ),
      Scope.provide(attempt),
      Effect.onError(() => Scope.close(attempt, Exit.void)),
      Effect.result
    )
    if (Result.isSuccess(opened)) return opened.success
    first ??= opened.failure
    const why = Negotiation.notUnderstood(opened.failure)
    if (why === "silent") return { channel: yield* dial, apiVersions: ApiVersions.release09 }
    if (why === undefined) return yield* opened.failure
  }
  return yield* first!
})

const openChannel = Effect.fnUntraced(function* (options: Options, broker: string) {
  const { address, ip, nodeId, setupTimeout, settings } = options
  const transport = yield* Transport.Transport
  const open = transport.open({ host: address.host, ip, port: address.port, timeout: setupTimeout }).pipe(
    Effect.mapError((error) => {
      const detail = `${ip}: ${Transport.describeSocketError(error)}`
      return new KafkaError({ reason: new ConnectFailed({ nodeId, broker, detail }) })
    })
  )
  return yield* RequestChannel.make(open, {
    nodeId,
    broker,
    maxInFlight: settings.maxInFlight,
    receiveMaxBytes: settings.receiveMaxBytes,
    maxIdle: settings.connectionsMaxIdle
  })
})

const findCoordinator = 10

const connection = (
  channel: RequestChannel.RequestChannel,
  apiVersions: ApiVersions.ApiVersions,
  { nodeId, settings }: Options,
  broker: string
): Connection => {
  const unsupported = (api: AnyApi, ranges: ApiVersions.NoCommonVersion): KafkaError =>
    new KafkaError({ reason: new UnsupportedVersion({ nodeId, broker, api: api.name, ...ranges }) })

  const version: Connection["version"] = (api, limits) =>
    Effect.mapError(Effect.fromResult(ApiVersions.version(apiVersions, api, limits)), (none) => unsupported(api, none))

  const exchange = <Request, Response, A>(
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    options: RequestOptions,
    readerOf: (version: number) => ((reader: ByteReader) => A) | undefined
  ): Effect.Effect<A, KafkaError> => {
    const limits =
      options.version === undefined ? options : { minVersion: options.version, maxVersion: options.version }
    const chosen = ApiVersions.version(apiVersions, api, limits)
    if (Result.isFailure(chosen)) return Effect.fail(unsupported(api, chosen.failure))
    const version = chosen.success
    const timeout =
      options.timeout === undefined
        ? settings.requestTimeout + brokerWait(api, message)
        : Duration.toMillis(Duration.fromInputUnsafe(options.timeout))
    return channel.exchange({
      api: api.name,
      version,
      timeout,
      write: (writer, correlationId) => {
        Negotiation.writeHeader(writer, api, version, correlationId, settings.clientId)
        try {
          WireCodec.of(api.request, version).encodeInto(writer, message)
        } catch (error) {
          const needed = neededVersion(error, api, version, message)
          if (needed === undefined) throw error
          const brokerRange = apiVersions.ranges.get(api.key) ?? null
          throw unsupported(api, { clientRange: { min: needed, max: api.highestStableVersion }, brokerRange })
        }
      },
      read: readerOf(version),
      throttle: ApiVersions.isThrottledByClient(api.key, version) ? throttleTime : undefined,
      toleratesZeroId: api.key === findCoordinator && version === 0
    })
  }

  return {
    nodeId,
    broker,
    apiVersions,
    version,
    request: (api, message, options = {}) =>
      Effect.suspend(() => exchange(api, message, options, (version) => responseReader(api, version))),
    send: (api, message, options = {}) => Effect.suspend(() => exchange(api, message, options, () => undefined)),
    load: channel.load,
    isAlive: channel.isAlive,
    closed: channel.closed,
    retire: channel.retire
  }
}

const responseReader = <Response>(
  api: Api<never, Response> | Api<unknown, Response>,
  version: number
): ((reader: ByteReader) => Response) => {
  const codec = WireCodec.of(api.response, version)
  const hasTags = responseHeaderVersion(api, version) === 1
  return (reader) => {
    if (hasTags) skipTaggedFields(reader)
    const response = codec.decodeFrom(reader)
    if (reader.remaining > 0) {
      throw new WireError({
        reason: "TrailingBytes",
        name: api.response.messageName,
        version,
        field: "",
        offset: reader.offset,
        detail: `${reader.remaining} bytes are left over behind the message`
      })
    }
    return response
  }
}

const skipTaggedFields = (reader: ByteReader): void => {
  for (let count = reader.readUnsignedVarint(); count > 0; count--) {
    reader.readUnsignedVarint()
    reader.take(reader.readUnsignedVarint())
  }
}

/** The lowest version that can carry a message which `version` cannot; undefined where the error is another. */
const neededVersion = <Request>(
  error: unknown,
  api: Api<Request, unknown>,
  version: number,
  message: Wire.Input<Request>
): number | undefined => {
  if (!(error instanceof WireError) || error.reason !== "UnsupportedVersion") return undefined
  for (let higher = version + 1; higher <= api.highestStableVersion; higher++) {
    try {
      WireCodec.encode(api.request, higher, message)
      return higher
    } catch {
      // Not this one either.
    }
  }
  return undefined
}

/** The fields by which requests say how long the broker may wait; all are int32. */
interface Waits {
  readonly maxWaitMs?: number
  readonly timeoutMs?: number
  readonly rebalanceTimeoutMs?: number
  readonly sessionTimeoutMs?: number
}

const joinGroup = 11

/** How long a request allows the broker to wait before it answers, in milliseconds. */
const brokerWait = (api: AnyApi, message: unknown): number => {
  const given = message as Waits
  const byDefault = defaultWaits(api)
  // Of the requests that name this timeout, only the one that joins a group waits for it; in v0 it is the session's.
  const joining =
    api.key === joinGroup
      ? Math.max(given.rebalanceTimeoutMs ?? -1, given.sessionTimeoutMs ?? byDefault.sessionTimeoutMs ?? 0)
      : 0
  const wait = given.maxWaitMs ?? given.timeoutMs ?? byDefault.maxWaitMs ?? byDefault.timeoutMs ?? joining
  return Math.max(0, wait)
}

const waits = new WeakMap<AnyApi, Waits>()

/** What an API's request says where its fields are left to their defaults. */
const defaultWaits = (api: AnyApi): Waits => {
  let known = waits.get(api)
  if (known === undefined) {
    // The map of APIs has many types; a request without fields has the defaults of all.
    const { highestStableVersion: version, request } = api as Api<unknown, unknown>
    known = WireCodec.decode(request, version, WireCodec.encode(request, version, {})) as Waits
    waits.set(api, known)
  }
  return known
}

const throttleTime = (response: unknown): number => {
  // Every throttled response has this field under this name.
  const { throttleTimeMs } = response as { readonly throttleTimeMs?: number }
  return throttleTimeMs ?? 0
}
