/**
 * The settings that are in force: what a topic has, then a broker, then all brokers, then how they were started, then
 * Kafka's default.
 *
 * @since 0.1.0
 */
import type { Cluster, Topic } from "./Cluster.ts"
import * as Settings from "./Settings.ts"

/** Kafka's numbers of where a value comes from. @internal */
export const sources = {
  topic: 1,
  broker: 2,
  brokers: 3,
  started: 4,
  otherwise: 5,
  clientMetrics: 7,
  group: 8
} as const

/** Kafka's numbers of what has settings. @internal */
export const resources = { topic: 2, broker: 4, logger: 8, clientMetrics: 16, group: 32 } as const

/** A value, under the name that it was found by. @internal */
export interface Found {
  readonly name: string
  readonly value: string
  readonly source: number
}

/** Something that has a topic's settings: a topic, or what is to be one. */
type Configured = Pick<Topic, "configs">

/** What was set, besides topics, while brokers run: by the kind and name of what it is for. @internal */
export const altered = ({ configs }: Cluster, type: number, name: string): ReadonlyMap<string, string> | undefined =>
  configs.get(`${type} ${name}`)

/** All values of a broker's setting, the one in force first. `nodeId` -1: those of all brokers. @internal */
export const ofBroker = (cluster: Cluster, name: string, nodeId: number): ReadonlyArray<Found> => {
  const otherwise = Settings.ofBrokers.get(name)?.otherwise
  const levels = [
    [sources.broker, altered(cluster, resources.broker, String(nodeId))?.get(name)],
    [sources.brokers, altered(cluster, resources.broker, "")?.get(name)],
    [sources.started, cluster.settings.get(name)],
    [sources.otherwise, otherwise]
  ] as const
  return levels.flatMap(([source, value]) => (value == null ? [] : [{ name, value, source }]))
}

/** All values of a topic's setting, the one in force first. @internal */
export const ofTopic = (cluster: Cluster, topic: Configured, name: string, nodeId = -1): ReadonlyArray<Found> => {
  const own = topic.configs.get(name)
  const [brokerName] = Settings.ofTopics.get(name)?.brokerNames ?? []
  return [
    ...(own === undefined ? [] : [{ name, value: own, source: sources.topic }]),
    ...(brokerName === undefined ? [] : ofBroker(cluster, brokerName, nodeId))
  ]
}

/** All values of a setting of a group, or of a subscription of client metrics, the one in force first. @internal */
export const ofOther = (
  cluster: Cluster,
  type: number,
  name: string,
  setting: Settings.Setting
): ReadonlyArray<Found> => {
  const own = altered(cluster, type, name)?.get(setting.name)
  const source = type === resources.group ? sources.group : sources.clientMetrics
  return [
    ...(own === undefined ? [] : [{ name: setting.name, value: own, source }]),
    ...setting.brokerNames.flatMap((brokerName) => ofBroker(cluster, brokerName, -1))
  ]
}

/** What a group of the consumer protocol has, as a number: its own, or what brokers say for all. @internal */
export const groupNumber = (cluster: Cluster, groupId: string, name: string): number => {
  const setting = Settings.ofGroups.get(name)
  const [found] = setting === undefined ? [] : ofOther(cluster, resources.group, groupId, setting)
  return Number(found?.value ?? setting?.otherwise)
}

/** What a topic has, as text. @internal */
export const topicText = (cluster: Cluster, topic: Configured, name: string, nodeId = -1): string => {
  const own = topic.configs.get(name)
  if (own !== undefined) return own.trim()
  const setting = Settings.ofTopics.get(name)
  for (const brokerName of setting?.brokerNames ?? []) {
    const [found] = ofBroker(cluster, brokerName, nodeId)
    if (found === undefined) continue
    const unit = Settings.millisecondsOf(brokerName)
    return unit === BigInt(1) ? found.value.trim() : String(BigInt(found.value.trim()) * unit)
  }
  return setting?.otherwise ?? ""
}

/** What a topic has, as a number. @internal */
export const topicNumber = (cluster: Cluster, topic: Configured, name: string, nodeId = -1): number =>
  Number(topicText(cluster, topic, name, nodeId))

/** What a topic has, as a list. @internal */
export const topicList = (cluster: Cluster, topic: Configured, name: string): ReadonlyArray<string> =>
  Settings.elements(topicText(cluster, topic, name))
