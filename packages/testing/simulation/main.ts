/**
 * `npm run simulate -- --seed S --runs N [--history]`: clients and cluster in virtual time, under faults, one run for each
 * seed from S on. The same seed gives the same history. Ends with status 1 where something did not hold.
 */
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Scenario from "./Scenario.ts"
import * as VirtualTime from "./VirtualTime.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "100" },
    history: { type: "boolean", default: false }
  }
})

/** Virtual milliseconds after which a run is stuck. */
const limit = 1_800_000

interface Outcome {
  readonly problems: ReadonlyArray<string>
  readonly history: Scenario.History
}

const once = async (seed: string, drawn: Scenario.Plan): Promise<Outcome> => {
  const history: Scenario.History = { lines: [] }
  const exit = await VirtualTime.run(seed, limit, (time) => Scenario.run(drawn, time, history))
  if (exit === undefined) return { problems: ["nobody goes on: it is stuck"], history }
  return { problems: Exit.isSuccess(exit) ? exit.value : [Cause.pretty(exit.cause)], history }
}

const planOf = async (seed: string): Promise<Scenario.Plan> => {
  const exit = await VirtualTime.run(seed, 1, () => Scenario.plan)
  if (exit === undefined || Exit.isFailure(exit)) throw new Error("no plan could be drawn")
  return exit.value
}

/** The shortest list of faults that still fails: each is left out in turn. */
const shrink = async (seed: string, drawn: Scenario.Plan): Promise<Scenario.Plan> => {
  for (const fault of drawn.faults) {
    const less = { ...drawn, faults: drawn.faults.filter((one) => one !== fault) }
    if ((await once(seed, less)).problems.length > 0) return shrink(seed, less)
  }
  return drawn
}

const first = Number(values.seed)
const runs = Number(values.runs)
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(runs) || runs < 1) {
  console.error("give whole numbers: --seed S --runs N")
  process.exit(2)
}
let failed = 0
for (let seed = first; seed < first + runs; seed++) {
  const drawn = await planOf(String(seed))
  const { history, problems } = await once(String(seed), drawn)
  if (values.history) console.log(`seed ${seed}: ${JSON.stringify(drawn)}\n${history.lines.join("\n")}`)
  if (problems.length === 0) continue
  failed++
  const less = await shrink(String(seed), drawn)
  const again = await once(String(seed), less)
  console.log(`seed ${seed} FAILED with ${JSON.stringify(less)}`)
  console.log(again.history.lines.join("\n"))
  for (const problem of again.problems) console.log(`  ${problem}`)
}
console.log(`${runs - failed} of ${runs} seeds from ${first} on hold`)
process.exit(failed === 0 ? 0 : 1)
