/**
 * The transactional ids of a cluster, as their coordinators see them: whose producer may write, and what becomes of his
 * transaction (KIP-98, KIP-360, KIP-890).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { type BrokerNode, type Cluster, numberSetting, type Partition } from "../Cluster.ts"
import * as Coordinators from "../Coordinators.ts"
import * as Markers from "./Markers.ts"

/** As Kafka names them. @internal */
export type State = "Empty" | "Ongoing" | "PrepareCommit" | "PrepareAbort" | "CompleteCommit" | "CompleteAbort"

/** @internal */
export interface Transaction {
  readonly transactionalId: string
  producerId: bigint
  /** The id before this one, whose epochs were used up; -1 where there was none. */
  previousProducerId: bigint
  /** -1 until the first producer has come. */
  producerEpoch: number
  /** The epoch before, as long as its producer may ask again; else -1. */
  lastProducerEpoch: number
  /** Milliseconds. */
  timeout: number
  state: State
  /** Whether its producer gets a new epoch with each transaction (KIP-890). */
  isV2: boolean
  /** Milliseconds since 1970. */
  startTime: number
  readonly partitions: Set<Partition>
  /** Groups with offsets in it. */
  readonly groups: Set<string>
  cancelTimeout: () => void
}

/** Who says that he writes in a transaction. @internal */
export interface Writer {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** A producer as it is told of itself. @internal */
export interface Initialised {
  readonly errorCode: number
  readonly producerId: bigint
  readonly producerEpoch: number
}

const none = BigInt(-1)

/** The last epoch is kept for fencing. */
const greatestEpoch = 0x7ffe

/** How long a marker waits for a leader, in milliseconds. */
const markerBackoff = 20

const refused = (errorCode: number): Initialised => ({ errorCode, producerId: none, producerEpoch: -1 })

/** Whether a broker may answer for a transactional id: an error code. @internal */
export const check = (cluster: Cluster, transactionalId: string | null, node: BrokerNode): number => {
  if (transactionalId === null || transactionalId === "") return codes.INVALID_REQUEST
  return Coordinators.isAt(cluster, "transaction", transactionalId, node) ? codes.NONE : codes.NOT_COORDINATOR
}

const make = (cluster: Cluster, transactionalId: string, timeout: number): Transaction => {
  const transaction: Transaction = {
    transactionalId,
    producerId: cluster.nextProducerId++,
    previousProducerId: none,
    producerEpoch: -1,
    lastProducerEpoch: -1,
    timeout,
    state: "Empty",
    isV2: false,
    startTime: -1,
    partitions: new Set(),
    groups: new Set(),
    cancelTimeout: () => {}
  }
  cluster.transactions.set(transactionalId, transaction)
  return transaction
}

/** Whether the id that a producer had may still be his. */
const mayBe = ({ previousProducerId, producerEpoch, producerId }: Transaction, { ...asked }: Initialising): boolean =>
  producerEpoch === -1 ||
  asked.producerId === producerId ||
  (asked.producerId === previousProducerId && asked.producerEpoch >= greatestEpoch)

/** What a producer asks for. @internal */
export interface Initialising {
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  /** The id and epoch that it had; -1 where it had none (KIP-360). */
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** Gives a producer its id and epoch; whoever had them before is fenced, and his transaction aborted. @internal */
export const initialise = (cluster: Cluster, request: Initialising): Initialised => {
  const { transactionalId, transactionTimeoutMs: timeout } = request
  const isKnown = request.producerId !== none
  if (timeout <= 0 || timeout > numberSetting(cluster, "transaction.max.timeout.ms", 900_000)) {
    return refused(codes.INVALID_TRANSACTION_TIMEOUT)
  }
  const transaction = cluster.transactions.get(transactionalId) ?? make(cluster, transactionalId, timeout)
  if (isKnown && !mayBe(transaction, request)) return refused(codes.PRODUCER_FENCED)
  switch (transaction.state) {
    case "PrepareCommit":
    case "PrepareAbort":
      return refused(codes.CONCURRENT_TRANSACTIONS)
    case "Ongoing":
      fence(cluster, transaction)
      // Who asks comes again, when it has been aborted.
      return refused(codes.CONCURRENT_TRANSACTIONS)
  }
  const { lastProducerEpoch, producerEpoch } = transaction
  transaction.timeout = timeout
  const isUsedUp = producerEpoch >= greatestEpoch && (!isKnown || request.producerEpoch === producerEpoch)
  if (isUsedUp) rotate(cluster, transaction, isKnown ? producerEpoch : -1)
  else if (!isKnown || producerEpoch === -1 || request.producerEpoch === producerEpoch) {
    transaction.lastProducerEpoch = isKnown ? producerEpoch : -1
    transaction.producerEpoch = producerEpoch + 1
  } else if (request.producerEpoch !== lastProducerEpoch) return refused(codes.PRODUCER_FENCED)
  transaction.state = "Empty"
  return { errorCode: codes.NONE, producerId: transaction.producerId, producerEpoch: transaction.producerEpoch }
}

/** A new id, whose epochs begin again. */
const rotate = (cluster: Cluster, transaction: Transaction, lastEpoch: number): void => {
  transaction.previousProducerId = transaction.producerId
  transaction.producerId = cluster.nextProducerId++
  transaction.lastProducerEpoch = lastEpoch
  transaction.producerEpoch = 0
}

/** Aborts what is going on, under an epoch that its producer does not have. @internal */
export const fence = (cluster: Cluster, transaction: Transaction): void => {
  transaction.producerEpoch++
  transaction.lastProducerEpoch = -1
  transaction.state = "PrepareAbort"
  complete(cluster, transaction, transaction.producerId, transaction.producerEpoch)
}

/** The transaction of a producer that may write in it, or why he may not. */
const find = (cluster: Cluster, { producerEpoch, producerId, transactionalId }: Writer): Transaction | number => {
  const transaction = cluster.transactions.get(transactionalId)
  if (transaction === undefined || transaction.producerId !== producerId) return codes.INVALID_PRODUCER_ID_MAPPING
  if (transaction.producerEpoch !== producerEpoch) return codes.PRODUCER_FENCED
  const { state } = transaction
  return state === "PrepareCommit" || state === "PrepareAbort" ? codes.CONCURRENT_TRANSACTIONS : transaction
}

/** Takes partitions, or the offsets of a group, into a transaction, which begins if there is none: an error code. @internal */
export const add = (
  cluster: Cluster,
  writer: Writer,
  what: { readonly partitions?: ReadonlyArray<Partition>; readonly group?: string },
  isV2: boolean
): number => {
  const transaction = find(cluster, writer)
  if (typeof transaction === "number") return transaction
  if (transaction.state !== "Ongoing") {
    transaction.state = "Ongoing"
    transaction.isV2 = isV2
    transaction.startTime = cluster.loop.wallTime()
    transaction.cancelTimeout = cluster.loop.after(transaction.timeout, () => fence(cluster, transaction))
  }
  for (const partition of what.partitions ?? []) transaction.partitions.add(partition)
  if (what.group !== undefined) transaction.groups.add(what.group)
  return codes.NONE
}

/** Whether a partition, or the offsets of a group, are in a transaction already: an error code. @internal */
export const verify = (
  cluster: Cluster,
  writer: Writer,
  what: { readonly partition?: Partition; readonly group?: string }
): number => {
  const transaction = find(cluster, writer)
  if (typeof transaction === "number") return transaction
  const isIn =
    (what.partition !== undefined && transaction.partitions.has(what.partition)) ||
    (what.group !== undefined && transaction.groups.has(what.group))
  return isIn ? codes.NONE : codes.TRANSACTION_ABORTABLE
}

/** Whether it was ended as is asked now, and its producer has not heard of it. */
const isRepeated = (transaction: Transaction, { producerEpoch, producerId }: Writer): boolean =>
  transaction.isV2 &&
  (transaction.producerId === producerId
    ? transaction.producerEpoch === producerEpoch + 1
    : transaction.previousProducerId === producerId &&
      producerEpoch === greatestEpoch &&
      transaction.producerEpoch === 0)

/** Commits or aborts; a producer of version 2 gets the epoch for its next transaction. @internal */
export const end = (cluster: Cluster, writer: Writer, isCommit: boolean, isV2: boolean): Initialised => {
  const transaction = cluster.transactions.get(writer.transactionalId)
  if (transaction === undefined) return refused(codes.INVALID_PRODUCER_ID_MAPPING)
  const isAgain = isRepeated(transaction, writer)
  if (transaction.producerId !== writer.producerId && !isAgain) return refused(codes.INVALID_PRODUCER_ID_MAPPING)
  if (transaction.producerEpoch !== writer.producerEpoch && !isAgain) return refused(codes.PRODUCER_FENCED)
  const done = (): Initialised => {
    const { producerEpoch, producerId } = transaction
    return { errorCode: codes.NONE, producerId, producerEpoch }
  }
  const { state } = transaction
  if (state === "PrepareCommit" || state === "PrepareAbort") {
    const isSame = isCommit === (state === "PrepareCommit")
    return refused(isSame ? codes.CONCURRENT_TRANSACTIONS : codes.INVALID_TXN_STATE)
  }
  if (state !== "Ongoing") {
    const isSame = isCommit ? state === "CompleteCommit" : state === "CompleteAbort"
    if (isSame && (isAgain || !transaction.isV2)) return done()
    // With version 2, what has not begun may be aborted: that fences what may still be under way.
    if (isCommit || isAgain || !isV2) return refused(codes.INVALID_TXN_STATE)
  }
  transaction.state = isCommit ? "PrepareCommit" : "PrepareAbort"
  transaction.isV2 = isV2
  const markerEpoch = writer.producerEpoch + (isV2 ? 1 : 0)
  if (isV2 && writer.producerEpoch >= greatestEpoch) rotate(cluster, transaction, writer.producerEpoch)
  else if (isV2) {
    transaction.lastProducerEpoch = writer.producerEpoch
    transaction.producerEpoch = markerEpoch
  }
  complete(cluster, transaction, writer.producerId, markerEpoch)
  return done()
}

/** Writes the markers, and is over when all of them are safe. */
const complete = (cluster: Cluster, transaction: Transaction, producerId: bigint, producerEpoch: number): void => {
  const isCommit = transaction.state === "PrepareCommit"
  transaction.cancelTimeout()
  for (const group of transaction.groups) cluster.groups.get(group)?.offsets.endTransaction(producerId, isCommit)
  transaction.groups.clear()
  const done = (partition?: Partition): void => {
    if (partition !== undefined) transaction.partitions.delete(partition)
    if (transaction.partitions.size === 0) transaction.state = isCommit ? "CompleteCommit" : "CompleteAbort"
  }
  const mark = (partition: Partition): void => {
    const later = (): void => void cluster.loop.after(markerBackoff, () => mark(partition))
    if (cluster.topics.get(partition.topic.name) !== partition.topic) return void done(partition)
    if (partition.leader < 0) return void later()
    const marker = { producerId, producerEpoch, isCommit, coordinatorEpoch: 0 }
    // A marker that was lost with its leader is written again.
    const written = Markers.write(cluster, partition, marker)
    const go = (code: number): void => (code === codes.NONE ? done(partition) : later())
    if (typeof written === "number") go(written)
    else void written.then((code) => cluster.loop.post(() => go(code)))
  }
  for (const partition of [...transaction.partitions]) mark(partition)
  done()
}
