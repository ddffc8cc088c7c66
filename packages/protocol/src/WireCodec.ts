/**
 * Turns (schema, version) into an encoder and a decoder, once, and keeps them.
 *
 * The compiled codec is a tree of closures: which fields a version carries, whether lengths are compact and which tags
 * are known is decided when it is built, not when it runs. `encode` and `decode` are plain functions that throw
 * `WireError`: the client's hot path. `schema` is the same machine as a `Schema.Codec<Message, Uint8Array>` with typed
 * failures.
 *
 * What a version lacks: on decode the field takes its default; on encode a value other than the default is refused,
 * unless the definition calls the field ignorable. Decoded `bytes`, `records` and unknown tagged fields are views of
 * the input.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { ByteError, ByteReader } from "./ByteReader.ts"
import { ByteWriter } from "./ByteWriter.ts"
import * as Wire from "./Wire.ts"
import { WireError } from "./WireError.ts"

type Read<A = unknown> = (reader: ByteReader) => A
type Write<A = unknown> = (writer: ByteWriter, value: A) => void

/** Reader, writer and the least number of bytes of one type at one version. */
interface Compiled<A = unknown> {
  readonly read: Read<A>
  readonly write: Write<A>
  readonly minimumBytes: number
}

/**
 * The compiled codec of one message at one version.
 *
 * @category models
 * @since 0.1.0
 */
export interface WireCodec<A> {
  /** The message as bytes. Throws `WireError`. */
  readonly encode: (value: Wire.Input<A>) => Uint8Array
  /** Writes the message behind what the writer holds already. Throws `WireError`. */
  readonly encodeInto: (writer: ByteWriter, value: Wire.Input<A>) => void
  /** The message that these bytes are, all of them: bytes left over are an error. Throws `WireError`. */
  readonly decode: (bytes: Uint8Array) => A
  /** Reads the message and leaves the reader behind it. Throws `WireError`. */
  readonly decodeFrom: (reader: ByteReader) => A
}

const cache = new WeakMap<Wire.Message<never>, Array<WireCodec<never> | undefined>>()

/**
 * The codec of a message at a version: compiled at the first call, the same object ever after. Throws `WireError`
 * (`UnsupportedVersion`) for a version that does not exist.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = <A>(message: Wire.Message<A>, version: number): WireCodec<A> => {
  // The cache holds codecs of many types; the message is the key that says which.
  const key = message as unknown as Wire.Message<never>
  const versions = cache.get(key) ?? []
  const kept = versions[version]
  if (kept !== undefined) return kept as unknown as WireCodec<A>
  const made = compileMessage(message, version)
  versions[version] = made as unknown as WireCodec<never>
  cache.set(key, versions)
  return made
}

/**
 * The message as bytes. Throws `WireError`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = <A>(message: Wire.Message<A>, version: number, value: Wire.Input<A>): Uint8Array =>
  of(message, version).encode(value)

/**
 * The message that these bytes are. Throws `WireError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = <A>(message: Wire.Message<A>, version: number, bytes: Uint8Array): A =>
  of(message, version).decode(bytes)

/**
 * A message at a version as an ordinary Effect Schema between the message and its bytes; failures are schema issues
 * with the text of the `WireError`. Throws `WireError` for a version that does not exist.
 *
 * @example
 * ```ts
 * const codec = WireCodec.schema(MetadataRequest, 9)
 * const bytes = yield* Schema.encodeEffect(codec)(request)
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const schema = <A>(message: Wire.Message<A>, version: number): Schema.Codec<A, Uint8Array> => {
  const codec = of(message, version)
  return Schema.Uint8Array.pipe(
    Schema.decodeTo(
      message,
      SchemaTransformation.transformEffect<A, Uint8Array>({
        decode: (bytes, options) => attempt(() => codec.decode(bytes), bytes, options),
        // A whole message is also a valid input: every field is there.
        encode: (value, options) => attempt(() => codec.encode(value as Wire.Input<A>), value, options)
      })
    )
  )
}

const attempt = <A>(
  body: () => A,
  input: unknown,
  options: SchemaAST.ParseOptions
): Effect.Effect<A, SchemaIssue.Issue> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(body())
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return Effect.fail(new SchemaIssue.InvalidValue({ message: error.message }, input, options))
    }
  })

// One slab for all messages: encoding is synchronous and calls nobody else's code. One huge message does not keep it huge.
let shared = new ByteWriter()
const sharedLimit = 1 << 20

const compileMessage = <A>(message: Wire.Message<A>, version: number): WireCodec<A> => {
  const { facts, messageName } = message
  if (!Wire.hasVersion(facts.versions, version)) {
    const detail = `there is no version ${version}: ${messageName} has ${facts.versions}`
    throw new WireError({ reason: "UnsupportedVersion", name: messageName, version, field: "", offset: -1, detail })
  }
  const context = { version, flexible: Wire.hasVersion(facts.flexible, version) }
  const body = compileStruct(message.ast, context)
  const failed = (error: unknown): unknown =>
    error instanceof ByteError ? error.toWireError(messageName, version) : error
  const encodeInto = (writer: ByteWriter, value: Wire.Input<A>): void => {
    try {
      body.write(writer, value)
    } catch (error) {
      throw failed(error)
    }
  }
  const decodeFrom = (reader: ByteReader): A => {
    try {
      // `body` was compiled from the schema of A.
      return body.read(reader) as A
    } catch (error) {
      throw failed(error)
    }
  }
  return {
    encodeInto,
    decodeFrom,
    encode: (value) => {
      shared.offset = 0
      encodeInto(shared, value)
      const bytes = shared.finish()
      if (shared.bytes.length > sharedLimit) shared = new ByteWriter()
      return bytes
    },
    decode: (bytes) => {
      const reader = new ByteReader(bytes)
      const value = decodeFrom(reader)
      if (reader.remaining > 0) {
        const detail = `${reader.remaining} bytes are left over behind the message`
        throw failed(new ByteError("TrailingBytes", detail, reader.offset))
      }
      return value
    }
  }
}

interface Context {
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

const compileStruct = (ast: SchemaAST.AST, context: Context): Compiled => {
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
    // The interface says what this property is.
    const unknown = struct.unknownTaggedFields as ReadonlyArray<Wire.UnknownTaggedField> | undefined
    if (flexible) writeTagged(writer, struct, tagged, unknown)
    else if (unknown !== undefined && unknown.length > 0) {
      const detail = "this version is not flexible and cannot carry tagged fields"
      throw new ByteError("UnsupportedVersion", detail, -1).within("unknownTaggedFields")
    }
  }
}

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
  for (const { data, tag } of unknown) {
    const name = "unknownTaggedFields"
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
