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
  { releases: all, path: /^findCoordinator 0: .*errorMessage:/, why: "the code says it" }
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
  { releases: ["2.8"], path: /^membership 21: .*errorCode:/, why: "2.8 does not look for an unknown instance" }
]

/** @internal */
export const differences: ReadonlyArray<Difference> = [...purposes, ...defects]
