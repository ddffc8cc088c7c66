/**
 * DescribeConfigs: what topics and brokers are set to, and where that comes from (KIP-133, KIP-226, KIP-569).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResource,
  type DescribeConfigsResourceResult,
  type DescribeConfigsResponse,
  type DescribeConfigsResult
} from "@kafka-effect/protocol/messages/DescribeConfigs"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { BrokerNode, Cluster } from "../Cluster.ts"
import * as Configs from "../Configs.ts"
import * as ErrorTexts from "../ErrorTexts.ts"
import type { Handler } from "../Exchange.ts"
import { atLeast } from "../Release.ts"
import * as Settings from "../Settings.ts"
import * as TopicNames from "../TopicNames.ts"

type Config = Wire.Input<DescribeConfigsResourceResult> & { readonly name: string }
type Result = Wire.Input<DescribeConfigsResult>

const { resources, sources } = Configs

interface Answer {
  readonly errorCode?: number
  readonly errorMessage?: string
  readonly configs?: ReadonlyArray<Config>
}

const invalid = (errorMessage: string): Answer => ({ errorCode: codes.INVALID_REQUEST, errorMessage })

const config = (
  { name, type }: Pick<Settings.Setting, "name" | "type">,
  value: string | null,
  readOnly: boolean,
  found: ReadonlyArray<Configs.Found>
): Config => {
  return {
    name,
    value,
    readOnly,
    configSource: found[0]?.source ?? sources.otherwise,
    isSensitive: false,
    synonyms: found,
    configType: Settings.typeNumbers[type],
    documentation: null
  }
}

const ofTopic = (cluster: Cluster, node: BrokerNode, name: string): Answer => {
  const problem = TopicNames.problem(name)
  if (problem !== undefined) return { errorCode: codes.INVALID_TOPIC_EXCEPTION, errorMessage: problem }
  const topic = cluster.topics.get(name)
  if (topic === undefined) return { errorCode: codes.UNKNOWN_TOPIC_OR_PARTITION }
  const configs = Settings.topicSettings.map((setting) => {
    const value = Configs.topicText(cluster, topic, setting.name, node.nodeId)
    return config(setting, value, false, Configs.ofTopic(cluster, topic, setting.name, node.nodeId))
  })
  return { configs }
}

const ofBroker = (cluster: Cluster, node: BrokerNode, name: string): Answer => {
  if (name === "") {
    // Only what was set for all brokers while they run.
    const configs = Settings.brokerSettings.flatMap((setting) => {
      const found = Configs.ofBroker(cluster, setting.name, -1).filter(({ source }) => source === sources.brokers)
      return found.length === 0 ? [] : [config(setting, found[0].value, !setting.isDynamic, found)]
    })
    return { configs }
  }
  if (!/^[+-]?[0-9]+$/.test(name)) return invalid(`Broker id must be an integer, but it is: ${name}`)
  if (Number(name) !== node.nodeId) {
    return invalid(`Unexpected broker id, expected ${node.nodeId} or empty string, but received ${name}`)
  }
  const configs = Settings.brokerSettings.map((setting) => {
    const found = Configs.ofBroker(cluster, setting.name, node.nodeId)
    return config(setting, found[0]?.value ?? null, !setting.isDynamic, found)
  })
  return { configs: [config({ name: "broker.id", type: "int" }, String(node.nodeId), true, []), ...configs] }
}

const ofOther = (cluster: Cluster, type: number, name: string, settings: ReadonlyArray<Settings.Setting>): Answer => ({
  configs: settings.map((setting) => {
    const found = Configs.ofOther(cluster, type, name, setting)
    return config(setting, found[0]?.value ?? setting.otherwise, false, found)
  })
})

const describe = (cluster: Cluster, node: BrokerNode, { resourceName, resourceType }: DescribeConfigsResource) => {
  switch (resourceType) {
    case resources.topic:
      return ofTopic(cluster, node, resourceName)
    case resources.broker:
      return ofBroker(cluster, node, resourceName)
    case resources.group:
      if (!atLeast(cluster.release, "4.0")) return invalid(ErrorTexts.invalidRequest)
      if (resourceName === "") return invalid("Group name must not be empty")
      return ofOther(cluster, resourceType, resourceName, Settings.groupSettings)
    case resources.clientMetrics:
      if (resourceName === "") return invalid("Client metrics subscription name must not be empty")
      return ofOther(cluster, resourceType, resourceName, Settings.clientMetricsSettings)
    default:
      return invalid(ErrorTexts.invalidRequest)
  }
}

/** @internal */
export const handler: Handler<DescribeConfigsRequest, DescribeConfigsResponse> = {
  api: DescribeConfigs,
  refuse: ({ resources }, errorCode) => ({
    results: resources.map(({ resourceName, resourceType }) => ({
      errorCode,
      errorMessage: null,
      resourceName,
      resourceType,
      configs: []
    }))
  }),
  handle: (cluster, { answer, message, node, version }) => {
    const results = message.resources.map((asked): Result => {
      const { configurationKeys, resourceName, resourceType } = asked
      const { configs = [], errorCode = codes.NONE, errorMessage = "" } = describe(cluster, node, asked)
      const isAsked = (name: string) => !configurationKeys?.length || configurationKeys.includes(name)
      const told = configs
        .filter(({ name }) => isAsked(name))
        .map((one) => ({
          ...one,
          // Brokers since 2.7 leave it out.
          ...(version === 0 && !atLeast(cluster.release, "2.7")
            ? { isDefault: one.configSource === sources.otherwise }
            : {}),
          ...(message.includeSynonyms ? {} : { synonyms: [] })
        }))
      return { errorCode, errorMessage, resourceType, resourceName, configs: told }
    })
    answer({ results })
  }
}
