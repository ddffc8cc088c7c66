/**
 * What a suite prints: one line per task, with the median and the best of its times.
 */
import type { Bench } from "tinybench"

const readable = (rate: number): string =>
  rate >= 1_000_000 ? `${(rate / 1_000_000).toFixed(1)} million` : Math.round(rate).toLocaleString("en")

/**
 * Prints units of work per second, where one operation is `perOperation` units. The best time tells what one undisturbed
 * core does; on a machine with other work the median is lower.
 */
export const print = (bench: Bench, unit: string, perOperation = 1): void => {
  console.table(
    bench.tasks.map(({ name, result }) => {
      if (!("latency" in result)) throw new Error(`${name} did not finish: ${result.state}`)
      const rate = (milliseconds: number): string => readable((perOperation * 1000) / milliseconds)
      const { min, p50 } = result.latency
      return { task: name, [`${unit}/s, median`]: rate(p50), best: rate(min) }
    })
  )
}
