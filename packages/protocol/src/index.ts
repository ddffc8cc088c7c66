/**
 * Kafka's wire protocol. The messages are in modules of their own: `@kafka-effect/protocol/messages/Metadata`.
 *
 * @since 0.1.0
 */
export * as Api from "./Api.ts"
export * as ByteReader from "./ByteReader.ts"
export * as ByteWriter from "./ByteWriter.ts"
export * as Compression from "./Compression.ts"
export * as ControlRecord from "./ControlRecord.ts"
export * as ErrorCode from "./ErrorCode.ts"
export * as FrameSplitter from "./FrameSplitter.ts"
export * as MessageSet from "./MessageSet.ts"
export * as Record from "./Record.ts"
export * as RecordBatch from "./RecordBatch.ts"
export * as RecordBatchBuilder from "./RecordBatchBuilder.ts"
export * as Records from "./Records.ts"
export * as Wire from "./Wire.ts"
export * as WireCodec from "./WireCodec.ts"
export * as WireError from "./WireError.ts"
