/**
 * `kafka-effect consume TOPIC…`: records of topics are printed.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Serde from "kafka-effect/Serde"
import * as Topic from "kafka-effect/Topic"
import { ByteBuffer } from "./ByteBuffer.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as Json from "./Json.ts"
import * as Outages from "./Outages.ts"
import * as Output from "./Output.ts"
import * as Progress from "./Progress.ts"
import { Session } from "./Session.ts"
import * as Topics from "./Topics.ts"

/** Every partition of the topics, or the one that is asked for. */
const partitionsOf = Effect.fnUntraced(function* (topics: ReadonlyArray<string>, only: Option.Option<number>) {
  const lists = yield* Effect.forEach(new Set(topics), (name) => {
    const topic = Topic.topic(name, { key: Serde.bytes, value: Serde.bytes })
    return Effect.map(Topics.find(name, { isCreated: false }), ({ partitions }) =>
      Option.isSome(only)
        ? [[topic, only.value] as const]
        : partitions.map(({ partition }) => [topic, partition] as const)
    )
  })
  return lists.flat()
})

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

/**
 * Options that cannot both be meant.
 *
 * @category errors
 * @since 0.1.0
 */
export class Contradiction extends Data.TaggedError("Contradiction")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make(
  "consume",
  {
    topics: Argument.String("TOPIC").pipe(Argument.withDescription("Topics to read"), Argument.atLeast(1)),
    brokers: Flags.brokers,
    partition: Flags.partition("Partition to read; else all"),
    from: Flags.from,
    exitAtEnd: Flags.exitAtEnd,
    max: Flags.max,
    keySeparator: Flags.keySeparator("Prints the key and this before each value"),
    format: Flags.format,
    json: Flags.json("Print each record as one line of JSON")
  },
  Effect.fnUntraced(function* ({ brokers, exitAtEnd, format, from, json, keySeparator, max, partition, topics }) {
    if (json && (Option.isSome(format) || Option.isSome(keySeparator))) {
      return yield* new Contradiction({
        detail: "--json says how records look: leave --format and --key-separator out"
      })
    }
    if (Option.isSome(format) && Option.isSome(keySeparator)) {
      return yield* new Contradiction({ detail: "--format says where the key is (%k): leave --key-separator out" })
    }
    const print = json ? Json.print : Option.getOrElse(format, () => Format.lines(Option.getOrUndefined(keySeparator)))
    const session = yield* Session
    // Without an end of its own, being interrupted is how it ends.
    if (!exitAtEnd && Option.isNone(max)) session.interruptedStatus = 0
    const consuming = Effect.gen(function* () {
      yield* Outages.report
      const partitions = yield* partitionsOf(topics, partition)
      const progress = yield* Progress.make({ verb: "read", finalVerb: "read", printsRecords: true })
      const buffer = new ByteBuffer()
      const records = Consumer.assign({
        partitions: partitions.map(([topic, partition]) => [topic, partition, from] as const),
        until: exitAtEnd ? "end" : undefined
      })
      yield* pipe(
        Option.isSome(max) ? Stream.take(records, max.value) : records,
        Stream.runForEachArray((array) => {
          const { bytes, length } = printAll(array, print, buffer)
          progress.add(array.length, length)
          return Output.write(bytes)
        })
      )
    })
    const client = Kafka.layer({ bootstrapServers: brokers, clientId: "kafka-effect-cli" })
    yield* Effect.provide(Effect.scoped(consuming), client)
  })
).pipe(Command.withDescription("Print the records of topics"))
