/** The shortest list of faults with which a seed still fails. */
import type { Plan } from "./Plan.ts"

/** Leaves out halves, quarters, and so on down to single faults, as long as it still fails without them. */
export const shrink = async (plan: Plan, fails: (plan: Plan) => Promise<boolean>): Promise<Plan> => {
  let shortest = plan
  let size = Math.ceil(plan.faults.length / 2)
  while (shortest.faults.length > 0 && size > 0) {
    let isShorter = false
    for (let from = 0; from < shortest.faults.length; ) {
      const { faults } = shortest
      const less = { ...shortest, faults: [...faults.slice(0, from), ...faults.slice(from + size)] }
      if (await fails(less)) {
        shortest = less
        isShorter = true
      } else from += size
    }
    // Without this one, an earlier one may not be needed any more.
    if (!isShorter || size > 1) size = size === 1 ? 0 : Math.ceil(size / 2)
  }
  return shortest
}
