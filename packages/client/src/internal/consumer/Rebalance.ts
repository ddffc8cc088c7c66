/**
 * What changes hands in a rebalance: sums and differences of lists of partitions.
 *
 * @since 0.1.0
 */
import type { Assignor } from "../../Assignor.ts"
import type { TopicPartition } from "../../Topic.ts"
import * as PartitionLists from "./PartitionLists.ts"

/** A name that no other partition has. @internal */
export const key = ({ partition, topic }: TopicPartition): string => `${topic}:${partition}`

/** Those of the first that are not among the others. @internal */
export const without = (
  partitions: ReadonlyArray<TopicPartition>,
  others: ReadonlyArray<TopicPartition>
): ReadonlyArray<TopicPartition> => {
  if (partitions.length === 0 || others.length === 0) return partitions
  const keys = new Set(others.map(key))
  return partitions.filter((partition) => !keys.has(key(partition)))
}

/** A member keeps its partitions while it joins only if all assignors that it names let it (KIP-429). @internal */
export const isCooperative = (assignors: ReadonlyArray<Assignor>): boolean =>
  assignors.every(({ protocol }) => protocol === "cooperative")

/**
 * What a member gives up before it joins: everything with the eager protocol, else what it no longer subscribes to.
 *
 * @internal
 */
export const beforeJoin = (
  owned: ReadonlyArray<TopicPartition>,
  topics: ReadonlyArray<string>,
  cooperative: boolean
): ReadonlyArray<TopicPartition> => {
  if (owned.length === 0 || !cooperative) return owned
  const kept = new Set(topics)
  return owned.filter(({ topic }) => !kept.has(topic))
}

/** For logs: `orders 0 1 2, payments 0`. @internal */
export const describe = (partitions: ReadonlyArray<TopicPartition>): string =>
  partitions.length === 0
    ? "none"
    : PartitionLists.byTopic(partitions)
        .map(({ partitions, topic }) => `${topic} ${partitions.join(" ")}`)
        .join(", ")
