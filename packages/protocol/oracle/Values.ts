/**
 * Random values of messages, made by walking their schemas: boundary values, nulls, empty and large collections, text of
 * all planes, unknown tagged fields; at a given version, and away from the default only in fields that it carries.
 */
import { isDeepStrictEqual } from "node:util"
import * as Wire from "../src/Wire.ts"
import type { Random } from "../test/Random.ts"

/**
 * What one value is after. The first of them come once per version, `mixed` and `large` fill up the rest. `full` has no
 * null, no default and something in each list: a place for every probe.
 */
export type Profile = "defaults" | "nulls" | "lowest" | "highest" | "mixed" | "large" | "full"

export const profileOf = (index: number): Profile => {
  const first: ReadonlyArray<Profile> = ["defaults", "nulls", "lowest", "highest"]
  return first[index] ?? (index % 5 === 0 ? "large" : "mixed")
}

export type Struct = { [field: string]: unknown }

/** How much a value may still grow; one for a whole message. */
interface Budget {
  /** Elements of arrays. */
  elements: number
  /** Bytes of text and bytes. */
  bytes: number
}

interface Context {
  readonly random: Random
  readonly version: number
  readonly isFlexible: boolean
  readonly profile: Profile
  readonly budget: Budget
}

/** A value of a whole message. */
export const make = (random: Random, message: Wire.Message<object>, version: number, profile: Profile): Struct => {
  const budget = profile === "large" ? { elements: 600, bytes: 40_000 } : { elements: 40, bytes: 35_000 }
  const isFlexible = Wire.hasVersion(message.facts.flexible, version)
  return struct({ random, version, isFlexible, profile, budget }, message.ast)
}

/** The value of a field that is not there. */
export const defaultOf = ({ ast, facts, type }: Wire.Field): unknown => {
  if (facts.default !== undefined) return facts.default
  switch (type.kind) {
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
      return Object.fromEntries(Wire.fieldsOf(ast).map((field) => [field.name, defaultOf(field)]))
    case "uuid":
      return Wire.zeroUuid
    default:
      return 0
  }
}

export const isDefault = (field: Wire.Field, value: unknown): boolean => isDeepStrictEqual(value, defaultOf(field))

const struct = (context: Context, ast: Wire.Field["ast"]): Struct => {
  const { isFlexible, profile, random, version } = context
  const fields = Wire.fieldsOf(ast)
  const value: Struct = {}
  for (const field of fields) {
    const isCarried = Wire.hasVersion(field.facts.versions, version)
    value[field.name] = isCarried && profile !== "defaults" ? fieldValue(context, field) : defaultOf(field)
  }
  if (isFlexible && profile !== "defaults" && random.chance(0.2)) {
    value.unknownTaggedFields = unknownTaggedFields(context, fields)
  }
  return value
}

/** Java drops the tag 2^31 - 1 when it writes: it stands for "after all tags" there. */
const highestTag = 2 ** 31 - 2

/**
 * Ascending by tag, as they have to be, and behind all that any version knows: Java refuses to read a tag that it knows
 * from another version.
 */
const unknownTaggedFields = (context: Context, fields: ReadonlyArray<Wire.Field>): Array<Wire.UnknownTaggedField> => {
  const { random } = context
  const next = Math.max(-1, ...fields.map((field) => field.facts.tag ?? -1)) + 1
  const tags = new Set<number>()
  for (let count = random.integer(1, 3); count > 0; count--) {
    tags.add(random.pick([next, next + 1, 127, 128, 16_383, 16_384, highestTag, random.integer(next, highestTag)]))
  }
  return [...tags].sort((a, b) => a - b).map((tag) => ({ tag, data: bytes(context) }))
}

const fieldValue = (context: Context, field: Wire.Field): unknown => {
  const { profile, random, version } = context
  if (profile === "full") return typeValue(context, field.type, field.ast)
  if (Wire.hasVersion(field.facts.nullable, version)) {
    if (profile === "nulls" || random.chance(0.2)) return null
  }
  // What a tagged field does at its default, not to be sent, is a case of its own.
  if (random.chance(0.1)) {
    const value = defaultOf(field)
    if (value !== null || Wire.hasVersion(field.facts.nullable, version)) return value
  }
  return typeValue(context, field.type, field.ast)
}

const bounds = {
  int8: [-0x80, 0x7f],
  int16: [-0x8000, 0x7fff],
  int32: [-0x80000000, 0x7fffffff],
  uint16: [0, 0xffff],
  uint32: [0, 0xffffffff]
} as const

const typeValue = (context: Context, type: Wire.WireType, ast: Wire.Field["ast"]): unknown => {
  const { random } = context
  switch (type.kind) {
    case "boolean":
      return random.chance(0.5)
    case "int8":
    case "int16":
    case "int32":
    case "uint16":
    case "uint32":
      return integer(context, bounds[type.kind])
    case "int64":
      return int64(context)
    case "float64":
      return float64(context)
    case "uuid":
      return random.chance(0.2) ? Wire.zeroUuid : Buffer.from(random.bytes(16)).toString("base64url")
    case "string":
      return text(random, size(context, 0x7fff))
    case "bytes":
    case "records":
      return bytes(context)
    case "array":
      return Array.from({ length: count(context, type.items) }, () =>
        typeValue(context, Wire.typeOf(type.items), type.items)
      )
    case "struct":
      return struct(context, ast)
  }
}

const integer = ({ profile, random }: Context, [lowest, highest]: readonly [number, number]): number => {
  if (profile === "lowest") return lowest
  if (profile === "highest") return highest
  const bits = random.integer(0, 31)
  // Plus 0, so that it is never -0.
  const anywhere = (random.next() >>> bits) * (random.chance(0.3) ? -1 : 1) + 0
  return random.pick([lowest, highest, 0, 1, -1, anywhere, anywhere].filter((n) => n >= lowest && n <= highest))
}

const int64 = ({ profile, random }: Context): bigint => {
  const [lowest, highest] = [-(2n ** 63n), 2n ** 63n - 1n]
  if (profile === "lowest") return lowest
  if (profile === "highest") return highest
  // Beyond 2^53 a number could no longer hold it.
  const edge = random.pick([2n ** 31n, 2n ** 32n, 2n ** 53n]) + BigInt(random.integer(0, 2) - 1)
  const anywhere = random.bigint64() >> BigInt(random.integer(0, 63))
  return random.pick([lowest, highest, 0n, 1n, -1n, edge, -edge, anywhere, anywhere, anywhere])
}

const float64 = ({ profile, random }: Context): number => {
  if (profile === "lowest") return -Number.MAX_VALUE
  if (profile === "highest") return Number.MAX_VALUE
  const anywhere = (random.next() - 2 ** 31) * 2 ** random.integer(-1000, 900)
  return random.pick([
    0,
    -0,
    1,
    1 / 3,
    1e21,
    Number.MIN_VALUE,
    Number.POSITIVE_INFINITY,
    -Infinity,
    Number.NaN,
    anywhere
  ])
}

/** The lengths at which a compact length takes one byte more, and those beside them. */
const sizes = [0, 1, 2, 5, 9, 10, 11, 47, 48, 49, 126, 127, 128, 255, 256, 16_382, 16_383, 16_384, 32_767]

const size = ({ budget, profile, random }: Context, most: number): number => {
  if (profile === "lowest") return 0
  const wanted = profile === "highest" && budget.bytes >= most ? most : random.integer(0, random.pick(sizes))
  const found = random.chance(0.5) ? wanted : random.pick(sizes)
  const allowed = profile === "highest" || random.chance(0.1) ? budget.bytes : Math.min(budget.bytes, 300)
  if (found > allowed) return random.integer(0, Math.min(allowed, 20))
  budget.bytes -= found
  return found
}

const bytes = (context: Context): Uint8Array => context.random.bytes(size(context, 0x7fff))

/** Text of exactly so many bytes of UTF-8, of one plane or of all. */
const text = (random: Random, bytes: number): string => {
  if (random.chance(0.4)) return "x".repeat(bytes)
  let result = ""
  let left = bytes
  while (left > 0) {
    const length = Math.min(left, random.integer(1, 4))
    result += String.fromCodePoint(codePoint(random, length))
    left -= length
  }
  return result
}

/** A character that takes so many bytes; half of a surrogate pair is none. */
const codePoint = (random: Random, length: number): number => {
  if (length === 1) return random.integer(0, 0x7f)
  if (length === 2) return random.integer(0x80, 0x7ff)
  if (length === 4) return random.integer(0x10000, 0x10ffff)
  return random.pick([0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xffff, random.integer(0x800, 0xd7ff)])
}

const count = ({ budget, profile, random }: Context, items: Wire.Field["ast"]): number => {
  const isPrimitive = Wire.typeOf(items).kind !== "struct"
  if (profile === "full") return 1
  const usual = profile === "lowest" ? 0 : random.pick([0, 1, 1, 2, 3])
  const wanted =
    profile === "large" ? random.pick([usual, isPrimitive ? 126 : 5, 127, 128, random.integer(0, 300)]) : usual
  const found = wanted <= budget.elements ? wanted : random.integer(0, 1)
  budget.elements -= found
  return found
}

/** A value that is sound but for one place. */
export interface Probe {
  readonly value: Struct
  readonly path: string
  /** A value in a field that the version lacks, or null where the version does not allow it. */
  readonly kind: "stray" | "null"
}

interface Place {
  readonly owner: Struct
  readonly field: Wire.Field
  readonly path: string
  readonly kind: Probe["kind"]
}

/**
 * A probe for each place of a message where a version has no field or allows no null. `isKnown` tells whether the release
 * that is to judge has a field of these versions at all.
 */
export const probes = (
  random: Random,
  message: Wire.Message<object>,
  version: number,
  isKnown: (versions: string) => boolean
): ReadonlyArray<Probe> => {
  const base = make(random, message, version, "full")
  return placesOf(message.ast, version, base, "")
    .map((_, index) => {
      const value = structuredClone(base)
      const { field, kind, owner, path } = placesOf(message.ast, version, value, "")[index]
      if (kind === "stray" && !isKnown(field.facts.versions)) return undefined
      owner[field.name] = kind === "null" ? null : other(random, version, field)
      return { value, path, kind }
    })
    .filter((probe) => probe !== undefined)
}

const placesOf = (ast: Wire.Field["ast"], version: number, owner: Struct, within: string): ReadonlyArray<Place> =>
  Wire.fieldsOf(ast).flatMap((field): ReadonlyArray<Place> => {
    const { facts, name, type } = field
    const path = within === "" ? name : `${within}.${name}`
    const isSimple = type.kind !== "struct" && !(type.kind === "array" && Wire.typeOf(type.items).kind === "struct")
    if (!Wire.hasVersion(facts.versions, version)) {
      // Structures that a version lacks have no JSON at that version either, so Java could not be told.
      return isSimple ? [{ owner, field, path, kind: "stray" }] : []
    }
    const places: Array<Place> = []
    if (!isNumber(type) && !Wire.hasVersion(facts.nullable, version)) places.push({ owner, field, path, kind: "null" })
    // A full value has each struct, and one item in each list.
    if (type.kind === "struct") places.push(...placesOf(field.ast, version, owner[name] as Struct, path))
    else if (type.kind === "array" && !isSimple) {
      const [item] = owner[name] as ReadonlyArray<Struct>
      places.push(...placesOf(type.items, version, item, `${path}[0]`))
    }
    return places
  })

/** What has no null in any version. */
const isNumber = ({ kind }: Wire.WireType): boolean => kind in bounds || /^(boolean|int64|float64|uuid)$/.test(kind)

/** A value other than the default. */
const other = (random: Random, version: number, field: Wire.Field): unknown => {
  for (;;) {
    const budget = { elements: 3, bytes: 10 }
    const value = typeValue({ random, version, isFlexible: false, profile: "mixed", budget }, field.type, field.ast)
    if (!isDefault(field, value)) return value
  }
}
