/**
 * What a group has committed, by topic and partition.
 *
 * @since 0.1.0
 */

/** @internal */
export interface CommittedOffset {
  readonly offset: bigint
  /** -1 where it is not known. */
  readonly leaderEpoch: number
  readonly metadata: string
}

/** @internal */
export class GroupOffsets {
  private readonly topics = new Map<string, Map<number, CommittedOffset>>()

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.topics.get(topic)?.get(partition)
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    const partitions = this.topics.get(topic)
    if (partitions === undefined) this.topics.set(topic, new Map([[partition, committed]]))
    else partitions.set(partition, committed)
  }

  delete(topic: string, partition: number): void {
    const partitions = this.topics.get(topic)
    partitions?.delete(partition)
    if (partitions?.size === 0) this.topics.delete(topic)
  }

  /** Of a topic that is gone. */
  deleteTopic(topic: string): void {
    this.topics.delete(topic)
  }

  all(): ReadonlyArray<readonly [topic: string, partitions: ReadonlyMap<number, CommittedOffset>]> {
    return [...this.topics]
  }
}
