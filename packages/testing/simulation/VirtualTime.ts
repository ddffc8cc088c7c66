/**
 * Runs an effect in virtual time: one task after the other, in an order that only the seed decides; the clock goes on when
 * nobody has anything to do.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
  isGone: boolean
}

const nanosPerMilli = BigInt(1_000_000)

/** Tasks at one moment after which it will never end: nobody lets the time go on. */
const mostAtOnce = 200_000

/** What was there when it began: any time will do. */
const epoch = 1_800_000_000_000

/** The virtual time of a run, in milliseconds since its start. */
export interface VirtualTime {
  readonly now: () => number
  /** The wall clock jumps: who measures by the other clock notices nothing. */
  readonly jump: (milliseconds: number) => void
}

/** The end of all microtasks: whatever was promised has come. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** How a program came to its end. */
export interface Ended<A, E> {
  /** Undefined when nobody would ever have gone on, or the time was over. */
  readonly exit: Exit.Exit<A, E> | undefined
  /** Fibers that have not ended. */
  readonly fibers: number
  /** Sleepers that nobody has woken or sent home. */
  readonly timers: number
}

/** Runs it to its end, or until so many milliseconds of virtual time have passed. */
export const run = async <A, E>(
  seed: string,
  limit: number,
  make: (time: VirtualTime) => Effect.Effect<A, E>
): Promise<Ended<A, E>> => {
  let tasks: Array<() => void> = []
  const sleepers: Array<Sleeper> = []
  let time = 0
  let jumped = 0
  let fibers = 0

  const counting: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void fibers++,
    recordFiberEnd: () => void fibers--
  }
  const scheduler = new Scheduler.MixedScheduler("async", (task) => {
    let isCancelled = false
    tasks.push(() => {
      if (!isCancelled) task()
    })
    return () => {
      isCancelled = true
    }
  })

  /** Whole milliseconds, as all machines tell it. */
  const today = (): number => epoch + Math.floor(time) + jumped

  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: today,
    currentTimeMillis: Effect.sync(today),
    currentTimeNanosUnsafe: () => BigInt(today()) * nanosPerMilli,
    currentTimeNanos: Effect.sync(() => BigInt(today()) * nanosPerMilli),
    monotonicTimeNanosUnsafe: () => BigInt(Math.floor(time * 1000)) * BigInt(1000),
    monotonicTimeNanos: Effect.sync(() => BigInt(Math.floor(time * 1000)) * BigInt(1000)),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        const at = time + Math.max(0, Duration.toMillis(duration))
        if (at === Number.POSITIVE_INFINITY) return
        const sleeper: Sleeper = { at, wake: () => resume(Effect.void), isGone: false }
        let place = sleepers.length
        while (place > 0 && sleepers[place - 1].at > at) place--
        sleepers.splice(place, 0, sleeper)
        return Effect.sync(() => {
          sleeper.isGone = true
        })
      })
  }

  const services = Context.empty().pipe(
    Context.add(Scheduler.Scheduler, scheduler),
    Context.add(Clock.Clock, clock),
    Context.add(Metric.FiberRuntimeMetrics, counting)
  )
  const program = make({
    now: () => time,
    jump: (milliseconds) => {
      jumped += milliseconds
    }
  })
  const fiber = Effect.runForkWith(services)(Random.withSeed(program, seed))
  let atOnce = 0
  while (true) {
    const due = tasks
    tasks = []
    for (const task of due) task()
    atOnce += due.length
    if (atOnce > mostAtOnce) return { exit: undefined, fibers, timers: 0 }
    if (tasks.length > 0) continue
    await settled()
    if (tasks.length > 0) continue
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return { exit, fibers, timers: sleepers.filter(({ isGone }) => !isGone).length }
    while (sleepers[0]?.isGone === true) sleepers.shift()
    const next = sleepers.shift()
    if (next === undefined || next.at > limit) return { exit: undefined, fibers, timers: 0 }
    if (next.at > time) atOnce = 0
    time = next.at
    next.wake()
  }
}
