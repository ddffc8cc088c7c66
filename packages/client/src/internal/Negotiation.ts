/**
 * How a broker is asked what it can do, down to brokers that do not know the question.
 *
 * ApiVersions is asked at the newest version; a broker that lacks it answers with what it has (KIP-511). Brokers before
 * 0.10.0 do not know ApiVersions at all: 0.8.2 closes the connection, 0.9 says nothing, so that the answer to a second
 * question comes out of turn. `Connection` tries the questions in the order of `steps`, each on a fresh channel.
 *
 * @since 0.1.0
 */
import { type AnyApi, type Api, requestHeaderVersion } from "@kafka-effect/protocol/Api"
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import type { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as ApiVersionsApi from "@kafka-effect/protocol/messages/ApiVersions"
import { ListGroups } from "@kafka-effect/protocol/messages/ListGroups"
import { Metadata } from "@kafka-effect/protocol/messages/Metadata"
import { RequestHeader } from "@kafka-effect/protocol/messages/RequestHeader"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import * as Effect from "effect/Effect"
import * as ApiVersions from "../ApiVersions.ts"
import type { KafkaError } from "../KafkaError.ts"
import { brokerError } from "./BrokerErrors.ts"
import type { Exchange } from "./ChannelState.ts"
import type { RequestChannel } from "./RequestChannel.ts"
import * as Software from "./Software.ts"

/** @internal */
export interface Options {
  readonly nodeId: number
  readonly broker: string
  readonly clientId: string
  readonly requestTimeout: number
}

/** Writes the header of a request. @internal */
export const writeHeader = (
  writer: ByteWriter,
  api: AnyApi,
  version: number,
  correlationId: number,
  clientId: string
): void =>
  WireCodec.of(RequestHeader, requestHeaderVersion(api, version)).encodeInto(writer, {
    requestApiKey: api.key,
    requestApiVersion: version,
    correlationId,
    clientId
  })

// A broker that is merely slow answers in turn later: then the second question was one too many, and no more.
const silence = 1000

const apiVersionsAt = (version: number, options: Options): Exchange<ApiVersionsApi.ApiVersionsResponse> => ({
  api: ApiVersionsApi.ApiVersions.name,
  version,
  timeout: options.requestTimeout,
  write: (writer, correlationId) => {
    writeHeader(writer, ApiVersionsApi.ApiVersions, version, correlationId, options.clientId)
    WireCodec.of(ApiVersionsApi.ApiVersionsRequest, version).encodeInto(writer, {
      clientSoftwareName: Software.name,
      clientSoftwareVersion: Software.version
    })
  },
  read: (reader) => {
    // The answer to a version that the broker lacks has the shape of version 0.
    const errorCode = new ByteReader(reader.bytes, reader.offset).readInt16()
    const shape = errorCode === codes.UNSUPPORTED_VERSION ? 0 : version
    return WireCodec.of(ApiVersionsApi.ApiVersionsResponse, shape).decodeFrom(reader)
  },
  throttle: (response) => (ApiVersions.isThrottledByClient(18, version) ? response.throttleTimeMs : 0)
})

/** The version to ask at next: the one that the broker names, if that is lower, else 0. */
const lowerVersion = (version: number, response: ApiVersionsApi.ApiVersionsResponse): number => {
  const offered = response.apiKeys.find((key) => key.apiKey === ApiVersionsApi.ApiVersions.key)?.maxVersion
  return offered !== undefined && offered >= 0 && offered < version ? offered : 0
}

const negotiateAt = (
  channel: RequestChannel,
  version: number,
  options: Options
): Effect.Effect<ApiVersions.ApiVersions, KafkaError> =>
  Effect.flatMap(channel.exchange(apiVersionsAt(version, options)), (response) => {
    if (response.errorCode === 0) return Effect.succeed(ApiVersions.fromResponse(response))
    if (response.errorCode === codes.UNSUPPORTED_VERSION && version > 0) {
      return negotiateAt(channel, lowerVersion(version, response), options)
    }
    const { broker, nodeId } = options
    return Effect.fail(brokerError({ nodeId, broker, api: "ApiVersions", code: response.errorCode }))
  })

const probe = <Request, Response>(
  channel: RequestChannel,
  api: Api<Request, Response>,
  message: Wire.Input<Request>,
  options: Options
): Effect.Effect<Response, KafkaError> =>
  channel.exchange({
    api: api.name,
    version: 0,
    timeout: options.requestTimeout,
    write: (writer, correlationId) => {
      writeHeader(writer, api, 0, correlationId, options.clientId)
      WireCodec.of(api.request, 0).encodeInto(writer, message)
    },
    read: (reader) => WireCodec.of(api.response, 0).decodeFrom(reader)
  })

/** Which channel the next question goes to, where this one was no question for the broker. */
export type NotUnderstood = "closed" | "silent"

/** @internal */
export const notUnderstood = (error: KafkaError): NotUnderstood | undefined => {
  const { reason } = error
  if (reason._tag === "ConnectionLost" && (reason.closedBy === "broker" || reason.closedBy === "network"))
    return "closed"
  // The answer to the second question came where that to the first was due.
  return reason._tag === "CorrelationMismatch" && reason.expected === 0 && reason.received === 1 ? "silent" : undefined
}

const newest = (channel: RequestChannel, options: Options): Effect.Effect<ApiVersions.ApiVersions, KafkaError> =>
  Effect.raceFirst(
    negotiateAt(channel, ApiVersionsApi.ApiVersions.highestStableVersion, options),
    Effect.sleep(silence).pipe(
      Effect.andThen(probe(channel, ListGroups, {}, options)),
      Effect.ignore,
      Effect.andThen(Effect.never)
    )
  )

/**
 * The questions, in order; each gives what its answer says of the broker.
 *
 * @internal
 */
export const questions: ReadonlyArray<
  (channel: RequestChannel, options: Options) => Effect.Effect<ApiVersions.ApiVersions, KafkaError>
> = [
  newest,
  // Once more before an old broker is assumed: a connection can be closed for many reasons.
  (channel, options) => negotiateAt(channel, 0, options),
  (channel, options) => Effect.as(probe(channel, ListGroups, {}, options), ApiVersions.release09),
  (channel, options) => Effect.as(probe(channel, Metadata, {}, options), ApiVersions.release082)
]
