/**
 * `npm run codegen [-- DIRECTORY]`: writes the message files out of Kafka's own definitions, by default to
 * `src/messages`.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Maven from "@kafka-effect/rig/Maven"
import * as Effect from "effect/Effect"
import { generate } from "./Generate.ts"

const older = "3.9.1"
const newer = "4.4.0"
const root = path.join(import.meta.dirname, "..", "..", "..")
const directory = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, "..", "src", "messages"))

const jars = Effect.gen(function* () {
  return {
    older: [yield* Maven.jar(`org.apache.kafka:kafka-clients:${older}`)],
    // The layout of a coordinator's records belongs to its release: only today's is wanted.
    newer: [
      yield* Maven.jar(`org.apache.kafka:kafka-clients:${newer}`),
      yield* Maven.jar(`org.apache.kafka:kafka-group-coordinator:${newer}`),
      yield* Maven.jar(`org.apache.kafka:kafka-transaction-coordinator:${newer}`)
    ]
  }
})

const files = generate(await Effect.runPromise(jars))
fs.rmSync(directory, { recursive: true, force: true })
fs.mkdirSync(directory, { recursive: true })
for (const [name, text] of files) fs.writeFileSync(path.join(directory, name), text)
execFileSync(
  process.execPath,
  [
    path.join(root, "node_modules/@biomejs/biome/bin/biome"),
    "check",
    "--write",
    "--linter-enabled=false",
    `--config-path=${root}`,
    directory
  ],
  { stdio: ["ignore", "ignore", "inherit"] }
)
process.stdout.write(`${files.size} files for Kafka ${older} to ${newer} in ${path.relative(root, directory)}\n`)
