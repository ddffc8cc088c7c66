/**
 * Several ways to do the same work, each in a process of its own, several rounds in turn; the best round of each counts.
 */
import { fork } from "node:child_process"

/** What one round of a way has taken. */
export interface Measured {
  readonly recordsPerSecond: number
  /** Of the whole process. */
  readonly cpuMicros: number
  readonly rssMegabytes: number
  /** Milliseconds before the work began. */
  readonly startMillis?: number
  /** Milliseconds. */
  readonly latency?: readonly [p50: number, p99: number]
}

export type Way = (...args: ReadonlyArray<string>) => Promise<Measured>

/** Time and CPU of a piece of work, from when it says that it begins, or from its call; it gives latencies or nothing. */
export const measured = async (
  records: number,
  work: (begin: () => void) => Promise<readonly [number, number] | undefined>
): Promise<Measured> => {
  const called = performance.now()
  let cpu = process.cpuUsage()
  let start = called
  const latency = await work(() => {
    cpu = process.cpuUsage()
    start = performance.now()
  })
  const seconds = (performance.now() - start) / 1000
  const { system, user } = process.cpuUsage(cpu)
  return {
    recordsPerSecond: records / seconds,
    cpuMicros: (system + user) / records,
    rssMegabytes: process.resourceUsage().maxRSS / 1024,
    ...(start === called ? {} : { startMillis: start - called }),
    ...(latency === undefined ? {} : { latency })
  }
}

/** The half and the last hundredth. */
export const percentiles = (times: Array<number>): readonly [number, number] => {
  times.sort((a, b) => a - b)
  return [times[Math.floor(times.length * 0.5)], times[Math.floor(times.length * 0.99)]]
}

/** Runs a way in a process of its own, which is this program again. */
export const inChild = (program: string, way: string, args: ReadonlyArray<string>): Promise<Measured> =>
  new Promise((resolve, reject) => {
    const child = fork(program, [way, ...args])
    // What the child sends is what `serve` gives it to send.
    child.once("message", (message) => resolve(message as Measured))
    child.once("exit", (code) => code !== 0 && reject(new Error(`${way} ended with ${code}`)))
  })

/** In such a process: does the work and tells of it. True if this is one. */
export const serve = async (ways: Readonly<Record<string, Way>>): Promise<boolean> => {
  if (process.send === undefined) return false
  const [, , way, ...args] = process.argv
  const result = await ways[way](...args)
  process.send(result, () => process.exit(0))
  return true
}

const best = (all: ReadonlyArray<Measured>): Measured =>
  all.reduce((one, other) => (other.recordsPerSecond > one.recordsPerSecond ? other : one))

/** One line per way; the first is the limit. */
export const print = (results: ReadonlyMap<string, ReadonlyArray<Measured>>): void => {
  const [[, limits]] = results
  const limit = best(limits).recordsPerSecond
  console.table(
    [...results].map(([way, all]) => {
      const { cpuMicros, latency, recordsPerSecond, rssMegabytes, startMillis } = best(all)
      return {
        way,
        "records/s": Math.round(recordsPerSecond).toLocaleString("en"),
        "of the socket": `${Math.round((recordsPerSecond / limit) * 100)} %`,
        "CPU µs/record": cpuMicros.toFixed(2),
        "joining ms": startMillis === undefined ? "" : Math.round(startMillis),
        "p50, p99 ms": latency === undefined ? "" : latency.map((time) => time.toFixed(1)).join(", "),
        "peak MB": Math.round(rssMegabytes)
      }
    })
  )
}
