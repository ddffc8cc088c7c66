/**
 * The records of one partition that travel together: a slab that is being filled, then a request's payload, then one
 * outcome that all who wait for its records share.
 *
 * @since 0.1.0
 */
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { type MaybePromise, map } from "@kafka-effect/protocol/MaybePromise"
import * as MessageSet from "@kafka-effect/protocol/MessageSet"
import { RecordBatchBuilder } from "@kafka-effect/protocol/RecordBatchBuilder"
import * as Records from "@kafka-effect/protocol/Records"
import * as Deferred from "effect/Deferred"
import type * as Exit from "effect/Exit"
import type { ProducerError } from "../../ProducerError.ts"

/** What a broker said of a batch. @internal */
export interface Written {
  /** Offset of the first record; -1 where the broker was not asked. */
  readonly baseOffset: bigint
  /** The time that the broker gave all records; -1 where each keeps its own. */
  readonly appendTime: number
}

/** @internal */
export class Batch {
  readonly topic: string
  readonly partition: number
  readonly builder: RecordBatchBuilder
  /** Milliseconds of a clock that only goes forward. */
  readonly createdAt: number
  /** How often it was given to a connection. */
  attempts = 0
  /** No attempt before this time. */
  notBefore = 0
  /** Why the last attempt failed. */
  lastError: string | undefined = undefined
  /** Bytes of the buffer's memory that it holds. */
  reserved = 0
  exit: Exit.Exit<Written, ProducerError> | undefined = undefined
  /** Made when somebody waits: most batches have many records, and some have no one who waits. */
  private deferred: Deferred.Deferred<Written, ProducerError> | undefined = undefined
  private payload: { readonly magic: number; readonly bytes: MaybePromise<Uint8Array> } | undefined = undefined

  constructor(topic: string, partition: number, capacity: number, createdAt: number) {
    this.topic = topic
    this.partition = partition
    this.builder = new RecordBatchBuilder(capacity)
    this.createdAt = createdAt
  }

  /** Completes with the batch's outcome. */
  get done(): Deferred.Deferred<Written, ProducerError> {
    if (this.deferred === undefined) {
      this.deferred = Deferred.makeUnsafe()
      if (this.exit !== undefined) Deferred.doneUnsafe(this.deferred, this.exit)
    }
    return this.deferred
  }

  complete(exit: Exit.Exit<Written, ProducerError>): void {
    if (this.exit !== undefined) return
    this.exit = exit
    if (this.deferred !== undefined) Deferred.doneUnsafe(this.deferred, exit)
  }

  /**
   * The records in a format of the broker's time; kept for the next attempt. Throws `WireError` for what that format
   * cannot carry.
   */
  encode(magic: 0 | 1 | 2, compression: CompressionType): MaybePromise<Uint8Array> {
    if (this.payload?.magic === magic) return this.payload.bytes
    const bytes = magic === 2 ? this.builder.build({ compression }) : this.downConvert(magic, compression)
    this.payload = { magic, bytes }
    return bytes
  }

  private downConvert(magic: 0 | 1, compression: CompressionType): MaybePromise<Uint8Array> {
    return map(this.builder.build(), (bytes) => {
      const [batch] = Records.split(bytes).batches
      // Without compression records are decoded at once.
      const records = Records.decode(batch, { checkCrcs: false }) as Exclude<
        ReturnType<typeof Records.decode>,
        Promise<unknown>
      >
      return MessageSet.encode(records, { magic, compression })
    }) as MaybePromise<Uint8Array>
  }
}
