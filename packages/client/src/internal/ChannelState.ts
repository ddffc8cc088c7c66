/**
 * What one connection knows at a moment: its requests, its bytes on the way out and in, and whether it has ended.
 *
 * Every change happens in one of these methods, at once and without waiting; the fibers of `RequestChannel` call them.
 * The first end is final: it fails every waiter and every later call with its reason.
 *
 * @since 0.1.0
 */
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import * as FrameSplitter from "@kafka-effect/protocol/FrameSplitter"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Socket from "effect/socket/Socket"
import {
  ConnectionLost,
  CorrelationMismatch,
  FrameTooLarge,
  InvalidRequest,
  InvalidResponse,
  KafkaError,
  NotKafka,
  type Reason,
  RequestTimeout
} from "../KafkaError.ts"
import { describeSocketError } from "../Transport.ts"
import { RequestPipeline } from "./RequestPipeline.ts"

/** @internal */
export interface Options {
  readonly nodeId: number
  /** `host:port`, for errors. */
  readonly broker: string
  readonly maxInFlight: number
  readonly receiveMaxBytes: number
  /** Milliseconds without a request after which the socket is closed; Infinity for never. */
  readonly maxIdle: number
}

/** @internal */
export interface Exchange<A> {
  readonly api: string
  readonly version: number
  /** Milliseconds to wait until written, and from then on for the response. */
  readonly timeout: number
  /** Writes header and message. May throw; what it throws fails this exchange alone. */
  readonly write: (writer: ByteWriter, correlationId: number) => void
  /** Reads the response behind the correlation id; undefined where no response comes. May throw likewise. */
  readonly read: ((reader: ByteReader) => A) | undefined
  /** Milliseconds for which the broker takes no more requests after this response. */
  readonly throttle?: ((response: A) => number) | undefined
  /** Accepts correlation id 0 in the response: brokers of 0.8.2 answer so while they have no coordinator. */
  readonly toleratesZeroId?: boolean | undefined
}

/** A request and the caller who waits for it. @internal */
export interface Pending {
  readonly exchange: Exchange<unknown>
  readonly expectsResponse: boolean
  deadline: number
  correlationId: number
  /** Completes the caller; does nothing once the caller has gone. */
  resume: (effect: Effect.Effect<unknown, KafkaError>) => void
}

// Frames are written one behind the other into a slab that is never rewritten; a write takes at most about this much.
const slabSize = 64 * 1024
const writeSize = 256 * 1024
// Byte arrays from this length on cost less as pieces of their own than a copy of them does.
const minPiece = 4096

const makeWriter = (): ByteWriter => new ByteWriter(slabSize, minPiece)

/** @internal */
export class ChannelState {
  readonly pipeline: RequestPipeline<Pending>
  readonly ended = Deferred.makeUnsafe<KafkaError>()
  dead: KafkaError | undefined
  isRetired = false
  /** In milliseconds of the clock: until then the broker takes no requests. */
  mutedUntil = 0
  private readonly options: Options
  private readonly now: () => number
  private readonly broker: Broker
  private readonly splitter: FrameSplitter.FrameSplitter
  private writer = makeWriter()
  private hasReceived = false
  private lastUsed: number

  constructor(options: Options, now: () => number) {
    this.options = options
    this.now = now
    this.broker = { nodeId: options.nodeId, broker: options.broker }
    this.lastUsed = now()
    this.pipeline = new RequestPipeline(options.maxInFlight)
    const onFrame = (frame: Uint8Array): void => this.receiveFrame(frame)
    this.splitter = FrameSplitter.make({ maxFrameSize: options.receiveMaxBytes, onFrame })
  }

  /** Ends the connection, with what each waiter is told: whether its request may have been sent makes a difference. */
  end(reason: (maybeSent: boolean) => Reason): void {
    if (this.dead !== undefined) return
    this.dead = new KafkaError({ reason: reason(false) })
    const { sent, waiting } = this.pipeline.drain()
    if (sent.length > 0) {
      const unknown = Effect.fail(new KafkaError({ reason: reason(true) }))
      for (const pending of sent) pending.resume(unknown)
    }
    const unsent = Effect.fail(this.dead)
    for (const pending of waiting) pending.resume(unsent)
    Deferred.doneUnsafe(this.ended, Exit.succeed(this.dead))
  }

  lost(closedBy: ConnectionLost["closedBy"], detail: string): void {
    this.end((maybeSent) => new ConnectionLost({ ...this.broker, closedBy, detail, maybeSent }))
  }

  lostSocket(error: Socket.SocketError): void {
    const isClose = error.reason._tag === "SocketCloseError" && error.reason.code === 1000
    const hint = this.hasReceived ? "" : " before it answered anything. Does this port want TLS or SASL?"
    this.lost(isClose ? "broker" : "network", describeSocketError(error) + hint)
  }

  /** Takes no new request, and ends once those that are there have. */
  retire(): void {
    this.isRetired = true
    this.endIfDone()
  }

  /** Why a new request cannot be taken; undefined if it can. */
  get refusal(): KafkaError | undefined {
    return this.dead ?? (this.isRetired ? retired(this.broker) : undefined)
  }

  /** Adds a request; gives when it has to be looked at. */
  add(exchange: Exchange<unknown>, resume: Pending["resume"]): Pending {
    const deadline = this.now() + exchange.timeout
    const pending = { exchange, expectsResponse: exchange.read !== undefined, deadline, correlationId: -1, resume }
    this.pipeline.enqueue(pending)
    return pending
  }

  /** The caller has gone. What was written keeps its place, and its response is thrown away. */
  abandon(pending: Pending): void {
    pending.resume = ignore
    this.pipeline.withdraw(pending)
    this.endIfDone()
  }

  /** Encodes what may be sent now: the pieces to write, in order. Large byte arrays among them are the requests' own. */
  collect(): Array<Uint8Array> {
    if (this.writer.offset > slabSize / 2) this.writer = makeWriter()
    const { pipeline, writer } = this
    const time = this.now()
    const start = writer.offset
    while (pipeline.canSend && writer.offset - start + writer.externalBytes < writeSize) {
      const pending = pipeline.take()
      const frameStart = writer.offset
      const { externalBytes } = writer
      const externalCount = writer.external.length
      try {
        writer.writeInt32(0)
        pending.exchange.write(writer, pending.correlationId)
        writer.setInt32(frameStart, writer.offset - frameStart - 4 + writer.externalBytes - externalBytes)
        pending.deadline = time + pending.exchange.timeout
      } catch (cause) {
        writer.rewind(frameStart, externalCount)
        pipeline.untake(pending)
        pending.resume(Effect.fail(invalidRequest(pending.exchange, cause)))
      }
    }
    this.endIfDone()
    return writer.takePieces(start)
  }

  /** What was collected is written: requests without a response are done. */
  written(): void {
    this.lastUsed = this.now()
    for (const pending of this.pipeline.takeWritten()) pending.resume(Effect.void)
    this.endIfDone()
  }

  receive(pieces: ReadonlyArray<Uint8Array>): void {
    if (this.dead !== undefined) return
    try {
      for (let i = 0; i < pieces.length; i++) this.splitter.push(pieces[i])
    } catch (error) {
      if (!(error instanceof FrameSplitter.FrameError)) throw error
      this.end((maybeSent) => badFrame(this.broker, error, this.options.receiveMaxBytes, maybeSent))
    }
  }

  private receiveFrame(frame: Uint8Array): void {
    if (this.dead !== undefined) return
    this.hasReceived = true
    const reader = new ByteReader(frame)
    const received = reader.readInt32()
    const pending = this.pipeline.head
    const isExpected =
      pending !== undefined &&
      (received === pending.correlationId || (received === 0 && pending.exchange.toleratesZeroId === true))
    if (!isExpected) {
      const expected = pending?.correlationId ?? -1
      this.end((maybeSent) => new CorrelationMismatch({ ...this.broker, expected, received, maybeSent }))
      return
    }
    this.pipeline.shift()
    this.lastUsed = this.now()
    const { exchange } = pending
    let outcome: Effect.Effect<unknown, KafkaError>
    try {
      // Only requests with a reader are in flight.
      const response = exchange.read!(reader)
      const throttle = exchange.throttle === undefined ? 0 : exchange.throttle(response)
      if (throttle > 0) this.mutedUntil = Math.max(this.mutedUntil, this.lastUsed + throttle)
      outcome = Effect.succeed(response)
    } catch (cause) {
      outcome = Effect.fail(invalidResponse(this.broker, exchange, cause))
    }
    pending.resume(outcome)
    this.endIfDone()
  }

  /** Fails what has waited too long; gives when to look again, in milliseconds of the clock. */
  expire(): number {
    const time = this.now()
    for (const pending of this.pipeline.takeExpired(time)) {
      pending.resume(Effect.fail(new KafkaError({ reason: timedOut(this.broker, pending.exchange, false) })))
    }
    const overdue = this.pipeline.overdue(time)
    if (overdue !== undefined) {
      // Its caller hears of the timeout, the others of the connection that it cost; that ends first, since a caller goes
      // on at once and may try again.
      const { exchange, resume } = overdue
      overdue.resume = ignore
      const waited = `within ${exchange.timeout} ms (requestTimeout)`
      this.lost("timeout", `${exchange.api} v${exchange.version} was not answered ${waited}`)
      resume(Effect.fail(new KafkaError({ reason: timedOut(this.broker, exchange, true) })))
    }
    this.endIfDone()
    const idleAt = this.pipeline.isIdle ? this.lastUsed + this.options.maxIdle : Infinity
    if (idleAt <= time) this.lost("idle", `it was idle for ${this.options.maxIdle} ms (connectionsMaxIdle)`)
    return Math.min(this.pipeline.earliestDeadline(), idleAt)
  }

  private endIfDone(): void {
    if (this.isRetired && this.pipeline.isIdle) this.lost("replaced", "it was replaced by another")
  }
}

const ignore = (): void => {}

interface Broker {
  readonly nodeId: number
  readonly broker: string
}

const retired = (broker: Broker): KafkaError =>
  new KafkaError({
    reason: new ConnectionLost({ ...broker, closedBy: "replaced", detail: "it is being replaced", maybeSent: false })
  })

const timedOut = (broker: Broker, { api, timeout, version }: Exchange<unknown>, maybeSent: boolean): RequestTimeout =>
  new RequestTimeout({ ...broker, api, version, timeout, maybeSent })

const describe = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const invalidRequest = ({ api, version }: Exchange<unknown>, cause: unknown): KafkaError =>
  cause instanceof KafkaError
    ? cause
    : new KafkaError({ reason: new InvalidRequest({ api, version, detail: describe(cause), cause }) })

const invalidResponse = (broker: Broker, { api, version }: Exchange<unknown>, cause: unknown): KafkaError =>
  new KafkaError({ reason: new InvalidResponse({ ...broker, api, version, detail: describe(cause), cause }) })

/** What the first four bytes of other protocols look like, read as the size of a frame. */
const looksLike = (size: number): string | undefined => {
  if (size >>> 16 === 0x1503) return "it answered with a TLS alert: this port wants TLS"
  if (size >>> 16 === 0x1603) return "it answered with a TLS handshake: this port wants TLS"
  if (size === 0x48545450) return "it answered with HTTP: this is a web server's port"
  if (size === 0x5353482d) return "it answered with SSH's greeting"
  return undefined
}

const badFrame = (
  broker: Broker,
  { isFirst, size }: FrameSplitter.FrameError,
  limit: number,
  maybeSent: boolean
): NotKafka | FrameTooLarge => {
  const known = isFirst ? looksLike(size) : undefined
  if (known !== undefined) return new NotKafka({ ...broker, detail: known, maybeSent })
  if (size > limit) return new FrameTooLarge({ ...broker, size, limit, maybeSent })
  const detail = `it announced a response of ${size} bytes. Is this a TLS port, or another service?`
  return new NotKafka({ ...broker, detail, maybeSent })
}
