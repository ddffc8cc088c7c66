/**
 * The time for which a partition belongs to a consumer, from its assignment to its end. Records know theirs, so that what
 * was read under one is not committed after it.
 *
 * @since 0.1.0
 */

/** @internal */
export class Lease {
  readonly topic: string
  readonly partition: number
  /** How often reading has gone on elsewhere: what was finished before a jump says nothing of what comes after it. */
  jumps = 0
  private hasEnded = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get isActive(): boolean {
    return !this.hasEnded
  }

  end(): void {
    this.hasEnded = true
  }
}
