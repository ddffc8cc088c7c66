/**
 * `npm run oracle -- [--seed S] [--values N] [--only NAME]`: our bytes against those of Kafka's own Java classes.
 *
 * Ends with 1 at the first difference. The seed is printed; the same seed makes the same values.
 */
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Coverage from "./Coverage.ts"
import * as JavaOracle from "./JavaOracle.ts"
import * as Messages from "./Messages.ts"
import * as RecordsCheck from "./RecordsCheck.ts"

const { values: flags } = parseArgs({
  options: {
    /** Any text; by default one that the clock gives. */
    seed: { type: "string", default: String(Date.now() % 2 ** 32) },
    /** Values per message and version, and per format of record batches. */
    values: { type: "string", default: "20" },
    /** Only messages whose name contains this; `records` for record batches alone. */
    only: { type: "string", default: "" }
  }
})

const valuesPerVersion = Number(flags.values)
if (!Number.isInteger(valuesPerVersion) || valuesPerVersion < 1) {
  console.error(`--values takes a whole number of at least 1, not ${flags.values}`)
  process.exit(1)
}

/** A small number is itself, any other text its hash. */
const seedOf = (text: string): number => {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0 && number < 2 ** 32) return number
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

const started = Date.now()
const seconds = (): string => `${((Date.now() - started) / 1000).toFixed(1)} s`

const isTerminal = process.stdout.isTTY === true
const clearLine = isTerminal ? "\r\u001b[K" : ""
const say = (line: string): void => console.log(clearLine + line)

let shown = 0
const onProgress = (line: () => string): void => {
  if (!isTerminal || Date.now() - shown < 100) return
  shown = Date.now()
  process.stdout.write(clearLine + line())
}

const program = Effect.gen(function* () {
  say(`oracle: seed ${flags.seed}, Kafka ${JavaOracle.releases.join(" and ")}`)
  const seed = seedOf(flags.seed)
  const oracle = yield* JavaOracle.make
  const { errors, headers, ranges } = yield* Coverage.check(oracle)
  say(`${errors} error codes and ${headers} header versions agree`)
  if (flags.only !== "records") {
    const counts = yield* Messages.check({
      oracle,
      ranges,
      seed,
      values: valuesPerVersion,
      only: flags.only,
      onProgress: (now) => onProgress(() => `${now.versions} versions, ${now.values} values agree, ${seconds()}`)
    })
    const { defaults, messages, probes, values, versions } = counts
    say(
      `${values} (API, version, value) triples agree: ${messages} messages at ${versions} versions in all; ` +
        `${defaults} messages by default; ${probes} values that a version cannot carry`
    )
  }
  if (flags.only !== "" && flags.only !== "records") return
  const records = yield* RecordsCheck.check({
    oracle,
    seed,
    values: valuesPerVersion,
    onProgress: (now) => onProgress(() => `${now.batches} batches, ${now.records} records agree, ${seconds()}`)
  })
  say(
    `${records.batches} batches of ${records.records} records agree in ${records.formats} formats ` +
      `(magic, codec, timestamp type); ${records.damaged} damaged ones are refused by both sides, ` +
      `${records.cut} rows of batches read alike up to where they are cut`
  )
})

const exit = await Effect.runPromiseExit(Effect.scoped(program))
if (Exit.isFailure(exit)) {
  const error = Cause.squash(exit.cause)
  say(`NOT EQUAL, or not compared (seed ${flags.seed}, ${seconds()})`)
  say(error instanceof Error && "_tag" in error ? `${error._tag}: ${error.message}` : String(error))
  if (error instanceof Error && !("_tag" in error)) say(error.stack ?? "")
  process.exitCode = 1
} else say(`oracle: all agree (seed ${flags.seed}, ${seconds()})`)
