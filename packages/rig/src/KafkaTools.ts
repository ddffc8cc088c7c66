/**
 * Kafka's own console tools, run as they are: what they write and read is the measure for what this project does.
 *
 * Version 4.3.0 (the newest of the artifact), which talks to brokers from 2.1 on. Each call starts a JVM, about a second.
 *
 * @since 0.1.0
 */
import { delimiter } from "node:path"
import * as Effect from "effect/Effect"
import * as Java from "./Java.ts"
import * as Maven from "./Maven.ts"
import * as Program from "./Program.ts"
import type { RigError } from "./RigError.ts"

const coordinates = ["org.apache.kafka:kafka-tools:4.3.0", "org.slf4j:slf4j-simple:1.7.36"]

const heapMegabytes = 256

/**
 * Runs the tool of this class in the package `org.apache.kafka.tools`, such as `GetOffsetShell`.
 *
 * Fails with a `RigError`: `"Missing"` without Java or Maven, `"Maven"` when its jars cannot be had, `"Tool"` with the
 * last lines that it wrote unless it exits with 0. Interruption kills it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function* (
  tool: string,
  args: ReadonlyArray<string>,
  options: Program.RunOptions = {}
): Effect.fn.Return<Program.Output, RigError> {
  const java = yield* Java.executable
  const jars = yield* Maven.classPath(...coordinates)
  return yield* Program.runOrFail(
    java,
    [
      ...Java.flags(heapMegabytes),
      "-Dfile.encoding=UTF-8",
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
      "-cp",
      jars.join(delimiter),
      `org.apache.kafka.tools.${tool}`,
      ...args
    ],
    options
  )
})

/**
 * A cluster and a topic in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  readonly bootstrapServers: ReadonlyArray<string>
  readonly topic: string
}

const target = (options: Target): ReadonlyArray<string> => [
  "--bootstrap-server",
  options.bootstrapServers.join(","),
  "--topic",
  options.topic
]

/**
 * What `consoleProducer` is to send.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsoleProducerOptions extends Target {
  /** One record per line. */
  readonly input: Uint8Array | string
  /** Parts each line into key and value. Defaults to none: the whole line is the value. */
  readonly keySeparator?: string
  /** Defaults to `"none"`. */
  readonly compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd"
  /** Further options of the tool. */
  readonly args?: ReadonlyArray<string>
}

/**
 * Produces lines with Kafka's console producer, and waits until the brokers have them.
 *
 * **Gotchas**
 *
 * The tool logs a record that could not be sent and still exits with 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const consoleProducer = (options: ConsoleProducerOptions): Effect.Effect<void, RigError> =>
  Effect.asVoid(
    run(
      "ConsoleProducer",
      [
        ...target(options),
        ...(options.keySeparator === undefined
          ? []
          : ["--reader-property", "parse.key=true", "--reader-property", `key.separator=${options.keySeparator}`]),
        "--compression-codec",
        options.compression ?? "none",
        ...(options.args ?? [])
      ],
      { stdin: options.input }
    )
  )

/**
 * What `consoleConsumer` is to read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsoleConsumerOptions extends Target {
  /** Ends after this many records. */
  readonly maxMessages: number
  /** Also prints keys, parted from values by this text. Defaults to values only. */
  readonly keySeparator?: string
  /** Ends also when no record has come for so many milliseconds. Defaults to 30,000. */
  readonly timeoutMs?: number
  /** Further options of the tool. */
  readonly args?: ReadonlyArray<string>
}

/**
 * Reads a topic from its beginning with Kafka's console consumer; gives back the bytes that it printed.
 *
 * Fails with a `RigError` of reason `"Tool"` when fewer than `maxMessages` records came.
 *
 * @category constructors
 * @since 0.1.0
 */
export const consoleConsumer = (options: ConsoleConsumerOptions): Effect.Effect<Uint8Array, RigError> =>
  Effect.map(
    run("consumer.ConsoleConsumer", [
      ...target(options),
      "--from-beginning",
      "--max-messages",
      String(options.maxMessages),
      "--timeout-ms",
      String(options.timeoutMs ?? 30_000),
      ...(options.keySeparator === undefined
        ? []
        : ["--formatter-property", "print.key=true", "--formatter-property", `key.separator=${options.keySeparator}`]),
      ...(options.args ?? [])
    ]),
    ({ stdout }) => stdout
  )

/**
 * Creates, describes and deletes topics with Kafka's topic tool.
 *
 * @category constructors
 * @since 0.1.0
 */
export const topics = {
  /** Creates a topic; partitions and replicas default to the broker's settings. */
  create: (
    options: Target & {
      readonly partitions?: number
      readonly replicas?: number
      /** Topic settings under Kafka's names. */
      readonly configs?: Readonly<Record<string, string>>
    }
  ): Effect.Effect<void, RigError> =>
    Effect.asVoid(
      run("TopicCommand", [
        ...target(options),
        "--create",
        ...(options.partitions === undefined ? [] : ["--partitions", String(options.partitions)]),
        ...(options.replicas === undefined ? [] : ["--replication-factor", String(options.replicas)]),
        ...Object.entries(options.configs ?? {}).flatMap(([key, value]) => ["--config", `${key}=${value}`])
      ])
    ),
  /** What the tool prints about a topic. */
  describe: (options: Target): Effect.Effect<string, RigError> =>
    Effect.map(run("TopicCommand", [...target(options), "--describe"]), ({ stdout }) =>
      Buffer.from(stdout).toString("utf8")
    ),
  /** Deletes a topic. */
  delete: (options: Target): Effect.Effect<void, RigError> =>
    Effect.asVoid(run("TopicCommand", [...target(options), "--delete"]))
}
