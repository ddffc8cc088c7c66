/**
 * The options that the commands share, each read by a pure function whose failure says what it expected.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Producer from "kafka-effect/Producer"
import * as Arguments from "./Arguments.ts"
import { unescape } from "./Escapes.ts"
import * as Format from "./Format.ts"
import * as From from "./From.ts"
import * as GroupReset from "./GroupReset.ts"

type Name = keyof typeof Arguments.valued

const text = (name: Name, metavar: string, description: string): Flag.Flag<string> => {
  const flag = Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))
  const letter = Arguments.valued[name]
  return letter === "" ? flag : Flag.withAlias(flag, letter)
}

/** Reads the text of an option; a failure becomes the one line that says what was expected. */
const read =
  <A>(name: Name, parse: (text: string) => Result.Result<A, string>) =>
  (flag: Flag.Flag<string>): Flag.Flag<A> =>
    Flag.mapEffect(flag, (value) =>
      Result.match(parse(value), {
        onSuccess: (parsed) => Effect.succeed(parsed),
        onFailure: (expected) => Effect.fail(new CliError.InvalidValue({ option: name, value, expected, kind: "flag" }))
      })
    )

const defaultPort = 9092

const withPort = (server: string): string =>
  /^(?:[^:]+|\[[^\]]+\])$/.test(server) ? `${server}:${defaultPort}` : server

/**
 * Reads comma-separated servers; 9092 is the port of one that names none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseBrokers = (text: string): Result.Result<ReadonlyArray<string>, string> => {
  const servers = text.split(",").flatMap((server) => (server.trim() === "" ? [] : [withPort(server.trim())]))
  return servers.length === 0 ? Result.fail("host:port, several with commas between them") : Result.succeed(servers)
}

/**
 * Reads a whole number from `min` to `max`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseInteger =
  (min: number, max: number) =>
  (text: string): Result.Result<number, string> => {
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? Result.succeed(value) : Result.fail(`a whole number from ${min}`)
  }

/**
 * Reads bytes with backslash escapes, at least one.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseSeparator = (text: string): Result.Result<Uint8Array, string> => {
  const bytes = unescape(text)
  return bytes.length === 0 ? Result.fail("at least one character") : Result.succeed(bytes)
}

/**
 * Reads `name=value`; a name alone has the value null.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseHeader = (text: string): Result.Result<readonly [string, Uint8Array | null], string> => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (name === "") return Result.fail("name=value, or a name alone for a null value")
  return Result.succeed([name, at === -1 ? null : Buffer.from(text.slice(at + 1))])
}

const acknowledgements = new Map<string, "all" | 1 | 0>([
  ["all", "all"],
  ["-1", "all"],
  ["1", 1],
  ["0", 0]
])

/**
 * Reads `all`, `-1` (the same), `1` or `0`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseAcks = (text: string): Result.Result<"all" | 1 | 0, string> =>
  Result.fromNullishOr(acknowledgements.get(text), () => "all, -1 (the same), 1 or 0")

type CompressionType = NonNullable<Producer.Options["compression"]>

const compressionTypes: ReadonlyArray<CompressionType> = ["none", "gzip", "snappy", "lz4", "zstd"]

/**
 * Reads the name of a compression type.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseCompression = (text: string): Result.Result<CompressionType, string> =>
  Result.fromNullishOr(
    compressionTypes.find((type) => type === text),
    () => "none, gzip, snappy, lz4 or zstd"
  )

const maxInt32 = 0x7fffffff

const defaultBrokers = "localhost:9092"

const brokersFromEnvironment = Config.String("KAFKA_BOOTSTRAP_SERVERS").pipe(
  Config.map((servers) => (servers.trim() === "" ? defaultBrokers : servers))
)

/**
 * `--brokers`: else `KAFKA_BOOTSTRAP_SERVERS`, else localhost:9092.
 *
 * @category constants
 * @since 0.1.0
 */
export const brokers = text(
  "brokers",
  "HOST:PORT,…",
  "Brokers to begin with; defaults to $KAFKA_BOOTSTRAP_SERVERS, else localhost:9092"
).pipe(Flag.withFallbackConfig(brokersFromEnvironment), Flag.withDefault(defaultBrokers), read("brokers", parseBrokers))

/**
 * `--key-separator`, said for producing or for consuming.
 *
 * @category constructors
 * @since 0.1.0
 */
export const keySeparator = (description: string) =>
  text("key-separator", "TEXT", description).pipe(read("key-separator", parseSeparator), Flag.optional)

/**
 * `--partition`, said for producing or for consuming.
 *
 * @category constructors
 * @since 0.1.0
 */
export const partition = (description: string) =>
  text("partition", "NUMBER", description).pipe(read("partition", parseInteger(0, maxInt32)), Flag.optional)

/**
 * `--compression`: defaults to none.
 *
 * @category constants
 * @since 0.1.0
 */
export const compression = text(
  "compression",
  "TYPE",
  "Compression: none, gzip, snappy, lz4 or zstd; defaults to none"
).pipe(Flag.withDefault("none"), read("compression", parseCompression))

/**
 * `--acks`: defaults to all.
 *
 * @category constants
 * @since 0.1.0
 */
export const acks = text(
  "acks",
  "WHO",
  "Who must have a record before it counts: all in-sync replicas (or -1), the leader (1), nobody (0); defaults to all"
).pipe(Flag.withDefault("all"), read("acks", parseAcks))

/**
 * `--header`: any number of them.
 *
 * @category constants
 * @since 0.1.0
 */
export const headers = text("header", "NAME=VALUE", "A header of every record; may be repeated").pipe(
  read("header", parseHeader),
  Flag.atLeast(0)
)

/**
 * `--from`: defaults to earliest.
 *
 * @category constants
 * @since 0.1.0
 */
export const from = text(
  "from",
  "WHERE",
  `Where to begin, with a group where it has committed nothing: ${From.forms}; defaults to earliest`
).pipe(Flag.withDefault("earliest"), read("from", From.parse))

const parseGroup = (text: string): Result.Result<string, string> =>
  text === "" ? Result.fail("the name of a group") : Result.succeed(text)

/**
 * `--group`.
 *
 * @category constants
 * @since 0.1.0
 */
export const group = text("group", "NAME", "Read as a member of this consumer group, and commit what was printed").pipe(
  read("group", parseGroup),
  Flag.optional
)

/**
 * `--exit-at-end`.
 *
 * @category constants
 * @since 0.1.0
 */
export const exitAtEnd = Flag.Boolean("exit-at-end").pipe(
  Flag.withAlias(Arguments.switches["exit-at-end"]),
  Flag.withoutNegation,
  Flag.withDefault(false),
  Flag.withDescription("End with the last record that is there at the start, instead of waiting for more")
)

/**
 * `--max`.
 *
 * @category constants
 * @since 0.1.0
 */
export const max = text("max", "COUNT", "End after so many records").pipe(
  read("max", parseInteger(1, Number.MAX_SAFE_INTEGER)),
  Flag.optional
)

/**
 * `--format`.
 *
 * @category constants
 * @since 0.1.0
 */
export const format = text("format", "FORMAT", `How to print a record: ${Format.escapes}, \\n \\t \\xHH`).pipe(
  read("format", Format.parse),
  Flag.optional
)

/**
 * `--json`, said for what is printed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

/**
 * `--to`: where to put a group.
 *
 * @category constants
 * @since 0.1.0
 */
export const to = text("to", "WHERE", `Where to put the group: ${From.forms}`).pipe(read("to", From.parse))

/**
 * `--topic`: any number of them, with or without partitions.
 *
 * @category constants
 * @since 0.1.0
 */
export const targets = text("topic", "TOPIC[:PARTITION,…]", "A topic, or partitions of it; may be repeated").pipe(
  read("topic", GroupReset.parseTarget),
  Flag.atLeast(0)
)

const parseStates = (text: string): Result.Result<ReadonlyArray<string>, string> => {
  const states = text.split(",").flatMap((state) => (state.trim() === "" ? [] : [state.trim().toLowerCase()]))
  return states.length === 0
    ? Result.fail("states such as Stable or Empty, with commas between them")
    : Result.succeed(states)
}

/**
 * `--state`: in small letters.
 *
 * @category constants
 * @since 0.1.0
 */
export const state = text("state", "STATE,…", "Only groups in these states, for example Stable,Empty").pipe(
  read("state", parseStates),
  Flag.optional
)

const toggle = (name: "all-topics" | "dry-run" | "no-auto-create", description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

/**
 * `--all-topics`.
 *
 * @category constants
 * @since 0.1.0
 */
export const allTopics = toggle("all-topics", "All partitions that the group has committed something for")

/**
 * `--dry-run`.
 *
 * @category constants
 * @since 0.1.0
 */
export const dryRun = toggle("dry-run", "Only print the plan")

/**
 * `--port`: of the first broker of `kafka-effect broker`; the others have the ports behind it.
 *
 * @category constants
 * @since 0.1.0
 */
export const port = text("port", "NUMBER", "The port to listen on; several brokers take those behind it").pipe(
  Flag.withDefault(String(defaultPort)),
  read("port", parseInteger(0, 65_535))
)

/**
 * `--brokers` of `kafka-effect broker`: how many there are.
 *
 * @category constants
 * @since 0.1.0
 */
export const brokerCount = text("brokers", "COUNT", "How many brokers there are; defaults to 1").pipe(
  Flag.withDefault("1"),
  read("brokers", parseInteger(1, 100))
)

/**
 * Reads comma-separated topics, each as `name` or `name:partitions`; four partitions where none are named.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseTopics = (text: string): Result.Result<Readonly<Record<string, number>>, string> => {
  const expected = "name:partitions, several with commas between them"
  const topics: Record<string, number> = {}
  for (const one of text.split(",")) {
    const match = /^([a-zA-Z0-9._-]{1,249})(?::([1-9][0-9]{0,3}))?$/.exec(one.trim())
    if (match === null || match[1] in topics) return Result.fail(expected)
    topics[match[1]] = Number(match[2] ?? defaultPartitions)
  }
  return Result.succeed(topics)
}

/** Partitions of a topic for which nobody has said how many. */
export const defaultPartitions = 4

/**
 * `--topics`: those that are there from the start.
 *
 * @category constants
 * @since 0.1.0
 */
export const topics = text("topics", "NAME:PARTITIONS,…", "Topics that are there from the start").pipe(
  read("topics", parseTopics),
  Flag.optional
)

/**
 * `--no-auto-create`: topics are not made on their first use.
 *
 * @category constants
 * @since 0.1.0
 */
export const noAutoCreate = toggle("no-auto-create", "Do not make topics on their first use")

/**
 * `--data`: the directory in which the data of `kafka-effect broker` outlives it.
 *
 * @category constants
 * @since 0.1.0
 */
export const dataDirectory = text(
  "data",
  "DIRECTORY",
  "Where topics, records and offsets are kept for the next time"
).pipe(Flag.optional)
