import { assert, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { CreatePartitions } from "@kafka-effect/protocol/messages/CreatePartitions"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { OffsetCommit } from "@kafka-effect/protocol/messages/OffsetCommit"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect, Exit, Logger, Scope } from "effect"
import * as Assignor from "../src/Assignor.ts"
import type { Cluster } from "../src/Cluster.ts"
import * as ClassicMembership from "../src/internal/consumer/ClassicMembership.ts"
import type { MemberIdentity, Membership, Options } from "../src/internal/consumer/Membership.ts"
import * as Rebalance from "../src/internal/consumer/Rebalance.ts"
import * as Kafka from "../src/Kafka.ts"
import type { TopicPartition } from "../src/Topic.ts"

let serial = 0
const uniqueName = (): string => `members-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`

const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(20), until(holds)))).pipe(
    Effect.timeoutOrElse({ duration: 30_000, orElse: () => Effect.die(new Error("waited 30 s in vain")) })
  )

const createTopic = (kafka: Kafka.Kafka["Service"], count: number) =>
  Effect.gen(function* () {
    const name = uniqueName()
    const topics = [{ name, numPartitions: count, replicationFactor: 1 }]
    const response = yield* kafka.request("controller", CreateTopics, { topics, timeoutMs: 10_000 })
    assert.strictEqual(response.topics[0].errorCode, 0)
    yield* until(() => kafka.cluster.metadata().brokers.size > 0)
    return name
  })

/** Who owns what, over all members of a test; two owners at a time are an error. */
class Owners {
  readonly owners = new Map<string, number>()
  readonly faults: Array<string> = []
  give(member: number, partitions: ReadonlyArray<TopicPartition>): void {
    for (const partition of partitions.map(Rebalance.key)) {
      const owner = this.owners.get(partition)
      if (owner !== undefined) this.faults.push(`${partition} was given to ${member} while ${owner} had it`)
      this.owners.set(partition, member)
    }
  }
  take(member: number, partitions: ReadonlyArray<TopicPartition>): void {
    for (const partition of partitions.map(Rebalance.key)) {
      if (this.owners.get(partition) !== member)
        this.faults.push(`${partition} was taken from ${member}, who had it not`)
      this.owners.delete(partition)
    }
  }
  /** How many partitions each has, ascending. */
  shares(): ReadonlyArray<number> {
    return [...Map.groupBy(this.owners.values(), (owner) => owner).values()].map(({ length }) => length).sort()
  }
}

let members = 0

const join = (
  cluster: Cluster,
  options: Pick<Options, "groupId" | "subscription"> & Partial<Options>,
  owners = new Owners()
): Effect.Effect<{ readonly membership: Membership; readonly events: Array<string> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const member = members++
    const events: Array<string> = []
    const handle = (name: "assign" | "revoke" | "lost") => (partitions: ReadonlyArray<TopicPartition>) =>
      Effect.sync(() => {
        events.push(`${name} ${partitions.length}`)
        if (name === "assign") owners.give(member, partitions)
        else owners.take(member, partitions)
      })
    const membership = yield* ClassicMembership.make(
      cluster,
      {
        groupInstanceId: undefined,
        sessionTimeout: 6000,
        heartbeatInterval: 200,
        rebalanceTimeout: 10_000,
        assignors: [Assignor.cooperativeSticky],
        clientRack: undefined,
        ...options
      },
      { assign: handle("assign"), revoke: handle("revoke"), lost: handle("lost") }
    )
    return { membership, events }
  })

/** The error code of a commit of offset 0 of a topic's first partition. */
const commit = (cluster: Cluster, identity: MemberIdentity, name: string) =>
  Effect.gen(function* () {
    const nodeId = yield* cluster.coordinator("group", identity.groupId)
    const connection = yield* cluster.connection(nodeId, "group")
    const response = yield* connection.request(
      OffsetCommit,
      {
        groupId: identity.groupId,
        memberId: identity.memberId,
        generationIdOrMemberEpoch: identity.generation,
        groupInstanceId: identity.groupInstanceId ?? null,
        topics: [{ name, partitions: [{ partitionIndex: 0, committedOffset: 0n, committedMetadata: null }] }]
      },
      { maxVersion: 9 }
    )
    return response.topics[0].partitions[0].errorCode
  })

describeBrokers("Membership", () => {
  const live = (name: string, body: (kafka: Kafka.Kafka["Service"]) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(name, () => Effect.flatMap(Kafka.make({ bootstrapServers }), body).pipe(Effect.provide(Logger.layer([]))))

  for (const assignor of [Assignor.cooperativeSticky, Assignor.sticky, Assignor.range, Assignor.roundRobin]) {
    live(`C102 C103: members come, go and get new partitions by ${assignor.name}; none has two owners`, (kafka) =>
      Effect.gen(function* () {
        const topic = yield* createTopic(kafka, 6)
        const owners = new Owners()
        const options = { groupId: uniqueName(), subscription: () => [topic], assignors: [assignor] }
        const first = yield* join(kafka.cluster, options, owners)
        yield* until(() => owners.owners.size === 6)
        yield* join(kafka.cluster, options, owners)
        // Of another client: one that has never asked for the topic.
        const other = yield* Kafka.make({ bootstrapServers })
        yield* join(other.cluster, options, owners)
        yield* until(() => owners.shares().join() === "2,2,2")
        const grown = yield* kafka.request("controller", CreatePartitions, {
          topics: [{ name: topic, count: 9, assignments: null }],
          timeoutMs: 10_000
        })
        assert.strictEqual(grown.results[0].errorCode, 0)
        yield* Effect.repeat(Effect.andThen(Effect.sleep(50), kafka.cluster.refresh()), {
          until: ({ topics }) => topics.get(topic)?.partitions.length === 9
        })
        yield* until(() => owners.shares().join() === "3,3,3")
        yield* first.membership.leave
        yield* until(() => owners.shares().join() === "4,5")
        assert.deepStrictEqual(owners.faults, [])
        assert.notInclude(first.events.join(), "lost")
      })
    )
  }

  live("its identity is what commits are accepted by; a generation of before is refused [22]", (kafka) =>
    Effect.gen(function* () {
      const topic = yield* createTopic(kafka, 2)
      const { membership } = yield* join(kafka.cluster, { groupId: uniqueName(), subscription: () => [topic] })
      yield* until(() => membership.assigned().length === 2)
      const identity = membership.identity()!
      assert.strictEqual(yield* commit(kafka.cluster, identity, topic), 0)
      yield* membership.rejoin("a test")
      yield* until(() => (membership.identity()?.generation ?? 0) > identity.generation)
      assert.strictEqual(yield* commit(kafka.cluster, identity, topic), codes.ILLEGAL_GENERATION)
      assert.strictEqual(yield* commit(kafka.cluster, membership.identity()!, topic), 0)
    })
  )

  live("C101: a static member that comes back has its partitions again, without a rebalance", (kafka) =>
    Effect.gen(function* () {
      const topic = yield* createTopic(kafka, 4)
      const groupId = uniqueName()
      const options = (groupInstanceId: string) => ({ groupId, groupInstanceId, subscription: () => [topic] })
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(join(kafka.cluster, options("one")), scope)
      yield* until(() => one.membership.assigned().length === 4)
      const two = yield* join(kafka.cluster, options("two"))
      yield* until(() => two.membership.assigned().length === 2 && one.membership.assigned().length === 2)
      yield* Effect.sleep(500)
      const before = [one.membership.identity()!.generation, Rebalance.describe(one.membership.assigned())]
      yield* Scope.close(scope, Exit.void)
      const again = yield* join(kafka.cluster, options("one"))
      yield* until(() => again.membership.assigned().length === 2)
      assert.deepStrictEqual(
        [again.membership.identity()!.generation, Rebalance.describe(again.membership.assigned())],
        before
      )
      assert.strictEqual(two.membership.identity()?.generation, before[0])
      const twin = yield* join(kafka.cluster, options("two"))
      yield* until(() => twin.membership.assigned().length === 2)
      const error = yield* Effect.flip(two.membership.failure)
      assert.strictEqual(error.reason._tag, "Fenced")
      assert.strictEqual(two.events.at(-1), "lost 2")
    })
  )

  live("C100: a session timeout that the broker does not allow, and assignors that nobody shares", (kafka) =>
    Effect.gen(function* () {
      const topic = yield* createTopic(kafka, 1)
      const options = { groupId: uniqueName(), subscription: () => [topic] }
      const { membership } = yield* join(kafka.cluster, { ...options, sessionTimeout: 10 })
      const short = yield* Effect.flip(membership.failure)
      assert.strictEqual(short.reason._tag, "GroupRejected")
      assert.include(short.message, "sessionTimeout is 10 ms")
      const one = yield* join(kafka.cluster, options)
      yield* until(() => one.membership.assigned().length === 1)
      const two = yield* join(kafka.cluster, { ...options, assignors: [Assignor.range] })
      const other = yield* Effect.flip(two.membership.failure)
      assert.strictEqual(other.reason._tag, "GroupRejected")
      assert.include(other.message, "assignors (range)")
      assert.deepStrictEqual(one.events, ["assign 1"])
    })
  )

  live("an event loop that stood still for longer than the session: nothing is committed, and it joins anew", (kafka) =>
    Effect.gen(function* () {
      const topic = yield* createTopic(kafka, 2)
      const { events, membership } = yield* join(kafka.cluster, { groupId: uniqueName(), subscription: () => [topic] })
      yield* until(() => membership.assigned().length === 2)
      const before = membership.identity()!
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8000)
      assert.isUndefined(membership.identity())
      yield* until(() => membership.assigned().length === 2)
      assert.deepStrictEqual(events, ["assign 2", "lost 2", "assign 2"])
      assert.notStrictEqual(membership.identity()?.memberId, before.memberId)
      assert.strictEqual(yield* commit(kafka.cluster, before, topic), codes.UNKNOWN_MEMBER_ID)
      assert.strictEqual(yield* commit(kafka.cluster, membership.identity()!, topic), 0)
    })
  )
})
