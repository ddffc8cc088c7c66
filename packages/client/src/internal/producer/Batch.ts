/**
 * The records of one partition that travel together: a slab that is being filled, then a request's payload, then one
 * outcome that all who wait for its records share.
 *
 * A batch that cannot travel as it is (too large, some of its records refused, some of its callers gone) is rebuilt: it
 * then knows for each record to which other batch it went, or how it ended.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import type { MaybePromise } from "@kafka-effect/protocol/MaybePromise"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import type { Record } from "@kafka-effect/protocol/Record"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ProducerError } from "../../ProducerError.ts"
import type { RecordMetadata } from "../../Topic.ts"

/** What a broker said of a batch. @internal */
export interface Written {
  /** Offset of the first record; -1 where the broker did not say. */
  readonly baseOffset: bigint
  /** The time that the broker gave all records; -1 where each keeps its own. */
  readonly appendTime: number
}

/** What became of a record of a rebuilt batch. @internal */
export type Piece =
  | { readonly batch: Batch; readonly index: number }
  | { readonly exit: Exit.Exit<RecordMetadata, ProducerError> }

/** @internal */
export interface Order {
  readonly from: number
  readonly width: number
}

/** Who has to know that records were taken out of a batch. @internal */
export interface Owner {
  readonly cancelled: (batch: Batch) => void
}

/** Who waits for a batch. @internal */
export interface Listener {
  readonly done: () => void
}

/** Offset and time where nothing was said. @internal */
export const unsaid: Written = { baseOffset: BigInt(-1), appendTime: -1 }

/** @internal */
export class Batch {
  readonly topic: string
  readonly partition: number
  readonly builder: RecordBatchBuilder
  /** Milliseconds of a clock that only goes forward. */
  readonly createdAt: number
  /** Its place among the batches of its partition: the begin of a range of numbers, which its parts divide. */
  readonly order: Order
  /** It takes no more records: it was taken, or is a part of one that was. */
  isClosed = false
  /** It was taken for a request: its records stay as they are, and in their order. */
  isTaken = false
  /** How often it was given to a connection. */
  attempts = 0
  /** Some attempt may have written it, though no one said so. */
  maybeWritten = false
  /** No attempt before this time. */
  notBefore = 0
  /** Why the last attempt failed. */
  lastError: string | undefined = undefined
  /** Bytes of the buffer's memory that it holds. */
  reserved = 0
  /** Of an idempotent producer: the place of its first record in the partition's sequence; -1 until it is sent. */
  baseSequence = -1
  producerId = BigInt(-1)
  producerEpoch = -1
  /** The outcome; of a rebuilt batch its pieces have theirs. */
  exit: Exit.Exit<Written, ProducerError> | undefined = undefined
  /** For a mark of whoever counts the batches of an array of records. */
  mark: unknown = undefined
  private readonly owner: Owner | undefined
  private cancelled: Set<number> | undefined = undefined
  private pieces: ReadonlyArray<Piece> | undefined = undefined
  private openPieces = 0
  private listeners: Array<Listener> = []
  private payload: { readonly magic: number; readonly bytes: MaybePromise<Uint8Array> } | undefined = undefined

  constructor(
    topic: string,
    partition: number,
    slab: Uint8Array | number,
    createdAt: number,
    order: Order = { from: 0, width: 1 },
    owner?: Owner
  ) {
    this.topic = topic
    this.partition = partition
    this.builder = new RecordBatchBuilder(slab)
    this.createdAt = createdAt
    this.order = order
    this.owner = owner
  }

  /** Whether every record has its outcome. */
  get isDone(): boolean {
    return this.pieces === undefined ? this.exit !== undefined : this.openPieces === 0
  }

  /** Tells the listener once every record has its outcome. */
  listen(listener: Listener): void {
    this.listeners.push(listener)
  }

  forget(listener: Listener): void {
    const place = this.listeners.indexOf(listener)
    if (place >= 0) this.listeners.splice(place, 1)
  }

  complete(exit: Exit.Exit<Written, ProducerError>): void {
    if (this.exit !== undefined || this.pieces !== undefined) return
    this.exit = exit
    this.payload = undefined
    this.tell()
  }

  /** The outcome of a record, once the batch is done. `timestamp` is the record's own. */
  outcomeOf(index: number, timestamp: number): Exit.Exit<RecordMetadata, ProducerError> {
    if (this.pieces !== undefined) {
      const piece = this.pieces[index]
      return "exit" in piece ? piece.exit : piece.batch.outcomeOf(piece.index, timestamp)
    }
    const exit = this.exit!
    if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
    const { appendTime, baseOffset } = exit.value
    return Exit.succeed({
      topic: this.topic,
      partition: this.partition,
      offset: baseOffset < 0 ? Option.none() : Option.some(baseOffset + BigInt(index)),
      timestamp: appendTime < 0 ? timestamp : appendTime
    })
  }

  /** Takes a record out, unless it is on its way in a request. */
  cancel(index: number): void {
    const piece = this.pieces?.[index]
    if (piece !== undefined) {
      if ("batch" in piece) piece.batch.cancel(piece.index)
    } else if (this.exit === undefined && !this.isTaken) {
      this.cancelled ??= new Set()
      this.cancelled.add(index)
      this.owner?.cancelled(this)
    }
  }

  /** Records that were taken out since it was built. */
  get cancelledRecords(): ReadonlySet<number> {
    return this.cancelled ?? noRecords
  }

  /** The records as they are in the slab. */
  records(): ReadonlyArray<Record> {
    const bytes = this.builder.build()
    // Without compression nothing is a promise.
    const [batch] = Records.split(bytes as Uint8Array).batches
    return Records.decode(batch, { checkCrcs: false }) as ReadonlyArray<Record>
  }

  /** Says what became of each record instead of an outcome of the whole. */
  replace(pieces: ReadonlyArray<Piece>): void {
    this.pieces = pieces
    this.payload = undefined
    const children = new Set<Batch>()
    for (const piece of pieces) if ("batch" in piece) children.add(piece.batch)
    this.openPieces = children.size
    for (const child of children) {
      child.listen({
        done: () => {
          this.openPieces--
          if (this.openPieces === 0) this.tell()
        }
      })
    }
    if (children.size === 0) this.tell()
  }

  /**
   * The records in a format of the broker's time; kept for the next attempt. Throws `WireError` for what that format
   * cannot carry.
   */
  encode(magic: 0 | 1 | 2, compression: CompressionType, compressionLevel?: number): MaybePromise<Uint8Array> {
    if (this.payload?.magic === magic) return this.payload.bytes
    const bytes =
      magic === 2
        ? this.builder.build({
            compression,
            compressionLevel,
            producerId: this.producerId,
            producerEpoch: this.producerEpoch,
            baseSequence: this.baseSequence
          })
        : MessageSet.encode(this.records(), { magic, compression, compressionLevel })
    this.payload = { magic, bytes }
    return bytes
  }

  /** Its next attempt carries this place in the sequence; -1 for none. */
  number(producerId: bigint, producerEpoch: number, baseSequence: number): void {
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.baseSequence = baseSequence
    this.payload = undefined
  }

  private tell(): void {
    const listeners = this.listeners
    this.listeners = []
    for (let index = 0; index < listeners.length; index++) listeners[index].done()
  }
}

const noRecords: ReadonlySet<number> = new Set()
