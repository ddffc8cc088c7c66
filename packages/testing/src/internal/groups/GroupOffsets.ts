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
  /** What is committed when the transaction of a producer is: by its id. */
  private readonly pending = new Map<bigint, Array<readonly [topic: string, partition: number, CommittedOffset]>>()

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

  /** Whether nothing is committed, nor about to be. */
  get isEmpty(): boolean {
    return this.topics.size === 0 && this.pending.size === 0
  }

  /** Of a topic that is gone. */
  deleteTopic(topic: string): void {
    this.topics.delete(topic)
  }

  /** Commits as a part of a producer's transaction. */
  setPending(producerId: bigint, topic: string, partition: number, committed: CommittedOffset): void {
    const known = this.pending.get(producerId)
    if (known === undefined) this.pending.set(producerId, [[topic, partition, committed]])
    else known.push([topic, partition, committed])
  }

  /** Whether a transaction that is not decided has an offset for the partition (KIP-447). */
  isPending(topic: string, partition: number): boolean {
    for (const offsets of this.pending.values()) {
      if (offsets.some(([name, index]) => name === topic && index === partition)) return true
    }
    return false
  }

  endTransaction(producerId: bigint, isCommit: boolean): void {
    const offsets = this.pending.get(producerId) ?? []
    this.pending.delete(producerId)
    if (isCommit) for (const [topic, partition, committed] of offsets) this.set(topic, partition, committed)
  }

  all(): ReadonlyArray<readonly [topic: string, partitions: ReadonlyMap<number, CommittedOffset>]> {
    return [...this.topics]
  }
}
