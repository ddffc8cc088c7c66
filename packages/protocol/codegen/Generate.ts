/**
 * From jars to files: reads, merges and prints all definitions.
 */
import * as Definition from "./Definition.ts"
import { type Message, merge } from "./Merge.ts"
import * as Print from "./Print.ts"

/** The jars, oldest release first in each list; definitions of later jars win for the versions that they have. */
export interface Jars {
  /** The release that still has the versions which 4.0 removed. */
  readonly older: ReadonlyArray<string>
  /** Today's release. */
  readonly newer: ReadonlyArray<string>
}

/** The generated files by name, before formatting. */
export const generate = (jars: Jars): ReadonlyMap<string, string> => {
  const older = readAll(jars.older)
  const newer = readAll(jars.newer)
  const messages = new Map<string, Message>()
  for (const name of new Set([...older.keys(), ...newer.keys()])) {
    const message = merge(older.get(name), newer.get(name))
    if (message !== undefined) messages.set(name, message)
  }
  const files: Array<Print.GeneratedFile> = []
  for (const message of messages.values()) {
    if (message.type === "response") continue
    if (message.type !== "request") {
      files.push(Print.single(message))
      continue
    }
    const response = messages.get(message.name.replace(/Request$/, "Response"))
    if (response === undefined) throw new Error(`${message.name} has no response`)
    files.push(Print.api(message, response))
  }
  const texts = files.map((file) => [`${file.name}.ts`, file.text] as const)
  return new Map([...texts, ["ApiKey.ts", Print.apiKeys(files)], ["all.ts", Print.all(files)]])
}

/** What a coordinator writes into its own topics, as far as anybody but that coordinator reads it. */
const coordinatorRecords = new Set([
  "GroupMetadataKey",
  "GroupMetadataValue",
  "OffsetCommitKey",
  "OffsetCommitValue",
  "TransactionLogKey",
  "TransactionLogValue"
])

const readAll = (jars: ReadonlyArray<string>): Map<string, Definition.Definition> =>
  new Map(
    jars.flatMap((jar) =>
      [...Definition.read(jar)].filter(
        ([name, { type }]) => !type.startsWith("coordinator") || coordinatorRecords.has(name)
      )
    )
  )
