/** One worker: runs the seeds that it is given, one after the other. */
import { parentPort } from "node:worker_threads"
import * as Seeds from "./Seeds.ts"

parentPort!.on("message", async ({ seed, withHistory }: { readonly seed: number; readonly withHistory: boolean }) =>
  parentPort!.postMessage(await Seeds.run(seed, withHistory))
)
