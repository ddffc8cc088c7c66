/**
 * The examples of the READMEs are compiled and run, against a real broker where they name one.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, it } from "@effect/vitest"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"

const root = path.join(import.meta.dirname, "..", "..", "..")
const readmes = ["README.md", "packages/protocol/README.md", "packages/client/README.md"]

const examplesOf = (readme: string): ReadonlyArray<string> =>
  [...fs.readFileSync(path.join(root, readme), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1])

describeBrokers("README examples", () => {
  for (const readme of readmes) {
    const examples = examplesOf(readme)
    it(`${readme} has examples`, () => assert.isAbove(examples.length, 0))
    examples.forEach((example, index) => {
      it(`${readme}, example ${index + 1}, compiles and runs`, { timeout: 60_000 }, () => {
        // Inside of the packages, so that imports are found as a user's program finds them.
        const folder = fs.mkdtempSync(path.join(import.meta.dirname, "example-"))
        try {
          const file = path.join(folder, "example.ts")
          const servers = JSON.stringify(bootstrapServers)
          fs.writeFileSync(file, example.replace('["localhost:9092"]', servers))
          const tsconfig = { extends: "../../../../tsconfig.base.json", compilerOptions: { noEmit: true } }
          fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
          const run = (args: ReadonlyArray<string>) => {
            try {
              return execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8", stdio: "pipe" })
            } catch (error) {
              // What the program said is what helps.
              const { stderr, stdout } = error as { readonly stderr: string; readonly stdout: string }
              throw new Error(`${args.join(" ")}\n${stdout}${stderr}`)
            }
          }
          run([path.join(root, "node_modules/typescript/bin/tsc"), "-p", "."])
          assert.isAbove(run([file]).length, 0)
        } finally {
          fs.rmSync(folder, { recursive: true, force: true })
        }
      })
    })
  }
})
