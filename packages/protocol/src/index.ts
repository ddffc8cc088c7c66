/**
 * Kafka's wire protocol. The messages are in modules of their own: `@kafka-effect/protocol/messages/Metadata`.
 *
 * @since 0.1.0
 */
export * as Api from "./Api.ts"
export * as ByteReader from "./ByteReader.ts"
export * as ByteWriter from "./ByteWriter.ts"
export * as Wire from "./Wire.ts"
export * as WireCodec from "./WireCodec.ts"
export * as WireError from "./WireError.ts"
