/**
 * Compiles a struct's schema at one version into a tree of closures that read and write it: what `WireCodec` keeps.
 *
 * Which fields a version carries, whether lengths are compact and which tags are known is decided here, once, so that
 * none of it is asked again while bytes are read or written. Failures are thrown as `ByteError`.
 *
 * @since 0.1.0
 */
import type * as SchemaAST from "effect/SchemaAST"
import { ByteError, type ByteReader } from "./ByteReader.ts"
import { ByteWriter } from "./ByteWriter.ts"
import * as Wire from "./Wire.ts"

type Read<A = unknown> = (reader: ByteReader) => A
type Write<A = unknown> = (writer: ByteWriter, value: A) => void

/** Reader, writer and the least number of bytes of one type at one version. */
interface Compiled<A = unknown> {
  readonly read: Read<A>
  readonly write: Write<A>
  readonly minimumBytes: number
}

/** The version that is compiled for. */
export interface Context {
  readonly version: number
  readonly flexible: boolean
}

const invalid = (expected: string, value: unknown): ByteError =>
  new ByteError("InvalidValue", `${expected} wanted, found ${describe(value)}`, -1)

const describe = (value: unknown): string => {
  if (typeof value === "string")
    return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object"
  return typeof value === "bigint" ? `${value}n` : String(value)
}

const integer = (
  kind: string,
  size: number,
  lowest: number,
  highest: number,
  read: Read<number>,
  store: Write<number>
): Compiled<number> => ({
  read,
  write: (writer, value) => {
    if (!(Number.isInteger(value) && value >= lowest && value <= highest)) throw invalid(kind, value)
    store(writer, value)
  },
  minimumBytes: size
})

const lowestInt64 = -(2n ** 63n)
const highestInt64 = 2n ** 63n - 1n

const primitives = {
  int8: integer(
    "int8",
    1,
    -0x80,
    0x7f,
    (r) => r.readInt8(),
    (w, value) => w.writeInt8(value)
  ),
  int16: integer(
    "int16",
    2,
    -0x8000,
    0x7fff,
    (r) => r.readInt16(),
    (w, value) => w.writeInt16(value)
  ),
  int32: integer(
    "int32",
    4,
    -0x80000000,
    0x7fffffff,
    (r) => r.readInt32(),
    (w, value) => w.writeInt32(value)
  ),
  uint16: integer(
    "uint16",
    2,
    0,
    0xffff,
    (r) => r.readUint16(),
    (w, value) => w.writeInt16(value)
  ),
  uint32: integer(
    "uint32",
    4,
    0,
    0xffffffff,
    (r) => r.readUint32(),
    (w, value) => w.writeInt32(value)
  ),
  int64: {
    read: (reader: ByteReader) => reader.readInt64(),
    write: (writer: ByteWriter, value: bigint) => {
      if (typeof value !== "bigint" || value < lowestInt64 || value > highestInt64)
        throw invalid("int64 (a bigint)", value)
      writer.writeInt64(value)
    },
    minimumBytes: 8
  },
  float64: {
    read: (reader: ByteReader) => reader.readFloat64(),
    write: (writer: ByteWriter, value: number) => {
      if (typeof value !== "number") throw invalid("float64", value)
      writer.writeFloat64(value)
    },
    minimumBytes: 8
  },
  boolean: {
    read: (reader: ByteReader) => reader.readBoolean(),
    write: (writer: ByteWriter, value: boolean) => {
      if (typeof value !== "boolean") throw invalid("boolean", value)
      writer.writeInt8(value ? 1 : 0)
    },
    minimumBytes: 1
  },
  uuid: {
    read: (reader: ByteReader) => reader.readUuid(),
    write: (writer: ByteWriter, value: string) => {
      if (typeof value !== "string") throw invalid("uuid", value)
      writer.writeUuid(value)
    },
    minimumBytes: 16
  }
}

const compileType = (type: Wire.WireType, ast: SchemaAST.AST, isNullable: boolean, context: Context): Compiled => {
  switch (type.kind) {
    case "string":
      return compileString(isNullable, context.flexible) as Compiled
    case "bytes":
    case "records":
      return compileBytes(type.kind, isNullable, context.flexible) as Compiled
    case "array":
      return compileArray(type.items, isNullable, context) as Compiled
    case "struct":
      return isNullable ? compileNullableStruct(ast, context) : compileStruct(ast, context)
    default:
      // Each entry is a codec of its own type; the schema has tied the field to it.
      return primitives[type.kind] as Compiled
  }
}

/** A length or a count: -1 means null, and null is refused where the version does not allow it. */
const readLength = (reader: ByteReader, size: 0 | 2 | 4, isNullable: boolean): number => {
  const offset = reader.offset
  const length = size === 0 ? reader.readUnsignedVarint() - 1 : size === 2 ? reader.readInt16() : reader.readInt32()
  if (length >= 0) return length
  if (length < -1) throw new ByteError("InvalidLength", `the length is ${length}`, offset)
  if (!isNullable) throw new ByteError("InvalidValue", "null is not allowed here", offset)
  return -1
}

const checkFits = (reader: ByteReader, length: number, offset: number): void => {
  if (length <= reader.remaining) return
  const detail = `the length is ${length}, but only ${reader.remaining} bytes are left`
  throw new ByteError("InvalidLength", detail, offset)
}

const nullRefused = (): ByteError => new ByteError("InvalidValue", "null is not allowed by this version", -1)

const compileString = (isNullable: boolean, compact: boolean): Compiled<string | null> => ({
  read: (reader) => {
    const offset = reader.offset
    const length = readLength(reader, compact ? 0 : 2, isNullable)
    if (length < 0) return null
    if (length > 0x7fff)
      throw new ByteError("InvalidLength", `a string of ${length} bytes is longer than 32767`, offset)
    checkFits(reader, length, offset)
    return reader.readUtf8(length)
  },
  write: (writer, value) => {
    if (value === null) {
      if (!isNullable) throw nullRefused()
      if (compact) writer.writeUnsignedVarint(0)
      else writer.writeInt16(-1)
    } else if (typeof value === "string") writer.writeString(value, compact)
    else throw invalid("string", value)
  },
  minimumBytes: compact ? 1 : 2
})

const compileBytes = (kind: string, isNullable: boolean, compact: boolean): Compiled<Uint8Array | null> => ({
  read: (reader) => {
    const offset = reader.offset
    const length = readLength(reader, compact ? 0 : 4, isNullable)
    if (length < 0) return null
    checkFits(reader, length, offset)
    return reader.readView(length)
  },
  write: (writer, value) => {
    if (value === null) {
      if (!isNullable) throw nullRefused()
      if (compact) writer.writeUnsignedVarint(0)
      else writer.writeInt32(-1)
    } else if (value instanceof Uint8Array) {
      if (compact) writer.writeUnsignedVarint(value.length + 1)
      else writer.writeInt32(value.length)
      writer.writeBytes(value)
    } else throw invalid(`${kind} (a Uint8Array)`, value)
  },
  minimumBytes: compact ? 1 : 4
})

const compileArray = (
  items: SchemaAST.AST,
  isNullable: boolean,
  context: Context
): Compiled<ReadonlyArray<unknown> | null> => {
  const item = compileType(Wire.typeOf(items), items, false, context)
  const compact = context.flexible
  const itemBytes = Math.max(item.minimumBytes, 1)
  return {
    read: (reader) => {
      const offset = reader.offset
      const count = readLength(reader, compact ? 0 : 4, isNullable)
      if (count < 0) return null
      if (count * itemBytes > reader.remaining) {
        const detail = `${count} elements of at least ${itemBytes} bytes do not fit into the ${reader.remaining} that are left`
        throw new ByteError("InvalidLength", detail, offset)
      }
      const array: Array<unknown> = []
      const read = item.read
      let index = 0
      try {
        for (; index < count; index++) array.push(read(reader))
      } catch (error) {
        throw error instanceof ByteError ? error.within(`[${index}]`) : error
      }
      return array
    },
    write: (writer, value) => {
      if (value === null) {
        if (!isNullable) throw nullRefused()
        if (compact) writer.writeUnsignedVarint(0)
        else writer.writeInt32(-1)
        return
      }
      if (!Array.isArray(value)) throw invalid("array", value)
      if (compact) writer.writeUnsignedVarint(value.length + 1)
      else writer.writeInt32(value.length)
      let index = 0
      try {
        for (; index < value.length; index++) item.write(writer, value[index])
      } catch (error) {
        throw error instanceof ByteError ? error.within(`[${index}]`) : error
      }
    },
    minimumBytes: compact ? 1 : 4
  }
}

/** A struct that may be null has one byte in front: -1 for null, else 1 (KIP-893). */
const compileNullableStruct = (ast: SchemaAST.AST, context: Context): Compiled => {
  const struct = compileStruct(ast, context)
  return {
    read: (reader) => (reader.readInt8() < 0 ? null : struct.read(reader)),
    write: (writer, value) => {
      writer.writeInt8(value === null ? -1 : 1)
      if (value !== null) struct.write(writer, value)
    },
    minimumBytes: 1
  }
}

/** A field at one version. */
interface Slot extends Compiled {
  readonly name: string
  readonly byDefault: unknown
  readonly isDefault: (value: unknown) => boolean
}

interface TaggedSlot extends Slot {
  readonly tag: number
}

/** What a version knows about a struct. */
interface Layout {
  readonly slots: ReadonlyArray<Slot>
  /** Ascending by tag. */
  readonly tagged: ReadonlyArray<TaggedSlot>
  /** Fields that this version cannot carry, and that may not be dropped in silence. */
  readonly refused: ReadonlyArray<Pick<Slot, "name" | "isDefault">>
  /** All fields with their defaults, in the order of the definition: decoded structs are clones of it. */
  readonly template: Struct
  readonly flexible: boolean
}

/** Reader and writer of a struct at a version. */
export const compileStruct = (ast: SchemaAST.AST, context: Context): Compiled => {
  const { flexible, version } = context
  const slots: Array<Slot> = []
  const tagged: Array<TaggedSlot> = []
  const refused: Array<Pick<Slot, "name" | "isDefault">> = []
  const template: Struct = {}
  for (const field of Wire.fieldsOf(ast)) {
    const { facts, name } = field
    const byDefault = defaultOf(field)
    const isDefault = isDefaultOf(field)
    template[name] = byDefault
    if (!Wire.hasVersion(facts.versions, version)) {
      if (facts.ignorable !== true) refused.push({ name, isDefault })
      continue
    }
    const fieldContext = { version, flexible: flexible && facts.flexible !== "none" }
    const compiled = compileType(field.type, field.ast, Wire.hasVersion(facts.nullable, version), fieldContext)
    const slot = { name, byDefault, isDefault, ...compiled }
    if (facts.tag !== undefined && Wire.hasVersion(facts.tagged, version)) tagged.push({ ...slot, tag: facts.tag })
    else slots.push(slot)
  }
  tagged.sort((a, b) => a.tag - b.tag)
  const minimumBytes = slots.reduce((sum, slot) => sum + slot.minimumBytes, flexible ? 1 : 0)
  const layout = { slots, tagged, refused, template, flexible }
  return { read: structReader(layout), write: structWriter(layout), minimumBytes }
}

type Struct = Record<string, unknown>

const structReader = ({ flexible, slots, tagged, template }: Layout): Read<Struct> => {
  const byTag = new Map(tagged.map((slot) => [slot.tag, slot]))
  return (reader) => {
    // A clone has its final shape at once; adding the properties one by one took half as long again.
    const struct: Struct = { ...template }
    let index = 0
    try {
      for (; index < slots.length; index++) {
        const slot = slots[index]
        struct[slot.name] = slot.read(reader)
      }
    } catch (error) {
      throw error instanceof ByteError ? error.within(slots[index].name) : error
    }
    if (flexible) readTagged(reader, struct, byTag)
    return struct
  }
}

const readTagged = (reader: ByteReader, struct: Struct, byTag: ReadonlyMap<number, TaggedSlot>): void => {
  const count = reader.readUnsignedVarint()
  if (count === 0) return
  let previous = -1
  let unknown: Array<Wire.UnknownTaggedField> | undefined
  for (let index = 0; index < count; index++) {
    const offset = reader.offset
    const tag = reader.readUnsignedVarint()
    if (tag <= previous) {
      throw new ByteError("InvalidValue", `tag ${tag} follows tag ${previous}: tags must ascend`, offset)
    }
    previous = tag
    const size = reader.readUnsignedVarint()
    const slot = byTag.get(tag)
    const name = slot === undefined ? "unknownTaggedFields" : slot.name
    if (size > reader.remaining) {
      const detail = `tag ${tag} has ${size} bytes, but only ${reader.remaining} are left`
      throw new ByteError("InvalidLength", detail, offset).within(name)
    }
    if (slot === undefined) {
      if (unknown === undefined) unknown = []
      unknown.push({ tag, data: reader.readView(size) })
      continue
    }
    const end = reader.end
    reader.end = reader.offset + size
    try {
      struct[name] = slot.read(reader)
      if (reader.remaining > 0) {
        throw new ByteError("TrailingBytes", `${reader.remaining} bytes are left over in tag ${tag}`, reader.offset)
      }
    } catch (error) {
      throw error instanceof ByteError ? error.within(name) : error
    }
    reader.end = end
  }
  if (unknown !== undefined) struct.unknownTaggedFields = unknown
}

const structWriter = ({ flexible, refused, slots, tagged }: Layout): Write => {
  return (writer, value) => {
    if (typeof value !== "object" || value === null) throw invalid("struct", value)
    // The fields of a struct are looked up by name; each writer checks its own value.
    const struct = value as Struct
    for (let i = 0; i < refused.length; i++) {
      const found = struct[refused[i].name]
      if (found !== undefined && !refused[i].isDefault(found)) {
        const detail = `this version cannot carry the field, and its value is ${describe(found)}`
        throw new ByteError("UnsupportedVersion", detail, -1).within(refused[i].name)
      }
    }
    let index = 0
    try {
      for (; index < slots.length; index++) {
        const slot = slots[index]
        const found = struct[slot.name]
        slot.write(writer, found === undefined ? slot.byDefault : found)
      }
    } catch (error) {
      throw error instanceof ByteError ? error.within(slots[index].name) : error
    }
    if (struct.unknownTaggedFields !== undefined) checkUnknown(struct.unknownTaggedFields)
    // It was checked to be this.
    const unknown = struct.unknownTaggedFields as ReadonlyArray<Wire.UnknownTaggedField> | undefined
    if (flexible) writeTagged(writer, struct, tagged, unknown)
    else if (unknown !== undefined && unknown.length > 0) {
      const detail = "this version is not flexible and cannot carry tagged fields"
      throw new ByteError("UnsupportedVersion", detail, -1).within("unknownTaggedFields")
    }
  }
}

/** No schema says what these are, so no writer of a field checks them. */
const checkUnknown = (fields: unknown): void => {
  const name = "unknownTaggedFields"
  if (!Array.isArray(fields)) throw invalid("array", fields).within(name)
  for (const field of fields as ReadonlyArray<Partial<Wire.UnknownTaggedField> | null | undefined>) {
    if (!isUint32(field?.tag)) throw invalid("a tag (uint32)", field?.tag).within(name)
    if (!(field?.data instanceof Uint8Array)) throw invalid("data (a Uint8Array)", field?.data).within(name)
  }
}

const isUint32 = (value: unknown): boolean => typeof value === "number" && value >>> 0 === value

const writeTagged = (
  writer: ByteWriter,
  struct: Struct,
  tagged: ReadonlyArray<TaggedSlot>,
  unknown: ReadonlyArray<Wire.UnknownTaggedField> = []
): void => {
  const fields: Array<{ readonly tag: number; readonly name: string; readonly write: (writer: ByteWriter) => void }> =
    []
  for (const slot of tagged) {
    const { isDefault, name, tag } = slot
    const value = struct[name]
    if (value !== undefined && !isDefault(value)) fields.push({ tag, name, write: (inner) => slot.write(inner, value) })
  }
  const name = "unknownTaggedFields"
  for (const { data, tag } of unknown) {
    if (tagged.some((slot) => slot.tag === tag) || fields.some((field) => field.tag === tag)) {
      throw new ByteError("InvalidValue", `tag ${tag} is not unknown or is given twice`, -1).within(name)
    }
    fields.push({ tag, name, write: (inner) => inner.writeBytes(data) })
  }
  fields.sort((a, b) => a.tag - b.tag)
  writer.writeUnsignedVarint(fields.length)
  for (const { name, tag, write } of fields) {
    const inner = new ByteWriter(64)
    try {
      write(inner)
    } catch (error) {
      throw error instanceof ByteError ? error.within(name) : error
    }
    writer.writeUnsignedVarint(tag)
    writer.writeUnsignedVarint(inner.offset)
    writer.writeBytes(inner.finish())
  }
}

const zeros = { boolean: false, float64: 0, int8: 0, int16: 0, int32: 0, int64: 0n, uint16: 0, uint32: 0 }
const noBytes = new Uint8Array(0)
const noItems: ReadonlyArray<never> = Object.freeze([])

/** The value of a field that is not there; frozen, as all messages share it. */
const defaultOf = ({ ast, facts, type }: Wire.Field): unknown => {
  if (facts.default !== undefined) return facts.default
  switch (type.kind) {
    case "array":
      return noItems
    case "string":
      return ""
    case "uuid":
      return Wire.zeroUuid
    case "bytes":
      return noBytes
    case "records":
      return facts.nullable === undefined ? noBytes : null
    case "struct":
      return Object.freeze(Object.fromEntries(Wire.fieldsOf(ast).map((field) => [field.name, defaultOf(field)])))
    default:
      return zeros[type.kind]
  }
}

const isDefaultOf = (field: Wire.Field): ((value: unknown) => boolean) => {
  const byDefault = defaultOf(field)
  if (byDefault === null) return (value) => value === null
  switch (field.type.kind) {
    case "array":
    case "bytes":
    case "records":
      // Arrays and bytes have no other default than empty and null.
      return (value) => value !== null && (value as ArrayLike<unknown>).length === 0
    case "struct": {
      const fields = Wire.fieldsOf(field.ast).map((inner) => [inner.name, isDefaultOf(inner)] as const)
      return (value) => {
        if (value === byDefault) return true
        if (typeof value !== "object" || value === null) return false
        const struct = value as Struct
        if (struct.unknownTaggedFields !== undefined) return false
        return fields.every(([name, isDefault]) => struct[name] === undefined || isDefault(struct[name]))
      }
    }
    default:
      return (value) => value === byDefault
  }
}
