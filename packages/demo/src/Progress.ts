/**
 * What is shown while the pipelines run: one line that is written over on a terminal, nothing where output goes elsewhere.
 */
import * as Effect from "effect/Effect"

/** What has happened so far. */
export interface Progress {
  readonly total: number
  acknowledged: number
  consumed: number
  /** Orders of a customer that came out of turn. */
  disordered: number
  /** Orders by partition. */
  readonly partitions: Array<number>
}

const width = 24

const bar = (part: number, total: number): string => {
  const full = Math.round((part / total) * width)
  return `${"█".repeat(full)}${"░".repeat(width - full)}`
}

const line = (progress: Progress, seconds: number): string => {
  const { acknowledged, consumed, disordered, partitions, total } = progress
  const rate = Math.round(consumed / seconds).toLocaleString("en")
  const order = disordered === 0 ? "in order" : `${disordered} OUT OF ORDER`
  return (
    `acknowledged ${bar(acknowledged, total)} ${acknowledged.toLocaleString("en")}  ` +
    `consumed ${consumed.toLocaleString("en")}, ${order}, ${rate}/s  partitions ${partitions.join(" ")}`
  )
}

/** Shows the progress ten times a second, until it is interrupted. */
export const show = (progress: Progress): Effect.Effect<void> => {
  const { stderr } = process
  if (!stderr.isTTY) return Effect.never
  const start = performance.now()
  const draw = Effect.sync(() => {
    const text = line(progress, (performance.now() - start) / 1000)
    stderr.write(`\r\u001b[2K${text.slice(0, stderr.columns - 1)}`)
  })
  return draw.pipe(
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.forever,
    Effect.ensuring(
      Effect.andThen(
        draw,
        Effect.sync(() => stderr.write("\n"))
      )
    )
  )
}
