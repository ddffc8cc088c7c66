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
import { compileStruct } from "./WireCompiler.ts"
import { WireError } from "./WireError.ts"

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
  if (!Number.isInteger(version) || !Wire.hasVersion(facts.versions, version)) {
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
      try {
        encodeInto(shared, value)
        return shared.finish()
      } finally {
        if (shared.bytes.length > sharedLimit) shared = new ByteWriter()
      }
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
