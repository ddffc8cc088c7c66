/**
 * The checked-in messages are what the generator writes out of Kafka's definitions.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Maven from "@kafka-effect/rig/Maven"
import { Effect } from "effect"
import { type Definition, kipsOf } from "../codegen/Definition.ts"
import { merge } from "../codegen/Merge.ts"

const packageDirectory = path.join(import.meta.dirname, "..")
const hasMaven = await Effect.runPromise(Maven.isAvailable)
const reason = "skipped: Maven is not installed, and the definitions come from Maven Central"

describe("codegen", () => {
  it.skipIf(!hasMaven)(
    hasMaven ? "src/messages is what the generator writes" : `src/messages is what the generator writes (${reason})`,
    { timeout: 120_000 },
    () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), "kafka-effect-codegen-"))
      try {
        execFileSync(process.execPath, [path.join(packageDirectory, "codegen/main.ts"), directory], { stdio: "pipe" })
        const checkedIn = path.join(packageDirectory, "src/messages")
        assert.deepStrictEqual(fs.readdirSync(directory).sort(), fs.readdirSync(checkedIn).sort())
        for (const name of fs.readdirSync(directory)) {
          const generated = fs.readFileSync(path.join(directory, name), "utf8")
          const found = fs.readFileSync(path.join(checkedIn, name), "utf8")
          assert.isTrue(found === generated, `${name} is not what \`npm run codegen\` writes: run it and commit`)
        }
      } finally {
        fs.rmSync(directory, { recursive: true, force: true })
      }
    }
  )
})

describe("merge", () => {
  const definition = (validVersions: string, fields: Definition["fields"]): Definition => ({
    name: "PingRequest",
    type: "request",
    apiKey: 4711,
    validVersions,
    flexibleVersions: "3+",
    fields: fields ?? [],
    kips: []
  })

  it("takes the older definition for the versions that the newer one lacks", () => {
    const merged = merge(
      definition("0-3", [
        { name: "Old", type: "int32", versions: "0-1" },
        { name: "Both", type: "string", versions: "1+", nullableVersions: "2+" }
      ]),
      definition("2-4", [
        { name: "Both", type: "string", versions: "2+", nullableVersions: "3+" },
        { name: "New", type: "int8", versions: "4+", default: "7" }
      ])
    )
    assert.deepStrictEqual(merged?.range, { lowest: 0, highest: 4 })
    assert.deepStrictEqual(
      merged?.fields.map(({ name, nullable, versions }) => [name, versions, nullable]),
      [
        ["old", "0-1", "none"],
        ["both", "1+", "3+"],
        ["new", "4+", "none"]
      ]
    )
  })

  it("refuses a field whose type changed", () => {
    const older = definition("0-1", [{ name: "Field", type: "int32", versions: "0+" }])
    const newer = definition("1-2", [{ name: "Field", type: "int64", versions: "1+" }])
    assert.throws(() => merge(older, newer), "type int32 became int64")
  })

  it("has nothing for a message without versions", () => {
    assert.isUndefined(merge(undefined, definition("none", [])))
  })

  it("finds the numbers of KIPs, each once, ascending", () => {
    assert.deepStrictEqual(kipsOf("see KIP-951 and KIP-219 (KIP-951)"), [219, 951])
  })
})
