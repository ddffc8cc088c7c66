/** The command as a member of groups, and groups as it shows them, against a real broker. */
import { assert, it } from "@effect/vitest"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import * as KafkaTools from "@kafka-effect/rig/KafkaTools"
import { Duration, Effect } from "effect"
import { Kafka, Producer, Serde } from "kafka-effect"
import { disturb, runBadly, runWell, start } from "./cli.ts"

const brokers = ["-b", bootstrapServers.join(",")]

let serial = 0
const newName = (): string => `cli-group-${process.pid}-${Date.now()}-${serial++}`

const create = (topic: string, partitions: number) => KafkaTools.topics.create({ bootstrapServers, topic, partitions })

const numbers = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => `${from + index}\n`).join("")

const produce = (topic: string, stdin: string, ...args: ReadonlyArray<string>) =>
  runWell(["produce", topic, ...brokers, ...args], { stdin })

const text = (args: ReadonlyArray<string>) => Effect.map(runWell([...args, ...brokers]), String)

const consume = (...args: ReadonlyArray<string>) => text(["consume", ...args])

const groups = (...args: ReadonlyArray<string>) => text(["groups", ...args])

const describe = (group: string) => Effect.map(groups("describe", group, "--json"), JSON.parse)

const lag = (group: string): Effect.Effect<number> =>
  Effect.map(Effect.orDie(groups("lag", group, "--json")), (line) => JSON.parse(line).lag)

/** Lines in numerical order. */
const ordered = (printed: string): ReadonlyArray<number> =>
  printed
    .split("\n")
    .filter((line) => line !== "")
    .map(Number)
    .sort((one, other) => one - other)

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

describeBrokers("consume --group", () => {
  it.live("prints what the group has not read yet, to the end, and leaves", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* create(topic, 3)
      for (const partition of [0, 1, 2]) yield* produce(topic, numbers(partition * 100, 100), "-p", String(partition))
      assert.deepStrictEqual(ordered(yield* consume(topic, "-g", group, "-e")), range(0, 300))
      assert.strictEqual(yield* consume(topic, "-g", group, "-e"), "")
      yield* produce(topic, numbers(300, 5), "-p", "1")
      assert.deepStrictEqual(ordered(yield* consume(topic, "--group", group, "--exit-at-end")), range(300, 5))
      const { members, state } = yield* describe(group)
      assert.deepStrictEqual([state, members], ["Empty", []])
    })
  )

  it.live("--from says where to begin where nothing was committed", () =>
    Effect.gen(function* () {
      const [topic, latest, timed] = [newName(), newName(), newName()]
      yield* produce(topic, "0\n1\n", "-p", "0")
      assert.strictEqual(yield* consume(topic, "-g", latest, "-e", "-o", "latest"), "")
      assert.strictEqual(yield* consume(topic, "-g", newName(), "-e", "-o", "-1h"), "0\n1\n")
      assert.strictEqual(yield* consume(topic, "-g", newName(), "-e", "-o", "@2999-01-01"), "")
      yield* Effect.sleep("50 millis")
      const time = new Date(yield* Effect.sync(Date.now)).toISOString()
      yield* produce(topic, "2\n3\n", "-p", "0")
      assert.strictEqual(yield* consume(topic, "-g", timed, "-n", "1", "-o", `@${time}`), "2\n")
      // What was committed counts, whatever --from says.
      assert.strictEqual(yield* consume(topic, "-g", timed, "-e", "-o", "earliest"), "3\n")
    })
  )

  it.live("--max commits exactly what was printed", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* produce(topic, numbers(0, 1000), "-p", "0")
      assert.strictEqual(yield* consume(topic, "-g", group, "-n", "7"), numbers(0, 7))
      assert.strictEqual(yield* lag(group), 993)
      assert.strictEqual(yield* consume(topic, "-g", group, "-n", "500"), numbers(7, 500))
      assert.strictEqual(yield* consume(topic, "-g", group, "-e"), numbers(507, 493))
      assert.strictEqual(yield* lag(group), 0)
    })
  )

  for (const [signal, patterns] of [
    ["SIGTERM", []],
    ["SIGINT", ["/^no-such-topic/"]]
  ] as const) {
    it.live(`${signal}: what was printed is committed, and the group is empty at once`, () =>
      Effect.gen(function* () {
        const [topic, group] = [newName(), newName()]
        yield* produce(topic, numbers(0, 50_000), "-p", "0")
        const member = yield* start(["consume", topic, ...patterns, ...brokers, "-g", group])
        const [took, { exitCode, stderr, stdout }] = yield* Effect.timed(member.end(signal))
        assert.deepStrictEqual([exitCode, stderr], [0, ""])
        assert.isBelow(Duration.toMillis(took), 10_000)
        const { members, state } = yield* describe(group)
        assert.deepStrictEqual([state, members], ["Empty", []])
        const rest = yield* consume(topic, "-g", group, "-e")
        assert.isTrue(`${stdout}${rest}` === numbers(0, 50_000), "both runs together are not all records once")
      })
    )
  }

  it.live("commits nothing that a broken pipe has not taken", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      const lines = Array.from({ length: 900 }, (_, index) => `${index} ${"x".repeat(1000)}`)
      // One batch, larger than what a pipe takes in: it is printed by one write.
      yield* Effect.gen(function* () {
        const producer = yield* Producer.make({ batchSize: 1_000_000, linger: "100 millis" })
        const bytesTopic = Kafka.topic(topic, { key: Serde.bytes, value: Serde.bytes })
        yield* producer.sendAll(
          bytesTopic,
          lines.map((line) => ({ key: null, value: Buffer.from(line), partition: 0 }))
        )
      }).pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrapServers })))
      const { exitCode, stderr, stdout } = yield* disturb(["consume", topic, ...brokers, "-g", group], ({ close }) =>
        close()
      )
      assert.deepStrictEqual([exitCode, stderr], [0, ""])
      assert.isAbove(stdout.length, 0)
      assert.deepStrictEqual((yield* describe(group)).partitions, [])
      assert.isTrue((yield* consume(topic, "-g", group, "-e")) === `${lines.join("\n")}\n`, "not all records")
    })
  )

  it.live("several topics and patterns, with a group and without", () =>
    Effect.gen(function* () {
      const prefix = newName()
      for (const name of ["a", "b", "c"]) yield* produce(`${prefix}.${name}`, `${name}\n`)
      const lines = (...args: ReadonlyArray<string>) =>
        Effect.map(consume(...args, "-e"), (printed) => printed.trim().split("\n").sort().join())
      const names = [`${prefix}.a`, `${prefix}.c`]
      const mixed = [`${prefix}.a`, `/^${prefix}.[bx]$/`]
      for (const group of [[], ["-g", newName()]]) assert.strictEqual(yield* lines(...names, ...group), "a,c")
      for (const group of [[], ["-g", newName()]]) assert.strictEqual(yield* lines(...mixed, ...group), "a,b")
      const all = newName()
      assert.strictEqual(yield* lines(`/^${prefix}/`, "-g", all), "a,b,c")
      yield* produce(`${prefix}.d`, "d\n")
      assert.strictEqual(yield* lines(`/^${prefix}/`, "-g", all), "d")
      for (const group of [[], ["-g", newName()]]) {
        const line = yield* runBadly(["consume", `/^${prefix}-none/`, ...brokers, "-e", ...group])
        assert.include(line, `no topic matches /^${prefix}-none/`)
      }
    })
  )

  it.live("--exit-at-end ends where others have everything, and reads what it is given where they share", () =>
    Effect.gen(function* () {
      const [one, two, group, other] = [newName(), newName(), newName(), newName()]
      yield* produce(one, numbers(0, 10), "-p", "0")
      const owner = yield* start(["consume", one, ...brokers, "-g", group])
      assert.strictEqual(yield* consume(one, "-g", group, "-e"), "")
      assert.deepStrictEqual(ordered(owner.printed()), range(0, 10))
      yield* create(two, 2)
      for (const partition of [0, 1]) yield* produce(two, numbers(partition * 10, 10), "-p", String(partition))
      const sharer = yield* start(["consume", two, ...brokers, "-g", other])
      assert.strictEqual(yield* consume(two, "-g", other, "-e"), "")
      assert.deepStrictEqual(ordered((yield* sharer.end("SIGTERM")).stdout.toString()), range(0, 20))
    })
  )

  it.live("says in one line what is wrong", () =>
    Effect.gen(function* () {
      const [topic, missing] = [newName(), newName()]
      yield* produce(topic, "x\n")
      const bad = (...args: ReadonlyArray<string>) => runBadly(["consume", ...args, ...brokers, "-g", "g"])
      assert.include(yield* bad(missing), `topic ${missing} does not exist`)
      assert.include(yield* bad(topic, "-o", "5"), "--from says where a group begins that has committed nothing")
      assert.include(yield* bad(topic, "-o", "-5"), "--from says where a group begins that has committed nothing")
      assert.include(yield* bad(topic, "-p", "0"), "leave --partition or --group out")
    })
  )
})

describeBrokers("groups", () => {
  it.live("lists, describes, tells the lag and resets, but not while a member lives", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* create(topic, 2)
      yield* produce(topic, numbers(0, 10), "-p", "0")
      yield* produce(topic, numbers(10, 10), "-p", "1")
      const member = yield* start(["consume", topic, ...brokers, "-g", group])
      while (ordered(member.printed()).length < 20) yield* Effect.sleep("50 millis")

      const listed = yield* groups("list")
      assert.match(listed, /^group +state +type +protocol type\n/)
      assert.match(listed, new RegExp(`^${group} +Stable +classic +consumer$`, "m"))
      assert.notInclude(yield* groups("list", "--state", "Empty"), group)
      const stable = JSON.parse(yield* groups("list", "--state", "stable,dead", "--json"))
      assert.deepInclude(stable, { group, state: "Stable", type: "classic", protocolType: "consumer" })

      const described = yield* groups("describe", group)
      assert.match(
        described,
        /^group \S+, Stable, classic protocol, assignor cooperative-sticky, coordinator [0-9]+ at /
      )
      assert.match(described, new RegExp(`\\n {2}member (\\S+), client kafka-effect-cli at \\S+: ${topic} 0,1\\n`))
      const { members, partitions } = yield* describe(group)
      assert.strictEqual(members.length, 1)
      assert.deepStrictEqual(
        partitions.map(({ member }: { readonly member: string }) => member),
        [members[0].member, members[0].member]
      )

      const reset = ["groups", "reset", group, "--all-topics", "--to", "earliest"]
      for (const dry of [[], ["--dry-run"]]) {
        const line = yield* runBadly([...reset, ...brokers, ...dry])
        assert.include(line, `group ${group} has members: ${members[0].member} (client kafka-effect-cli at`)
      }
      assert.strictEqual((yield* member.end("SIGTERM")).exitCode, 0)

      yield* produce(topic, numbers(20, 5), "-p", "1")
      const lags = yield* groups("lag", group)
      assert.match(lags, /^topic +partition +committed +end +lag\n/)
      assert.match(lags, new RegExp(`^${topic} +1 +10 +15 +5$`, "m"))
      assert.match(lags, /\ntotal +5\n$/)

      const plan = yield* groups("reset", group, "--all-topics", "--to", "-3", "--dry-run")
      assert.match(plan, new RegExp(`^topic +partition +current +new\n${topic} +0 +10 +7\n${topic} +1 +10 +12\n$`))
      assert.strictEqual(yield* lag(group), 5)
      const done = JSON.parse(yield* groups("reset", group, "--topic", `${topic}:1`, "--to", "13", "--json"))
      assert.deepStrictEqual(done, {
        group,
        dryRun: false,
        partitions: [{ topic, partition: 1, current: 10, new: 13 }]
      })
      assert.deepStrictEqual(ordered(yield* consume(topic, "-g", group, "-e")), [23, 24])
    })
  )

  it.live("resets a group before it is there, to either end and to times", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* produce(topic, numbers(0, 10), "-p", "0")
      yield* groups("reset", group, "--topic", topic, "--to", "8")
      assert.strictEqual(yield* consume(topic, "-g", group, "-e"), "8\n9\n")
      yield* groups("reset", group, "-t", topic, "--to", "earliest")
      assert.strictEqual(yield* lag(group), 10)
      yield* groups("reset", group, "-t", topic, "--to", "latest")
      assert.strictEqual(yield* lag(group), 0)
      yield* groups("reset", group, "-t", topic, "--to", "-1h")
      assert.strictEqual(yield* lag(group), 10)
      yield* groups("reset", group, "-t", topic, "--to", "@2999-01-01")
      assert.strictEqual(yield* lag(group), 0)
    })
  )

  it.live("describes the members of the consumer protocol (KIP-848)", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* create(topic, 1)
      yield* produce(topic, numbers(0, 10))
      yield* Effect.forkScoped(
        KafkaTools.consoleConsumer({
          bootstrapServers,
          topic,
          maxMessages: 1000,
          timeoutMs: 60_000,
          args: ["--group", group, "--command-property", "group.protocol=consumer"]
        })
      )
      const seen = groups("describe", group, "--json").pipe(
        Effect.map((line) => JSON.parse(line)),
        Effect.filterOrFail(({ partitions }) => partitions.length > 0 && partitions[0].member !== null),
        Effect.catchDefect(() => Effect.fail("not yet")),
        Effect.retry({ times: 20 })
      )
      const { assignor, members, partitions, state, type } = yield* seen
      assert.deepStrictEqual([state, type, assignor], ["Stable", "consumer", "uniform"])
      assert.deepStrictEqual(members[0].partitions, [{ topic, partition: 0 }])
      assert.strictEqual(partitions[0].member, members[0].member)
    })
  )

  it.live("says in one line what is wrong", () =>
    Effect.gen(function* () {
      const [topic, group] = [newName(), newName()]
      yield* produce(topic, "x\n", "-p", "0")
      const bad = (...args: ReadonlyArray<string>) => runBadly(["groups", ...args, ...brokers])
      for (const command of ["describe", "lag"]) {
        assert.include(yield* bad(command, group), `there is no consumer group ${group}`)
      }
      assert.include(yield* bad("reset", group, "--all-topics", "--to", "latest"), "has committed nothing")
      assert.include(yield* bad("reset", group, "-t", `${topic}:9`, "--to", "latest"), "has no partition 9: it has")
      assert.include(yield* bad("reset", group, "-t", group, "--to", "latest"), `topic ${group} does not exist`)
    })
  )
})
