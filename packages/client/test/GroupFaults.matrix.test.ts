/** Groups that lose brokers, topics, records and offsets under their consumers. */
import { assert, it } from "@effect/vitest"
import { CreateTopics } from "@kafka-effect/protocol/messages/CreateTopics"
import { DeleteRecords } from "@kafka-effect/protocol/messages/DeleteRecords"
import { DeleteTopics } from "@kafka-effect/protocol/messages/DeleteTopics"
import { OffsetDelete } from "@kafka-effect/protocol/messages/OffsetDelete"
import { bootstrapServers, describeBrokers, describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Fiber, Logger, type Scope, Stream } from "effect"
import * as Consumer from "../src/Consumer.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import * as Serde from "../src/Serde.ts"
import * as GroupObserver from "./GroupObserver.ts"

let serial = 0
const uniqueName = (): string => `faults-${process.pid}-${Math.round(performance.timeOrigin)}-${serial++}`

const createTopic = (name: string, numPartitions: number, replicationFactor = 1) =>
  Effect.gen(function* () {
    const { request } = yield* Kafka.Kafka
    const topics = [{ name, numPartitions, replicationFactor }]
    const response = yield* request("controller", CreateTopics, { topics, timeoutMs: 20_000 })
    return response.topics[0].errorCode
  })

const topicOf = (name: string) => Kafka.topic(name, { key: Serde.nullable(Serde.string), value: Serde.string })

const produce = (name: string, from: number, count: number, partitions: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      yield* producer.sendAll(
        topicOf(name),
        Array.from({ length: count }, (_, index) => ({
          key: null,
          value: String(from + index),
          partition: (from + index) % partitions
        }))
      )
    })
  )

const until = (holds: () => boolean, seconds = 40): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(20), until(holds)))).pipe(
    Effect.timeoutOrElse({
      duration: seconds * 1000,
      orElse: () => Effect.die(new Error(`waited ${seconds} s in vain until ${holds}`))
    })
  )

type TestTopic = ReturnType<typeof topicOf>

/** A consumer at work, what it has worked on, and what has happened to it. */
const work = (options: Partial<Consumer.Options<TestTopic>> & { readonly groupId: string; readonly topic: string }) =>
  Effect.gen(function* () {
    const { topic, ...rest } = options
    const consumer = yield* Consumer.make({
      ...{ topics: [topicOf(topic)], fallback: "earliest", heartbeatInterval: 300, autoCommitInterval: 200 },
      ...rest
    })
    const events: Array<Consumer.ConsumerEvent> = []
    yield* consumer.events.pipe(
      Stream.runForEach((event) => Effect.sync(() => events.push(event))),
      Effect.forkScoped({ startImmediately: true })
    )
    const records: Array<{ readonly partition: number; readonly offset: bigint; readonly value: string }> = []
    const running = yield* Effect.forkScoped(
      consumer.run((some) =>
        Effect.sync(() => {
          for (const { offset, partition, value } of some) records.push({ partition, offset, value })
        })
      )
    )
    const happened = (...tags: ReadonlyArray<Consumer.ConsumerEvent["_tag"]>) =>
      events.filter(({ _tag }) => tags.includes(_tag)).map(({ _tag }) => _tag)
    return { consumer, events, records, running, happened }
  })

const numbers = (from: number, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => String(from + index))

const sorted = (records: ReadonlyArray<{ readonly value: string }>): ReadonlyArray<string> =>
  records.map(({ value }) => value).sort((a, b) => Number(a) - Number(b))

describeRig("Groups that lose brokers", () => {
  it.live(
    "C99 the leader, then the coordinator are killed and come back mid-stream: nobody leaves, all is read once and in order",
    () =>
      Effect.gen(function* () {
        const rig = yield* KafkaCluster.start({
          nodes: 3,
          properties: { "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500" }
        })
        const kafka = yield* Kafka.make({ bootstrapServers: rig.bootstrapServers, requestTimeout: "5 seconds" })
        yield* Effect.gen(function* () {
          const groupId = uniqueName()
          const name = uniqueName()
          const partitions = 6
          const total = 60_000
          assert.strictEqual(yield* createTopic(name, partitions, 3), 0)
          const members = yield* Effect.all(
            [0, 1].map(() => work({ groupId, topic: name, sessionTimeout: "30 seconds" })),
            { concurrency: 2 }
          )
          const shares = Effect.map(Effect.all(members.map(({ consumer }) => consumer.assignment)), (all) =>
            all.map(({ length }) => length).join()
          )
          yield* Effect.repeat(Effect.andThen(Effect.sleep(50), shares), { until: (found) => found === "3,3" })
          const before = members.map(({ happened }) => happened("Assigned", "Revoked", "Lost"))
          const observer = yield* GroupObserver.watch(kafka, groupId)
          const producing = yield* Effect.forkScoped(
            Effect.scoped(
              Effect.gen(function* () {
                const producer = yield* Producer.make()
                for (let from = 0; from < total; from += 150) {
                  const values = numbers(from, 150)
                  yield* producer.sendAll(
                    topicOf(name),
                    values.map((value) => ({ key: null, value, partition: Number(value) % partitions }))
                  )
                  yield* Effect.sleep("80 millis")
                }
              })
            )
          )
          yield* Effect.sleep("2 seconds")
          const leader = kafka.cluster.metadata().topics.get(name)!.partitions[0].leader
          yield* rig.kill(leader)
          yield* Effect.sleep("6 seconds")
          yield* rig.start(leader)
          yield* Effect.sleep("2 seconds")
          yield* kafka.cluster.invalidateCoordinator("group", groupId)
          const coordinator = yield* kafka.cluster.coordinator("group", groupId)
          yield* rig.kill(coordinator)
          yield* Effect.sleep("6 seconds")
          yield* rig.start(coordinator)
          yield* Fiber.join(producing)
          const all = () => members.flatMap(({ records }) => records)
          yield* until(() => all().length >= total)
          assert.deepStrictEqual(sorted(all()), numbers(0, total))
          for (const { records } of members) {
            for (const list of Map.groupBy(records, ({ partition }) => partition).values()) {
              assert.deepStrictEqual(
                list.map(({ offset }) => offset),
                list.map((_, index) => BigInt(index))
              )
            }
          }
          assert.deepStrictEqual(
            members.map(({ happened }) => happened("Assigned", "Revoked", "Lost", "OffsetReset")),
            before
          )
          yield* Effect.repeat(observer.committed, {
            until: (offsets) =>
              offsets.size === partitions && [...offsets.values()].every((one) => one === total / partitions)
          }).pipe(Effect.timeout("10 seconds"))
          for (const list of observer.sightings.values()) {
            const offsets = list.map(({ offset }) => offset)
            assert.deepStrictEqual(
              offsets,
              [...offsets].sort((a, b) => a - b)
            )
          }
        }).pipe(Effect.provideService(Kafka.Kafka, kafka))
      }).pipe(Effect.provide(Logger.layer([]))),
    240_000
  )
})

describeBrokers("Groups that lose records", () => {
  const live = <E>(name: string, body: () => Effect.Effect<void, E, Kafka.Kafka | Scope.Scope>) =>
    it.live(
      name,
      () =>
        Effect.provide(Effect.scoped(body()), Kafka.layer({ bootstrapServers, metadataMaxAge: "2 seconds" })).pipe(
          Effect.provide(Logger.layer([]))
        ),
      120_000
    )

  const deleteTopic = (name: string) =>
    Effect.gen(function* () {
      const { request } = yield* Kafka.Kafka
      const response = yield* request("controller", DeleteTopics, { topicNames: [name], timeoutMs: 20_000 }, 5)
      assert.strictEqual(response.responses[0].errorCode, 0)
    })

  const createAgain = (name: string, partitions: number) =>
    createTopic(name, partitions).pipe(
      Effect.tap(() => Effect.sleep(50)),
      Effect.repeat({ until: (code) => code === 0 }),
      Effect.timeout("20 seconds")
    )

  for (const gap of [0, 5000]) {
    live(
      `C30 a topic is deleted and created again${gap > 0 ? " later" : ""} under the consumer: it goes on with all of the new one`,
      () =>
        Effect.gen(function* () {
          const name = uniqueName()
          const groupId = uniqueName()
          yield* createTopic(name, 2)
          yield* produce(name, 0, 500, 2)
          const { happened, records, running } = yield* work({ groupId, topic: name })
          yield* until(() => records.length === 500 && happened("Committed").length > 0)
          yield* Effect.sleep(500)
          yield* deleteTopic(name)
          yield* Effect.sleep(gap)
          yield* createAgain(name, 2)
          // More than were committed of the former: an offset of that would skip some.
          yield* Effect.retry(produce(name, 1000, 800, 2), { times: 5 })
          yield* until(() => new Set(records.slice(500).map(({ value }) => value)).size === 800)
          assert.deepStrictEqual([...new Set(sorted(records.slice(500)))], numbers(1000, 800))
          yield* produce(name, 1800, 100, 2)
          yield* until(() => records.at(-1)?.value === "1899" || records.at(-1)?.value === "1898")
          assert.isUndefined(running.pollUnsafe())
        })
    )
  }

  live("a log is truncated by DeleteRecords: the position is out of range, reading goes on as fallback says", () =>
    Effect.gen(function* () {
      const name = uniqueName()
      const groupId = uniqueName()
      const place = { topic: name, partition: 0 }
      const { request } = yield* Kafka.Kafka
      const deleteTo = (offset: bigint) =>
        Effect.gen(function* () {
          const topics = [{ name, partitions: [{ partitionIndex: 0, offset }] }]
          const response = yield* request("any", DeleteRecords, { topics, timeoutMs: 10_000 })
          assert.strictEqual(response.topics[0].partitions[0].errorCode, 0)
        })
      yield* createTopic(name, 1)
      yield* produce(name, 0, 100, 1)
      const { consumer, events, records } = yield* work({ groupId, topic: name })
      const resets = () => events.filter(({ _tag }) => _tag === "OffsetReset")
      yield* until(() => records.length === 100)
      yield* consumer.pause([place])
      // Until the fetch that is under way comes back with nothing.
      yield* Effect.sleep("1 second")
      yield* produce(name, 100, 900, 1)
      yield* deleteTo(600n)
      assert.strictEqual(records.length, 100)
      yield* consumer.resume([place])
      yield* until(() => records.length >= 500)
      assert.deepStrictEqual(sorted(records), [...numbers(0, 100), ...numbers(600, 400)])
      assert.deepStrictEqual(resets(), [
        { _tag: "OffsetReset", partition: place, from: 100n, to: 600n, cause: "out-of-range" }
      ])
      yield* until(() => events.some((event) => event._tag === "Committed" && [...event.offsets][0].offset === 1000n))
      // What was committed is out of range too, for who comes after.
      yield* consumer.stop
      yield* produce(name, 1000, 100, 1)
      yield* deleteTo(1050n)
      const next = yield* work({ groupId, topic: name })
      yield* until(() => next.records.length >= 50)
      assert.deepStrictEqual(sorted(next.records), numbers(1050, 50))
      yield* until(() => next.events.some(({ _tag }) => _tag === "OffsetReset"))
      const [reset] = next.events.filter(({ _tag }) => _tag === "OffsetReset")
      assert.deepStrictEqual(reset, {
        ...{ _tag: "OffsetReset", partition: place, from: 1000n, to: 1050n, cause: "out-of-range" }
      })
    })
  )

  live("the group's offsets are gone when it comes back: fallback says where to begin", () =>
    Effect.gen(function* () {
      const name = uniqueName()
      const groupId = uniqueName()
      const kafka = yield* Kafka.Kafka
      yield* createTopic(name, 2)
      yield* produce(name, 0, 100, 2)
      const expire = Effect.gen(function* () {
        const node = yield* kafka.cluster.coordinator("group", groupId)
        const partitions = [{ partitionIndex: 0 }, { partitionIndex: 1 }]
        const response = yield* kafka.request(node, OffsetDelete, { groupId, topics: [{ name, partitions }] })
        assert.deepStrictEqual(
          [response.errorCode, ...response.topics[0].partitions.map(({ errorCode }) => errorCode)],
          [0, 0, 0]
        )
      })
      const once = <A, E, R>(
        fallback: "earliest" | "latest" | "fail",
        f: (one: Effect.Success<ReturnType<typeof work>>) => Effect.Effect<A, E, R>
      ) =>
        Effect.scoped(
          Effect.flatMap(work({ groupId, topic: name, fallback }), (one) => Effect.tap(f(one), one.consumer.stop))
        )
      const isRead = (count: number) => (one: Effect.Success<ReturnType<typeof work>>) =>
        until(() => one.records.length === count)
      yield* once("earliest", isRead(100))
      yield* produce(name, 100, 10, 2)
      // It was committed: only what is new is read.
      yield* once("earliest", isRead(10))
      yield* expire
      yield* once("earliest", isRead(110))
      yield* expire
      yield* once("latest", (one) =>
        Effect.gen(function* () {
          yield* until(() => one.happened("Assigned").length > 0)
          yield* Effect.forEach([0, 1], (partition) => one.consumer.position({ topic: name, partition }))
          yield* produce(name, 110, 10, 2)
          yield* until(() => one.records.length === 10)
          assert.deepStrictEqual(sorted(one.records), numbers(110, 10))
        })
      )
      yield* expire
      const error = yield* once("fail", ({ running }) => Effect.flip(Fiber.join(running)))
      assert.strictEqual(error._tag === "ConsumerError" && error.reason._tag, "NoCommittedOffset")
    })
  )
})
