/**
 * Keys and values: how the bytes in a record become a value of the application's, and back.
 *
 * A serde is a pair of plain functions, called once per record; what they throw becomes a `SerdeError`. Made out of any
 * Effect Schema, JSON, text, or functions of the user's.
 *
 * @since 0.1.0
 */
import type { Headers } from "@kafka-effect/protocol/Record"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

/**
 * Which record, and which part of it, a serde is called for.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordContext {
  readonly topic: string
  /** -1 while encoding: the partition is chosen by the bytes of the key. */
  readonly partition: number
  readonly headers: Headers
  readonly target: "key" | "value"
}

/**
 * A value of type `A` as bytes; null is a record without key, or a tombstone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Serde<A, R = never> {
  /** Throws what it cannot encode. */
  readonly encode: (value: A, context: RecordContext) => Uint8Array | null
  /** Throws what it cannot decode. */
  readonly decode: (bytes: Uint8Array | null, context: RecordContext) => A
  /** Runs before the records of a batch are decoded, for work that needs Effects: fetching the schemas they name. */
  readonly prepare?:
    | ((batch: ReadonlyArray<Uint8Array | null>, context: RecordContext) => Effect.Effect<void, SerdeError, R>)
    | undefined
}

/**
 * A key or a value could not be encoded or decoded.
 *
 * @category errors
 * @since 0.1.0
 */
export class SerdeError extends Schema.TaggedError<SerdeError>("kafka-effect/SerdeError")("SerdeError", {
  operation: Schema.Literals(["encode", "decode"]),
  target: Schema.Literals(["key", "value"]),
  topic: Schema.String,
  /** -1 while encoding. */
  partition: Schema.Number,
  /** Offset of the record; absent while encoding. */
  offset: Schema.optional(Schema.BigInt),
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const place = this.offset === undefined ? "" : ` partition ${this.partition} offset ${this.offset}`
    return `the ${this.target} of a record of topic ${this.topic}${place} cannot be ${this.operation}d: ${this.detail}`
  }
}

/** Turns what a serde threw into its error. @internal */
export const failed = (
  operation: "encode" | "decode",
  context: RecordContext,
  cause: unknown,
  offset?: bigint
): SerdeError => {
  const detail = cause instanceof Error ? cause.message : String(cause)
  const { partition, target, topic } = context
  return new SerdeError({
    operation,
    target,
    topic,
    partition,
    detail,
    cause,
    ...(offset === undefined ? {} : { offset })
  })
}

/**
 * Bytes as they are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bytes: Serde<Uint8Array | null> = { encode: (value) => value, decode: (value) => value }

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const present = (value: Uint8Array | null): Uint8Array => {
  if (value === null) throw new Error("it is null: allow that with Serde.nullable")
  return value
}

/**
 * Text in UTF-8. Null, and bytes that are not UTF-8, are errors.
 *
 * @category constructors
 * @since 0.1.0
 */
export const string: Serde<string> = {
  encode: (value) => encoder.encode(value),
  decode: (value) => decoder.decode(present(value))
}

/**
 * Any Schema between values and bytes. It has to work without waiting: no asynchronous transformations.
 *
 * @category constructors
 * @since 0.1.0
 */
export const schema = <A>(codec: Schema.ConstraintCodec<A, Uint8Array>): Serde<A> => {
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  return { encode: (value) => encode(value), decode: (value) => decode(present(value)) }
}

/**
 * JSON in UTF-8, with a Schema between values and what JSON can say.
 *
 * @example
 * ```ts
 * const Order = Schema.Struct({ id: Schema.String, amount: Schema.Number })
 * const Orders = Kafka.topic("orders", { key: Serde.string, value: Serde.json(Order) })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = <A>(codec: Schema.ConstraintCodec<A, unknown>): Serde<A> => {
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  return {
    encode: (value) => encoder.encode(JSON.stringify(encode(value))),
    decode: (value) => decode(JSON.parse(decoder.decode(present(value))))
  }
}

/**
 * Lets null through: a record without key, or a tombstone.
 *
 * @category combinators
 * @since 0.1.0
 */
export const nullable = <A, R>(self: Serde<A, R>): Serde<A | null, R> => ({
  encode: (value, context) => (value === null ? null : self.encode(value, context)),
  decode: (value, context) => (value === null ? null : self.decode(value, context)),
  prepare: self.prepare
})

/**
 * Gives what cannot be decoded as a failed `Exit` in its record, instead of failing the stream.
 *
 * @category combinators
 * @since 0.1.0
 */
export const attempt = <A, R>(self: Serde<A, R>): Serde<Exit.Exit<A, SerdeError>, R> => ({
  encode: (value, context) => {
    if (Exit.isSuccess(value)) return self.encode(value.value, context)
    throw new Error("it is a failed Exit")
  },
  decode: (value, context) => {
    try {
      return Exit.succeed(self.decode(value, context))
    } catch (cause) {
      return Exit.fail(failed("decode", context, cause))
    }
  },
  prepare: self.prepare
})
