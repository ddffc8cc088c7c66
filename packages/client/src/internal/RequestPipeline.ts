/**
 * The order of requests on one connection: what waits to be written, what is in flight, and which response is next.
 *
 * Plain data, no clock, no sockets. Kafka answers a connection's requests in the order in which they came, so the
 * requests in flight are a queue, and a response belongs to its head or the connection is broken. An entry whose caller
 * has gone keeps its place in that queue until its response has come.
 *
 * @since 0.1.0
 */

/** @internal */
export interface Entry {
  /** Whether a response will come; Produce with `acks=0` has none. */
  readonly expectsResponse: boolean
  /** In milliseconds of the connection's clock: when to give up. Moves on when the request is written. */
  deadline: number
  correlationId: number
}

/** @internal */
export const nextCorrelationId = (id: number): number => (id + 1) & 0x7fffffff

/** @internal */
export class RequestPipeline<E extends Entry> {
  readonly maxInFlight: number
  private lastCorrelationId: number
  private waiting: Array<E> = []
  private inFlight: Array<E> = []
  // Taken, without a response to come, and not yet known to be written.
  private unanswered: Array<E> = []

  constructor(maxInFlight: number, firstCorrelationId = 0) {
    this.maxInFlight = maxInFlight
    this.lastCorrelationId = firstCorrelationId - 1
  }

  /** Requests that wait or are in flight: the connection's load. */
  get size(): number {
    return this.waiting.length + this.inFlight.length + this.unanswered.length
  }

  get isIdle(): boolean {
    return this.size === 0
  }

  get canSend(): boolean {
    return this.waiting.length > 0 && (this.inFlight.length < this.maxInFlight || !this.waiting[0].expectsResponse)
  }

  enqueue(entry: E): void {
    this.waiting.push(entry)
  }

  /** The request to write now, with its correlation id set; it is in flight from here on. Call only if `canSend`. */
  take(): E {
    const entry = this.waiting.shift()!
    entry.correlationId = this.lastCorrelationId = nextCorrelationId(this.lastCorrelationId)
    if (entry.expectsResponse) this.inFlight.push(entry)
    else this.unanswered.push(entry)
    return entry
  }

  /** Takes back the entry that `take` gave last, because it could not be encoded: nothing of it was written. */
  untake(entry: E): void {
    const taken = entry.expectsResponse ? this.inFlight : this.unanswered
    if (taken[taken.length - 1] === entry) taken.pop()
  }

  get hasUnanswered(): boolean {
    return this.unanswered.length > 0
  }

  /** Takes out the requests without a response: they have been written. */
  takeWritten(): ReadonlyArray<E> {
    const written = this.unanswered
    this.unanswered = []
    return written
  }

  /** The request whose response is next. */
  get head(): E | undefined {
    return this.inFlight[0]
  }

  /** The response of the head has come. */
  shift(): void {
    this.inFlight.shift()
  }

  /** Forgets a request that still waits; false if it is in flight, where it must stay. */
  withdraw(entry: E): boolean {
    const index = this.waiting.indexOf(entry)
    if (index < 0) return false
    this.waiting.splice(index, 1)
    return true
  }

  earliestDeadline(): number {
    let earliest = Infinity
    for (const entry of this.inFlight) if (entry.deadline < earliest) earliest = entry.deadline
    for (const entry of this.unanswered) if (entry.deadline < earliest) earliest = entry.deadline
    for (const entry of this.waiting) if (entry.deadline < earliest) earliest = entry.deadline
    return earliest
  }

  /** Takes out the waiting requests whose deadline has passed. */
  takeExpired(now: number): ReadonlyArray<E> {
    const expired = this.waiting.filter((entry) => entry.deadline <= now)
    if (expired.length > 0) this.waiting = this.waiting.filter((entry) => entry.deadline > now)
    return expired
  }

  /** A request that was taken and whose deadline has passed. */
  overdue(now: number): E | undefined {
    const isOverdue = (entry: E) => entry.deadline <= now
    return this.inFlight.find(isOverdue) ?? this.unanswered.find(isOverdue)
  }

  /** Empties it: what may have been sent, and what was not. */
  drain(): { readonly sent: ReadonlyArray<E>; readonly waiting: ReadonlyArray<E> } {
    const drained = { sent: [...this.inFlight, ...this.unanswered], waiting: this.waiting }
    this.inFlight = []
    this.unanswered = []
    this.waiting = []
    return drained
  }
}
