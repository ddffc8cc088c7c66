/**
 * A consumer put together: membership or a fixed assignment, what is owned, the fetcher, the readers, and the committer.
 *
 * @since 0.1.0
 */
import { zeroUuid } from "@kafka-effect/protocol/Wire"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Cluster } from "../../Cluster.ts"
import { CommitError, NoGroup } from "../../CommitError.ts"
import type { ConsumerEvent } from "../../Consumer.ts"
import { ConsumerError, NotAssigned, Rejected, Stalled } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type * as Offsets from "../../Offsets.ts"
import type { AnyTopic, RecordOf, ServicesOf, TopicPartition } from "../../Topic.ts"
import { monotonicMillis } from "../Backoff.ts"
import * as AutoCommit from "./AutoCommit.ts"
import * as ClassicMembership from "./ClassicMembership.ts"
import * as CommittedOffsets from "./CommittedOffsets.ts"
import * as Committer from "./Committer.ts"
import * as ConsumerMetrics from "./ConsumerMetrics.ts"
import type { ConsumerSettings } from "./ConsumerSettings.ts"
import * as Decoding from "./Decoding.ts"
import * as Delivery from "./Delivery.ts"
import * as Fetcher from "./Fetcher.ts"
import * as FixedMembership from "./FixedMembership.ts"
import type { Membership } from "./Membership.ts"
import type { OwnedPartition } from "./OwnedPartition.ts"
import * as Ownership from "./Ownership.ts"
import * as Readers from "./Readers.ts"
import * as Stalls from "./Stalls.ts"
import type { StartPosition } from "./StartPosition.ts"
import * as Subscription from "./Subscription.ts"

/** How often is looked whether a position is known by now, in milliseconds. */
const positionPoll = 10

/** @internal */
export interface GroupConsumer<T extends AnyTopic> {
  readonly ownership: Ownership.Ownership
  readonly subscription: Subscription.Subscription<T>
  readonly delivery: Delivery.Delivery<RecordOf<T>, ServicesOf<T>>
  readonly readers: Readers.Readers<RecordOf<T>, ServicesOf<T>>
  readonly membership: Membership
  readonly events: Stream.Stream<ConsumerEvent>
  readonly commit: (offsets: Offsets.Offsets) => Effect.Effect<void, CommitError>
  readonly stop: Effect.Effect<void>
  readonly pause: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly resume: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly seek: (positions: Iterable<readonly [TopicPartition, StartPosition]>) => Effect.Effect<void, ConsumerError>
  /** Where a partition stands; waits while that is looked up. */
  readonly positionOf: (owned: OwnedPartition) => Effect.Effect<bigint, ConsumerError>
  readonly owned: (place: TopicPartition) => Effect.Effect<OwnedPartition, ConsumerError>
}

/** @internal */
export const make = Effect.fnUntraced(function* <T extends AnyTopic>(
  cluster: Cluster,
  settings: ConsumerSettings<T>
): Effect.fn.Return<GroupConsumer<T>, ConsumerError, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = (): number => monotonicMillis(clock)
  const { groupId, isolation } = settings
  const events = yield* PubSub.sliding<ConsumerEvent>(256)
  yield* Effect.addFinalizer(() => PubSub.shutdown(events))
  const publish = (event: ConsumerEvent): void => void PubSub.publishUnsafe(events, event)
  const rejected = (cause: KafkaError) => new ConsumerError({ reason: new Rejected({ cause }) })
  let membership: Membership | undefined
  let hasCommitted = false

  const subscription = yield* Subscription.make(cluster, settings.topics, (reason) =>
    membership === undefined ? Effect.void : membership.rejoin(reason)
  ).pipe(Effect.mapError(rejected))

  const metrics = ConsumerMetrics.make(
    yield* Effect.context<never>(),
    { "client.id": cluster.settings.clientId, ...(groupId === undefined ? {} : { group: groupId }) },
    now
  )
  const fetcher = yield* Fetcher.make(cluster, {
    ...settings,
    staysOpen: true,
    onFetched: metrics.fetched,
    onReset: (fetched, from, to, cause) => {
      const { partition, topic } = fetched
      const owned = ownership.find({ topic, partition })
      const next = owned?.handed ?? { offset: fetched.origin ?? to, leaderEpoch: -1 }
      owned?.jump()
      // What was taken out, and not handed over yet, is dropped: before the cut the log has it still.
      const isCut = cause === "truncation" || (cause === "out-of-range" && to < from)
      if (isCut && next.offset < to) fetched.seek(next)
      publish({ _tag: "OffsetReset", partition: { topic, partition }, from, to, cause })
    }
  })
  const maxRecords = Math.min(Decoding.fullArray, settings.maxPollRecords)
  const decode = (taken: Fetcher.Taken, { lease, topic }: OwnedPartition) => {
    // A jump from here on drops what is decoded.
    const { stretch } = lease
    const known = subscription.topicOf(topic)
    // Unsubscribed from, it is about to be taken away.
    if (known === undefined) return Effect.succeed({ records: [], raw: [], undecoded: [], more: [] })
    return Decoding.decode(taken, known, { checkCrcs: settings.checkCrcs, stretch, fetcher, maxRecords })
  }
  const delivery = Delivery.make(fetcher, {
    maxPollRecords: settings.maxPollRecords,
    now,
    metrics,
    told: Effect.suspend(() => (membership === undefined ? Effect.void : membership.told)),
    decode
  })

  const isAlone = settings.partitions !== undefined || (yield* FixedMembership.isNeeded(cluster))
  const committer =
    groupId === undefined
      ? undefined
      : yield* Committer.make(cluster, groupId, {
          identity: () => membership?.identity(),
          refused: (identity, errorCode) => membership?.refused(identity, errorCode),
          leaseOf: (topic, partition) => ownership.find({ topic, partition })?.lease,
          isAlone,
          commitTimeout: settings.commitTimeout,
          onCommitted: (offsets, milliseconds) => {
            metrics.committed(milliseconds)
            publish({ _tag: "Committed", offsets })
            readers.committed()
          }
        })
  const commit = (offsets: Offsets.Offsets): Effect.Effect<void, CommitError> =>
    committer === undefined
      ? Effect.fail(new CommitError({ partitions: [], reason: new NoGroup({}) }))
      : committer.commit(offsets)
  const all = (): ReadonlyArray<OwnedPartition> => ownership.all()
  const autoCommit =
    committer === undefined
      ? { commit: () => Effect.void }
      : yield* AutoCommit.make(all, committer.commit, settings.autoCommitInterval, (error) =>
          publish({ _tag: "CommitFailed", partitions: error.partitions, error })
        )

  const readers: Readers.Readers<RecordOf<T>, ServicesOf<T>> = Readers.make(delivery, now, {
    all,
    commitsAutomatically: settings.enableAutoCommit,
    hasCommitted: () => hasCommitted,
    committedOf: ({ lease }) => committer?.committed(lease),
    idleTimeout: settings.idleTimeout,
    policy: settings.onSerdeError,
    wake: fetcher.wake,
    metrics
  })
  const fail = (error: ConsumerError): void => {
    readers.end(Exit.fail(error))
    fetcher.end(error)
  }
  /** A mistake of this program, or of a listener: readers die of it. */
  const die = (cause: Cause.Cause<ConsumerError>): void => {
    readers.end(Exit.failCause(cause))
    fetcher.end()
  }

  const ownership: Ownership.Ownership = yield* Ownership.make({
    ...settings,
    topicId: (topic) => cluster.metadata().topics.get(topic)?.id ?? zeroUuid,
    now,
    fetcher,
    listener: settings.listener,
    committed: (partitions) => CommittedOffsets.fetch(cluster, groupId ?? "", partitions, isolation),
    commitFinished: (partitions) =>
      Effect.andThen(
        autoCommit.commit(partitions),
        committer === undefined ? Effect.void : committer.flush(partitions)
      ),
    onEnding: (owned) => {
      delivery.drop(owned)
      readers.ending(owned)
    },
    onReady: readers.ready,
    onDrainTimeout: (owned) =>
      Effect.suspend(() => {
        readers.giveUp(owned)
        const partition = { topic: owned.topic, partition: owned.partition }
        publish({ _tag: "DrainTimeout", partition })
        return Effect.logWarning(
          `work on topic ${owned.topic} partition ${owned.partition} has not ended within two thirds of drainTimeout (${settings.drainTimeout} ms): its records are given to others again`
        )
      }),
    onFailure: fail
  })

  let isStopping = false
  const handlers = {
    assign: (partitions: ReadonlyArray<TopicPartition>) =>
      Effect.suspend(() => {
        committer?.wake()
        if (settings.partitions === undefined) metrics.rebalanced()
        if (partitions.length === 0) return Effect.void
        publish({ _tag: "Assigned", partitions })
        return ownership.take(partitions)
      }),
    revoke: (partitions: ReadonlyArray<TopicPartition>) =>
      Effect.andThen(
        ownership.giveBack(partitions, isStopping ? "stopped" : "revoked"),
        Effect.sync(() => publish({ _tag: "Revoked", partitions }))
      ),
    lost: (partitions: ReadonlyArray<TopicPartition>) =>
      Effect.andThen(
        ownership.lose(partitions),
        Effect.sync(() => {
          metrics.lost(partitions.length)
          publish({ _tag: "Lost", partitions })
        })
      )
  }
  const { partitions } = settings
  const chosen = () => partitions ?? FixedMembership.allOf(cluster, subscription.names())
  membership =
    !isAlone && groupId !== undefined
      ? yield* ClassicMembership.make(
          cluster,
          {
            ...settings,
            groupId,
            clientRack: settings.clientRack,
            subscription: subscription.names,
            onHeartbeat: metrics.heartbeat
          },
          handlers
        )
      : yield* FixedMembership.make(cluster, groupId, chosen, handlers)
  yield* membership.failure.pipe(
    Effect.catch((error) => Effect.sync(() => fail(error))),
    Effect.catchCause((cause) => Effect.sync(() => die(cause))),
    Effect.forkScoped
  )
  yield* metrics.watch(() =>
    all().map((owned) => ({ topic: owned.topic, partition: owned.partition, lag: owned.lag(isolation) }))
  )
  yield* Stalls.watch({
    stallTimeout: settings.stallTimeout,
    now,
    all,
    busySince: readers.busySince,
    hasMore: (owned) => {
      const { isPaused, queue } = owned.fetched
      return (queue.length > 0 && !isPaused) || delivery.hasRest(owned)
    },
    onStall: (owned, waited) => {
      const { partition, topic } = owned
      const error = new ConsumerError({ reason: new Stalled({ topic, partition, waited: Math.round(waited) }) })
      owned.stall(error)
      fetcher.wake()
      publish({ _tag: "Stalled", partition: { topic, partition } })
      return Effect.logWarning(error.message)
    }
  })

  const owned: GroupConsumer<T>["owned"] = ({ partition, topic }) => {
    const found = ownership.find({ topic, partition })
    if (found !== undefined) return Effect.succeed(found)
    return Effect.fail(new ConsumerError({ reason: new NotAssigned({ topic, partition }) }))
  }
  const each = (partitions: Iterable<TopicPartition>, change: (one: OwnedPartition) => void): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const place of partitions) {
        const found = ownership.find(place)
        if (found !== undefined) change(found)
      }
      fetcher.wake()
    })

  const seek: GroupConsumer<T>["seek"] = (positions) =>
    Effect.flatMap(
      Effect.forEach(positions, ([place, start]) => Effect.map(owned(place), (one) => [one, start] as const)),
      (found) =>
        Effect.sync(() => {
          for (const [one, start] of found) one.seek(start)
          fetcher.wake()
        })
    )
  const awaitPosition: GroupConsumer<T>["positionOf"] = (one) =>
    Effect.suspend(() => {
      const { position } = one
      if (position !== undefined) return Effect.succeed(position)
      if (one.fetched.error !== undefined) return Effect.fail(one.fetched.error)
      // It may have come back meanwhile, as another.
      const now = one.isEnding ? owned(one) : Effect.succeed(one)
      return Effect.andThen(Effect.sleep(positionPoll), Effect.flatMap(now, awaitPosition))
    })

  if (settings.starts.length > 0) yield* seek(settings.starts)

  const stop = Effect.suspend(() => {
    isStopping = true
    // Whoever reads all comes to the end behind what was handed over.
    readers.end(Exit.void)
    fetcher.end()
    return membership.leave
  })
  yield* Effect.addFinalizer(() => stop)

  return {
    ownership,
    subscription,
    delivery,
    readers,
    membership,
    events: Stream.fromPubSub(events),
    commit: (offsets) =>
      Effect.suspend(() => {
        hasCommitted = true
        return commit(offsets)
      }),
    stop,
    pause: (partitions) =>
      each(partitions, (one) => {
        delivery.putBack(one)
        one.fetched.pause()
      }),
    resume: (partitions) => each(partitions, (one) => one.fetched.resume()),
    seek,
    positionOf: awaitPosition,
    owned
  }
})
