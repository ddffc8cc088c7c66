/**
 * Which partitions somebody has, or should have, by topic id.
 *
 * @since 0.1.0
 */

/** Partitions with the epoch of the assignment that gave each of them. @internal */
export type Owned = ReadonlyMap<string, ReadonlyMap<number, number>>

/** Partitions, as an assignor shares them out. @internal */
export type Target = ReadonlyMap<string, ReadonlySet<number>>

/** Partitions as they are on the wire. @internal */
export interface TopicPartitions {
  readonly topicId: string
  readonly partitions: ReadonlyArray<number>
}

/** @internal */
export const has = (owned: Owned, topicId: string, partition: number): boolean =>
  owned.get(topicId)?.has(partition) === true

/** @internal */
export const isSame = (one: Owned, other: Owned): boolean =>
  one.size === other.size &&
  [...one].every(([topicId, partitions]) => {
    const others = other.get(topicId)
    return others?.size === partitions.size && [...partitions].every(([index, epoch]) => others.get(index) === epoch)
  })

/** The partitions for which it is so. @internal */
export const filter = (owned: Owned, isIn: (topicId: string, partition: number) => boolean): Owned =>
  new Map(
    [...owned].flatMap(([topicId, partitions]) => {
      const kept = [...partitions].filter(([partition]) => isIn(topicId, partition))
      return kept.length > 0 ? [[topicId, new Map(kept)] as const] : []
    })
  )

/** Both of them. @internal */
export const union = (one: Owned, other: Owned): Owned => {
  const all = new Map(one)
  for (const [topicId, partitions] of other) {
    all.set(topicId, new Map([...(all.get(topicId) ?? []), ...partitions]))
  }
  return all
}

/** @internal */
export const toWire = (partitions: Owned | Target): ReadonlyArray<TopicPartitions> =>
  [...partitions].map(([topicId, indexes]) => ({ topicId, partitions: [...indexes.keys()].sort((a, b) => a - b) }))
