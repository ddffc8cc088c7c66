/**
 * Values of messages to the JSON of Kafka's converters and back. Two things are added to their form: unknown tagged
 * fields (`_unknownTaggedFields`, which the Java side puts in and takes out), and what the converters leave out when they
 * write (content of records, defaults of fields that are not there).
 */
import * as Wire from "../src/Wire.ts"
import { defaultOf, isDefault, type Struct } from "./Values.ts"

const unknownKey = "_unknownTaggedFields"

/** The JSON of a whole message at a version. */
export const stringify = (message: Wire.Message<object>, version: number, value: Struct): string =>
  writeStruct(message.ast, version, value)

const writeStruct = (ast: Wire.Field["ast"], version: number, value: Struct): string => {
  const members: Array<string> = []
  for (const field of Wire.fieldsOf(ast)) {
    const found = value[field.name]
    // A field that the version lacks is sent only when it has something to be refused.
    if (!Wire.hasVersion(field.facts.versions, version) && isDefault(field, found)) continue
    members.push(`${JSON.stringify(field.name)}:${writeValue(field.type, field.ast, version, found)}`)
  }
  const unknown = value.unknownTaggedFields as ReadonlyArray<Wire.UnknownTaggedField> | undefined
  if (unknown !== undefined) {
    const list = unknown.map(({ data, tag }) => `{"tag":${tag},"data":"${base64(data)}"}`)
    members.push(`"${unknownKey}":[${list.join(",")}]`)
  }
  return `{${members.join(",")}}`
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")

// The schema says of which type a value is, so the casts below state what the generator has made.
const writeValue = (type: Wire.WireType, ast: Wire.Field["ast"], version: number, value: unknown): string => {
  if (value === null) return "null"
  switch (type.kind) {
    case "array":
      return `[${(value as ReadonlyArray<unknown>)
        .map((item) => writeValue(Wire.typeOf(type.items), type.items, version, item))
        .join(",")}]`
    case "bytes":
    case "records":
      return `"${base64(value as Uint8Array)}"`
    case "float64":
      return writeFloat(value as number)
    case "string":
    case "uuid":
      return JSON.stringify(value)
    case "struct":
      return writeStruct(ast, version, value as Struct)
    default:
      return String(value)
  }
}

/** Kafka wants a fraction to see, and NaN and Infinity bare. */
const writeFloat = (value: number): string => {
  if (Object.is(value, -0)) return "-0.0"
  const written = String(value)
  return /^-?\d+$/.test(written) ? `${written}.0` : written
}

/** Reads JSON with integers of any size: those that a number cannot hold become bigints. */
export const parse = (json: string): unknown =>
  JSON.parse(json, (_key: string, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value
    const source = context?.source ?? ""
    return /^-?\d+$/.test(source) ? BigInt(source) : value
  })

/** The value of a whole message from the JSON that Java wrote. */
export const read = (message: Wire.Message<object>, json: string): Struct =>
  readStruct(message.ast, parse(json) as Struct)

const readStruct = (ast: Wire.Field["ast"], json: Struct): Struct => {
  const value: Struct = {}
  for (const field of Wire.fieldsOf(ast)) {
    const found = json[field.name]
    value[field.name] = found === undefined ? defaultOf(field) : readValue(field.type, field.ast, found)
  }
  const unknown = json[unknownKey] as ReadonlyArray<{ readonly tag: number; readonly data: string }> | undefined
  if (unknown !== undefined)
    value.unknownTaggedFields = unknown.map(({ data, tag }) => ({ tag, data: fromBase64(data) }))
  return value
}

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

const readValue = (type: Wire.WireType, ast: Wire.Field["ast"], json: unknown): unknown => {
  if (json === null) return null
  switch (type.kind) {
    case "array":
      return (json as ReadonlyArray<unknown>).map((item) => readValue(Wire.typeOf(type.items), type.items, item))
    case "bytes":
    case "records":
      return fromBase64(json as string)
    case "float64":
      // NaN and the infinities come as strings.
      return Number(json)
    case "int64":
      return BigInt(json as number | bigint)
    case "struct":
      return readStruct(ast, json as Struct)
    default:
      return json
  }
}
