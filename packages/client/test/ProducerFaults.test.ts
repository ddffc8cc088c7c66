/** Random faults, from a seed, between the idempotent producer and brokers that check sequences as Kafka does. */
import { assert, describe, it } from "@effect/vitest"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Effect, Exit, Option } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as Producer from "../src/Producer.ts"
import type { ProducerError } from "../src/ProducerError.ts"
import * as Serde from "../src/Serde.ts"
import { randomOf } from "./random.ts"
import * as ScriptedCluster from "./ScriptedCluster.ts"
import { type Arrived, type Fault, ScriptedLog } from "./ScriptedLog.ts"

const topic = Kafka.topic("t", { key: Serde.nullable(Serde.string), value: Serde.string })
const partitions = 3
const count = 1500

const retriable = [codes.NOT_ENOUGH_REPLICAS, codes.NOT_LEADER_OR_FOLLOWER, codes.KAFKA_STORAGE_ERROR]
const uncertain = [codes.REQUEST_TIMED_OUT, codes.NOT_ENOUGH_REPLICAS_AFTER_APPEND, codes.NOT_LEADER_OR_FOLLOWER]

const faults = (random: () => number) => {
  const pick = <A>(items: ReadonlyArray<A>): A => items[Math.floor(random() * items.length)]
  return ({ isWritten, values }: Arrived): Fault => {
    const dice = random()
    if (dice < 0.06) return { verdict: { errorCode: pick(retriable) } }
    if (dice < 0.12) return { append: true, answer: { errorCode: pick(uncertain) } }
    if (dice < 0.14) return { append: true, answer: "close" }
    if (dice < 0.145) return { append: true, answer: "silence" }
    // What a broker refuses it refuses each time, also when it comes late on a connection that was given up.
    if (isWritten) return undefined
    const numbers = values.map(Number)
    if (values.length > 3 && numbers[0] % 7 === 0) return { verdict: { errorCode: codes.MESSAGE_TOO_LARGE } }
    if (numbers.some((number) => number % 211 === 5)) return { verdict: { errorCode: codes.INVALID_REQUIRED_ACKS } }
    const recordErrors = numbers.flatMap((number, batchIndex) =>
      number % 97 === 13 ? [{ batchIndex, batchIndexErrorMessage: "refused" }] : []
    )
    if (recordErrors.length > 0) return { verdict: { errorCode: codes.INVALID_RECORD, recordErrors } }
    return undefined
  }
}

const run = (seed: number) =>
  Effect.gen(function* () {
    const random = randomOf(seed)
    const cluster = yield* ScriptedCluster.make(2, { offered: { Produce: [0, 12] } })
    const lead = () =>
      cluster.topics.set("t", {
        partitions: Array.from({ length: partitions }, () => ({ leader: random() < 0.5 ? 1 : 2, epoch: ++epoch }))
      })
    let epoch = 0
    lead()
    const log = new ScriptedLog()
    cluster.brokers.forEach((broker, index) => {
      log.serve(broker, index)
    })
    const decide = faults(random)
    log.fault = (batch) => {
      const { broker, partition } = batch
      const leader = cluster.topics.get("t")!.partitions[partition].leader
      if (broker !== leader - 1) return { verdict: { errorCode: codes.NOT_LEADER_OR_FOLLOWER } }
      if (random() < 0.02) lead()
      return decide(batch)
    }
    log.delay = () => random() * 3
    const kafka = yield* Kafka.make({
      bootstrapServers: cluster.brokers.map((broker) => broker.address),
      requestTimeout: "300 millis",
      retryBackoff: "2 millis",
      retryBackoffMax: "10 millis",
      reconnectBackoff: "2 millis",
      reconnectBackoffMax: "10 millis"
    })
    const producer = yield* Effect.provideService(
      Producer.make({ linger: 0, batchSize: 60 + Math.floor(random() * 400), deliveryTimeout: "30 seconds" }),
      Kafka.Kafka,
      kafka
    )
    const records = Array.from({ length: count }, (_, index) => ({
      key: null,
      value: String(index),
      partition: index % partitions
    }))
    const outcomes: Array<Exit.Exit<{ readonly offset: Option.Option<bigint> }, ProducerError>> = []
    for (let from = 0; from < count; from += 100)
      outcomes.push(...(yield* producer.sendAll(topic, records.slice(from, from + 100))))
    for (let partition = 0; partition < partitions; partition++) {
      const mine = records.flatMap((record, index) =>
        record.partition === partition ? [{ value: record.value, outcome: outcomes[index] }] : []
      )
      const written = mine.filter(({ outcome }) => Exit.isSuccess(outcome)).map(({ value }) => value)
      assert.deepStrictEqual(log.values(partition), written, `seed ${seed} partition ${partition}`)
      for (const { outcome, value } of mine) {
        if (!Exit.isSuccess(outcome)) continue
        const offset = Option.getOrThrow(outcome.value.offset)
        assert.strictEqual(log.values(partition)[Number(offset)], value, `seed ${seed}: the offset of ${value}`)
      }
    }
    return outcomes.filter(Exit.isFailure).length
  })

describe("Producer under faults", () => {
  for (let seed = 1; seed <= 12; seed++) {
    it.live(
      `what is acknowledged is in the log once and in order, what failed is not: seed ${seed}`,
      () =>
        Effect.gen(function* () {
          const failed = yield* run(seed)
          // Faults that refuse records did happen, and hit few.
          assert.isTrue(failed > 0 && failed < count / 2, `${failed} failed`)
        }),
      60_000
    )
  }
})
