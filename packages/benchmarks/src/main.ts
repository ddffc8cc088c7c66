/**
 * `npm run bench`: every suite, one after the other, each in a process of its own.
 */
import { spawnSync } from "node:child_process"
import * as os from "node:os"
import * as path from "node:path"

const suites = ["records", "messages", "connection", "testing", "producer"]

console.log(`Node ${process.version}, ${os.cpus().length} × ${os.cpus()[0].model}`)
for (const suite of suites) {
  console.log(`\n${suite}`)
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, `${suite}.ts`)], { stdio: "inherit" })
  if (status !== 0) process.exitCode = 1
}
