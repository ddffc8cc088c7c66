/**
 * `npm run simulate -- --seed S --runs N [--history] [--workers W] [--first]`: clients and cluster in virtual time, under
 * faults, one run for each seed from S on. The same seed gives the same history. Ends with status 1 where something did not
 * hold; with `--first`, at the first seed that fails.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import * as Workers from "./Workers.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "100" },
    history: { type: "boolean", default: false },
    workers: { type: "string", default: String(availableParallelism()) },
    first: { type: "boolean", default: false }
  }
})

const first = Number(values.seed)
const runs = Number(values.runs)
const workers = Number(values.workers)
if (![first, runs, workers].every(Number.isSafeInteger) || runs < 1 || workers < 1) {
  console.error("give whole numbers: --seed S --runs N --workers W")
  process.exit(2)
}

let done = 0
let failed = 0
const seeds = { first, last: first + runs - 1, withHistory: values.history }
for await (const { isWhole, text } of Workers.run(seeds, Math.min(workers, runs))) {
  done++
  if (text !== "") console.log(text)
  if (isWhole) continue
  failed++
  if (values.first) break
}
console.log(`${done - failed} of ${done} seeds from ${first} on hold`)
process.exit(failed === 0 ? 0 : 1)
