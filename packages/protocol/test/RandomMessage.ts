import * as Wire from "@kafka-effect/protocol/Wire"
import type { Random } from "./Random.ts"

/** A random value of a message, with values other than the default only in fields that the version carries. */
export const randomMessage = (random: Random, message: Wire.Message<object>, version: number): object =>
  randomStruct(random, message.ast, version, Wire.hasVersion(message.facts.flexible, version))

const randomStruct = (random: Random, ast: Wire.Field["ast"], version: number, flexible: boolean): object => {
  const struct: Record<string, unknown> = {}
  for (const field of Wire.fieldsOf(ast)) {
    const carried = Wire.hasVersion(field.facts.versions, version)
    struct[field.name] = carried ? randomField(random, field, version, flexible) : defaultOf(field)
  }
  if (flexible && random.chance(0.1)) {
    struct.unknownTaggedFields = [{ tag: random.integer(9000, 9999), data: random.bytes(random.integer(0, 5)) }]
  }
  return struct
}

const randomField = (random: Random, field: Wire.Field, version: number, flexible: boolean): unknown => {
  if (Wire.hasVersion(field.facts.nullable, version) && random.chance(0.3)) return null
  return randomValue(random, field.type, field.ast, version, flexible)
}

const texts = [
  "",
  "a",
  "orders",
  "größe",
  "日本語のトピック",
  "𝔘𝔫𝔦",
  "\u0000",
  "x".repeat(47),
  "x".repeat(200),
  "\ufffd"
]

const randomValue = (
  random: Random,
  type: Wire.WireType,
  ast: Wire.Field["ast"],
  version: number,
  flexible: boolean
): unknown => {
  const integer = (bits: number, signed: boolean): number => {
    const highest = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
    const lowest = signed ? -(2 ** (bits - 1)) : 0
    return random.pick([lowest, highest, 0, 1, random.integer(0, Math.min(highest, 2 ** 31))])
  }
  switch (type.kind) {
    case "boolean":
      return random.chance(0.5)
    case "int8":
      return integer(8, true)
    case "int16":
      return integer(16, true)
    case "int32":
      return integer(32, true)
    case "uint16":
      return integer(16, false)
    case "uint32":
      return integer(32, false)
    case "int64":
      return random.pick([-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n, random.bigint64()])
    case "float64":
      return random.pick([0, -0, Math.PI, Number.POSITIVE_INFINITY, Number.MIN_VALUE])
    case "uuid":
      return Buffer.from(random.bytes(16)).toString("base64url")
    case "string":
      return random.pick(texts)
    case "bytes":
    case "records":
      return random.bytes(random.pick([0, 1, 5, 200]))
    case "array": {
      const items = type.items
      const length = random.pick([0, 1, 2, random.integer(0, 4)])
      return Array.from({ length }, () => randomValue(random, Wire.typeOf(items), items, version, flexible))
    }
    case "struct":
      return randomStruct(random, ast, version, flexible)
  }
}

const defaultOf = (field: Wire.Field): unknown => {
  if (field.facts.default !== undefined) return field.facts.default
  switch (field.type.kind) {
    case "array":
      return []
    case "boolean":
      return false
    case "bytes":
      return new Uint8Array(0)
    case "int64":
      return 0n
    case "records":
      return null
    case "string":
      return ""
    case "struct":
      return Object.fromEntries(Wire.fieldsOf(field.ast).map((inner) => [inner.name, defaultOf(inner)]))
    case "uuid":
      return Wire.zeroUuid
    default:
      return 0
  }
}
