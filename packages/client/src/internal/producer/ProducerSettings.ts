/**
 * The producer's options, checked and in plain numbers: durations in milliseconds, sizes in bytes.
 *
 * @since 0.1.0
 */
import { type CompressionType, levelsOf, types } from "@kafka-effect/protocol/Compression"
import * as Effect from "effect/Effect"
import { KafkaError } from "../../KafkaError.ts"
import type * as Partitioner from "../../Partitioner.ts"
import type { Options } from "../../Producer.ts"
import { InvalidOption, ProducerError } from "../../ProducerError.ts"
import * as Settings from "../Settings.ts"
import * as Partitioning from "./Partitioning.ts"
import type * as Sender from "./Sender.ts"

/** @internal */
export interface ProducerSettings extends Sender.Options {
  readonly bufferMemory: number
  readonly maxBlock: number
  readonly closeTimeout: number
  readonly partitioner: Partitioner.Partitioner
  readonly traceContext: boolean
}

const maxInt32 = 0x7fffffff

const acksOf = (acks: Options["acks"]): -1 | 0 | 1 => {
  if (acks === undefined || acks === "all") return -1
  if (acks === 0 || acks === 1) return acks
  return Settings.invalid("acks", `is ${String(acks)}; give "all", 1 or 0`)
}

const idempotenceOf = (options: Options): ProducerSettings["idempotence"] => {
  const isAll = acksOf(options.acks) === -1
  if (options.enableIdempotence === true && !isAll) {
    Settings.invalid("enableIdempotence", `is true with acks ${options.acks}; it needs acks "all"`)
  }
  if (options.enableIdempotence === undefined) return isAll ? "wanted" : "off"
  return options.enableIdempotence ? "required" : "off"
}

const levelOf = (compression: CompressionType, level: number | undefined): number | undefined => {
  if (level === undefined) return undefined
  const levels = levelsOf(compression)
  if (levels === undefined) return Settings.invalid("compressionLevel", `is ${level}, but ${compression} has no levels`)
  return Settings.integer("compressionLevel", level, level, { min: levels[0], max: levels[1] })
}

const parseUnsafe = (options: Options, requestTimeout: number): ProducerSettings => {
  const linger = Settings.duration("linger", options.linger, "5 millis")
  const deliveryTimeout = Settings.duration("deliveryTimeout", options.deliveryTimeout, "2 minutes")
  if (deliveryTimeout < linger + requestTimeout) {
    const detail = `is ${deliveryTimeout} ms, less than linger and requestTimeout together (${linger + requestTimeout} ms)`
    Settings.invalid("deliveryTimeout", detail)
  }
  const { partitioner = "default" } = options
  const compression = Settings.oneOf("compression", types, options.compression ?? "none")
  return {
    acks: acksOf(options.acks),
    idempotence: idempotenceOf(options),
    partitioner:
      typeof partitioner === "function" ? partitioner : Settings.oneOf("partitioner", Partitioning.names, partitioner),
    compression,
    compressionLevel: levelOf(compression, options.compressionLevel),
    batchSize: Settings.integer("batchSize", options.batchSize, 16_384, { min: 0, max: maxInt32 }),
    linger,
    bufferMemory: Settings.integer("bufferMemory", options.bufferMemory, 32 * 1024 * 1024, {
      min: 1,
      max: Number.MAX_SAFE_INTEGER
    }),
    maxBlock: Settings.duration("maxBlock", options.maxBlock, "1 minute", { infinite: true }),
    maxRequestSize: Settings.integer("maxRequestSize", options.maxRequestSize, 1024 * 1024, { min: 1, max: maxInt32 }),
    deliveryTimeout,
    closeTimeout: Settings.duration("closeTimeout", options.closeTimeout, "30 seconds", { infinite: true }),
    traceContext: options.traceContext ?? false
  }
}

/** Fails with `InvalidOption`. @internal */
export const parse = (
  options: Options,
  { requestTimeout }: Settings.Settings
): Effect.Effect<ProducerSettings, ProducerError> =>
  Effect.try({
    try: () => parseUnsafe(options, requestTimeout),
    catch: (error) => {
      if (!(error instanceof KafkaError) || error.reason._tag !== "InvalidOption") throw error
      const { detail, option } = error.reason
      return new ProducerError({ reason: new InvalidOption({ option, detail }) })
    }
  })
