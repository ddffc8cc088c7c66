/**
 * How far the records of a partition have been finished when they are worked on out of order: behind the last of those
 * before which none is open.
 *
 * @since 0.1.0
 */
/** `A`: the places behind records. @internal */
export class LowWaterMark<A> {
  private readonly places: Array<A> = []
  private readonly isFinished: Array<boolean> = []
  private head = 0
  private first = 0

  /** How many records are open, or wait for one before them. */
  get open(): number {
    return this.places.length - this.head
  }

  /** Behind the first that is open. */
  get firstOpen(): A | undefined {
    return this.places[this.head]
  }

  /** Adds the next record in order, by the place behind it; gives what `finish` is to be told. */
  add(place: A): number {
    this.places.push(place)
    this.isFinished.push(false)
    return this.first + this.places.length - 1
  }

  /** A record is finished; gives the place behind all that are, if that has moved. */
  finish(ticket: number): A | undefined {
    this.isFinished[ticket - this.first] = true
    const before = this.head
    while (this.head < this.places.length && this.isFinished[this.head]) this.head++
    if (this.head === before) return undefined
    const place = this.places[this.head - 1]
    // What is done with is let go from time to time, not each time: that would move all the others.
    if (this.head > 1024 && this.head * 2 > this.places.length) {
      this.places.splice(0, this.head)
      this.isFinished.splice(0, this.head)
      this.first += this.head
      this.head = 0
    }
    return place
  }
}
