/**
 * A partition from when this consumer is given it until it is taken away: what is fetched of it, how far its records were
 * handed over, and how far they have been finished.
 *
 * Plain data, changed synchronously by who reads it and by who takes it away.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Exit from "effect/Exit"
import type { ConsumerError } from "../../ConsumerError.ts"
import { FetchedPartition } from "./FetchedPartition.ts"
import { Lease } from "./Lease.ts"
import type { StartPosition } from "./StartPosition.ts"

/** Why a partition is no longer read. @internal */
export type Ending = "revoked" | "lost" | "stopped"

/** An offset that a commit would name, with the leader epoch of the record before it. @internal */
export interface Place {
  readonly offset: bigint
  readonly leaderEpoch: number
}

/** @internal */
export class OwnedPartition {
  readonly topic: string
  readonly partition: number
  /** What its records belong to: none of them is committed after its end. */
  readonly lease: Lease
  readonly fetched: FetchedPartition
  /** Completed when it is taken away: nothing more is handed over. */
  readonly ending = Deferred.makeUnsafe<Ending>()
  /** Completed when it was taken away and nobody works on its records any more. */
  readonly released = Deferred.makeUnsafe<void>()
  /** It may be read: where it begins is known, and nobody works under a former lease any more. */
  isReady = false
  /** Somebody reads this partition alone, or works on what it has read. */
  isRead = false
  /** Where to begin was chosen by a seek: what was committed does not matter. */
  isSought = false
  /** Behind the last record that was handed over, and all that need not be. */
  handed: Place | undefined = undefined
  /** Where the first batch begins that was handed over of the present stretch. */
  begun: bigint | undefined = undefined
  /** Behind the last record that was handed over: what its reader commits, who knows of no others. */
  given: bigint | undefined = undefined
  /** The first record that its reader has in hand: handed over, and not finished. */
  openFrom: bigint | undefined = undefined
  /** Behind the last record of those that have been finished without a gap. */
  finished: Place | undefined = undefined
  /** The offset that was committed automatically. */
  committed: bigint | undefined = undefined
  /** Since when its reader has something to do before it asks for more; undefined while it waits. Of a clock that only goes forward. */
  busySince: number | undefined
  /** What was wrong with the partition when its reader was given up. */
  private former: ConsumerError | undefined = undefined
  /** Why its reader was given up. */
  failure: ConsumerError | undefined = undefined
  /** Ends the work on its records at once. */
  interrupt: () => void = () => {}

  constructor(topic: string, partition: number, options: { readonly maxBytes: number; readonly now: number }) {
    this.topic = topic
    this.partition = partition
    this.busySince = options.now
    this.lease = new Lease(topic, partition)
    // Where it begins is found out before it is fetched.
    this.fetched = new FetchedPartition({
      topic,
      partition,
      start: "earliest",
      maxBytes: options.maxBytes,
      lease: this
    })
  }

  get isEnding(): boolean {
    return Deferred.isDoneUnsafe(this.ending)
  }

  get isReleased(): boolean {
    return Deferred.isDoneUnsafe(this.released)
  }

  /** Where the next record that is handed over is, or may be; undefined while that is looked up. */
  get position(): bigint | undefined {
    const { fetched, handed } = this
    if (handed === undefined) return fetched.delivered
    // Nothing is handed over of control batches, for example: they were passed all the same.
    return handed.offset === fetched.queuedEnd && fetched.unsettled === undefined ? fetched.position : handed.offset
  }

  /** Behind what has been finished, and behind what follows it that is for no reader: markers of transactions, for example. */
  get committable(): Place | undefined {
    const { fetched, finished, handed, position } = this
    if (finished === undefined || finished.offset !== handed?.offset || position === undefined) return finished
    return position > finished.offset ? { offset: position, leaderEpoch: fetched.epoch } : finished
  }

  /** Before it nothing is left to be done, as far as this consumer knows; undefined while that is looked up. */
  get reached(): bigint | undefined {
    const { begun, fetched, finished } = this
    return (
      finished?.offset ?? begun ?? fetched.origin ?? (fetched.unsettled === undefined ? fetched.position : undefined)
    )
  }

  /** Offsets between what is handed over next and the end, as of the last fetch; undefined before. */
  lag(isolation: "committed" | "uncommitted"): bigint | undefined {
    return this.fetched.lag(isolation, this.position)
  }

  end(reason: Ending): void {
    Deferred.doneUnsafe(this.ending, Exit.succeed(reason))
  }

  release(): void {
    this.isRead = false
    Deferred.doneUnsafe(this.released, Exit.void)
  }

  /** Nothing more is handed over: the reader, who has not come back for too long, fails when it does. */
  stall(error: ConsumerError): void {
    this.failure = error
    const { fetched, position } = this
    if (position !== undefined && !fetched.isBlocked) fetched.seek(position)
    this.former = fetched.error
    fetched.error = error
    this.interrupt()
  }

  /** Another reader begins where the former one has ended. */
  restart(): void {
    if (this.failure === undefined) return
    this.failure = undefined
    this.fetched.error = this.former
    this.former = undefined
  }

  seek(start: StartPosition): void {
    this.isSought = true
    this.failure = undefined
    this.former = undefined
    this.jump()
    this.fetched.seek(start)
  }

  /** Hands over again from where the work was left, which others have begun and not finished. */
  handAgain(offset: bigint): void {
    const { failure, fetched, former } = this
    this.openFrom = undefined
    this.handed = undefined
    this.given = undefined
    // What is wrong with the partition now, the next reader has to hear first, and nothing behind it.
    const isBlocked =
      former !== undefined || (fetched.isBlocked && (failure === undefined || fetched.error !== failure))
    if (isBlocked) fetched.drop()
    else {
      fetched.seek(offset)
      fetched.error = failure
    }
  }

  /** Reading goes on elsewhere: what was finished until now is not to be committed any more. */
  jump(): void {
    this.lease.jump()
    this.begun = undefined
    this.handed = undefined
    this.given = undefined
    this.openFrom = undefined
    this.finished = undefined
    this.committed = undefined
  }
}
