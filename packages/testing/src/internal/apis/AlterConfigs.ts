/**
 * AlterConfigs: all settings of topics, brokers, groups and client metrics at once; what is not named is taken back (KIP-133).
 *
 * @since 0.1.0
 */
import {
  AlterConfigs,
  type AlterConfigsRequest,
  type AlterConfigsResponse
} from "@kafka-effect/protocol/messages/AlterConfigs"
import * as ConfigChanges from "../ConfigChanges.ts"
import type { Handler } from "../Exchange.ts"

/** @internal */
export const handler: Handler<AlterConfigsRequest, AlterConfigsResponse> = {
  api: AlterConfigs,
  refuse: ({ resources }, errorCode) => ({
    responses: resources.map(({ resourceName, resourceType }) => ({
      errorCode,
      errorMessage: null,
      resourceType,
      resourceName
    }))
  }),
  handle: (cluster, { answer, message, node }) => {
    const all = message.resources.map((resource) => ({
      ...resource,
      changes: resource.configs.map((config) => ({ ...config, configOperation: ConfigChanges.operations.set })),
      isWhole: true
    }))
    answer({ responses: ConfigChanges.alterAll(cluster, node, all, message.validateOnly) })
  }
}
