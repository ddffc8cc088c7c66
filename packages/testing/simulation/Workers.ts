/** Seeds side by side on several cores: each worker takes the next seed; reports come in the order of seeds. */
import { Worker } from "node:worker_threads"
import * as Seeds from "./Seeds.ts"

export interface Job {
  readonly first: number
  readonly last: number
  readonly withHistory: boolean
}

/** How far workers may be ahead of what was read, per worker: their reports are kept meanwhile. */
const ahead = 20

/** Runs all seeds; here, where one worker is enough. */
export async function* run({ first, last, withHistory }: Job, count: number): AsyncGenerator<Seeds.Report> {
  if (count === 1) {
    for (let seed = first; seed <= last; seed++) yield await Seeds.run(seed, withHistory)
    return
  }
  const reports = new Map<number, Seeds.Report>()
  const idle: Array<Worker> = []
  let next = first
  let read = first
  let failure: unknown
  let wake = (): void => {}

  const give = (): void => {
    while (idle.length > 0 && next <= last && next < read + ahead * count) {
      idle.shift()!.postMessage({ seed: next++, withHistory })
    }
  }
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url))
    worker.on("message", (report: Seeds.Report) => {
      reports.set(report.seed, report)
      idle.push(worker)
      give()
      wake()
    })
    worker.on("error", (error) => {
      failure = error
      wake()
    })
    idle.push(worker)
    return worker
  })
  give()
  try {
    for (; read <= last; read++, give()) {
      while (!reports.has(read) && failure === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (failure !== undefined) throw failure
      yield reports.get(read)!
      reports.delete(read)
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}
