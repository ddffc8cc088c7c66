/**
 * What a Metadata request asks for, at each version.
 *
 * @since 0.1.0
 */
import type { MetadataRequest } from "@kafka-effect/protocol/messages/Metadata"
import type * as Wire from "@kafka-effect/protocol/Wire"

/** Lets the request say whether topics may be created; before it, the broker's own setting decides. */
const creationFlag = 4

/**
 * Asks for some topics, for none, or for all of them. "All" is an empty list at version 0, where "none" cannot be said
 * and is asked as all; from version 1 on "all" is null and an empty list is none.
 *
 * @internal
 */
export const make = (
  topics: ReadonlyArray<string> | "all",
  version: number,
  allowAutoTopicCreation: boolean
): Wire.Input<MetadataRequest> => {
  const all = version === 0 ? [] : null
  return {
    topics: topics === "all" ? all : topics.map((name) => ({ name })),
    ...(version >= creationFlag ? { allowAutoTopicCreation } : {})
  }
}
