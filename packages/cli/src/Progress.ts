/**
 * What a person at a terminal sees of a long run: how many records, and how fast. It goes to standard error, and only
 * when that is a terminal.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"

/**
 * Counts what a command has done.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly add: (records: number, bytes: number) => void
}

const count = new Intl.NumberFormat("en")
const decimals = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })

const units = ["B", "kB", "MB", "GB", "TB"]

const describeBytes = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1)
  return power === 0 ? `${Math.round(bytes)} B` : `${decimals.format(bytes / 1000 ** power)} ${units[power]}`
}

/**
 * The line that is shown: records, bytes, and both per second.
 *
 * @category encoding
 * @since 0.1.0
 */
export const line = (verb: string, records: number, bytes: number, milliseconds: number): string => {
  const perSecond = 1000 / Math.max(milliseconds, 1)
  const totals = `${count.format(records)} records ${verb}, ${describeBytes(bytes)}`
  return `${totals} in ${decimals.format(milliseconds / 1000)} s: ${count.format(Math.round(records * perSecond))} records/s, ${describeBytes(bytes * perSecond)}/s`
}

const eraseLine = "\r\u001b[K"

/**
 * How progress is shown.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What happens to records, for example `sent`. */
  readonly verb: string
  /** What has happened to all of them when the command succeeds, for example `acknowledged`. */
  readonly finalVerb: string
  /** Whether the records themselves go to standard output: where that is a terminal too, there is no progress. */
  readonly printsRecords: boolean
}

/**
 * Shows progress twice a second from the first second on, and a last time when the scope ends well; nothing where
 * standard error is no terminal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Progress, never, Scope.Scope> {
  let records = 0
  let bytes = 0
  const progress: Progress = {
    add: (moreRecords, moreBytes) => {
      records += moreRecords
      bytes += moreBytes
    }
  }
  const { stderr, stdout } = process
  if (!stderr.isTTY || (options.printsRecords && stdout.isTTY)) return progress
  const started = yield* Clock.currentTimeMillis
  let isShown = false
  const show = (verb: string) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      isShown = true
      stderr.write(`${eraseLine}${line(verb, records, bytes, now - started)}`)
    })
  yield* Effect.addFinalizer((exit) =>
    Effect.suspend(() => {
      if (!isShown) return Effect.void
      const last = Exit.isSuccess(exit) ? show(options.finalVerb) : Effect.void
      return Effect.map(last, () => void stderr.write("\n"))
    })
  )
  yield* show(options.verb).pipe(
    Effect.delay("500 millis"),
    Effect.forever,
    Effect.delay("500 millis"),
    Effect.forkScoped
  )
  return progress
})
