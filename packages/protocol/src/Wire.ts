/**
 * The vocabulary of Kafka's wire as Effect Schemas.
 *
 * A message is one struct schema: the union of its fields over all versions. What the wire needs to know (wire type,
 * versions, nullable versions, tag, default, ignorable) is kept in annotations under the key `kafka`: of the type on
 * the type's node, of the field on the property's key. Nothing here touches bytes: `WireCodec` compiles a schema and a
 * version into an encoder and a decoder.
 *
 * Shapes: `int64` is a `bigint`, all other numbers are `number`; a uuid is Kafka's own print of 22 URL-safe base64
 * characters; `bytes` and `records` are `Uint8Array`s; tagged fields that this package does not know are kept in the
 * optional property `unknownTaggedFields` of each struct.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

/**
 * A wire type of Kafka, with the element type of an array or the fields of a struct.
 *
 * @category models
 * @since 0.1.0
 */
export type WireType =
  | {
      readonly kind:
        | "boolean"
        | "int8"
        | "int16"
        | "int32"
        | "int64"
        | "uint16"
        | "uint32"
        | "float64"
        | "uuid"
        | "string"
        | "bytes"
        | "records"
    }
  | { readonly kind: "array"; readonly items: SchemaAST.AST }
  | { readonly kind: "struct"; readonly name: string; readonly message?: MessageFacts | undefined }

/**
 * What the definition says about a message as a whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageFacts {
  readonly kind: "request" | "response" | "header" | "data"
  /** The API key of a request or a response. */
  readonly apiKey?: number | undefined
  /** Versions that exist, for example `0-13`. */
  readonly versions: string
  /** Versions with compact lengths and tagged fields, for example `9+`, or `none`. */
  readonly flexible: string
  /** The newest version is not final in Kafka: a client asks for it only when told to. */
  readonly latestVersionUnstable?: boolean | undefined
}

/**
 * What the definition says about a field.
 *
 * @category models
 * @since 0.1.0
 */
export interface FieldFacts {
  /** Versions that carry the field, for example `3+` or `0-8`. */
  readonly versions: string
  /** Versions in which it may be null. Defaults to none. */
  readonly nullable?: string | undefined
  /** The tag, for a field that travels in the tagged section. */
  readonly tag?: number | undefined
  /** Versions in which it is tagged; in others it is an ordinary field. */
  readonly tagged?: string | undefined
  /** The value where a version lacks the field. Defaults to the type's zero: 0, "", an empty array. */
  readonly default?: number | bigint | string | boolean | null | undefined
  /** A version that lacks the field drops its value in silence instead of refusing it. Defaults to false. */
  readonly ignorable?: boolean | undefined
  /** Versions in which the field itself is flexible, where that differs from the message: `none` for a header's client id. */
  readonly flexible?: string | undefined
}

declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      readonly kafka?: WireType | FieldFacts | undefined
    }
  }
}

/**
 * A tagged field that the definitions do not know, kept as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnknownTaggedField {
  readonly tag: number
  readonly data: Uint8Array
}

/**
 * A schema of a wire type.
 *
 * @category models
 * @since 0.1.0
 */
export interface Type<A> extends Schema.Codec<A> {}

/**
 * A schema of a whole message or header.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message<A> extends Schema.Codec<A> {
  /** The message's name in Kafka's definitions, for example `MetadataRequest`. */
  readonly messageName: string
  readonly facts: MessageFacts
}

/**
 * What may be given to an encoder: every field that has a default may be left out, at every depth.
 *
 * @category models
 * @since 0.1.0
 */
export type Input<A> = A extends Uint8Array | string | number | bigint | boolean | null | undefined
  ? A
  : A extends ReadonlyArray<infer Item>
    ? ReadonlyArray<Input<Item>>
    : { readonly [K in keyof A]?: Input<A[K]> | undefined }

const primitive = <A>(schema: Schema.Codec<A>, kind: Exclude<WireType["kind"], "array" | "struct">): Type<A> =>
  schema.annotate({ kafka: { kind } })

const integer = (kind: "int8" | "int16" | "int32" | "uint16" | "uint32", minimum: number, maximum: number) =>
  primitive(Schema.Int.check(Schema.isBetween({ minimum, maximum })), kind)

/** @category schemas @since 0.1.0 */
export const boolean: Type<boolean> = primitive(Schema.Boolean, "boolean")
/** @category schemas @since 0.1.0 */
export const int8: Type<number> = integer("int8", -0x80, 0x7f)
/** @category schemas @since 0.1.0 */
export const int16: Type<number> = integer("int16", -0x8000, 0x7fff)
/** @category schemas @since 0.1.0 */
export const int32: Type<number> = integer("int32", -0x80000000, 0x7fffffff)
/** @category schemas @since 0.1.0 */
export const uint16: Type<number> = integer("uint16", 0, 0xffff)
/** @category schemas @since 0.1.0 */
export const uint32: Type<number> = integer("uint32", 0, 0xffffffff)
/** @category schemas @since 0.1.0 */
export const int64: Type<bigint> = primitive(
  Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n })),
  "int64"
)
/** @category schemas @since 0.1.0 */
export const float64: Type<number> = primitive(Schema.Number, "float64")
/** 22 characters of URL-safe base64, as Kafka prints uuids. @category schemas @since 0.1.0 */
export const uuid: Type<string> = primitive(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{21}[AQgw]$/)), "uuid")
/** UTF-8 text of at most 32767 bytes. @category schemas @since 0.1.0 */
export const string: Type<string> = primitive(Schema.String, "string")
/** @category schemas @since 0.1.0 */
export const bytes: Type<Uint8Array> = primitive(Schema.Uint8Array, "bytes")
/** Record batches or a message set, not decoded: a view of the input. @category schemas @since 0.1.0 */
export const records: Type<Uint8Array> = primitive(Schema.Uint8Array, "records")

/**
 * An array of a wire type.
 *
 * @category schemas
 * @since 0.1.0
 */
export const array = <A>(items: Type<A>): Type<ReadonlyArray<A>> =>
  Schema.Array(items).annotate({ kafka: { kind: "array", items: items.ast } })

/** The uuid that stands for "none": sixteen zero bytes. @category constants @since 0.1.0 */
export const zeroUuid = "AAAAAAAAAAAAAAAAAAAAAA"

/**
 * A field of a struct: a type and what the definition says about it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const field = <A>(type: Type<A>, facts: FieldFacts): Type<A> => type.annotateKey({ kafka: facts })

/**
 * A field that may be null in some versions.
 *
 * @category schemas
 * @since 0.1.0
 */
export const nullable = <A>(type: Type<A>, facts: FieldFacts & { readonly nullable: string }): Type<A | null> => {
  const nullOr: Type<A | null> = Schema.NullOr(type).annotate({ kafka: typeOf(type.ast) })
  return nullOr.annotateKey({ kafka: facts })
}

type Fields<A> = { readonly [K in Exclude<keyof A, "unknownTaggedFields">]-?: Type<A[K]> }

const UnknownTaggedFields: Schema.optional<Schema.Codec<ReadonlyArray<UnknownTaggedField>>> = Schema.optional(
  Schema.Array(Schema.Struct({ tag: uint32, data: Schema.Uint8Array }))
)

const makeStruct = <A>(fields: Fields<A>, wire: WireType): Type<A> => {
  const schema = Schema.Struct({ ...fields, unknownTaggedFields: UnknownTaggedFields }).annotate({ kafka: wire })
  // The mapped type of Schema.Struct over a generic record does not reduce to A; `Fields<A>` has checked each field.
  return schema as unknown as Type<A>
}

/**
 * A structure inside of messages.
 *
 * @category schemas
 * @since 0.1.0
 */
export const struct = <A>(name: string, fields: Fields<A>): Type<A> => makeStruct<A>(fields, { kind: "struct", name })

/**
 * A message: a structure with a life of its own on the wire.
 *
 * @category schemas
 * @since 0.1.0
 */
export const message = <A>(name: string, facts: MessageFacts, fields: Fields<A>): Message<A> =>
  Object.assign(makeStruct<A>(fields, { kind: "struct", name, message: facts }), { messageName: name, facts })

/**
 * The wire type of a schema's node. A node without one is a mistake in the program, hence a defect.
 *
 * @category annotations
 * @since 0.1.0
 */
export const typeOf = (ast: SchemaAST.AST): WireType => {
  const wire = SchemaAST.resolveAt<WireType>("kafka")(ast)
  if (wire === undefined) throw new Error(`A schema of kind ${ast._tag} carries no wire type: build it with Wire`)
  return wire
}

/**
 * One field as the codec sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Field {
  readonly name: string
  readonly type: WireType
  readonly ast: SchemaAST.AST
  readonly facts: FieldFacts
}

/**
 * The fields of a struct's node, in the order of the definition, which is the order on the wire.
 *
 * @category annotations
 * @since 0.1.0
 */
export const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<Field> => {
  const found: Array<Field> = []
  for (const property of structOf(ast).propertySignatures) {
    // The other property is `unknownTaggedFields`, which has no place of its own on the wire.
    const facts = property.type.context?.annotations?.kafka as FieldFacts | undefined
    if (facts !== undefined)
      found.push({ name: String(property.name), type: typeOf(property.type), ast: property.type, facts })
  }
  return found
}

const structOf = (ast: SchemaAST.AST): SchemaAST.Objects => {
  if (SchemaAST.isObjects(ast)) return ast
  // A nullable struct: the union of the struct and null.
  if (SchemaAST.isUnion(ast)) return structOf(ast.types[0])
  throw new Error(`A schema of kind ${ast._tag} is no struct`)
}

/**
 * A range of versions, both ends included; `undefined` is no version at all.
 *
 * @category models
 * @since 0.1.0
 */
export interface VersionRange {
  readonly lowest: number
  readonly highest: number
}

/**
 * Reads a range as the definitions write it: `3`, `0-8`, `3+` or `none`.
 *
 * @category versions
 * @since 0.1.0
 */
export const parseVersions = (text: string): VersionRange | undefined => {
  if (text === "none") return undefined
  if (text.endsWith("+")) return { lowest: Number(text.slice(0, -1)), highest: Number.POSITIVE_INFINITY }
  const dash = text.indexOf("-")
  if (dash < 0) return { lowest: Number(text), highest: Number(text) }
  return { lowest: Number(text.slice(0, dash)), highest: Number(text.slice(dash + 1)) }
}

/**
 * Whether a range as the definitions write it holds a version.
 *
 * @category versions
 * @since 0.1.0
 */
export const hasVersion = (text: string | undefined, version: number): boolean => {
  if (text === undefined) return false
  const range = parseVersions(text)
  return range !== undefined && range.lowest <= version && version <= range.highest
}
