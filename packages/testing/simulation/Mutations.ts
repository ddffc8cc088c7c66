/**
 * `npm run mutations -- [--seeds N] [--only TEXT]`: shows that the simulation can fail. It copies the packages, makes one
 * deliberate mistake at a time in the copy, and runs seeds until one fails. Ends with status 1 if a mistake is not found.
 */
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Mutant, mutants } from "./Mutants.ts"

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "1000" }, only: { type: "string", default: "" } }
})

const root = fileURLToPath(new URL("../../..", import.meta.url))

/** The packages that take part, and by which name others import them. */
const packages = {
  protocol: "@kafka-effect/protocol",
  client: "kafka-effect",
  testing: "@kafka-effect/testing"
} as const

/** A copy of the packages, which finds all others where the original does. */
const copy = async (scratch: string): Promise<void> => {
  const modules = join(scratch, "node_modules")
  await mkdir(join(modules, "@kafka-effect"), { recursive: true })
  const own = Object.values<string>(packages)
  for (const name of await readdir(join(root, "node_modules"))) {
    if (name === "@kafka-effect" || own.includes(name)) continue
    await symlink(join(root, "node_modules", name), join(modules, name))
  }
  for (const [directory, name] of Object.entries(packages)) {
    const from = join(root, "packages", directory)
    const to = join(scratch, "packages", directory)
    for (const part of ["package.json", "src", "simulation"]) {
      if ((await readdir(from)).includes(part)) await cp(join(from, part), join(to, part), { recursive: true })
    }
    await symlink(to, join(modules, name))
  }
}

/** The file with the mistake. A text that is not there, or twice, is a mistake of this list. */
const change = (original: string, { changes, file, name }: Mutant): string => {
  let changed = original
  for (const [text, replacement] of changes) {
    const places = changed.split(text).length - 1
    if (places !== 1) throw new Error(`"${name}": in ${file} there is ${places} times: ${text}`)
    changed = changed.replace(text, () => replacement)
  }
  return changed
}

/** Runs seeds up to the first that fails; gives what is printed. */
const simulate = (scratch: string): Promise<string> =>
  new Promise((resolve) => {
    const main = join(scratch, "packages/testing/simulation/main.ts")
    const args = [main, "--seed", "1", "--runs", values.seeds, "--first"]
    execFile(process.execPath, args, { maxBuffer: 1 << 30 }, (_, stdout, stderr) => resolve(`${stdout}${stderr}`))
  })

/** What a simulation has found: seed, faults, and the first thing that does not hold. */
const foundIn = (printed: string): ReadonlyArray<string> | undefined => {
  const found = /^seed (\d+), the shortest faults that fail: (.*)\n {2}(.*)$/m.exec(printed)
  if (found === null && !printed.includes("hold")) throw new Error(`the simulation did not come to its end: ${printed}`)
  return found?.slice(1)
}

const scratch = await mkdtemp(join(tmpdir(), "mutations-"))
let missed = 0
try {
  await copy(scratch)
  const chosen = mutants.filter(({ name }) => name.includes(values.only))
  const originals = await Promise.all(chosen.map(({ file }) => readFile(join(root, "packages", file), "utf8")))
  // All before the first is run: a list that is out of date says so at once.
  const changed = chosen.map((mutant, index) => change(originals[index], mutant))
  console.log("| deliberate mistake | found at seed | shortest faults | what did not hold |\n| --- | --- | --- | --- |")
  for (const [index, { file, name }] of chosen.entries()) {
    const place = join(scratch, "packages", file)
    await writeFile(place, changed[index])
    const found = foundIn(await simulate(scratch))
    await writeFile(place, originals[index])
    if (found === undefined) missed++
    const [seed, faults, problem] = found ?? ["**not found**", "", ""]
    console.log(`| ${name} | ${seed} | ${faults} | ${problem} |`)
  }
} finally {
  await rm(scratch, { recursive: true })
}
process.exit(missed === 0 ? 0 : 1)
