/**
 * Requests and responses over one byte socket: one fiber writes, one reads, one watches the clock.
 *
 * It knows frames, correlation ids, order, deadlines and throttling; it does not know messages: an `Exchange` brings
 * the functions that write its request and read its response. The first failure is final: it fails every waiter and
 * every later call, and closes the socket. Requests are encoded when they are written, so that what waits holds no
 * bytes, and everything that can leave leaves in one write.
 *
 * @since 0.1.0
 */
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
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
import { type ByteSocket, describeSocketError } from "../Transport.ts"
import * as Backoff from "./Backoff.ts"
import * as FrameSplitter from "./FrameSplitter.ts"
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

/** @internal */
export interface RequestChannel {
  /** Sends a request and waits for its response; without `read`, until it is written. */
  readonly exchange: <A>(exchange: Exchange<A>) => Effect.Effect<A, KafkaError>
  /** How many requests wait or are in flight. */
  readonly load: () => number
  readonly isAlive: () => boolean
  /** Waits for the end; gives why. */
  readonly closed: Effect.Effect<KafkaError>
  /** Takes no new request, and closes once those that are there have ended. */
  readonly retire: Effect.Effect<void>
}

interface Pending {
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

/** @internal */
export const make = Effect.fnUntraced(function* <E>(
  open: Effect.Effect<ByteSocket, E, Scope.Scope>,
  options: Options
): Effect.fn.Return<RequestChannel, E, Scope.Scope> {
  const clock = yield* Clock.Clock
  const outer = yield* Effect.scope
  // Socket and fibers live in a scope of their own, which ends with the connection, be that before the caller's does.
  const scope = yield* Scope.fork(outer)
  const socket = yield* Scope.provide(open, scope)
  const pipeline = new RequestPipeline<Pending>(options.maxInFlight)
  const ended = Deferred.makeUnsafe<KafkaError>()
  const broker = { nodeId: options.nodeId, broker: options.broker }
  const now = (): number => Backoff.monotonicMillis(clock)

  let dead: KafkaError | undefined
  let isRetired = false
  let hasReceived = false
  let mutedUntil = 0
  let lastUsed = now()

  const end = (reason: (maybeSent: boolean) => Reason): void => {
    if (dead !== undefined) return
    dead = new KafkaError({ reason: reason(false) })
    const { inFlight, waiting } = pipeline.drain()
    const sent = [...inFlight, ...writing]
    if (sent.length > 0) {
      const unknown = Effect.fail(new KafkaError({ reason: reason(true) }))
      for (const pending of sent) pending.resume(unknown)
    }
    const unsent = Effect.fail(dead)
    for (const pending of waiting) pending.resume(unsent)
    Deferred.doneUnsafe(ended, Exit.succeed(dead))
  }
  const lost = (closedBy: ConnectionLost["closedBy"], detail: string): void =>
    end((maybeSent) => new ConnectionLost({ ...broker, closedBy, detail, maybeSent }))
  const lostSocket = (error: Socket.SocketError): void => {
    const isClose = error.reason._tag === "SocketCloseError" && error.reason.code === 1000
    const hint = hasReceived ? "" : " before it answered anything. Does this port want TLS or SASL?"
    lost(isClose ? "broker" : "network", describeSocketError(error) + hint)
  }
  const endIfDone = (): void => {
    if (isRetired && pipeline.isIdle && writing.length === 0) lost("replaced", "it was replaced by another")
  }

  // ---- writing
  let writer = new ByteWriter(slabSize)
  // Requests without a response that are being written now.
  let writing: Array<Pending> = []
  let wakeWriter: ((effect: Effect.Effect<void>) => void) | undefined
  const parked = Effect.callback<void>((resume) => {
    wakeWriter = resume
  })
  const wake = (): void => {
    if (wakeWriter === undefined || !pipeline.canSend) return
    const resume = wakeWriter
    wakeWriter = undefined
    // Not at once: what the callers of this turn add meanwhile leaves in the same write.
    queueMicrotask(() => resume(Effect.void))
  }
  /** Encodes what may be sent now; gives the bytes, and the requests that are done when those are written. */
  const collect = (): Uint8Array => {
    if (writer.offset > slabSize / 2) writer = new ByteWriter(slabSize)
    const time = now()
    const start = writer.offset
    while (pipeline.canSend && writer.offset - start < writeSize) {
      const pending = pipeline.take()
      const frameStart = writer.offset
      try {
        writer.writeInt32(0)
        pending.exchange.write(writer, pending.correlationId)
        writer.setInt32(frameStart, writer.offset - frameStart - 4)
        pending.deadline = time + pending.exchange.timeout
        if (!pending.expectsResponse) writing.push(pending)
      } catch (cause) {
        writer.offset = frameStart
        pipeline.untake(pending)
        pending.resume(Effect.fail(invalidRequest(pending.exchange, cause)))
      }
    }
    return writer.bytes.subarray(start, writer.offset)
  }
  // While others are in flight, what their responses set off is waited for: a write costs more than many frames.
  // Measured with 64 in flight on a loaded machine: 97,000 requests per second instead of 43,000.
  const gather = () => (pipeline.head === undefined ? Effect.void : Effect.yieldNow)
  const onWritten = (): void => {
    const written = writing
    writing = []
    lastUsed = now()
    for (const pending of written) pending.resume(Effect.void)
    endIfDone()
  }
  const writeOnce = Effect.suspend(() => {
    if (!pipeline.canSend) return Effect.flatMap(parked, gather)
    if (mutedUntil > 0) {
      const rest = mutedUntil - now()
      if (rest > 0) return Effect.sleep(rest)
      mutedUntil = 0
    }
    const bytes = collect()
    if (bytes.length === 0) return Effect.sync(endIfDone)
    const write = socket.write([bytes])
    return writing.length === 0 ? write : Effect.map(write, onWritten)
  })

  // ---- reading
  const onFrame = (frame: Uint8Array): void => {
    if (dead !== undefined) return
    hasReceived = true
    const reader = new ByteReader(frame)
    const received = reader.readInt32()
    const pending = pipeline.head
    const isExpected =
      pending !== undefined &&
      (received === pending.correlationId || (received === 0 && pending.exchange.toleratesZeroId === true))
    if (!isExpected) {
      const expected = pending?.correlationId ?? -1
      end((maybeSent) => new CorrelationMismatch({ ...broker, expected, received, maybeSent }))
      return
    }
    pipeline.shift()
    lastUsed = now()
    const { exchange } = pending
    let outcome: Effect.Effect<unknown, KafkaError>
    try {
      // Only requests with a reader are in flight.
      const response = exchange.read!(reader)
      const throttle = exchange.throttle === undefined ? 0 : exchange.throttle(response)
      if (throttle > 0) mutedUntil = Math.max(mutedUntil, lastUsed + throttle)
      outcome = Effect.succeed(response)
    } catch (cause) {
      outcome = Effect.fail(invalidResponse(broker, exchange, cause))
    }
    pending.resume(outcome)
    endIfDone()
  }
  const splitter = FrameSplitter.make({ maxFrameSize: options.receiveMaxBytes, onFrame })
  const readOnce = Effect.map(socket.pull, (pieces) => {
    try {
      for (let i = 0; i < pieces.length; i++) splitter.push(pieces[i])
    } catch (error) {
      if (!(error instanceof FrameSplitter.FrameError)) throw error
      end((maybeSent) => badFrame(broker, error, options.receiveMaxBytes, maybeSent))
    }
    wake()
  })

  // ---- the clock
  let watchedUntil = 0
  const earlier = Latch.makeUnsafe(false)
  const watchOnce = Effect.suspend(() => {
    const time = now()
    for (const pending of pipeline.takeExpired(time)) {
      pending.resume(Effect.fail(new KafkaError({ reason: timedOut(broker, pending.exchange, false) })))
    }
    const overdue = pipeline.overdue(time)
    if (overdue !== undefined) {
      // Its caller hears of the timeout; the others hear of the connection that it cost.
      const { exchange } = overdue
      overdue.resume(Effect.fail(new KafkaError({ reason: timedOut(broker, exchange, true) })))
      lost(
        "timeout",
        `${exchange.api} v${exchange.version} was not answered within ${exchange.timeout} ms (requestTimeout)`
      )
      return Effect.void
    }
    endIfDone()
    const idleAt = pipeline.isIdle ? lastUsed + options.maxIdle : Infinity
    if (idleAt <= time) {
      lost("idle", `it was idle for ${options.maxIdle} ms (connectionsMaxIdle)`)
      return Effect.void
    }
    watchedUntil = Math.min(pipeline.earliestDeadline(), idleAt)
    earlier.closeUnsafe()
    return Effect.raceFirst(Effect.sleep(watchedUntil - time), earlier.await)
  })

  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => lost("client", "the client closed it"))
  )
  yield* readOnce.pipe(
    Effect.forever({ disableYield: true }),
    Effect.catch((error) => Effect.sync(() => lostSocket(error))),
    Effect.forkIn(scope, { startImmediately: true })
  )
  yield* writeOnce.pipe(
    Effect.forever({ disableYield: true }),
    Effect.catch((error) => Effect.sync(() => lostSocket(error))),
    Effect.forkIn(scope, { startImmediately: true })
  )
  yield* watchOnce.pipe(
    Effect.repeat({ while: () => dead === undefined }),
    Effect.forkIn(scope, { startImmediately: true })
  )
  yield* Deferred.await(ended).pipe(Effect.andThen(Scope.close(scope, Exit.void)), Effect.forkIn(outer))

  const exchange = <A>(exchange: Exchange<A>): Effect.Effect<A, KafkaError> =>
    Effect.callback<A, KafkaError>((resume) => {
      if (dead !== undefined || isRetired) {
        resume(Effect.fail(dead ?? retired(broker)))
        return
      }
      const pending: Pending = {
        // The pipeline holds exchanges of many types; this one's response goes to this one's caller alone.
        exchange: exchange as unknown as Exchange<unknown>,
        expectsResponse: exchange.read !== undefined,
        deadline: now() + exchange.timeout,
        correlationId: -1,
        resume: resume as Pending["resume"]
      }
      pipeline.enqueue(pending)
      if (pending.deadline < watchedUntil) earlier.openUnsafe()
      wake()
      return Effect.sync(() => {
        pending.resume = ignore
        pipeline.withdraw(pending)
      })
    })

  return {
    exchange,
    load: () => pipeline.size,
    isAlive: () => dead === undefined && !isRetired,
    closed: Deferred.await(ended),
    retire: Effect.sync(() => {
      isRetired = true
      endIfDone()
    })
  }
})

const ignore = (): void => {}

type Broker = { readonly nodeId: number; readonly broker: string }

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
