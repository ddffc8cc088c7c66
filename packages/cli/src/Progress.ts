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
 * How much was done in a time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Done {
  readonly records: number
  readonly bytes: number
  readonly milliseconds: number
}

const rate = ({ bytes, milliseconds, records }: Done): string => {
  const perSecond = 1000 / Math.max(milliseconds, 1)
  return `${count.format(Math.round(records * perSecond))} records/s, ${describeBytes(bytes * perSecond)}/s`
}

/**
 * The line that is shown: records and bytes so far, and both per second, over the whole time or, while the run lasts, of
 * late; then how many records are still to come.
 *
 * @category encoding
 * @since 0.1.0
 */
export const line = (verb: string, all: Done, late?: Done, lag?: bigint): string => {
  const totals = `${count.format(all.records)} records ${verb}, ${describeBytes(all.bytes)}`
  const seconds = decimals.format(all.milliseconds / 1000)
  const behind = lag === undefined ? "" : `, lag ${count.format(lag)}`
  return `${totals} in ${seconds} s: ${late === undefined ? rate(all) : `now ${rate(late)}`}${behind}`
}

/** Two looks a second: the rate is that of the last two seconds. */
const looksBack = 4

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
  /** How many records are still to come, as far as that is known. Defaults to unknown. */
  readonly lag?: Effect.Effect<bigint | undefined> | undefined
}

/**
 * Shows progress, with the rate of the last two seconds, twice a second from the first second on, and a last time when the scope ends well; nothing where
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
  /** The last few looks: the rate of late is that since the oldest of them. */
  const looks: Array<Done> = [{ records: 0, bytes: 0, milliseconds: 0 }]
  const { lag = Effect.undefined } = options
  const show = (verb: string, isLive: boolean) =>
    Effect.map(Effect.all([Clock.currentTimeMillis, lag]), ([now, behind]) => {
      isShown = true
      const all = { records, bytes, milliseconds: now - started }
      const [oldest] = looks
      const late = {
        records: records - oldest.records,
        bytes: bytes - oldest.bytes,
        milliseconds: all.milliseconds - oldest.milliseconds
      }
      looks.push(all)
      if (looks.length > looksBack) looks.shift()
      stderr.write(`${eraseLine}${line(verb, all, isLive ? late : undefined, behind)}`)
    })
  yield* Effect.addFinalizer((exit) =>
    Effect.suspend(() => {
      if (!isShown) return Effect.void
      const last = Exit.isSuccess(exit) ? show(options.finalVerb, false) : Effect.void
      return Effect.map(last, () => void stderr.write("\n"))
    })
  )
  yield* show(options.verb, true).pipe(
    Effect.delay("500 millis"),
    Effect.forever,
    Effect.delay("500 millis"),
    Effect.forkScoped
  )
  return progress
})
