/**
 * Kafka's message definitions: JSON with comments, as they lie in the `kafka-clients` jar under `common/message/`.
 */
import * as fs from "node:fs"
import { strFromU8, unzipSync } from "fflate"

/** A field, as the definition writes it. */
export interface FieldDefinition {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean
  readonly ignorable?: boolean
  readonly flexibleVersions?: string
  readonly entityType?: string
  readonly about?: string
  readonly fields?: ReadonlyArray<FieldDefinition>
}

/** A struct that several fields of one message share. */
export interface CommonStruct {
  readonly name: string
  readonly versions: string
  readonly fields: ReadonlyArray<FieldDefinition>
}

/** A message, as the definition writes it, with the KIPs that its comments name. */
export interface Definition {
  readonly name: string
  readonly type: "request" | "response" | "header" | "data" | "metadata" | "coordinator-key" | "coordinator-value"
  readonly apiKey?: number
  readonly validVersions: string
  readonly flexibleVersions?: string
  readonly latestVersionUnstable?: boolean
  readonly fields?: ReadonlyArray<FieldDefinition>
  readonly commonStructs?: ReadonlyArray<CommonStruct>
  readonly kips: ReadonlyArray<number>
}

const folder = "common/message/"

/** Reads all definitions out of a jar, by name. */
export const read = (jar: string): ReadonlyMap<string, Definition> => {
  const entries = unzipSync(fs.readFileSync(jar), {
    filter: (file) => file.name.startsWith(folder) && file.name.endsWith(".json")
  })
  const definitions = new Map<string, Definition>()
  for (const content of Object.values(entries)) {
    const definition = parse(strFromU8(content))
    definitions.set(definition.name, definition)
  }
  return definitions
}

const parse = (text: string): Definition => {
  const lines = text.split("\n")
  const isComment = (line: string): boolean => line.trimStart().startsWith("//")
  // The definitions comment whole lines only; their own tools rely on it too.
  const json = JSON.parse(lines.filter((line) => !isComment(line)).join("\n")) as Omit<Definition, "kips">
  return { ...json, kips: kipsOf(lines.filter(isComment).join("\n")) }
}

/** The numbers of the improvement proposals that a text names, ascending. */
export const kipsOf = (text: string): ReadonlyArray<number> =>
  [...new Set([...text.matchAll(/KIP-(\d+)/g)].map((match) => Number(match[1])))].sort((a, b) => a - b)
