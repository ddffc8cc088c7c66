/**
 * ListConfigResources: what has settings, or could have (KIP-714, KIP-1142).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ListConfigResources,
  type ListConfigResourcesRequest,
  type ListConfigResourcesResponse
} from "@kafka-effect/protocol/messages/ListConfigResources"
import { type Cluster, upNodes } from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import type { Handler } from "../Exchange.ts"

const { resources } = Configs

const namesOf = (cluster: Cluster, type: number): ReadonlyArray<string> => {
  switch (type) {
    case resources.topic:
      return [...cluster.topics.keys()]
    case resources.broker:
    case resources.logger:
      return upNodes(cluster).map(({ nodeId }) => String(nodeId))
    default:
      // Groups and subscriptions of client metrics: those that something was set for.
      return [...cluster.configs].flatMap(([key, configs]) => {
        const prefix = `${type} `
        return key.startsWith(prefix) && configs.size > 0 ? [key.slice(prefix.length)] : []
      })
  }
}

/** @internal */
export const handler: Handler<ListConfigResourcesRequest, ListConfigResourcesResponse> = {
  api: ListConfigResources,
  refuse: (_, errorCode) => ({ errorCode }),
  handle: (cluster, { answer, message, version }) => {
    const all: ReadonlyArray<number> = Object.values(resources)
    const asked = version === 0 ? [resources.clientMetrics] : message.resourceTypes
    if (asked.some((type) => !all.includes(type))) return answer({ errorCode: codes.UNSUPPORTED_VERSION })
    const types = asked.length === 0 ? all : [...new Set(asked)]
    answer({
      configResources: types.flatMap((resourceType) =>
        namesOf(cluster, resourceType).map((resourceName) => ({ resourceName, resourceType }))
      )
    })
  }
}
