/**
 * What a client that was written elsewhere is put through on the broker inside the process. Each is a program of one
 * verb (`<bootstrap servers> <verb> <settings as JSON>`) that prints lines of JSON; the checks are the same for all.
 */
import { assert, describe, it } from "@effect/vitest"
import type { CompressionType } from "@kafka-effect/protocol/Compression"
import { Produce } from "@kafka-effect/protocol/messages/Produce"
import type { Batch } from "@kafka-effect/protocol/Record"
import * as Records from "@kafka-effect/protocol/Records"
import * as Program from "@kafka-effect/rig/Program"
import type { RigError } from "@kafka-effect/rig/RigError"
import * as Workplace from "@kafka-effect/rig/Workplace"
import { Effect, Logger, Result, type Scope, Stream } from "effect"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as TestBroker from "../../src/TestBroker.ts"

/** How to start it: the program, and what stands before the bootstrap servers. */
export type Command = readonly [program: string, ...args: ReadonlyArray<string>]

export interface ForeignClient {
  readonly name: string
  readonly command: Effect.Effect<Command, RigError>
  /** The release that the broker acts as. Defaults to the newest, which no longer speaks to clients before 2.1 (KIP-896). */
  readonly actAs?: TestBroker.ReleaseName
  readonly codecs: ReadonlyArray<CompressionType>
  /** Whether its producer can be idempotent. */
  readonly isIdempotent: boolean
  readonly groupProtocols: ReadonlyArray<"classic" | "consumer">
  readonly hasTransactions: boolean
  readonly hasAdministration: boolean
  /** Whether its administrator can change the configs of topics. */
  readonly hasConfigs: boolean
}

const partitions = 4
const topics = { input: partitions, output: partitions }
const settings = { "group.initial.rebalance.delay.ms": "0", "group.consumer.heartbeat.interval.ms": "300" }
const input = Kafka.topic("input", { key: Serde.string, value: Serde.string })
const output = Kafka.topic("output", { key: Serde.string, value: Serde.string })

/** What an administrator hears whose program does the steps of the verb `admin`. */
const administered = {
  created: ["made"],
  createdAgain: "TOPIC_ALREADY_EXISTS",
  partitions: 3,
  replicas: 2,
  partitionsAdded: 5,
  offsets: { "0": 10, "1": 20 },
  offsetsAltered: { "0": 5, "1": 20 },
  groups: ["readers"],
  groupState: "Empty",
  lowWatermark: 15,
  earliest: 15,
  latest: 50,
  groupDeleted: true,
  deleted: true
}

const value = (index: number) => `value ${index}`
const values = (from: number, count: number) => Array.from({ length: count }, (_, index) => value(from + index))

const fill = (from: number, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      yield* producer.sendAll(
        input,
        Array.from({ length: count }, (_, index) => ({
          key: `key ${from + index}`,
          value: value(from + index),
          partition: (from + index) % partitions
        }))
      )
    })
  )

/** Values of a topic as they lie in the broker, by partition. */
const lying = (name: keyof typeof topics) =>
  Effect.gen(function* () {
    const broker = yield* TestBroker.TestBroker
    const places = Array.from({ length: partitions }, (_, partition) => broker.records(name, partition))
    const text = new TextDecoder()
    return (yield* Effect.all(places)).map((records) =>
      records.map((record) => ({
        key: text.decode(record.key ?? undefined),
        value: text.decode(record.value ?? undefined),
        headers: record.headers.map(([key, bytes]) => [key, text.decode(bytes ?? undefined)])
      }))
    )
  })

const numberIn = (text: string) => Number(text.slice(text.lastIndexOf(" ") + 1))

/** The values are these, each once, and within each partition in their order. */
const assertArrived = (byPartition: ReadonlyArray<ReadonlyArray<string>>, expected: ReadonlyArray<string>) => {
  assert.sameMembers(byPartition.flat(), [...expected])
  for (const some of byPartition) {
    assert.deepStrictEqual(
      some,
      [...some].sort((a, b) => numberIn(a) - numberIn(b))
    )
  }
}

/** One line that a program prints. */
interface Line {
  readonly owned?: ReadonlyArray<number>
  readonly read?: readonly [partition: number, value: string]
  readonly records?: ReadonlyArray<readonly [partition: number, key: string, value: string]>
}

const linesOf = (text: string): ReadonlyArray<Line> =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line))

const until = (holds: () => Promise<boolean>, what: () => Promise<string>) =>
  Effect.gen(function* () {
    while (!(yield* Effect.promise(holds))) yield* Effect.sleep(50)
  }).pipe(
    Effect.timeoutOrElse({
      duration: "40 seconds",
      orElse: () =>
        Effect.flatMap(Effect.promise(what), (text) => Effect.die(new Error(`waited in vain: ${text.slice(-4000)}`)))
    })
  )

export const describeForeign = async (client: ForeignClient): Promise<void> => {
  const found = await Effect.runPromise(Effect.result(client.command))
  if (Result.isFailure(found)) {
    process.stderr.write(`${client.name}: its tests are left out: ${found.failure.message}\n`)
    describe.skip(`${client.name} (${found.failure.message})`, () => {})
    return
  }
  const [program, ...before] = found.success

  const argumentsOf = (verb: string, given: object) =>
    Effect.map(TestBroker.TestBroker, ({ bootstrapServers }) => [
      ...before,
      bootstrapServers.join(","),
      verb,
      JSON.stringify(given)
    ])

  /** Runs a verb to its end, and gives what it printed at last. */
  const run = (verb: string, given: object) =>
    Effect.gen(function* () {
      const { stderr, stdout } = yield* Program.runOrFail(program, yield* argumentsOf(verb, given))
      const last = linesOf(String(stdout)).at(-1)
      if (last === undefined) return yield* Effect.die(new Error(`${verb} printed nothing: ${stderr.slice(-4000)}`))
      return last
    })

  /** What its consumer reads of a topic whose records it is told the number of, by partition. */
  const consume = (topic: string, count: number, isolation = "read_uncommitted") =>
    Effect.map(run("consume", { topic, count, isolation, partitions }), ({ records = [] }) =>
      Array.from({ length: partitions }, (_, index) =>
        records.filter(([partition]) => partition === index).map(([, , text]) => text)
      )
    )

  const foreign = (
    name: string,
    test: () => Effect.Effect<void, unknown, Kafka.Kafka | TestBroker.TestBroker | Scope.Scope>
  ) =>
    it.live(name, () =>
      test().pipe(
        Effect.provide(TestBroker.layerKafka({ actAs: client.actAs, brokers: 3, topics, settings })),
        Effect.provide(Logger.layer([]))
      )
    )

  const startMember = (workplace: Workplace.Workplace, name: string, given: object) =>
    Effect.gen(function* () {
      const running = yield* workplace.spawn(name, program, yield* argumentsOf("member", given))
      const lines = async () => linesOf(await running.readLog())
      return {
        running,
        owned: async () => (await lines()).findLast(({ owned }) => owned !== undefined)?.owned ?? [],
        read: async () => (await lines()).flatMap(({ read }) => (read === undefined ? [] : [read]))
      }
    })

  describe(client.name, () => {
    for (const codec of client.codecs) {
      foreign(`writes with ${codec}, and reads it`, () =>
        Effect.gen(function* () {
          const broker = yield* TestBroker.TestBroker
          const batches: Array<Batch> = []
          const note = ({ api, message }: TestBroker.Received) => {
            if (api !== Produce.name) return
            // what is received of an API has its shape
            const { topicData } = message as { topicData: ReadonlyArray<{ partitionData: ReadonlyArray<Sent> }> }
            for (const { partitionData } of topicData) {
              for (const { records } of partitionData)
                batches.push(...Records.split(records ?? new Uint8Array()).batches)
            }
          }
          yield* Effect.forkScoped(Stream.runForEach(broker.requests, (received) => Effect.sync(() => note(received))))
          yield* run("produce", { topic: "output", codec, idempotent: client.isIdempotent, count: 1000 })
          const records = yield* lying("output")
          assertArrived(
            records.map((some) => some.map((record) => record.value)),
            values(0, 1000)
          )
          for (const some of records) {
            for (const record of some) {
              assert.strictEqual(record.key, `key ${numberIn(record.value) % 100}`)
              if (client.isIdempotent) assert.deepStrictEqual(record.headers, [["number", `${numberIn(record.value)}`]])
            }
          }
          assert.isTrue(records.filter((some) => some.length > 0).length > 1)
          // a client sends what is too little to become smaller as it is
          assert.isTrue(batches.some(({ compression }) => compression === codec))
          for (const { compression, producerId } of batches) {
            assert.include([codec, "none"], compression)
            assert.strictEqual(producerId >= BigInt(0), client.isIdempotent)
          }
          assert.deepStrictEqual(
            yield* consume("output", 1000),
            records.map((some) => some.map((record) => record.value))
          )
        })
      )
    }

    for (const protocol of client.groupProtocols) {
      foreign(`two members share a topic by the ${protocol} protocol`, () =>
        Effect.gen(function* () {
          const broker = yield* TestBroker.TestBroker
          const workplace = yield* Workplace.make
          const given = { topic: "input", group: "readers", protocol }
          const members = [yield* startMember(workplace, "first", given)]
          const logs = async () => (await Promise.all(members.map(({ running }) => running.readLog()))).join("\n")
          const share = async () => (await Promise.all(members.map(({ owned }) => owned()))).map(({ length }) => length)
          const isRead = async (count: number) => {
            const numbers = await Promise.all(members.map(({ read }) => read()))
            return numbers.flat().length >= count
          }
          yield* fill(0, 200)
          yield* until(() => isRead(200), logs)
          assert.deepStrictEqual(yield* Effect.promise(share), [partitions])
          members.push(yield* startMember(workplace, "second", given))
          yield* until(async () => (await share()).every((count) => count === partitions / 2), logs)
          yield* fill(200, 200)
          yield* until(() => isRead(400), logs)
          const [first = [], second = []] = yield* Effect.promise(() => Promise.all(members.map(({ read }) => read())))
          const byPartition = Array.from({ length: partitions }, (_, index) =>
            [...first, ...second].filter(([partition]) => partition === index).map(([, text]) => text)
          )
          assertArrived(byPartition, values(0, 400))
          assert.lengthOf(second, 100)
          for (const { running } of members) running.signal("SIGTERM")
          const ends = yield* Effect.promise(() => Promise.all(members.map(({ running }) => running.ended)))
          assert.deepStrictEqual(ends, ["0", "0"], yield* Effect.promise(logs))
          const committed = yield* broker.committed("readers")
          assert.deepStrictEqual(
            committed.map(({ offset }) => offset),
            Array.from({ length: partitions }, () => BigInt(100))
          )
        })
      )
    }

    if (client.hasTransactions) {
      foreign("commits a transaction with its offsets, and aborts one", () =>
        Effect.gen(function* () {
          const broker = yield* TestBroker.TestBroker
          yield* fill(0, 200)
          const given = { from: "input", to: "output", group: "readers", transactionalId: "mover", count: 200 }
          yield* run("transaction", given)
          const expected = values(0, 200).map((text) => `done ${text}`)
          const written = (yield* lying("output")).flat()
          assert.lengthOf(
            written.filter(({ value }) => value.startsWith("aborted ")),
            50
          )
          // those of a partition were read from several, so their order is not told
          assert.sameMembers((yield* consume("output", 200, "read_committed")).flat(), expected)
          assert.lengthOf((yield* consume("output", 250)).flat(), 250)
          const places = Array.from({ length: partitions }, (_, partition) => [output, partition, "earliest"] as const)
          const seen = yield* Stream.runCollect(
            Consumer.assign({ partitions: places, until: "end", isolation: "committed" })
          )
          assert.sameMembers(
            Array.from(seen, (record) => record.value),
            expected
          )
          const committed = yield* broker.committed("readers")
          assert.strictEqual(
            committed.reduce((sum, { offset }) => sum + Number(offset), 0),
            200
          )
        })
      )
    }

    if (client.hasAdministration) {
      foreign("administers topics, records and groups", () =>
        Effect.gen(function* () {
          yield* fill(0, 200)
          assert.deepStrictEqual<unknown>(
            yield* run("admin", { topic: "made", source: "input", group: "readers" }),
            administered
          )
        })
      )
    }

    if (client.hasConfigs) {
      foreign("gives a topic configs, and changes them", () =>
        Effect.gen(function* () {
          assert.deepStrictEqual<unknown>(yield* run("configs", { topic: "made" }), {
            created: "60000",
            altered: "120000"
          })
        })
      )
    }
  })
}

interface Sent {
  readonly records: Uint8Array | null
}
