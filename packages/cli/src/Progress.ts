/**
 * What a person at a terminal sees of a long run: how many records, and how fast. It goes to standard error, and only
 * when that is a terminal.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
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
 * Shows progress twice a second from the first second on, and a last time when the scope ends; nothing where standard
 * error is no terminal, or where the terminal shows the records themselves.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (options: {
  readonly verb: string
  readonly printsRecords: boolean
}): Effect.fn.Return<Progress, never, Scope.Scope> {
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
  const show = Effect.map(Clock.currentTimeMillis, (now) => {
    isShown = true
    stderr.write(`${eraseLine}${line(options.verb, records, bytes, now - started)}`)
  })
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (isShown ? Effect.map(show, () => void stderr.write("\n")) : Effect.void))
  )
  yield* show.pipe(Effect.delay("500 millis"), Effect.forever, Effect.delay("500 millis"), Effect.forkScoped)
  return progress
})
