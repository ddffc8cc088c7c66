/**
 * What a person reads when a command fails: one line that says what to do.
 *
 * @since 0.1.0
 */
import { ListenError } from "@kafka-effect/testing/ListenError"
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import { CommitError } from "kafka-effect/CommitError"
import { ConsumerError } from "kafka-effect/ConsumerError"
import { KafkaError } from "kafka-effect/KafkaError"
import { ProducerError } from "kafka-effect/ProducerError"
import { SerdeError } from "kafka-effect/Serde"
import { Contradiction } from "./Contradiction.ts"
import { GroupInUse, NothingToReset } from "./GroupReset.ts"
import { GroupMissing } from "./Groups.ts"
import { LineTooLong } from "./Lines.ts"
import { OutputFailed } from "./Output.ts"
import { InputFailed } from "./Produce.ts"
import { NoTopicMatches, TopicMissing } from "./Topics.ts"

/** One-letter suggestions are left out: any letter is near to any other. */
const suggest = (suggestions: ReadonlyArray<string>): string => {
  const words = suggestions.filter((suggestion) => !/^-[^-]$/.test(suggestion))
  return words.length === 0 ? "" : `, did you mean ${words.join(" or ")}?`
}

const describeInvalid = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `there is no option ${error.option}${suggest(error.suggestions)}`
    case "UnknownSubcommand":
      return `there is no command ${error.subcommand}${suggest(error.suggestions)}`
    case "MissingOption":
      return `--${error.option} is missing`
    case "MissingArgument":
      return `${error.argument} is missing`
    case "UnexpectedArgument":
      return `there is no use for ${error.arguments.map((argument) => JSON.stringify(argument)).join(" ")}`
    case "InvalidValue":
      return error.value === ""
        ? `--${error.option} needs a value: ${error.expected}`
        : `${error.kind === "flag" ? "--" : ""}${error.option} cannot be ${JSON.stringify(error.value)}: it takes ${error.expected}`
    default:
      return error.message
  }
}

const describeInvocation = ({ commandPath, errors }: CliError.ShowHelp): string =>
  `${errors.map(describeInvalid).join("; ")}; see ${commandPath.join(" ")} --help`

const describeKafka = ({ message, reason }: KafkaError): string => {
  if (reason._tag === "Unreachable") return message.replace("bootstrapServers", "--brokers")
  if (reason._tag !== "BrokerError" || reason.topic === undefined) return message
  if (reason.name === "INVALID_TOPIC_EXCEPTION")
    return `"${reason.topic}" cannot be the name of a topic: that takes letters, digits, ".", "_" and "-", 249 at most`
  return message
}

const expected = [
  ListenError,
  Contradiction,
  SerdeError,
  CommitError,
  LineTooLong,
  OutputFailed,
  InputFailed,
  TopicMissing,
  NoTopicMatches,
  GroupMissing,
  GroupInUse,
  NothingToReset
]

const describe = (error: unknown): string => {
  if (error instanceof CliError.ShowHelp) return describeInvocation(error)
  if (error instanceof KafkaError) return describeKafka(error)
  if (error instanceof ProducerError || error instanceof ConsumerError) {
    const { message, reason } = error
    if (reason._tag === "TopicUnavailable") return describeKafka(reason.cause)
    return reason._tag === "OffsetOutOfRange" ? message.replace(/Start .*$/, "Begin elsewhere by --from") : message
  }
  const isExpected = expected.some((known) => error instanceof known)
  const message = error instanceof Error ? error.message : String(error)
  return isExpected ? message : `this is a defect of kafka-effect, please report it: ${message}`
}

/**
 * One line for what a command failed with.
 *
 * @category encoding
 * @since 0.1.0
 */
export const lineOf = (cause: Cause.Cause<unknown>): string =>
  `kafka-effect: ${describe(Cause.squash(cause)).trim().replace(/\s+/g, " ")}`
