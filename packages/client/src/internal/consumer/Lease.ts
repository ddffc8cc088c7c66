/**
 * The time for which a partition belongs to a consumer, from its assignment to its end. Records know theirs, so that what
 * was read under one is not committed after it.
 *
 * Within it reading may go on elsewhere: after a seek, or where the log was cut back. What was read before such a jump
 * says nothing of how far the partition has been finished since, so records know the stretch that they were read in too.
 *
 * @since 0.1.0
 */

/** @internal */
export class Lease {
  readonly topic: string
  readonly partition: number
  /** What is read now. */
  stretch = new Stretch(this, 0)
  private hasEnded = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get isActive(): boolean {
    return !this.hasEnded
  }

  /** How often reading has gone on elsewhere: what was finished before a jump says nothing of what comes after it. */
  get jumps(): number {
    return this.stretch.jumps
  }

  /** Reading goes on elsewhere. */
  jump(): void {
    this.stretch = new Stretch(this, this.jumps + 1)
  }

  end(): void {
    this.hasEnded = true
  }
}

/**
 * What is read of a partition from one jump to the next.
 *
 * @internal
 */
export class Stretch {
  readonly lease: Lease
  /** The jumps of the lease before it. */
  readonly jumps: number

  constructor(lease: Lease, jumps: number) {
    this.lease = lease
    this.jumps = jumps
  }

  /** Whether what was read in it still says how far the partition has been finished. */
  get isPresent(): boolean {
    return this.lease.isActive && this.lease.stretch === this
  }
}
