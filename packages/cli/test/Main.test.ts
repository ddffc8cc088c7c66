import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { valued } from "../src/Arguments.ts"
import * as Main from "../src/Main.ts"
import * as Report from "../src/Report.ts"
import { Session } from "../src/Session.ts"
import { disturb, runBadly, runWell } from "./cli.ts"

const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
  [["consum"], /there is no command consum, did you mean consume\?; see kafka-effect --help/],
  [["consume", "t", "--formt=%s"], /no option --formt, did you mean --format\?; see kafka-effect consume --help/],
  [["consume", "t", "-X"], /no option -X; see/],
  [["consume"], /TOPIC is missing/],
  [["produce", "a", "b"], /no use for "b"/],
  [["consume", "t", "-o", "yesterday"], /--from cannot be "yesterday": it takes earliest, latest/],
  [["consume", "t", "--json", "-f", "%s"], /--json says how records look: leave --format and --key-separator out/],
  [["consume", "t", "-K", ":", "-f", "%s"], /--format says where the key is \(%k\): leave --key-separator out/],
  [["consume", "t", "-f", "%z"], /--format cannot be "%z": .*not %z/],
  [["consume", "/^t(/"], /TOPIC cannot be "\/\^t\(\/": it takes the name of a topic, or a pattern/],
  [["consume", "t", "-g", ""], /--group needs a value: the name of a group/],
  [["groups", "describe"], /GROUP is missing/],
  [["groups", "lst"], /there is no command lst, did you mean list\?/],
  [["groups", "reset", "g", "--all-topics"], /--to is missing/],
  [["groups", "reset", "g", "--to", "latest"], /name topics by --topic, or --all-topics/],
  [["groups", "reset", "g", "-t", "a", "--all-topics", "--to", "-1h"], /--all-topics names every topic: leave --topic/],
  [["groups", "reset", "g", "-t", "a:b", "--to", "-1"], /--topic cannot be "a:b": it takes TOPIC, or TOPIC:PARTITION/],
  [["groups", "reset", "g", "-t", "a", "--to", "-1w"], /--to cannot be "-1w": it takes earliest, latest/],
  [["groups", "list", "--state", ","], /--state cannot be ","/],
  [["consume", "t", "-n", "-f"], /--max needs a value/],
  [["produce", "t", "-z", "rar"], /--compression cannot be "rar": it takes none, gzip, snappy, lz4 or zstd/],
  [["produce", "t", "-a", "2"], /--acks cannot be "2": it takes all/],
  [["produce", "t", "-H", "=x"], /--header cannot be/],
  [["produce", "t", "-p", "-1"], /--partition cannot be "-1"/],
  [["broker", "--port", "x"], /--port cannot be "x": it takes a whole number from 0/],
  [["broker", "--brokers", "0"], /--brokers cannot be "0": it takes a whole number from 1/],
  [["broker", "--topics", "a:b"], /--topics cannot be "a:b": it takes name:partitions/],
  [["broker", "--topics", "a,a:2"], /--topics cannot be "a,a:2": it takes name:partitions/]
]

/** What a run that fails prints on standard error. */
const lineOf = (words: ReadonlyArray<string>) =>
  Main.program(words).pipe(
    Effect.provideService(Session, { interruptedStatus: 130 }),
    Effect.sandbox,
    Effect.flip,
    Effect.map((cause) => {
      const line = Report.lineOf(cause)
      assert.match(line, /^kafka-effect: [^\n]+$/)
      return line
    })
  )

describe("the command without a broker", () => {
  for (const [words, expected] of wrong) {
    it.effect(`says in one line what is wrong with ${words.join(" ")}`, () =>
      Effect.map(lineOf(words), (line) => assert.match(line, expected))
    )
  }

  for (const words of [
    ["produce", "t"],
    ["consume", "t"],
    ["consume", "t", "-g", "g"],
    ["metadata"],
    ["groups", "list"]
  ]) {
    it.live(`${words.join(" ")} says in one line that no broker can be reached`, () =>
      Effect.map(lineOf([...words, "-b", "127.0.0.1:1"]), (line) =>
        assert.match(line, /no broker could be reached \(127\.0\.0\.1:1: .*ECONNREFUSED.*\)\. Check --brokers/)
      )
    )
  }

  it.live("ends with status 1 and one line on standard error", () =>
    Effect.map(runBadly(["consume", "t", "-n", "x"]), (line) => assert.include(line, "--max cannot be"))
  )

  it.live("takes brokers from KAFKA_BOOTSTRAP_SERVERS, and the option before that", () =>
    Effect.gen(function* () {
      const env = { KAFKA_BOOTSTRAP_SERVERS: "127.0.0.1:2" }
      assert.include(yield* runBadly(["metadata"], { env }), "127.0.0.1:2")
      assert.include(yield* runBadly(["metadata", "-b", "127.0.0.1:1"], { env }), "127.0.0.1:1:")
    })
  )

  it.live("refuses a directory as standard input", () =>
    Effect.map(
      disturb(["produce", "t", "-b", "127.0.0.1:1"], () => {}, { stdinFile: "/" }),
      ({ exitCode, stderr }) => {
        assert.strictEqual(exitCode, 1)
        assert.strictEqual(stderr, "kafka-effect: standard input cannot be read: it is a directory\n")
      }
    )
  )

  it.live("prints help, all options with both names, and its version", () =>
    Effect.gen(function* () {
      const commands = [
        ["produce", "--help"],
        ["consume", "-h"],
        ["groups", "list", "-h"],
        ["groups", "reset", "-h"],
        ["broker", "-h"]
      ]
      const help = (yield* Effect.forEach(commands, (words) => runWell(words))).join("")
      for (const [name, letter] of Object.entries(valued)) {
        assert.include(help, `--${name}${letter === "" ? "" : `, -${letter}`} `)
      }
      assert.include(help, "--exit-at-end, -e")
      assert.include(String(yield* runWell([])), "produce")
      assert.match(String(yield* runWell(["--version"])), /^kafka-effect v[0-9.]+\n$/)
    })
  )
})
