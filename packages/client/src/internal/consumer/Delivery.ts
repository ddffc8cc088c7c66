/**
 * Hands fetched records over to readers, array by array, and keeps track of how far each partition was handed over.
 *
 * An array is what is left of one of Kafka's batches, of several small ones behind each other, or a part of that
 * (`maxPollRecords`). What was taken out of the fetcher and must not be handed over after all is dropped (revoked, sought)
 * or put back (paused).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ConsumerError } from "../../ConsumerError.ts"
import type { SerdeError } from "../../Serde.ts"
import type { ConsumerMetrics } from "./ConsumerMetrics.ts"
import { type Decoded, type Undecoded, upToUndecoded } from "./Decoding.ts"
import type { FetchedBatch } from "./FetchedPartition.ts"
import type { Fetcher, Taken } from "./Fetcher.ts"
import type { OwnedPartition, Place } from "./OwnedPartition.ts"

/**
 * What to do with records that cannot be decoded: fail when the reader comes to the first of them, leave them out, or
 * give them to the reader.
 *
 * @internal
 */
export type Policy = "fail" | "skip" | "give"

/** Records for a reader. @internal */
export interface Delivered<A> extends Omit<Decoded<A>, "more"> {
  readonly owned: OwnedPartition
  /** Behind all of them. */
  readonly end: Place
}

/** @internal */
export interface Delivery<A, R> {
  /** The next records of any partition; undefined when there will be none. */
  readonly next: Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R>
  /** The next records of one partition; undefined when it was taken away. */
  readonly nextOf: (owned: OwnedPartition) => Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R>
  /** What the present reader wants. */
  readonly setPolicy: (policy: Policy) => void
  /** Puts back what was taken out and not handed over. */
  readonly putBack: (owned: OwnedPartition) => void
  /** Whether something was taken out that was not handed over yet. */
  readonly hasRest: (owned: OwnedPartition) => boolean
  /** The reader of a partition gets on with what it was given. */
  readonly progressed: (owned: OwnedPartition) => void
  /** Drops what was taken out of a partition that is taken away. */
  readonly drop: (owned: OwnedPartition) => void
}

/** The offset of the first record, whether it could be decoded or not. @internal */
export const firstOf = <A>({ raw, undecoded }: Delivered<A>): bigint => {
  const places = [...raw.slice(0, 1), ...undecoded.slice(0, 1).map(({ record }) => record)].map(({ offset }) => offset)
  return places.reduce((first, offset) => (offset < first ? offset : first))
}

/** The part of what was decoded that is not handed over yet. */
interface Rest<A> {
  readonly taken: Taken
  readonly version: number
  readonly decoded: Decoded<A>
  readonly from: number
  /** What comes after the records. */
  readonly failure: SerdeError | undefined
}

/** @internal */
export const make = <A, R>(
  fetcher: Fetcher,
  options: {
    /** Most records of one array. */
    readonly maxPollRecords: number
    readonly now: () => number
    readonly metrics: Pick<ConsumerMetrics, "handed" | "skipped">
    /** Waits until it is certain which partitions may still be read. */
    readonly told: Effect.Effect<void>
    readonly decode: (taken: Taken, owned: OwnedPartition) => Effect.Effect<Decoded<A>, ConsumerError | SerdeError, R>
  }
): Delivery<A, R> => {
  const { decode, maxPollRecords, metrics, now, told } = options
  const rests = new Map<OwnedPartition, Rest<A>>()
  let policy: Policy = "fail"

  // The fetcher only carries the mark that it was given for each partition, and this is what that was.
  const ownerOf = ({ source }: Taken): OwnedPartition => source.lease as OwnedPartition

  /** From here on somebody has it in hand: who is interrupted now has begun it. */
  const opened = (delivered: Delivered<A>): Delivered<A> => {
    const { owned, raw, undecoded } = delivered
    if (raw.length + undecoded.length > 0) owned.openFrom ??= firstOf(delivered)
    return delivered
  }

  /** Hands over as much as goes into one array. */
  const hand = (owned: OwnedPartition, rest: Rest<A>): Delivered<A> => {
    const { decoded, failure, from, taken } = rest
    const { more, raw, records, undecoded } = decoded
    // All are of one leader epoch.
    const { lastOffset, partitionLeaderEpoch: leaderEpoch } = (more.at(-1) ?? taken).batch
    const until = Math.min(records.length, from + maxPollRecords)
    const isLast = until === records.length && failure === undefined
    if (isLast) rests.delete(owned)
    else rests.set(owned, { ...rest, from: until })
    if (until > 0) owned.given = raw[until - 1].offset + one
    // Behind the batch, unless something of it is left: records before it may have been compacted away.
    const offset = isLast ? lastOffset : raw[until - 1].offset
    const end = { offset: offset + one, leaderEpoch }
    owned.handed = end
    owned.busySince = now()
    owned.begun ??= taken.from
    owned.fetched.handedOver()
    metrics.handed(until - from)
    const whole = { owned, records, raw, undecoded, end }
    if (from === 0 && isLast) return opened(whole)
    // What could not be decoded goes with the records that it was among.
    const isPart = ({ record }: Undecoded) =>
      record.offset <= offset && (from === 0 || record.offset > raw[from - 1].offset)
    return opened({
      owned,
      records: records.slice(from, until),
      raw: raw.slice(from, until),
      undecoded: undecoded.filter(isPart),
      end
    })
  }

  const handNothing = (owned: OwnedPartition, rest: Rest<A>): Effect.Effect<undefined> => {
    hand(owned, rest)
    return Effect.undefined
  }

  const back = ({ fetched }: OwnedPartition, batches: ReadonlyArray<FetchedBatch>, from: bigint): void => {
    fetched.handedOver()
    for (let index = batches.length - 1; index >= 0; index--) {
      const one = batches[index]
      if (one.batch.lastOffset >= from) fetched.putBack({ batch: one.batch, from: one.from > from ? one.from : from })
    }
  }

  const restOf = (owned: OwnedPartition): Rest<A> | undefined => {
    const rest = rests.get(owned)
    if (rest === undefined) return undefined
    if (!owned.isEnding && rest.version === owned.fetched.version) return rest
    rests.delete(owned)
    return undefined
  }

  /** Hands over what comes before the first record that cannot be decoded, and then fails. */
  const handOrFail = (owned: OwnedPartition, rest: Rest<A>): Effect.Effect<Delivered<A>, SerdeError> => {
    const { decoded, failure, from } = rest
    if (failure === undefined || from < decoded.records.length) return Effect.succeed(hand(owned, rest))
    rests.set(owned, rest)
    owned.fetched.handedOver()
    return Effect.fail(failure)
  }

  /** As much of a batch as the policy lets through. */
  const restFrom = (taken: Taken, version: number, decoded: Decoded<A>): Rest<A> => {
    const rest = { taken, version, decoded, from: 0, failure: undefined }
    if (decoded.undecoded.length === 0 || policy === "give") return rest
    if (policy === "skip") return { ...rest, decoded: { ...decoded, undecoded: [] } }
    return { ...rest, decoded: upToUndecoded(decoded), failure: decoded.undecoded[0].error }
  }

  const handSome = (owned: OwnedPartition, rest: Rest<A>): Effect.Effect<Delivered<A> | undefined, SerdeError> => {
    if (rest.decoded.records.length + rest.decoded.undecoded.length > 0) return Effect.succeed(hand(owned, rest))
    // Nothing of it is for the reader, but it was read.
    return rest.failure === undefined ? handNothing(owned, rest) : handOrFail(owned, rest)
  }

  /** What was taken out of the fetcher, if it may still be handed over. */
  const accept = (taken: Taken): Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R> => {
    const owned = ownerOf(taken)
    const { version } = taken.source
    // It was not handed over: another reader meets it again.
    let out: ReadonlyArray<FetchedBatch> = [taken]
    const undo = Effect.sync(() => {
      if (!owned.isEnding && version === taken.source.version) back(owned, out, taken.from)
    })
    return Effect.flatMap(
      Effect.onError(
        Effect.tap(decode(taken, owned), ({ more }) => {
          if (more.length > 0) out = [taken, ...more]
          return told
        }),
        () => undo
      ),
      (decoded) => {
        if (owned.isEnding || version !== taken.source.version) return Effect.undefined
        if (taken.source.isPaused) {
          back(owned, out, taken.from)
          return Effect.undefined
        }
        const rest = restFrom(taken, version, decoded)
        metrics.skipped(rest.failure === undefined ? decoded.undecoded.length : 0)
        if (policy === "skip" && decoded.undecoded.length > 0) {
          const [{ error }] = decoded.undecoded
          const text = `${decoded.undecoded.length} records are left out that cannot be decoded, the first: ${error.message}`
          return Effect.andThen(Effect.logWarning(text), handSome(owned, rest))
        }
        return handSome(owned, rest)
      }
    )
  }

  /** What of it is for the reader; if nothing is, the next. */
  const acceptOr = (
    next: Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R>,
    taken: Taken
  ): Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R> =>
    Effect.flatMap(accept(taken), (delivered) => (delivered === undefined ? next : Effect.succeed(delivered)))

  /** What is left of a batch may have waited for the reader long. */
  const untilTold = Effect.suspend(() => (rests.size === 0 ? Effect.void : told))

  const take: Delivery<A, R>["next"] = Effect.suspend(() => {
    for (const owned of rests.keys()) {
      const rest = restOf(owned)
      if (rest !== undefined) return handOrFail(owned, rest)
    }
    return Effect.flatMap(fetcher.take, (taken) => (taken === undefined ? Effect.undefined : acceptOr(next, taken)))
  })
  const next: Delivery<A, R>["next"] = Effect.andThen(untilTold, take)

  const nextOf: Delivery<A, R>["nextOf"] = (owned) => {
    const takeOne: Effect.Effect<Delivered<A> | undefined, ConsumerError | SerdeError, R> = Effect.suspend(() => {
      owned.busySince = undefined
      const rest = restOf(owned)
      if (rest !== undefined) return handOrFail(owned, rest)
      return Effect.flatMap(fetcher.takeFrom(owned.fetched), (taken) =>
        taken === undefined ? Effect.undefined : acceptOr(nextOne, taken)
      )
    })
    const nextOne = Effect.andThen(untilTold, takeOne)
    return nextOne
  }

  const putBack = (owned: OwnedPartition): void => {
    const rest = restOf(owned)
    if (rest === undefined) return
    rests.delete(owned)
    const { decoded, from, taken } = rest
    // What comes next is a record, or the first one that cannot be decoded: it follows the last record.
    const at = from < decoded.raw.length ? decoded.raw[from].offset : (owned.handed?.offset ?? taken.from)
    back(owned, [taken, ...decoded.more], at)
  }

  return {
    next,
    nextOf,
    putBack,
    hasRest: (owned) => restOf(owned) !== undefined,
    progressed: (owned) => {
      if (owned.busySince !== undefined) owned.busySince = now()
    },
    drop: (owned) => void rests.delete(owned),
    setPolicy: (wanted) => {
      // What a former reader has left may be another matter for this one.
      if (wanted !== policy) for (const owned of [...rests.keys()]) putBack(owned)
      policy = wanted
    }
  }
}

const one = BigInt(1)
