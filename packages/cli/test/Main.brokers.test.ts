import { assert, it } from "@effect/vitest"
import { DescribeLogDirs } from "@kafka-effect/protocol/messages/DescribeLogDirs"
import { bootstrapServers, describeBrokers, describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import * as KafkaTools from "@kafka-effect/rig/KafkaTools"
import * as Kcat from "@kafka-effect/rig/Kcat"
import { Effect } from "effect"
import { Kafka } from "kafka-effect"
import { disturb, run, runBadly, runWell } from "./cli.ts"

const brokers = ["-b", bootstrapServers.join(",")]

let topics = 0
const newTopic = (): string => `cli-${process.pid}-${Date.now()}-${topics++}`

const create = (topic: string, partitions: number) => KafkaTools.topics.create({ bootstrapServers, topic, partitions })

const produce = (topic: string, stdin: Uint8Array | string, ...args: ReadonlyArray<string>) =>
  Effect.map(runWell(["produce", topic, ...brokers, ...args], { stdin }), (printed) =>
    assert.strictEqual(printed.length, 0)
  )

const consume = (topic: string, ...args: ReadonlyArray<string>) => runWell(["consume", topic, ...brokers, ...args])

const kcat = (...args: ReadonlyArray<string>) =>
  Effect.map(Kcat.run([...brokers, ...args]), ({ stdout }) => Buffer.from(stdout))

const kcatIt = it.live.skipIf(Kcat.find() === undefined)

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const

const words = ["žluťoučký kůň", "日本語", "🦜", "naïve", "plain", "Ελληνικά"]
const lineCount = 20_000
const keyedLines = Array.from(
  { length: lineCount },
  (_, index) => `kľúč-${index % 997}\t${index} ${words[index % words.length]} ${"é".repeat(index % 40)}\n`
).join("")

/** Fails with a short text where a comparison of all bytes would print them all. */
const assertSame = (printed: Uint8Array, expected: string | Uint8Array, what: string): void =>
  assert.isTrue(Buffer.from(expected).equals(printed), `${what}: ${printed.length} bytes differ from what was written`)

/** How many bytes the leader keeps of partition 0. */
const bytesOf = (topic: string) =>
  Effect.gen(function* () {
    const { cluster, request } = yield* Kafka.Kafka
    const { nodeId } = yield* cluster.leader({ topic, partition: 0 })
    const { results } = yield* request(nodeId, DescribeLogDirs, { topics: [{ topic, partitions: [0] }] })
    const partitions = results.flatMap(({ topics }) => topics.flatMap(({ partitions }) => partitions))
    return Number(partitions[0].partitionSize)
  }).pipe(Effect.provide(Kafka.layer({ bootstrapServers })))

const sorted = (lines: string): string => lines.split("\n").sort().join("\n")

describeBrokers("the command beside kcat and Kafka's own tools", () => {
  for (const codec of codecs) {
    kcatIt(`${codec}: 20,000 keyed lines out through ours, in through kcat, Java's console consumer and ours`, () =>
      Effect.gen(function* () {
        const topic = newTopic()
        yield* produce(topic, keyedLines, "-K", "\\t", "-p", "0", "-z", codec)
        assertSame(yield* kcat("-C", "-t", topic, "-p", "0", "-e", "-q", "-K", "\t"), keyedLines, "kcat")
        assertSame(yield* consume(topic, "-p", "0", "-e", "-K", "\\t"), keyedLines, "ours")
        const java = yield* KafkaTools.consoleConsumer({
          bootstrapServers,
          topic,
          maxMessages: lineCount,
          keySeparator: "\t"
        })
        assertSame(java, keyedLines, "Java")
      })
    )

    kcatIt(`${codec}: 20,000 keyed lines out through kcat and Java's console producer, in through ours`, () =>
      Effect.gen(function* () {
        const [fromKcat, fromJava] = [newTopic(), newTopic()]
        yield* Kcat.run([...brokers, "-P", "-t", fromKcat, "-p", "0", "-K", "\t", "-z", codec], { stdin: keyedLines })
        assertSame(yield* consume(fromKcat, "-e", "-K", "\\t"), keyedLines, "kcat")
        yield* KafkaTools.consoleProducer({
          bootstrapServers,
          topic: fromJava,
          input: keyedLines,
          keySeparator: "\t",
          compression: codec
        })
        // Java's tool chooses the partitions.
        const printed = yield* consume(fromJava, "-e", "-K", "\\t")
        assert.isTrue(sorted(String(printed)) === sorted(keyedLines), "Java's lines are not those that were read")
      })
    )
  }

  it.live("compresses with each codec", () =>
    Effect.gen(function* () {
      const sizes = yield* Effect.forEach(codecs, (codec) => {
        const topic = newTopic()
        return Effect.andThen(produce(topic, keyedLines, "-p", "0", "-z", codec), bytesOf(topic))
      })
      const [none, ...compressed] = sizes
      assert.isAbove(none, keyedLines.length)
      for (const size of compressed) assert.isBelow(size, none / 2)
      assert.strictEqual(new Set(compressed).size, compressed.length, `sizes: ${compressed}`)
    })
  )

  kcatIt("formats as kcat does: headers, null and empty keys and values", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      const headers = ["-H", "a=1", "-H", "b=", "-H", "c", "-H", "a=ž=2"]
      yield* produce(topic, "k:v\nno key\n:empty key\nempty value:\n", "-K:", "-p", "0", ...headers)
      // With -Z kcat writes null for what is empty.
      yield* Kcat.run([...brokers, "-P", "-t", topic, "-p", "0", "-K:", "-Z"], { stdin: "tombstone:\n:\n" })
      const format = "%t [%p] %o: %k(%K) %s(%S) {%h} %T%%\\t\\x41\\065\\\\\\n"
      const theirs = yield* kcat("-C", "-t", topic, "-p", "0", "-e", "-q", "-f", format)
      const ours = yield* consume(topic, "-p0", "-e", "-f", format)
      assert.strictEqual(String(ours), String(theirs))
      assert.include(String(ours), "no key(6) {a=1,b=,c=NULL,a=ž=2}")
      assert.include(String(ours), "tombstone(9) (-1) {}")

      const theirJson = String(yield* kcat("-C", "-t", topic, "-p", "0", "-e", "-q", "-J"))
      const ourJson = String(yield* consume(topic, "-p0", "-e", "--json"))
      assert.strictEqual(ourJson, theirJson.replaceAll(/"broker":[0-9]+,/g, ""))
    })
  )

  kcatIt("passes on every byte", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff))
      const input = Buffer.concat([
        Buffer.from("\n\r\n\n"),
        bytes,
        Buffer.from("\u0000\n\xff\n", "latin1"),
        bytes,
        bytes
      ])
      yield* produce(topic, input, "-p", "0")
      const ending = input.at(-1) === 0x0a ? "" : "\n"
      assertSame(yield* consume(topic, "-e"), Buffer.concat([input, Buffer.from(ending)]), "ours")
      assertSame(yield* kcat("-C", "-t", topic, "-e", "-q"), Buffer.concat([input, Buffer.from(ending)]), "kcat")
      const json = String(yield* consume(topic, "-e", "--json"))
        .trimEnd()
        .split("\n")
      const values = json.map((line) => {
        const { payload } = JSON.parse(line)
        return typeof payload === "string" ? Buffer.from(payload) : Buffer.from(payload.base64, "base64")
      })
      assertSame(
        Buffer.concat(values.flatMap((value) => [value, Buffer.from("\n")])),
        Buffer.concat([input, Buffer.from(ending)]),
        "JSON"
      )
    })
  )
})

describeBrokers("consume", () => {
  it.live("begins where --from says, and ends where --max and --exit-at-end say", () =>
    Effect.gen(function* () {
      const [topic, other] = [newTopic(), newTopic()]
      yield* create(topic, 2)
      yield* produce(topic, "a0\na1\na2\na3\n", "-p", "0")
      yield* produce(topic, "b0\nb1\n", "-p", "1")
      yield* produce(other, "c0\n")
      const time = new Date(yield* Effect.sync(Date.now)).toISOString()
      yield* produce(topic, "a4\n", "-p", "0")
      const lines = (...args: ReadonlyArray<string>) =>
        Effect.map(consume(topic, ...args), (printed) =>
          String(printed)
            .split("\n")
            .filter((line) => line !== "")
            .sort()
            .join()
        )
      assert.strictEqual(yield* lines("-e"), "a0,a1,a2,a3,a4,b0,b1")
      assert.strictEqual(yield* lines("-e", "-o", "earliest", "-p", "1"), "b0,b1")
      assert.strictEqual(yield* lines("-e", "-o", "latest"), "")
      assert.strictEqual(yield* lines("-e", "-o", "3", "-p", "0"), "a3,a4")
      assert.strictEqual(yield* lines("-e", "-o", "-3"), "a2,a3,a4,b0,b1")
      assert.strictEqual(yield* lines("-e", "--from=-1", "-p0"), "a4")
      assert.strictEqual(yield* lines("-e", "-o", `@${time}`), "a4")
      assert.strictEqual(yield* lines("-n", "3", "-p", "0"), "a0,a1,a2")
      assert.strictEqual((yield* lines("-n", "6")).split(",").length, 6)
      assert.strictEqual(yield* lines("-e", "-n", "100", "-p", "1"), "b0,b1")
      const both = yield* runWell(["consume", topic, other, ...brokers, "-e", "-f", "%t %s\\n"])
      assert.include(String(both), `${other} c0\n`)
      assert.strictEqual(String(both).split("\n").length, 9)
    })
  )

  it.live("waits for more until it is interrupted: that is its proper end", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      yield* produce(topic, "one\ntwo\n")
      const { exitCode, stderr, stdout } = yield* disturb(["consume", topic, ...brokers], ({ interrupt }) =>
        interrupt()
      )
      assert.deepStrictEqual([exitCode, stderr, String(stdout)], [0, "", "one\ntwo\n"])
      const cut = yield* disturb(["consume", topic, ...brokers, "-n", "100"], ({ interrupt }) => interrupt())
      assert.deepStrictEqual([cut.exitCode, cut.stderr], [130, ""])
    })
  )

  it.live("ends quietly when nobody reads its output any more", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      yield* produce(topic, keyedLines)
      const { exitCode, stderr } = yield* disturb(["consume", topic, ...brokers], ({ close }) => close())
      assert.deepStrictEqual([exitCode, stderr], [0, ""])
    })
  )

  it.live("says in one line that topic, partition or offset do not exist, and creates nothing", () =>
    Effect.gen(function* () {
      const [topic, missing] = [newTopic(), newTopic()]
      yield* produce(topic, "x\n", "-p", "0")
      for (let time = 0; time < 2; time++) {
        const line = yield* runBadly(["consume", missing, ...brokers, "-e"])
        assert.include(line, `topic ${missing} does not exist`)
      }
      assert.include(yield* runBadly(["metadata", missing, ...brokers]), `topic ${missing} does not exist`)
      assert.include(yield* runBadly(["consume", topic, ...brokers, "-e", "-p", "99"]), "has no partition 99")
      assert.include(yield* runBadly(["consume", topic, ...brokers, "-p", "0", "-o", "99"]), "has no offset 99")
      assert.include(yield* runBadly(["consume", "no topic", ...brokers]), '"no topic" cannot be the name of a topic')
    })
  )
})

describeBrokers("produce", () => {
  it.live("creates the topic, and takes every kind of acknowledgement", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      yield* Effect.forEach(["all", "-1", "1", "0"], (acks) => produce(topic, `${acks}\n`, "-p", "0", "-a", acks))
      assert.strictEqual(String(yield* consume(topic, "-p", "0", "-n", "4")), "all\n-1\n1\n0\n")
    })
  )

  it.live("writes nothing for empty input", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      yield* produce(topic, "x\n")
      yield* produce(topic, "")
      assert.strictEqual(String(yield* consume(topic, "-e")), "x\n")
    })
  )

  it.live("says in one line what could not be written", () =>
    Effect.gen(function* () {
      const topic = newTopic()
      yield* create(topic, 1)
      const into = (stdin: string, ...args: ReadonlyArray<string>) =>
        runBadly(["produce", ...args, ...brokers], { stdin })
      assert.include(yield* into("x\n", topic, "-p", "5"), "has no partition 5: it has 1")
      assert.include(yield* into("x\n", "no topic"), '"no topic" cannot be the name of a topic')
      assert.include(yield* into(`${"x".repeat(3_000_000)}\n`, topic), "is larger than")
    })
  )
})

describeBrokers("metadata", () => {
  it.live("prints brokers, and all topics or those that are named", () =>
    Effect.gen(function* () {
      const [topic, other] = [newTopic(), newTopic()]
      yield* create(topic, 3)
      yield* produce(other, "x\n")
      const all = String(yield* runWell(["metadata", ...brokers]))
      assert.match(all, /^cluster \S+, [0-9]+ brokers?, [0-9]+ topics\n {2}broker [0-9]+ at /)
      assert.include(all, `topic ${other},`)
      const one = String(yield* runWell(["metadata", topic, ...brokers]))
      assert.notInclude(one, other)
      assert.match(one, /partition 2: leader [0-9]+, replicas: [0-9,]+, in sync: [0-9,]+\n$/)
      const json = JSON.parse(String(yield* runWell(["metadata", topic, ...brokers, "--json"])))
      assert.strictEqual(json.topics[0].partitions.length, 3)
      const { exitCode } = yield* run(["metadata", ...brokers, "-e"])
      assert.strictEqual(exitCode, 1)
    })
  )
})

describeRig("brokers that create no topics", () => {
  it.live("produce says in one line that the topic does not exist", () =>
    Effect.gen(function* () {
      const cluster = yield* KafkaCluster.start({ properties: { "auto.create.topics.enable": "false" } })
      const args = ["produce", "missing", "-b", cluster.bootstrapServers.join(",")]
      assert.include(
        yield* runBadly(args, { stdin: "x\n" }),
        "topic missing does not exist, and the brokers do not create it"
      )
    })
  )
})
