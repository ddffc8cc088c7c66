/**
 * What a broker of a release can do, and how it treats what it does not know. The versions are those that brokers of that
 * release name themselves.
 *
 * @since 0.1.0
 */
import type { AnyApi } from "@kafka-effect/protocol/Api"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import { type ReleaseName, versionsByRelease } from "./ReleaseVersions.ts"

/** @internal */
export interface Release {
  readonly name: ReleaseName
  /** By API key: the lowest and the highest version. */
  readonly versions: ReadonlyMap<number, readonly [lowest: number, highest: number]>
  /** What becomes of a request of no API and version that there is: 0.9 says nothing, and goes on. */
  readonly unknown: "close" | "silence"
  /** Whether, until there is a topic, Metadata has no brokers, and FindCoordinator an error and correlation id 0 (0.8.2). */
  readonly startsWithTopics: boolean
  /** Whether version 0 of OffsetCommit and OffsetFetch is for offsets in ZooKeeper; else nobody is there to keep them. */
  readonly hasZookeeper: boolean
  /** The newest format of records that its logs have. */
  readonly magic: 0 | 1 | 2
}

const numbersOf = (name: string): ReadonlyArray<number> => name.split(".").map(Number)

/** Whether a release is that one or a later one. @internal */
export const atLeast = ({ name }: Pick<Release, "name">, other: ReleaseName): boolean => {
  const [mine, theirs] = [numbersOf(name), numbersOf(other)]
  for (let index = 0; index < Math.max(mine.length, theirs.length); index++) {
    const difference = (mine[index] ?? 0) - (theirs[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** @internal */
export const newestName: ReleaseName = "4.4"

/** A release, as far as there are these APIs, by their keys. @internal */
export const make = (name: ReleaseName, apis: { readonly has: (key: number) => boolean }): Release => {
  const versions = new Map(
    versionsByRelease[name].split(" ").flatMap((entry) => {
      const [key, lowest, highest] = entry.split(/[:-]/).map(Number)
      return apis.has(key) ? [[key, [lowest, highest]] as const] : []
    })
  )
  return {
    name,
    versions,
    unknown: name === "0.9" ? "silence" : "close",
    startsWithTopics: name === "0.8.2",
    // The versions from 3.3 on are those of brokers with KRaft.
    hasZookeeper: !atLeast({ name }, "3.3"),
    magic: atLeast({ name }, "0.11") ? 2 : atLeast({ name }, "0.10.0") ? 1 : 0
  }
}

/** @internal */
export const knows = ({ name, versions }: Release, { key }: Pick<AnyApi, "key">, version: number): boolean => {
  const range = versions.get(key)
  if (range === undefined || version < range[0] || version > range[1]) return false
  // Kafka 4 names versions of Produce that it has no more, for the sake of librdkafka (KAFKA-18659).
  return !(key === Produce.key && version < 3 && atLeast({ name }, "4.0"))
}
