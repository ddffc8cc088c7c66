/**
 * All APIs that the broker answers, by key.
 *
 * @since 0.1.0
 */
import { handler as apiVersions } from "./apis/ApiVersions.ts"
import { handler as createTopics } from "./apis/CreateTopics.ts"
import { handler as fetch } from "./apis/Fetch.ts"
import { handler as findCoordinator } from "./apis/FindCoordinator.ts"
import { handler as initProducerId } from "./apis/InitProducerId.ts"
import { handler as listOffsets } from "./apis/ListOffsets.ts"
import { handler as metadata } from "./apis/Metadata.ts"
import { handler as produce } from "./apis/Produce.ts"
import type { AnyHandler } from "./Exchange.ts"

/** @internal */
export const handlers: ReadonlyMap<number, AnyHandler> = new Map<number, AnyHandler>(
  [apiVersions, createTopics, fetch, findCoordinator, initProducerId, listOffsets, metadata, produce].map((handler) => [
    handler.api.key,
    handler
  ])
)
