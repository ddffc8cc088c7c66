/**
 * Partitions one by one, as we name them, and grouped by topic, as the wire does.
 *
 * @since 0.1.0
 */
import type { TopicPartition } from "../../Topic.ts"

/** @internal */
export interface OfTopic {
  readonly topic: string
  readonly partitions: ReadonlyArray<number>
}

/** Topics and partitions in the order of their first appearance. @internal */
export const byTopic = (partitions: ReadonlyArray<TopicPartition>): ReadonlyArray<OfTopic> => {
  const lists = new Map<string, Array<number>>()
  for (const { partition, topic } of partitions) {
    const list = lists.get(topic)
    if (list === undefined) lists.set(topic, [partition])
    else list.push(partition)
  }
  return Array.from(lists, ([topic, partitions]) => ({ topic, partitions }))
}

/** @internal */
export const flatten = (lists: ReadonlyArray<OfTopic>): ReadonlyArray<TopicPartition> =>
  lists.flatMap(({ partitions, topic }) => partitions.map((partition) => ({ topic, partition })))
