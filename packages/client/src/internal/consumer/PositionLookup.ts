/**
 * Finds out where to fetch from: looks up start positions, and where to go on when a position is out of range or its topic
 * was deleted and created again. Asks one broker for all of its partitions at once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import { ConsumerError, OffsetOutOfRange } from "../../ConsumerError.ts"
import { KafkaError } from "../../KafkaError.ts"
import type { FetchedPartition, Unsettled } from "./FetchedPartition.ts"
import type { Clock, FetchOutcomes, Options } from "./FetchOutcomes.ts"
import * as Offsets from "./Offsets.ts"
import * as StartPosition from "./StartPosition.ts"

/** @internal */
export interface PositionLookup {
  /** One try for partitions that a node leads; those that fail are backed off, or end. */
  readonly run: (nodeId: number, partitions: ReadonlyArray<FetchedPartition>) => Effect.Effect<void>
}

/** A partition, what is to be known of it, and what is. */
interface Question {
  readonly partition: FetchedPartition
  readonly version: number
  readonly unsettled: Unsettled
  readonly latest: boolean
  readonly earliest: boolean
  readonly timestamp: bigint | undefined
  readonly ends: StartPosition.Ends
  failure?: KafkaError
}

/** @internal */
export const make = (cluster: Cluster, options: Options, outcomes: FetchOutcomes, clock: Clock): PositionLookup => {
  const { fallback } = options

  const question = (partition: FetchedPartition): ReadonlyArray<Question> => {
    const { needsEnd, unsettled, version } = partition
    if (unsettled === undefined) return []
    const isStart = unsettled._tag === "Start"
    // What falls back needs both ends, to see whether it has to.
    const start = isStart ? unsettled.start : typeof fallback === "object" ? fallback : "earliest"
    const needed = isStart && !needsEnd ? StartPosition.needs(start) : { earliest: true, latest: true }
    const timestamp = StartPosition.timestampOf(start, clock.today())
    return [{ partition, version, unsettled, timestamp, ...needed, ends: {} }]
  }

  const outOfRange = ({ ends, partition }: Question, offset: bigint): bigint | undefined => {
    if (fallback !== "fail") return StartPosition.fallBack(fallback, offset, ends)
    const { partition: number, topic } = partition
    const { earliest = BigInt(0), latest = BigInt(0) } = ends
    const reason = new OffsetOutOfRange({ topic, partition: number, offset, earliest, latest })
    partition.error = new ConsumerError({ reason })
    return undefined
  }

  const isOutside = ({ ends }: Question, offset: bigint): boolean =>
    (ends.earliest !== undefined && offset < ends.earliest) || (ends.latest !== undefined && offset > ends.latest)

  const settleStart = (question: Question, start: StartPosition.StartPosition): void => {
    const { ends, partition } = question
    const offset = StartPosition.resolve(start, ends)
    // Who reads to the end may never fetch, so no broker would say that there is no such offset.
    const isReset = partition.needsEnd && isOutside(question, offset)
    const target = isReset ? outOfRange(question, offset) : offset
    if (target === undefined) return
    if (partition.needsEnd) partition.end = ends.latest
    partition.needsEnd = false
    partition.position = offset
    partition.unsettled = undefined
    if (isReset) outcomes.reset(partition, target, -1, "out-of-range")
  }

  const settleOutOfRange = (question: Question): void => {
    const { partition } = question
    const { position } = partition
    if (!isOutside(question, position)) {
      // The leader's log may be shorter for a moment, or it does not know the epoch of the last record.
      partition.unsettled = undefined
      partition.epoch = -1
      outcomes.backOff(partition)
      return
    }
    const target = outOfRange(question, position)
    const { latest } = question.ends
    // What was there when reading began is not any more.
    if (partition.end !== undefined && latest !== undefined && latest < partition.end) partition.end = latest
    if (target !== undefined) outcomes.reset(partition, target, -1, "out-of-range")
  }

  const settleRecreated = ({ ends, partition }: Question): void => {
    if (fallback === "fail") return
    // The position says nothing about the new topic, and all that is in it is new.
    const to = StartPosition.resolve(fallback === "nearest" ? "earliest" : fallback, ends)
    partition.leaderEpoch = -1
    if (partition.end !== undefined) partition.end = ends.latest
    outcomes.reset(partition, to, -1, "recreated")
  }

  const settle = (question: Question): void => {
    const { failure, partition, unsettled, version } = question
    if (partition.version !== version || partition.isRemoved) return
    if (failure !== undefined) return void outcomes.refused(partition, failure)
    if (unsettled._tag !== "OutOfRange") partition.failures = 0
    if (unsettled._tag === "Start") settleStart(question, unsettled.start)
    else if (unsettled._tag === "OutOfRange") settleOutOfRange(question)
    else settleRecreated(question)
  }

  /** Asks for one time of each partition: a request may not name a partition twice. */
  const look = Effect.fnUntraced(function* (
    nodeId: number,
    asked: ReadonlyArray<Question>,
    timestampOf: (question: Question) => bigint | undefined,
    take: (ends: StartPosition.Ends, offset: bigint) => void
  ) {
    const open = asked.filter((one) => one.failure === undefined && timestampOf(one) !== undefined)
    if (open.length === 0) return
    const queries = open.map((one) => {
      const { partition, topic } = one.partition
      return { topic, partition, timestamp: timestampOf(one)! }
    })
    for (const [index, answer] of yield* Offsets.ask(cluster, nodeId, queries, queries.keys(), options.isolation)) {
      if (answer instanceof KafkaError) open[index].failure = answer
      else take(open[index].ends, answer)
    }
  })

  const run: PositionLookup["run"] = Effect.fnUntraced(function* (nodeId, partitions) {
    const asked = partitions.flatMap(question)
    const lookAll = Effect.gen(function* () {
      const latest = ({ latest }: Question) => (latest ? Offsets.latest : undefined)
      const earliest = ({ earliest }: Question) => (earliest ? Offsets.earliest : undefined)
      yield* look(nodeId, asked, latest, (ends, offset) => {
        ends.latest = offset
      })
      yield* look(nodeId, asked, earliest, (ends, offset) => {
        ends.earliest = offset
      })
      yield* look(
        nodeId,
        asked,
        ({ timestamp }) => timestamp,
        (ends, offset) => {
          ends.atTime = offset
        }
      )
    })
    yield* lookAll.pipe(
      Effect.andThen(Effect.sync(() => asked.forEach(settle))),
      Effect.catch((error) => {
        const current = asked.filter(({ partition, version }) => partition.version === version)
        return outcomes.failed(
          current.map(({ partition }) => partition),
          error
        )
      })
    )
  })

  return { run }
}
