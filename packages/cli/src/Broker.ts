/**
 * `kafka-effect broker`: a Kafka for development, in this process, that forgets everything when it ends unless it has a directory for it.
 *
 * @since 0.1.0
 */
import * as TestBroker from "@kafka-effect/testing/TestBroker"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "./Flags.ts"
import * as Output from "./Output.ts"
import { Session } from "./Session.ts"

/**
 * What is printed once it listens.
 *
 * @category encoding
 * @since 0.1.0
 */
export const greeting = (
  servers: ReadonlyArray<string>,
  topics: Readonly<Record<string, number>>,
  isAutomatic: boolean,
  dataDirectory: Option.Option<string>
): string => {
  const named = Object.entries(topics).map(([name, partitions]) => `${name} (${partitions})`)
  const made = isAutomatic
    ? `topics are made on first use, with ${Flags.defaultPartitions} partitions`
    : "topics are not made on first use"
  const kept = Option.match(dataDirectory, {
    onNone: () => "nothing is kept when it ends",
    onSome: (directory) => `all is kept in ${directory}`
  })
  return [
    `Kafka at ${servers.join(",")}; ${kept}; Ctrl-C ends it`,
    ...(named.length === 0 ? [] : [`topics: ${named.join(", ")}`]),
    `${made}; try: kafka-effect produce orders -b ${servers[0]}`,
    ""
  ].join("\n")
}

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make(
  "broker",
  {
    port: Flags.port,
    count: Flags.brokerCount,
    topics: Flags.topics,
    dataDirectory: Flags.dataDirectory,
    noAutoCreate: Flags.noAutoCreate
  },
  Effect.fnUntraced(function* ({ count, dataDirectory, noAutoCreate, port, topics: named }) {
    const session = yield* Session
    const topics = Option.getOrElse(named, () => ({}))
    const { bootstrapServers } = yield* TestBroker.make({
      // Any free port where none is asked for.
      ...(port === 0 ? {} : { port }),
      brokers: count,
      topics,
      dataDirectory: Option.getOrUndefined(dataDirectory),
      settings: {
        "num.partitions": String(Flags.defaultPartitions),
        "auto.create.topics.enable": String(!noAutoCreate)
      }
    })
    yield* Output.write(Buffer.from(greeting(bootstrapServers, topics, !noAutoCreate, dataDirectory)))
    // Being interrupted is how it ends.
    session.interruptedStatus = 0
    return yield* Effect.never
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Run a Kafka for development in this process, without Java; it forgets all at its end unless --data is given"
  )
)
