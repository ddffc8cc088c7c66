/** Where the broker inside the process answers otherwise: each must still differ, so that the list stays true. */

/** @internal */
export interface Difference {
  readonly releases: ReadonlyArray<"4.4" | "3.9" | "2.8">
  /** What paths of case, step and field it is found at. */
  readonly path: RegExp
  readonly why: string
}

const all = ["4.4", "3.9", "2.8"] as const

/** What is so on purpose. */
const purposes: ReadonlyArray<Difference> = [
  { releases: all, path: /^create(Topics|Partitions) .*errorMessage:/, why: "texts differ from release to release" },
  { releases: ["2.8"], path: /^(produce 21|describeConfigs 8): .*rrorMessage:/, why: "the newest texts are told" },
  {
    releases: all,
    path: /: Unexpected broker id|errorMessage: Kafka says "Unexpected broker id/,
    why: "ids of brokers"
  },
  {
    releases: all,
    path: /^describeConfigs 9: .*num\.partitions\.configSource:/,
    why: "the real one has it in its server.properties"
  },
  {
    releases: ["4.4"],
    path: /^describeConfigs 6: .*min\.insync\.replicas/,
    why: "eligible leader replicas (KIP-966) set it for all brokers"
  },
  {
    releases: ["3.9", "2.8"],
    path: /^describeConfigs 6: /,
    why: "the settings of topics are those of the newest release"
  },
  {
    releases: all,
    path: /^versions \d: .*apiKeys\.\d+: Kafka says "[\d-]+", this broker undefined/,
    why: "APIs that it has not"
  },
  {
    releases: ["4.4", "3.9"],
    path: /^versions [34]: .*Features\.(metadata|kraft|share|streams|eligible\.leader\.replicas)\.version:/,
    why: "features of brokers among themselves, and of APIs that it has not"
  }
]

/** What is not yet as it should be. */
const defects: ReadonlyArray<Difference> = [
  {
    releases: ["2.8"],
    path: /^createTopics 1[02]: .*errorCode:/,
    why: "2.8 only validates without looking at brokers"
  },
  {
    releases: ["2.8"],
    path: /^createTopics 16: .*errorCode:/,
    why: "2.8 says INVALID_REQUEST of a config without value"
  },
  { releases: ["2.8"], path: /^createTopics 18: .*topics\.1:/, why: "2.8 names a topic asked for twice twice" },
  {
    releases: ["2.8"],
    path: /^(alterConfigs (3|4|6)|incrementalAlterConfigs (4|6|7|8|9|10|12|17|21)): /,
    why: "2.8 checks changes of settings otherwise: INVALID_REQUEST, lists that have a value twice, null"
  },
  { releases: ["2.8"], path: /^membership 21: .*errorCode:/, why: "2.8 does not look for an unknown instance" }
]

/** @internal */
export const differences: ReadonlyArray<Difference> = [...purposes, ...defects]
