/**
 * The `kafka-effect` command: its subcommands, and a whole run of it.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Arguments from "./Arguments.ts"
import * as Broker from "./Broker.ts"
import * as Consume from "./Consume.ts"
import * as Groups from "./Groups.ts"
import * as Metadata from "./Metadata.ts"
import * as Produce from "./Produce.ts"
import * as Report from "./Report.ts"
import { Session } from "./Session.ts"
import * as Warnings from "./Warnings.ts"

/**
 * The command with its subcommands.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make("kafka-effect").pipe(
  Command.withDescription("Produce, consume and look at Kafka from a terminal"),
  Command.withSubcommands([Produce.command, Consume.command, Metadata.command, Groups.command, Broker.command])
)

const version = (): string => {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8")
  )
  return manifest.version
}

/** A wrong invocation is reported as one line, like any other failure, and not with the whole help. */
const presenter: CliOutput.Presenter = {
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
}

const services = Layer.mergeAll(
  NodeServices.layer,
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
  CliOutput.layerPresenter(presenter),
  Warnings.layer
)

/**
 * Runs the command with these words. Fails when not everything was done; that nobody reads the output any more is no
 * failure.
 *
 * @category running
 * @since 0.1.0
 */
export const program = (words: ReadonlyArray<string>) =>
  Command.runWith(command, { version: version() })(Arguments.normalise(words)).pipe(
    Effect.catchTag("OutputClosed", () => Effect.void),
    // Help that was printed because nothing was asked for.
    Effect.catchIf(
      (error) => error._tag === "ShowHelp" && error.errors.length === 0,
      () => Effect.void
    ),
    Effect.provide(services)
  )

/**
 * Runs the command with these words as the program of this process, and ends the process with its status: 0 when
 * everything was done, 1 with one line on standard error when not, and what `Session` says after an interruption.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (words: ReadonlyArray<string>): void => {
  const session = { interruptedStatus: 130 }
  // Writes report their errors themselves; the stream's own event would end the process with a stack trace.
  process.stdout.on("error", () => {})
  let interruptions = 0
  process.on("SIGINT", () => {
    // The first one lets the command send what it has and close; who asks again does not want to wait for that.
    if (++interruptions > 1) process.exit(130)
  })
  program(words).pipe(
    Effect.tapCause((cause) =>
      Effect.sync(() => Cause.hasInterruptsOnly(cause) || process.stderr.write(`${Report.lineOf(cause)}\n`))
    ),
    Effect.provideService(Session, session),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      teardown: (exit, onExit) => {
        if (Exit.isSuccess(exit)) onExit(0)
        else onExit(Cause.hasInterruptsOnly(exit.cause) ? session.interruptedStatus : 1)
      }
    })
  )
}
