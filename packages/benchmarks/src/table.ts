/**
 * What a suite prints: one line per task, with the median of its times.
 */
import type { Bench } from "tinybench"

/** Units of work per second of each task, from the median time of one operation; `perOperation` units are one operation. */
export const rates = (
  bench: Bench,
  perOperation: number
): ReadonlyArray<{ readonly task: string; readonly rate: number }> =>
  bench.tasks.map((task) => {
    const { result } = task
    if (!("latency" in result)) throw new Error(`${task.name} did not finish: ${result.state}`)
    return { task: task.name, rate: (perOperation * 1000) / result.latency.p50 }
  })

/** Prints rates in thousands or millions per second. */
export const print = (bench: Bench, unit: string, perOperation = 1): void => {
  console.table(
    rates(bench, perOperation).map(({ rate, task }) => ({
      task,
      [`${unit}/s`]:
        rate >= 1_000_000 ? `${(rate / 1_000_000).toFixed(1)} million` : Math.round(rate).toLocaleString("en")
    }))
  )
}
