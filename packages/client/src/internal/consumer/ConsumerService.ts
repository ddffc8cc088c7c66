/**
 * The public face of a consumer.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Cluster } from "../../Cluster.ts"
import type { Consumer, Options, RunOptions } from "../../Consumer.ts"
import { ConsumerError, InvalidOption, Rejected, TopicUnavailable } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import * as Offsets from "../../Offsets.ts"
import type { AnyTopic, RecordOf, TopicPartition } from "../../Topic.ts"
import * as CommittedOffsets from "./CommittedOffsets.ts"
import * as Committing from "./Committing.ts"
import * as ConsumerSettings from "./ConsumerSettings.ts"
import * as ConsumerSpans from "./ConsumerSpans.ts"
import * as GroupConsumer from "./GroupConsumer.ts"
import * as ListedOffsets from "./Offsets.ts"
import * as Processing from "./Processing.ts"
import { problemOf } from "./StartPosition.ts"
import * as Work from "./Work.ts"

const placeOf = ({ partition, topic }: TopicPartition): TopicPartition => ({ topic, partition })

const invalid = (option: string, detail: string): ConsumerError =>
  new ConsumerError({ reason: new InvalidOption({ option, detail }) })

/** @internal */
export const make = Effect.fnUntraced(function* <T extends AnyTopic>(
  cluster: Cluster,
  options: Options<T>
): Effect.fn.Return<Consumer<T>, ConsumerError, Scope.Scope> {
  const settings = yield* ConsumerSettings.parse(options, cluster.settings)
  const core = yield* GroupConsumer.make(cluster, settings)
  const { delivery, ownership, readers, subscription } = core
  const { groupId, isolation } = settings

  const run = <E, R, E2, R2>(
    f: (records: ReadonlyArray<RecordOf<T>>) => Effect.Effect<void, E, R>,
    { concurrency = "partition", deadLetter, retry }: RunOptions<E, E2, R2> = {}
  ) => {
    const perKey = typeof concurrency === "object" ? concurrency.perKey : undefined
    if (perKey !== undefined && (!Number.isInteger(perKey) || perKey < 1)) {
      return Effect.fail(invalid("concurrency", `has perKey ${perKey}; give a whole number from 1 on`))
    }
    const work = Processing.make(f, { groupId, retry, deadLetter })
    const process: typeof work = (delivered) =>
      ConsumerSpans.process(cluster, groupId, delivered.owned, delivered.raw)(work(delivered))
    return Effect.scoped(
      Effect.flatMap(readers.arrivals(deadLetter === undefined ? settings.onSerdeError : "give"), (arrivals) =>
        Work.run(arrivals, delivery, { process, perKey, maxPollRecords: settings.maxPollRecords })
      )
    )
  }

  const rejected = (cause: KafkaError) => new ConsumerError({ reason: new Rejected({ cause }) })
  const list = (
    partitions: ReadonlyArray<TopicPartition>,
    timestampOf: (index: number) => bigint,
    minVersion?: number
  ) =>
    ListedOffsets.list(
      cluster,
      partitions.map((place, index) => ({ ...placeOf(place), timestamp: timestampOf(index) })),
      isolation,
      minVersion
    )

  return {
    records: readers.records,
    partitions: readers.partitions,
    run,
    commit: core.commit,
    committing: ({ every = "1 second", records = Number.POSITIVE_INFINITY } = {}) =>
      Committing.sink(core.commit, every, records),
    stop: core.stop,
    pause: core.pause,
    resume: core.resume,
    paused: Effect.sync(() =>
      ownership
        .all()
        .filter(({ fetched }) => fetched.isPaused)
        .map(placeOf)
    ),
    seek: (positions) =>
      Effect.suspend(() => {
        const all = [...positions]
        for (const [, start] of all) {
          const problem = problemOf(start)
          if (problem !== undefined) return Effect.fail(invalid("position", problem))
        }
        return core.seek(all)
      }),
    events: core.events,
    assignment: Effect.sync(() => ownership.all().map(placeOf)),
    position: (place) => Effect.flatMap(core.owned(place), core.positionOf),
    committed: (partitions) =>
      groupId === undefined
        ? Effect.fail(invalid("groupId", "is missing: without a group nothing is committed"))
        : Effect.map(CommittedOffsets.fetch(cluster, groupId, partitions, isolation), (found) =>
            Offsets.from(
              found.flatMap((committed, index) =>
                committed === undefined ? [] : [{ ...placeOf(partitions[index]), ...committed }]
              )
            )
          ),
    lag: Effect.sync(() => ownership.all().map((owned) => ({ ...placeOf(owned), lag: owned.lag(isolation) }))),
    beginningOffsets: (partitions) => list(partitions, () => ListedOffsets.earliest),
    endOffsets: (partitions) => list(partitions, () => ListedOffsets.latest),
    offsetsForTimes: (partitions) => {
      const negative = partitions.find(({ timestamp }) => !(timestamp >= 0))
      if (negative !== undefined) {
        return Effect.fail(invalid("timestamp", `is ${negative.timestamp}; give milliseconds since 1970`))
      }
      return Effect.map(
        list(partitions, (index) => BigInt(Math.trunc(partitions[index].timestamp)), ListedOffsets.timeVersion),
        (offsets) => offsets.map((offset) => (offset < 0 ? undefined : offset))
      )
    },
    subscription: Effect.sync(subscription.names),
    subscribe: (topics) =>
      settings.partitions !== undefined
        ? Effect.fail(invalid("partitions", "were chosen: such a consumer subscribes to no topics"))
        : Effect.mapError(subscription.set(topics), rejected),
    topics: Effect.mapError(
      Effect.map(cluster.refresh("all"), (metadata) => [...metadata.topics.values()]),
      rejected
    ),
    partitionsFor: (topic) =>
      cluster.topic(topic).pipe(
        Effect.map(({ partitions }) => partitions),
        Effect.mapError((cause) => new ConsumerError({ reason: new TopicUnavailable({ topic, cause }) }))
      )
  }
})
