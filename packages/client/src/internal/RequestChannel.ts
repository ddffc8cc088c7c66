/**
 * Requests and responses over one byte socket: one fiber writes, one reads, one watches the clock.
 *
 * It knows frames, correlation ids, order, deadlines and throttling; it does not know messages: an `Exchange` brings
 * the functions that write its request and read its response. The first failure is final: it fails every waiter and
 * every later call, and closes the socket. Requests are encoded when they are written, so that what waits holds no
 * bytes of its own, and everything that can leave leaves in one write. Record batches are not copied: whoever sends them
 * leaves them as they are until the response has come, or the connection has ended.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { KafkaError } from "../KafkaError.ts"
import type { ByteSocket } from "../Transport.ts"
import * as Backoff from "./Backoff.ts"
import { ChannelState, type Exchange, type Options, type Pending } from "./ChannelState.ts"

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
  const now = (): number => Backoff.monotonicMillis(clock)
  const state = new ChannelState(options, now)
  const writer = makeWriter(state, socket, now)
  const watcher = makeWatcher(state, now)
  const run = (loop: Effect.Effect<never, Socket.SocketError>) =>
    loop.pipe(
      Effect.catch((error) => Effect.sync(() => state.lostSocket(error))),
      Effect.forkIn(scope, { startImmediately: true })
    )

  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => state.lost("client", "the client closed it"))
  )
  const readOnce = Effect.map(socket.pull, (pieces) => {
    state.receive(pieces)
    writer.wake()
  })
  yield* run(Effect.forever(readOnce, { disableYield: true }))
  yield* run(writer.loop)
  yield* run(watcher.loop)
  yield* Deferred.await(state.ended).pipe(
    // Whose request failed may use its bytes for something else: none may leave after that.
    Effect.flatMap(({ reason }) => (isOrderly(reason) ? Effect.void : socket.destroy)),
    Effect.andThen(Scope.close(scope, Exit.void)),
    Effect.forkIn(outer)
  )

  return {
    exchange: <A>(exchange: Exchange<A>) =>
      Effect.callback<A, KafkaError>((resume) => {
        const { refusal } = state
        if (refusal !== undefined) return resume(Effect.fail(refusal))
        // The state holds exchanges of many types; this one's response goes to this one's caller alone.
        const pending = state.add(exchange as unknown as Exchange<unknown>, resume as Pending["resume"])
        watcher.expect(pending.deadline)
        writer.wake()
        return Effect.sync(() => {
          state.abandon(pending)
          // What waited behind it may be free to go.
          writer.wake()
        })
      }),
    load: () => state.pipeline.size,
    isAlive: () => state.refusal === undefined,
    closed: Deferred.await(state.ended),
    retire: Effect.sync(() => state.retire())
  }
})

/** Whether everything that was written may still go out. */
const isOrderly = (reason: KafkaError["reason"]): boolean =>
  reason._tag === "ConnectionLost" && ["client", "idle", "replaced"].includes(reason.closedBy)

const makeWriter = (state: ChannelState, socket: ByteSocket, now: () => number) => {
  const { pipeline } = state
  let resumeWriter: ((effect: Effect.Effect<void>) => void) | undefined
  const parked = Effect.callback<void>((resume) => {
    resumeWriter = resume
  })
  // While others are in flight, what their responses set off is waited for: a write costs more than many frames.
  // Measured with 64 in flight on a loaded machine: 97,000 requests per second instead of 43,000.
  const gather = () => (pipeline.head === undefined ? Effect.void : Effect.yieldNow)
  const once = Effect.suspend(() => {
    if (!pipeline.canSend) return Effect.flatMap(parked, gather)
    const muted = state.mutedUntil - (state.mutedUntil > 0 ? now() : 0)
    if (muted > 0) return Effect.sleep(muted)
    const pieces = state.collect()
    if (!Arr.isArrayNonEmpty(pieces)) return Effect.void
    const write = socket.write(pieces)
    return pipeline.hasUnanswered ? Effect.map(write, () => state.written()) : write
  })
  const wake = (): void => {
    if (resumeWriter === undefined || !pipeline.canSend) return
    const resume = resumeWriter
    resumeWriter = undefined
    // Not at once: what the callers of this turn add meanwhile leaves in the same write.
    queueMicrotask(() => resume(Effect.void))
  }
  return { loop: Effect.forever(once, { disableYield: true }), wake }
}

const makeWatcher = (state: ChannelState, now: () => number) => {
  const earlier = Latch.makeUnsafe(false)
  let watchedUntil = 0
  const once = Effect.suspend(() => {
    watchedUntil = state.expire()
    if (state.dead !== undefined) return Effect.never
    earlier.closeUnsafe()
    return Effect.raceFirst(Effect.sleep(watchedUntil - now()), earlier.await)
  })
  const expect = (deadline: number): void => {
    if (deadline < watchedUntil) earlier.openUnsafe()
  }
  return { loop: Effect.forever(once), expect }
}
