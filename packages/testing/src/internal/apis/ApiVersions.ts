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
import { atLeast } from "../Release.ts"

/** Software names and versions that Kafka takes. */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** @internal */
export const offered = ({ release }: Cluster): ReadonlyArray<ApiVersion> =>
  [...release.versions]
    .map(([apiKey, [minVersion, maxVersion]]) => ({ apiKey, minVersion, maxVersion }))
    .sort((a, b) => a.apiKey - b.apiKey)

/** Features whose level clients ask for: the second version of transactions (KIP-890), and groups of KIP-848. */
const features = [
  ["group.version", 1],
  ["transaction.version", 2]
] as const

const featuresOf = ({ release }: Cluster, version: number) => {
  if (version < 3 || !atLeast(release, "4.0")) return {}
  // Before version 4, a feature whose lowest level is 0 was not told of as one that may be had.
  const supportedFeatures =
    version < 4 ? [] : features.map(([name, maxVersion]) => ({ name, minVersion: 0, maxVersion }))
  const finalizedFeatures = features.map(([name, level]) => ({ name, maxVersionLevel: level, minVersionLevel: level }))
  return { supportedFeatures, finalizedFeaturesEpoch: BigInt(1), finalizedFeatures }
}

/** @internal */
export const handler: Handler<ApiVersionsRequest, ApiVersionsResponse> = {
  api: ApiVersions,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, version }) => {
    const { clientSoftwareName, clientSoftwareVersion } = message
    const isNamed = softwareName.test(clientSoftwareName) && softwareName.test(clientSoftwareVersion)
    if (version >= 3 && !isNamed) return answer({ errorCode: codes.INVALID_REQUEST })
    answer({ apiKeys: offered(cluster), ...featuresOf(cluster, version) })
  }
}
