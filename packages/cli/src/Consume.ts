/**
 * `kafka-effect consume TOPIC…`: records of topics are printed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import { ByteBuffer } from "./ByteBuffer.ts"
import { Contradiction } from "./Contradiction.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as From from "./From.ts"
import * as GroupReading from "./GroupReading.ts"
import * as Json from "./Json.ts"
import * as Outages from "./Outages.ts"
import * as Output from "./Output.ts"
import * as Progress from "./Progress.ts"
import { Session } from "./Session.ts"
import * as TopicChoice from "./TopicChoice.ts"

/** Prints each array of records with one write. */
const printAll = (
  records: ReadonlyArray<Format.BytesRecord>,
  print: Format.Printer,
  buffer: ByteBuffer
): ByteBuffer => {
  buffer.clear()
  for (let index = 0; index < records.length; index++) print(buffer, records[index])
  return buffer
}

const topics = Argument.String("TOPIC").pipe(
  Argument.withDescription("Topics to read, and /patterns/ of their names"),
  Argument.atLeast(1),
  Argument.mapEffect((words) =>
    Result.match(TopicChoice.parse(words), {
      onSuccess: (choice) => Effect.succeed(choice),
      onFailure: (value) =>
        Effect.fail(
          new CliError.InvalidValue({ option: "TOPIC", value, expected: TopicChoice.forms, kind: "argument" })
        )
    })
  )
)

const options = {
  topics,
  brokers: Flags.brokers,
  group: Flags.group,
  partition: Flags.partition("Partition to read; else all"),
  from: Flags.from,
  exitAtEnd: Flags.exitAtEnd,
  max: Flags.max,
  keySeparator: Flags.keySeparator("Prints the key and this before each value"),
  format: Flags.format,
  json: Flags.json("Print each record as one line of JSON")
}

type Options = Command.Command.Config.Infer<typeof options>

const printerOf = ({ format, json, keySeparator }: Options): Effect.Effect<Format.Printer, Contradiction> => {
  const contradiction = (detail: string) => Effect.fail(new Contradiction({ detail }))
  if (json && (Option.isSome(format) || Option.isSome(keySeparator))) {
    return contradiction("--json says how records look: leave --format and --key-separator out")
  }
  if (Option.isSome(format) && Option.isSome(keySeparator)) {
    return contradiction("--format says where the key is (%k): leave --key-separator out")
  }
  if (json) return Effect.succeed(Json.print)
  return Effect.succeed(Option.getOrElse(format, () => Format.lines(Option.getOrUndefined(keySeparator))))
}

/** What prints arrays of records, and counts them. */
const outputOf = Effect.fnUntraced(function* (print: Format.Printer, lag?: Effect.Effect<bigint | undefined>) {
  const progress = yield* Progress.make({ verb: "read", finalVerb: "read", printsRecords: true, lag })
  const buffer = new ByteBuffer()
  return (records: ReadonlyArray<Format.BytesRecord>, onPrinted?: () => void) => {
    const { bytes, length } = printAll(records, print, buffer)
    progress.add(records.length, length)
    return Output.write(bytes, onPrinted)
  }
})

const readPartitions = Effect.fnUntraced(function* (
  { exitAtEnd, from, max, partition, topics }: Options,
  print: Format.Printer
) {
  const partitions = yield* TopicChoice.partitions(topics, Option.getOrUndefined(partition))
  const start = From.toPosition(from, yield* Clock.currentTimeMillis)
  const output = yield* outputOf(print)
  const records = Consumer.assign({
    partitions: partitions.map(([topic, partition]) => [topic, partition, start] as const),
    until: exitAtEnd ? "end" : undefined
  })
  yield* pipe(
    Option.isSome(max) ? Stream.take(records, max.value) : records,
    Stream.runForEachArray((array) => output(array))
  )
})

const readAsMember = Effect.fnUntraced(function* (groupId: string, options: Options, print: Format.Printer) {
  const { exitAtEnd, from, max, partition, topics } = options
  if (Option.isSome(partition)) {
    return yield* new Contradiction({ detail: "the group shares out partitions: leave --partition or --group out" })
  }
  const fallback = From.toFallback(from)
  if (fallback === undefined) {
    return yield* new Contradiction({
      detail:
        "--from says where a group begins that has committed nothing, in any partition: that takes earliest, latest, a time or a duration; for an offset or the last records leave --group out, or set the group by kafka-effect groups reset"
    })
  }
  const subscription = yield* TopicChoice.subscription(topics, { mustMatch: exitAtEnd })
  yield* GroupReading.run({
    groupId,
    topics: subscription,
    fallback,
    exitAtEnd,
    max: Option.getOrElse(max, () => Number.POSITIVE_INFINITY),
    printer: (lag) => outputOf(print, lag)
  })
})

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make(
  "consume",
  options,
  Effect.fnUntraced(function* (options) {
    const { brokers, exitAtEnd, group, max } = options
    const print = yield* printerOf(options)
    const session = yield* Session
    // Without an end of its own, being interrupted is how it ends.
    if (!exitAtEnd && Option.isNone(max)) session.interruptedStatus = 0
    const consuming = Effect.andThen(
      Outages.report,
      Option.isSome(group) ? readAsMember(group.value, options, print) : readPartitions(options, print)
    )
    const client = Kafka.layer({ bootstrapServers: brokers, clientId: "kafka-effect-cli" })
    yield* Effect.provide(Effect.scoped(consuming), client)
  })
).pipe(Command.withDescription("Print the records of topics"))
