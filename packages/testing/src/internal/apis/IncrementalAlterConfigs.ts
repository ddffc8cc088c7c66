/**
 * IncrementalAlterConfigs: some settings of topics, brokers, groups and client metrics (KIP-339).
 *
 * @since 0.1.0
 */
import {
  IncrementalAlterConfigs,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse
} from "@kafka-effect/protocol/messages/IncrementalAlterConfigs"
import * as ConfigChanges from "../ConfigChanges.ts"
import type { Handler } from "../Exchange.ts"

/** @internal */
export const handler: Handler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> = {
  api: IncrementalAlterConfigs,
  refuse: ({ resources }, errorCode) => ({
    responses: resources.map(({ resourceName, resourceType }) => ({
      errorCode,
      errorMessage: null,
      resourceType,
      resourceName
    }))
  }),
  handle: (cluster, { answer, message, node }) => {
    const all = message.resources.map((resource) => ({ ...resource, changes: resource.configs, isWhole: false }))
    answer({ responses: ConfigChanges.alterAll(cluster, node, all, message.validateOnly) })
  }
}
