/**
 * Message sets, the formats of records before Kafka 0.11: what a broker checks about those that come, and how their records
 * get into the format that its release keeps (KIP-31, KIP-32, KIP-98).
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import * as MaybePromise from "@kafka-effect/protocol/MaybePromise"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import type { Batch, Record } from "@kafka-effect/protocol/Record"
import * as RecordBatch from "@kafka-effect/protocol/RecordBatch"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import type { Refused } from "./Appending.ts"
import type { LogBatch } from "./PartitionLog.ts"
import { atLeast, type Release } from "./Release.ts"

/** Records that may be appended to a log of message sets. @internal */
export interface Messages {
  readonly records: ReadonlyArray<Record>
  readonly compression: CompressionType
}

/** Offset and size, in front of each message. */
const entryBytes = 12

/** The least of a message with which its format can be seen. */
const minimumBytes = 17

/** What is wrong with records; before Kafka 2.4 it had no code of its own (KIP-467). @internal */
export const invalid = (release: Release, message: string): Refused => ({
  code: atLeast(release, "2.4") ? codes.INVALID_RECORD : codes.CORRUPT_MESSAGE,
  message
})

/** The messages that lie plain behind each other, each for itself; a compressed one is one. @internal */
export const entries = (batch: Batch): ReadonlyArray<Batch> => {
  if (batch.magic === 2 || batch.recordCount === 1 || batch.compression !== "none") return [batch]
  const { bytes } = batch
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const found: Array<Batch> = []
  for (let start = 0; start < bytes.length; ) {
    const end = start + entryBytes + view.getInt32(start + 8)
    found.push(MessageSet.header(bytes.subarray(start, end), 0, end - start))
    start = end
  }
  return found
}

const decodeAll = (batches: ReadonlyArray<Batch>): MaybePromise.MaybePromise<ReadonlyArray<Record>> => {
  const decoded = batches.map((batch) => Records.decode(batch))
  // Where there is no promise, all is there.
  if (decoded.every((records) => !(records instanceof Promise))) return (decoded as Array<Array<Record>>).flat()
  return Promise.all(decoded).then((all) => all.flat())
}

/** Records of any format as a batch of format v2. */
const upConvert = ({ compression, records }: Messages): MaybePromise.MaybePromise<RecordBatch.RecordBatch> => {
  const builder = new RecordBatchBuilder()
  for (const { headers, key, timestamp, value } of records) builder.append(timestamp, key, value, headers)
  return MaybePromise.map(builder.build({ compression }), RecordBatch.header)
}

/**
 * What a Produce request before version 3 brings: any number of messages, of which the last may be cut off. It is taken as
 * the log of the release wants it. Throws, or rejects with, `WireError` where they are damaged.
 *
 * @internal
 */
export const check = (
  release: Release,
  bytes: Uint8Array,
  maxBytes: number
): MaybePromise.MaybePromise<Refused | Messages | { readonly batch: RecordBatch.RecordBatch }> => {
  const { batches, partialBatchBytes, partialBytes } = Records.split(bytes)
  if (partialBytes >= minimumBytes && partialBatchBytes === 0) return { code: codes.CORRUPT_MESSAGE }
  const [first] = batches
  if (first === undefined) return { records: [], compression: "none" }
  if (batches.some(({ magic }) => magic > release.magic)) return { code: codes.CORRUPT_MESSAGE }
  if (batches.some(({ magic }) => magic !== first.magic) && atLeast(release, "0.11")) {
    return invalid(release, "messages of more than one format")
  }
  const tooLarge = batches.flatMap(entries).find((entry) => entry.bytes.length > maxBytes)
  if (tooLarge !== undefined) {
    const message = `Message size is ${tooLarge.bytes.length} bytes which exceeds the maximum configured message size of ${maxBytes}.`
    return { code: codes.MESSAGE_TOO_LARGE, message }
  }
  if (batches.some(({ timestampType }) => timestampType === "append")) {
    return { code: codes.INVALID_TIMESTAMP, message: "producers may not set the time of appending" }
  }
  // The last codec that occurs is that of all.
  const compression = batches.findLast((batch) => batch.compression !== "none")?.compression ?? "none"
  if (compression !== "none" && batches.length > 1 && atLeast(release, "2.4")) {
    return invalid(release, "Compressed outer record has more than one batch")
  }
  const records = decodeAll(batches)
  return MaybePromise.map(records, (all) => {
    const messages = { records: all, compression }
    return release.magic < 2 ? messages : MaybePromise.map(upConvert(messages), (batch) => ({ batch }))
  })
}

/** The entries of a log that records become, from an offset on, at a time; all get the time if it is that of the log. @internal */
export const place = (
  { compression, records }: Messages,
  options: {
    readonly magic: 0 | 1
    readonly baseOffset: bigint
    readonly now: number
    readonly isAppendTime: boolean
  }
): MaybePromise.MaybePromise<ReadonlyArray<LogBatch>> => {
  const { baseOffset, isAppendTime, magic, now } = options
  const placed = records.map((record, index) => ({ ...record, offset: baseOffset + BigInt(index) }))
  const appendTime = isAppendTime && magic === 1 ? now : undefined
  return MaybePromise.map(MessageSet.encode(placed, { magic, compression, appendTime }), (bytes) =>
    Records.split(bytes)
      .batches.flatMap(entries)
      .map((header) => ({
        bytes: header.bytes,
        header,
        baseOffset: header.compression === "none" ? header.baseOffset : baseOffset,
        lastOffset: header.lastOffset,
        maxTimestamp: header.maxTimestamp,
        appendedAt: now
      }))
  )
}

/**
 * Batches in an older format, for who can read no other: without headers, and without markers of transactions; from an
 * offset on, where a batch is not compressed. Throws, or rejects with, `WireError`.
 *
 * @internal
 */
export const downConvert = (
  batches: ReadonlyArray<LogBatch>,
  magic: 0 | 1,
  fetchOffset: bigint
): MaybePromise.MaybePromise<Uint8Array> => {
  const converted = batches.map(({ bytes, header }) => {
    if (header.magic <= magic) return bytes
    if (header.isControl) return new Uint8Array(0)
    return MaybePromise.map(Records.decode(header, { checkCrcs: false }), (records) => {
      const { compression, maxTimestamp, timestampType } = header
      const wanted = compression === "none" ? records.filter(({ offset }) => offset >= fetchOffset) : records
      const appendTime = timestampType === "append" && magic === 1 ? maxTimestamp : undefined
      return MessageSet.encode(
        wanted.map((record) => ({ ...record, headers: [] })),
        { magic, compression, appendTime }
      )
    })
  })
  const concat = (all: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(all))
  return converted.some((one) => one instanceof Promise)
    ? Promise.all(converted).then(concat)
    : // No promise is among them.
      concat(converted as Array<Uint8Array>)
}
