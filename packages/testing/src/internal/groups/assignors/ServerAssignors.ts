/**
 * The assignors that a group coordinator has: those of `group.consumer.assignors`, the first of which is the default.
 *
 * @since 0.1.0
 */
import type { Cluster } from "../../Cluster.ts"
import type { Assignor } from "./Assignor.ts"
import { rangeAssignor } from "./RangeAssignor.ts"
import { uniformAssignor } from "./UniformAssignor.ts"

const builtIn: ReadonlyArray<Assignor> = [uniformAssignor, rangeAssignor]

/** @internal */
export const of = ({ settings }: Cluster): ReadonlyArray<Assignor> => {
  const text = settings.get("group.consumer.assignors")
  if (text === undefined) return builtIn
  return text.split(",").map((name) => {
    const assignor = builtIn.find((one) => one.name === name.trim())
    if (assignor === undefined) throw new Error(`group.consumer.assignors: there is no assignor ${name.trim()}`)
    return assignor
  })
}
