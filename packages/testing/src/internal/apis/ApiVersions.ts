/**
 * ApiVersions: what this broker can do (KIP-35, KIP-511).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  type ApiVersion,
  ApiVersions,
  type ApiVersionsRequest,
  type ApiVersionsResponse
} from "@kafka-effect/protocol/messages/ApiVersions"
import type { Cluster } from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"

/** Software names and versions that Kafka takes. */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** @internal */
export const offered = ({ release }: Cluster): ReadonlyArray<ApiVersion> =>
  [...release.versions]
    .map(([apiKey, [minVersion, maxVersion]]) => ({ apiKey, minVersion, maxVersion }))
    .sort((a, b) => a.apiKey - b.apiKey)

/** @internal */
export const handler: Handler<ApiVersionsRequest, ApiVersionsResponse> = {
  api: ApiVersions,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, version }) => {
    const { clientSoftwareName, clientSoftwareVersion } = message
    const isNamed = softwareName.test(clientSoftwareName) && softwareName.test(clientSoftwareVersion)
    if (version >= 3 && !isNamed) return answer({ errorCode: codes.INVALID_REQUEST })
    answer({ apiKeys: offered(cluster) })
  }
}
