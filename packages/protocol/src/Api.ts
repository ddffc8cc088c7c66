/**
 * An API of Kafka: a request and its response under one key, and the rules for the headers in front of them.
 *
 * @since 0.1.0
 */
import * as Wire from "./Wire.ts"

/**
 * A request and its response, under one API key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Api<Request, Response> {
  /** Kafka's name of the API, for example `Metadata`. */
  readonly name: string
  readonly key: number
  readonly request: Wire.Message<Request>
  readonly response: Wire.Message<Response>
  /** The oldest version that exists. */
  readonly lowestVersion: number
  /** The newest version that exists, stable or not. */
  readonly highestVersion: number
  /** The newest version that Kafka calls stable: what a client uses unless it is told otherwise. */
  readonly highestStableVersion: number
}

/**
 * Joins a request and its response.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Request, Response>(
  name: string,
  request: Wire.Message<Request>,
  response: Wire.Message<Response>
): Api<Request, Response> => {
  const { lowest, highest } = Wire.parseVersions(request.facts.versions)!
  return {
    name,
    key: request.facts.apiKey!,
    request,
    response,
    lowestVersion: lowest,
    highestVersion: highest,
    highestStableVersion: request.facts.latestVersionUnstable === true ? highest - 1 : highest
  }
}

const controlledShutdown = 7
const apiVersions = 18

/**
 * The version of the request header: 2 where the request is flexible, else 1; 0, without a client id, only for
 * ControlledShutdown v0 (KIP-482 and the protocol guide's "Request header").
 *
 * @category headers
 * @since 0.1.0
 */
export const requestHeaderVersion = (api: AnyApi, version: number): 0 | 1 | 2 => {
  if (api.key === controlledShutdown && version === 0) return 0
  return Wire.hasVersion(api.request.facts.flexible, version) ? 2 : 1
}

/**
 * The version of the response header: 1 where the response is flexible, else 0. ApiVersions always answers with 0, so
 * that a client which asked for a version the broker does not know can read the answer (KIP-511).
 *
 * @category headers
 * @since 0.1.0
 */
export const responseHeaderVersion = (api: AnyApi, version: number): 0 | 1 =>
  api.key !== apiVersions && Wire.hasVersion(api.response.facts.flexible, version) ? 1 : 0

/**
 * Any API, where only its facts matter.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyApi {
  readonly name: string
  readonly key: number
  readonly request: { readonly facts: Wire.MessageFacts }
  readonly response: { readonly facts: Wire.MessageFacts }
  readonly lowestVersion: number
  readonly highestVersion: number
  readonly highestStableVersion: number
}
