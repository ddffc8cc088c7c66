/**
 * The one fiber that owns a cluster's state: it runs what is posted, one after the other, and what was asked for a later
 * time. Whatever changes the state runs here, so that nothing else needs a lock, and one seed gives one history.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** @internal */
export interface Loop {
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
  /** Milliseconds since 1970, as this machine believes. */
  readonly wallTime: () => number
  /** Runs a task as soon as those before it have run. */
  readonly post: (task: () => void) => void
  /** Runs a task after so many milliseconds, unless what it gives is called before. */
  readonly after: (milliseconds: number, task: () => void) => () => void
  /** Runs a task from now on whenever others have run, before the fiber rests. */
  readonly afterTurn: (task: () => void) => void
}

interface Alarm {
  readonly at: number
  readonly task: () => void
  isCancelled: boolean
}

const nanosPerMilli = BigInt(1_000_000)

/** A task that throws is a mistake of this package: `onDefect` hears of it, and the loop goes on. @internal */
export const make = Effect.fnUntraced(function* (
  onDefect: (defect: unknown) => void
): Effect.fn.Return<Loop, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe() / nanosPerMilli)
  let tasks: Array<() => void> = []
  /** By time, and in the order in which they were asked for. */
  const alarms: Array<Alarm> = []
  const ends: Array<() => void> = []
  let wake: (() => void) | undefined

  const wakeUp = (): void => {
    const waiting = wake
    wake = undefined
    waiting?.()
  }

  const run = (task: () => void): void => {
    try {
      task()
    } catch (defect) {
      onDefect(defect)
    }
  }

  /** Runs what there is; gives how long there is nothing, in milliseconds. */
  const turn = (): number => {
    const due = tasks
    tasks = []
    for (const task of due) run(task)
    const time = now()
    while (alarms.length > 0 && (alarms[0].at <= time || alarms[0].isCancelled)) {
      const { isCancelled, task } = alarms.shift()!
      if (!isCancelled) run(task)
    }
    for (const end of ends) run(end)
    if (tasks.length > 0) return 0
    return alarms.length > 0 ? alarms[0].at - time : Number.POSITIVE_INFINITY
  }

  const posted = Effect.callback<void>((resume) => {
    if (tasks.length > 0) return resume(Effect.void)
    wake = () => resume(Effect.void)
    return Effect.sync(() => {
      wake = undefined
    })
  })

  yield* Effect.suspend(() => {
    const rest = turn()
    if (rest === 0) return Effect.yieldNow
    return rest === Number.POSITIVE_INFINITY ? posted : Effect.raceFirst(posted, Effect.sleep(rest))
  }).pipe(Effect.forever, Effect.forkScoped({ startImmediately: true }))

  return {
    now,
    wallTime: () => clock.currentTimeMillisUnsafe(),
    afterTurn: (task) => void ends.push(task),
    post: (task) => {
      tasks.push(task)
      wakeUp()
    },
    after: (milliseconds, task) => {
      const alarm: Alarm = { at: now() + Math.max(0, milliseconds), task, isCancelled: false }
      let place = alarms.length
      while (place > 0 && alarms[place - 1].at > alarm.at) place--
      alarms.splice(place, 0, alarm)
      if (place === 0) wakeUp()
      return () => {
        alarm.isCancelled = true
      }
    }
  }
})
