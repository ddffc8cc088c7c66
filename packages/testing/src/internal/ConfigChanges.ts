/**
 * Changes of settings while brokers run: what is asked for, what is wrong with it, and what comes of it (KIP-133, KIP-339).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { BrokerNode, Cluster } from "./Cluster.ts"
import * as Configs from "./Configs.ts"
import * as Settings from "./Settings.ts"
import * as TopicNames from "./TopicNames.ts"

const { resources } = Configs

/** Kafka's numbers of what is done with a setting. @internal */
export const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** @internal */
export interface Change {
  readonly name: string
  readonly configOperation: number
  readonly value: string | null
}

/** What something is to have. @internal */
export interface Asked {
  readonly resourceType: number
  readonly resourceName: string
  readonly changes: ReadonlyArray<Change>
  /** Whether what is not named is taken back. */
  readonly isWhole: boolean
}

/** @internal */
export interface Outcome {
  readonly errorCode: number
  readonly errorMessage: string | null
}

const refused = (errorCode: number, errorMessage: string | null): Outcome => ({ errorCode, errorMessage })
const invalid = (message: string): Outcome => refused(codes.INVALID_REQUEST, message)
const badConfig = (message: string): Outcome => refused(codes.INVALID_CONFIG, message)

const known = (type: number): ReadonlyMap<string, Settings.Setting> => {
  switch (type) {
    case resources.topic:
      return Settings.ofTopics
    case resources.broker:
      return Settings.ofBrokers
    case resources.group:
      return Settings.ofGroups
    default:
      return Settings.ofClientMetrics
  }
}

/** What is wrong with the request itself; undefined for nothing. */
const requestProblem = (
  { nodeId }: BrokerNode,
  { changes, isWhole, resourceName, resourceType }: Asked
): Outcome | undefined => {
  if (new Set(changes.map(({ name }) => name)).size < changes.length) {
    return invalid("Error due to duplicate config keys")
  }
  const nulls = changes.filter(({ configOperation, value }) => value === null && configOperation !== operations.delete)
  if (nulls.length > 0) return invalid(`Null value not supported for : ${nulls.map(({ name }) => name).join(", ")}`)
  const strange = changes.find(({ configOperation }) => configOperation < 0 || configOperation > operations.subtract)
  if (strange !== undefined) return refused(codes.UNKNOWN_SERVER_ERROR, null)
  switch (resourceType) {
    case resources.broker:
      if (resourceName === "") return undefined
      if (!/^[+-]?[0-9]+$/.test(resourceName)) return invalid(`Node id must be an integer, but it is: ${resourceName}`)
      if (Number(resourceName) === nodeId) return undefined
      return invalid(`Unexpected broker id, expected ${nodeId}, but received ${resourceName}`)
    case resources.topic: {
      if (resourceName === "") return invalid("Default topic resources are not allowed.")
      const problem = TopicNames.problem(resourceName)
      return problem === undefined ? undefined : refused(codes.INVALID_TOPIC_EXCEPTION, problem)
    }
    case resources.group:
      return resourceName === "" ? invalid("Default group resources are not allowed.") : undefined
    case resources.clientMetrics:
      return resourceName === "" ? invalid("Subscription name can't be empty") : undefined
    default:
      // What brokers log cannot be set here.
      return invalid(
        resourceType === resources.logger && !isWhole
          ? "There are no loggers."
          : `Unknown resource type ${resourceType}`
      )
  }
}

/** What there would be after the changes. */
const changed = (
  { changes, isWhole, resourceType }: Asked,
  before: ReadonlyMap<string, string>
): ReadonlyMap<string, string> | Outcome => {
  const settings = known(resourceType)
  const after = new Map(isWhole ? [] : before)
  for (const { configOperation, name, value } of changes) {
    if (configOperation === operations.set) after.set(name, value ?? "")
    else if (configOperation === operations.delete) after.delete(name)
    else {
      const setting = settings.get(name)
      const isAppended = configOperation === operations.append
      if (setting?.type !== "list") {
        const verb = isAppended ? "APPEND" : "SUBTRACT"
        return badConfig(`Can't ${verb} to key ${name} because its type is not LIST.`)
      }
      const old = Settings.elements(after.get(name) ?? setting.otherwise ?? "")
      const some = (value ?? "").split(",")
      const all = isAppended
        ? [...old, ...some.filter((element) => !old.includes(element))]
        : old.filter((element) => !some.includes(element))
      after.set(name, all.join(","))
    }
  }
  return after
}

const valuesProblem = ({ changes, resourceType }: Asked, after: ReadonlyMap<string, string>): Outcome | undefined => {
  const settings = known(resourceType)
  if (resourceType === resources.broker) {
    const fixed = changes.filter(({ name }) => settings.get(name)?.isDynamic === false).map(({ name }) => name)
    if (fixed.length > 0) return invalid(`Cannot update these configs dynamically: [${fixed.join(", ")}]`)
  }
  for (const [name, value] of after) {
    const setting = settings.get(name)
    // Brokers keep what they do not know: it may be a plug-in's.
    if (setting === undefined && resourceType === resources.broker) continue
    if (setting === undefined) {
      if (resourceType === resources.clientMetrics) return invalid(`Unknown client metrics configuration: ${name}`)
      return badConfig(`Unknown ${resourceType === resources.topic ? "topic" : "group"} config name: ${name}`)
    }
    const problem = Settings.problem(setting, value)
    if (problem === undefined) continue
    const isGeneral = resourceType === resources.broker || resourceType === resources.clientMetrics
    return isGeneral ? invalid(problem) : badConfig(problem)
  }
  return undefined
}

/** Changes the settings of something, unless that is wrong, or only asked about. @internal */
export const alter = (cluster: Cluster, node: BrokerNode, asked: Asked, validateOnly: boolean): Outcome => {
  const { resourceName, resourceType } = asked
  const problem = requestProblem(node, asked)
  if (problem !== undefined) return problem
  const topic = resourceType === resources.topic ? cluster.topics.get(resourceName) : undefined
  const after = changed(asked, topic?.configs ?? Configs.altered(cluster, resourceType, resourceName) ?? new Map())
  if ("errorCode" in after) return after
  const bad = valuesProblem(asked, after)
  if (bad !== undefined) return bad
  if (resourceType === resources.topic && topic === undefined) {
    return refused(codes.UNKNOWN_TOPIC_OR_PARTITION, `The topic '${resourceName}' does not exist.`)
  }
  if (!validateOnly) {
    if (topic === undefined) cluster.configs.set(`${resourceType} ${resourceName}`, new Map(after))
    else {
      topic.configs.clear()
      for (const [name, value] of after) topic.configs.set(name, value)
    }
  }
  return refused(codes.NONE, null)
}

/** The answers to a request; one that names something twice gets nothing of it. @internal */
export const alterAll = (
  cluster: Cluster,
  node: BrokerNode,
  all: ReadonlyArray<Asked>,
  validateOnly: boolean
): ReadonlyArray<Outcome & Pick<Asked, "resourceType" | "resourceName">> => {
  const keyOf = ({ resourceName, resourceType }: Asked) => `${resourceType} ${resourceName}`
  const keys = all.map(keyOf)
  return all.map((asked) => {
    const { resourceName, resourceType } = asked
    const isTwice = keys.indexOf(keyOf(asked)) !== keys.lastIndexOf(keyOf(asked))
    const outcome = isTwice
      ? invalid("Each resource must appear at most once.")
      : alter(cluster, node, asked, validateOnly)
    return { ...outcome, resourceType, resourceName }
  })
}
