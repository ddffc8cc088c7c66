/** Runs seeds: each gives its lines, and whether all held. */
import * as Plan from "./Plan.ts"
import * as Run from "./Run.ts"
import { shrink } from "./Shrinking.ts"

export interface Report {
  readonly seed: number
  readonly isWhole: boolean
  readonly text: string
}

/** Runs one seed; where it fails, with the shortest faults, and the history with them. */
export const run = async (seed: number, withHistory: boolean): Promise<Report> => {
  const name = String(seed)
  const plan = Plan.draw(name)
  const { lines, problems } = await Run.run(name, plan, withHistory)
  const text: Array<string> = withHistory ? [`seed ${seed}: ${JSON.stringify(plan)}`, ...lines] : []
  if (problems.length === 0) return { seed, isWhole: true, text: text.join("\n") }
  const shortest = await shrink(plan, async (less) => (await Run.run(name, less, false)).problems.length > 0)
  const again = await Run.run(name, shortest, true)
  text.push(`seed ${seed} FAILED; its history with the shortest faults:`, ...again.lines)
  text.push(`seed ${seed}: ${JSON.stringify({ ...shortest, faults: undefined })}`)
  text.push(`seed ${seed}, the shortest faults that fail: ${JSON.stringify(shortest.faults)}`)
  for (const problem of again.problems) text.push(`  ${problem}`)
  return { seed, isWhole: false, text: text.join("\n") }
}
