/**
 * What a broker can do: which versions of which APIs, and which features of the cluster are switched on.
 *
 * Negotiated with the ApiVersions request where the broker knows it (0.10.0 and newer), assumed from the broker's
 * release where it does not. Pure data and choices; how a broker is asked is in `Connection`.
 *
 * @since 0.1.0
 */
import type { AnyApi } from "@kafka-effect/protocol/Api"
import type { ApiVersionsResponse } from "@kafka-effect/protocol/messages/ApiVersions"
import * as Result from "effect/Result"

/**
 * The lowest and the highest version of an API, both included.
 *
 * @category models
 * @since 0.1.0
 */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

/**
 * What one broker can do.
 *
 * @category models
 * @since 0.1.0
 */
export interface ApiVersions {
  /** `negotiated`, or the release that is assumed of a broker too old to say. */
  readonly source: "negotiated" | "0.9" | "0.8.2"
  /** The versions that the broker offers, by API key. */
  readonly ranges: ReadonlyMap<number, VersionRange>
  /** Levels of the cluster's finalized features (KIP-584), for example `transaction.version`. */
  readonly finalizedFeatures: ReadonlyMap<string, number>
}

/**
 * Narrower limits than those of this client's messages, for one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface VersionLimits {
  /** Lowest version that the caller can use. Defaults to the lowest that exists. */
  readonly minVersion?: number | undefined
  /** Highest version that the caller can use. Defaults to the highest stable one that exists. */
  readonly maxVersion?: number | undefined
}

/**
 * No common version: what the client could use, and what the broker offers (null where it lacks the API).
 *
 * @category models
 * @since 0.1.0
 */
export interface NoCommonVersion {
  readonly clientRange: VersionRange
  readonly brokerRange: VersionRange | null
}

/**
 * The highest version of an API that both sides can use.
 *
 * @category combinators
 * @since 0.1.0
 */
export const version = (
  self: ApiVersions,
  api: AnyApi,
  limits: VersionLimits = {}
): Result.Result<number, NoCommonVersion> => {
  const clientRange = {
    min: Math.max(api.lowestVersion, limits.minVersion ?? 0),
    max: Math.min(api.highestVersion, limits.maxVersion ?? api.highestStableVersion)
  }
  const brokerRange = self.ranges.get(api.key) ?? null
  if (brokerRange === null) return Result.fail({ clientRange, brokerRange })
  const highest = Math.min(clientRange.max, brokerRange.max)
  const lowest = Math.max(clientRange.min, brokerRange.min)
  return highest >= lowest ? Result.succeed(highest) : Result.fail({ clientRange, brokerRange })
}

/**
 * What a broker says of itself.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResponse = (response: ApiVersionsResponse): ApiVersions => ({
  source: "negotiated",
  ranges: new Map(response.apiKeys.map((key) => [key.apiKey, { min: key.minVersion, max: key.maxVersion }])),
  finalizedFeatures: new Map(response.finalizedFeatures.map((feature) => [feature.name, feature.maxVersionLevel]))
})

const assumed = (source: ApiVersions["source"], highest: ReadonlyArray<readonly [key: number, max: number]>) => ({
  source,
  ranges: new Map(highest.map(([key, max]) => [key, { min: 0, max }])),
  finalizedFeatures: new Map<string, number>()
})

/**
 * What a broker of release 0.9 can do: Produce and Fetch 1, OffsetCommit 2, OffsetFetch 1, the group APIs 0.
 *
 * @category constants
 * @since 0.1.0
 */
export const release09: ApiVersions = assumed("0.9", [
  [0, 1],
  [1, 1],
  [2, 0],
  [3, 0],
  [8, 2],
  [9, 1],
  [10, 0],
  [11, 0],
  [12, 0],
  [13, 0],
  [14, 0],
  [15, 0],
  [16, 0]
])

/**
 * What a broker of release 0.8.2 can do: no groups, offsets in ZooKeeper (version 0) or at the coordinator (1).
 *
 * @category constants
 * @since 0.1.0
 */
export const release082: ApiVersions = assumed("0.8.2", [
  [0, 0],
  [1, 0],
  [2, 0],
  [3, 0],
  [8, 1],
  [9, 1],
  [10, 0]
])

// From these versions on the broker answers first and is silent then (KIP-219); before, it answered late. Kafka's own
// classes have the same numbers. What is not listed came later, and is throttled so from its first version.
const firstThrottled = new Map([
  [0, 6],
  [1, 8],
  [2, 3],
  [3, 6],
  [8, 4],
  [9, 4],
  [10, 2],
  [11, 3],
  [12, 2],
  [13, 2],
  [14, 2],
  [15, 2],
  [16, 2],
  [18, 2],
  [19, 3],
  [20, 2],
  [21, 1],
  [22, 1],
  [24, 1],
  [25, 1],
  [26, 1],
  [28, 1],
  [29, 1],
  [30, 1],
  [31, 1],
  [32, 2],
  [33, 1],
  [34, 1],
  [35, 1],
  [37, 1],
  [38, 1],
  [39, 1],
  [40, 1],
  [41, 1],
  [42, 1]
])

/**
 * Whether the client, and not the broker, has to wait for a response's `throttleTimeMs` (KIP-219).
 *
 * @category combinators
 * @since 0.1.0
 */
export const isThrottledByClient = (apiKey: number, version: number): boolean =>
  version >= (firstThrottled.get(apiKey) ?? 0)
