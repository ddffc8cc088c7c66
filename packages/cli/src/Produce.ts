/**
 * `kafka-effect produce TOPIC`: lines of standard input become records.
 *
 * @since 0.1.0
 */

import { fstatSync } from "node:fs"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Arr from "effect/Array"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Kafka from "kafka-effect/Kafka"
import * as Producer from "kafka-effect/Producer"
import * as Serde from "kafka-effect/Serde"
import * as Topic from "kafka-effect/Topic"
import * as Flags from "./Flags.ts"
import * as KeyedLine from "./KeyedLine.ts"
import { LineSplitter, LineTooLong } from "./Lines.ts"
import * as Outages from "./Outages.ts"
import * as Progress from "./Progress.ts"
import * as Topics from "./Topics.ts"

/**
 * Standard input cannot be read, for example because it is a directory.
 *
 * @category errors
 * @since 0.1.0
 */
export class InputFailed extends Data.TaggedError("InputFailed")<{ readonly detail: string }> {
  override get message(): string {
    return `standard input cannot be read: ${this.detail}`
  }
}

/** A command is there to move much data: large batches made a million lines four times as fast as the default's 16 KiB. */
const batchSize = 256 * 1024

type BytesRecord = Topic.ProducerRecord<Uint8Array | null, Uint8Array>

/** Node takes a directory for empty input. */
const checkInput = Effect.try({
  try: () => fstatSync(0).isDirectory(),
  catch: (cause) => new InputFailed({ detail: cause instanceof Error ? cause.message : String(cause) })
}).pipe(
  Effect.flatMap((isDirectory) =>
    isDirectory ? Effect.fail(new InputFailed({ detail: "it is a directory" })) : Effect.void
  )
)

const chunks = NodeStream.fromReadable<Uint8Array, InputFailed>({
  evaluate: () => process.stdin,
  onError: (cause) => new InputFailed({ detail: cause instanceof Error ? cause.message : String(cause) })
})

/** Lines of standard input, an array per chunk. */
const lines: Stream.Stream<Uint8Array, InputFailed | LineTooLong> = Stream.suspend(() => {
  const splitter = new LineSplitter()
  const split = (chunk: Uint8Array) =>
    Effect.try({
      try: (): ReadonlyArray<Uint8Array> => splitter.push(chunk),
      catch: (error) => {
        if (error instanceof LineTooLong) return error
        throw error
      }
    })
  return chunks.pipe(
    Stream.mapEffect(split),
    Stream.filter(Arr.isReadonlyArrayNonEmpty),
    Stream.flattenArray,
    Stream.concat(Stream.suspend(() => Stream.fromIterable(Arr.fromNullishOr(splitter.end()))))
  )
})

const recordOf = (options: {
  readonly keySeparator: Uint8Array | undefined
  readonly partition: number | undefined
  readonly headers: BytesRecord["headers"]
}): ((line: Uint8Array) => BytesRecord) => {
  const { headers, keySeparator, partition } = options
  if (keySeparator === undefined) return (value) => ({ key: null, value, partition, headers })
  return (line) => {
    const { key, value } = KeyedLine.parse(line, keySeparator)
    return { key, value, partition, headers }
  }
}

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make(
  "produce",
  {
    topic: Argument.String("TOPIC").pipe(Argument.withDescription("Topic to write to")),
    brokers: Flags.brokers,
    keySeparator: Flags.keySeparator("Parts each line into key and value; without it in a line, the key is null"),
    partition: Flags.partition("Partition of every record; else it follows from the key"),
    compression: Flags.compression,
    acks: Flags.acks,
    headers: Flags.headers
  },
  Effect.fnUntraced(function* (options) {
    const { acks, brokers, compression, headers, topic } = options
    const producing = Effect.gen(function* () {
      yield* Outages.report
      yield* Topics.find(topic, { isCreated: true })
      const producer = yield* Producer.Producer
      const progress = yield* Progress.make({
        verb: "sent",
        finalVerb: acks === 0 ? "sent" : "acknowledged",
        printsRecords: false
      })
      const toRecord = recordOf({
        keySeparator: Option.getOrUndefined(options.keySeparator),
        partition: Option.getOrUndefined(options.partition),
        headers
      })
      const records = Stream.mapArray(lines, (array) => {
        let bytes = 0
        for (const line of array) bytes += line.length
        progress.add(array.length, bytes)
        return Arr.map(array, toRecord)
      })
      yield* Stream.run(records, producer.sink(Topic.topic(topic, { key: Serde.bytes, value: Serde.bytes })))
    })
    const client = Layer.provideMerge(
      Producer.layer({ acks, compression, batchSize }),
      Kafka.layer({ bootstrapServers: brokers, clientId: "kafka-effect-cli" })
    )
    yield* checkInput
    yield* Effect.provide(Effect.scoped(producing), client)
  })
).pipe(Command.withDescription("Write lines of standard input to a topic, one record each"))
