/**
 * Joins the definitions of two releases: the older one tells about the versions that the newer one has dropped, the
 * newer one about all others.
 */
import { hasVersion, parseVersions, type VersionRange } from "../src/Wire.ts"
import { type CommonStruct, type Definition, type FieldDefinition, kipsOf } from "./Definition.ts"

/** A message over all its versions, with what its fields inherit resolved. */
export interface Message {
  readonly name: string
  readonly type: Definition["type"]
  readonly apiKey: number | undefined
  readonly range: VersionRange
  readonly flexible: string
  readonly latestVersionUnstable: boolean
  readonly kips: ReadonlyArray<number>
  readonly fields: ReadonlyArray<Field>
  readonly structs: ReadonlyArray<Struct>
}

/** A struct inside of a message. */
export interface Struct {
  readonly name: string
  readonly fields: ReadonlyArray<Field>
}

/** A field over all versions of its message. */
export interface Field {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullable: string
  readonly tagged: string
  readonly tag: number | undefined
  readonly default: string | number | boolean | undefined
  readonly ignorable: boolean
  readonly flexible: string | undefined
  readonly entityType: string | undefined
  readonly kips: ReadonlyArray<number>
}

/** Gives undefined for a message that has no version at all. */
export const merge = (older: Definition | undefined, newer: Definition | undefined): Message | undefined => {
  const definition = newer ?? older
  if (definition === undefined) return undefined
  const olderRange = older === undefined ? undefined : parseVersions(older.validVersions)
  const newerRange = newer === undefined ? undefined : parseVersions(newer.validVersions)
  const range = unite(olderRange, newerRange)
  if (range === undefined) return undefined
  const useOlder = (version: number): boolean => newerRange === undefined || version < newerRange.lowest
  const at = new Sides(range, useOlder, older, newer)
  const structs: Array<Struct> = []
  const fields = at.fields(older?.fields ?? [], newer?.fields ?? [], structs)
  return {
    name: definition.name,
    type: definition.type,
    // What a coordinator calls the API key of its records is a number of its own.
    apiKey: definition.type === "request" || definition.type === "response" ? definition.apiKey : undefined,
    range,
    flexible: at.versions(older?.flexibleVersions, newer?.flexibleVersions),
    latestVersionUnstable: definition.latestVersionUnstable === true,
    kips: [...new Set([...(older?.kips ?? []), ...(newer?.kips ?? [])])].sort((a, b) => a - b),
    fields,
    structs
  }
}

const unite = (a: VersionRange | undefined, b: VersionRange | undefined): VersionRange | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  return { lowest: Math.min(a.lowest, b.lowest), highest: Math.max(a.highest, b.highest) }
}

/** The two definitions of one message, and which of them speaks for which version. */
class Sides {
  readonly range: VersionRange
  readonly useOlder: (version: number) => boolean
  readonly older: Definition | undefined
  readonly newer: Definition | undefined

  constructor(
    range: VersionRange,
    useOlder: (version: number) => boolean,
    older: Definition | undefined,
    newer: Definition | undefined
  ) {
    this.range = range
    this.useOlder = useOlder
    this.older = older
    this.newer = newer
  }

  /** Joins two ranges version by version and writes the result as one range again. */
  versions(older: string | undefined, newer: string | undefined): string {
    const found: Array<number> = []
    for (let version = this.range.lowest; version <= this.range.highest; version++) {
      if (hasVersion(this.useOlder(version) ? older : newer, version)) found.push(version)
    }
    if (found.length === 0) return "none"
    const [first, last] = [found[0], found[found.length - 1]]
    if (last - first + 1 !== found.length) throw new Error(`Versions ${found.join(", ")} are no range`)
    if (last === this.range.highest) return `${first}+`
    return first === last ? `${first}` : `${first}-${last}`
  }

  fields(
    older: ReadonlyArray<FieldDefinition>,
    newer: ReadonlyArray<FieldDefinition>,
    structs: Array<Struct>
  ): ReadonlyArray<Field> {
    const fields: Array<Field> = []
    for (const name of inOrder(older, newer)) {
      const was = older.find((field) => field.name === name)
      const is = newer.find((field) => field.name === name)
      const field = this.field(was, is)
      if (field.versions === "none") continue
      fields.push(field)
      const struct = structName(field.type)
      if (struct === undefined || structs.some((known) => known.name === struct)) continue
      // What is inside comes first: the generated constants need it before them.
      const inner = this.fields(this.inside(was, this.older), this.inside(is, this.newer), structs)
      structs.push({ name: struct, fields: inner })
    }
    return fields
  }

  private field(older: FieldDefinition | undefined, newer: FieldDefinition | undefined): Field {
    const field = (newer ?? older)!
    if (older !== undefined && newer !== undefined && older.type !== newer.type) {
      throw new Error(`${field.name}: type ${older.type} became ${newer.type}`)
    }
    const versions = this.versions(older?.versions ?? older?.taggedVersions, newer?.versions ?? newer?.taggedVersions)
    return {
      name: field.name[0].toLowerCase() + field.name.slice(1),
      type: field.type,
      versions,
      nullable: this.versions(older?.nullableVersions, newer?.nullableVersions),
      tagged: this.versions(older?.taggedVersions, newer?.taggedVersions),
      tag: field.tag,
      default: newer?.default ?? older?.default,
      ignorable: this.ignorable(versions, older, newer),
      flexible: field.flexibleVersions,
      entityType: field.entityType,
      kips: kipsOf(field.about ?? "")
    }
  }

  /** Where versions lack the field, the newest of them says whether it may be dropped in silence. */
  private ignorable(versions: string, older: FieldDefinition | undefined, newer: FieldDefinition | undefined): boolean {
    for (let version = this.range.highest; version >= this.range.lowest; version--) {
      const field = this.useOlder(version) ? older : newer
      if (field !== undefined && !hasVersion(versions, version)) return field.ignorable === true
    }
    return (newer ?? older)?.ignorable === true
  }

  private inside(
    field: FieldDefinition | undefined,
    definition: Definition | undefined
  ): ReadonlyArray<FieldDefinition> {
    if (field === undefined) return []
    if (field.fields !== undefined && field.fields.length > 0) return field.fields
    const name = structName(field.type)
    const common: CommonStruct | undefined = definition?.commonStructs?.find((struct) => struct.name === name)
    if (common === undefined) throw new Error(`${definition?.name}: no struct ${name}`)
    return common.fields
  }
}

/** The names of both lists: the newer one's order, with the names that only the older one has at their places. */
const inOrder = (
  older: ReadonlyArray<FieldDefinition>,
  newer: ReadonlyArray<FieldDefinition>
): ReadonlyArray<string> => {
  const names = newer.map((field) => field.name)
  let place = 0
  for (const { name } of older) {
    const found = names.indexOf(name)
    if (found >= 0) place = found + 1
    else names.splice(place++, 0, name)
  }
  return names
}

/** `Topic` for `[]Topic` and `Topic`; undefined for a primitive. */
export const structName = (type: string): string | undefined => {
  const item = type.startsWith("[]") ? type.slice(2) : type
  return /^[A-Z]/.test(item) ? item : undefined
}
