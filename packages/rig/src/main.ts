/**
 * Starts a cluster for a person to use: `node packages/rig/src/main.ts --version 4.4.0 --nodes 3`, until Ctrl-C.
 *
 * @since 0.1.0
 */
import { parseArgs } from "node:util"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as BrokerVersion from "./BrokerVersion.ts"
import * as KafkaCluster from "./KafkaCluster.ts"
import { RigError } from "./RigError.ts"

const usage = `Starts a real Apache Kafka on this machine and prints its bootstrap servers.

  --version X      ${BrokerVersion.tried.join(", ")}; default ${KafkaCluster.currentVersion}
  --nodes N        how many brokers; default 1
  --partitions N   partitions of topics that are created on demand; default 1
  --set KEY=VALUE  a broker setting, may be repeated
  --help           this text`

const positive = (text: string, option: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${option} takes a number from 1, not ${text}`)
  return value
}

const readArguments = () => {
  const { values } = parseArgs({
    options: {
      version: { type: "string", default: KafkaCluster.currentVersion },
      nodes: { type: "string", default: "1" },
      partitions: { type: "string", default: "1" },
      set: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false }
    }
  })
  const properties = values.set.map((setting): readonly [string, string] => {
    const at = setting.indexOf("=")
    if (at < 1) throw new Error(`--set takes KEY=VALUE, not ${setting}`)
    return [setting.slice(0, at), setting.slice(at + 1)]
  })
  return {
    help: values.help,
    cluster: {
      version: values.version,
      nodes: positive(values.nodes, "nodes"),
      partitions: positive(values.partitions, "partitions"),
      properties: Object.fromEntries(properties)
    }
  }
}

const program = Effect.gen(function* () {
  const { cluster: options, help } = yield* Effect.try({
    try: readArguments,
    catch: (error) =>
      new RigError({ reason: "Tool", message: `${error instanceof Error ? error.message : error}\n\n${usage}` })
  })
  if (help) return console.log(usage)
  const began = performance.now()
  console.error(`Starting Kafka ${options.version}, nodes: ${options.nodes} (the first time, its jars are downloaded)`)
  const cluster = yield* KafkaCluster.start(options)
  console.error(`Ready after ${((performance.now() - began) / 1000).toFixed(1)} s. Ctrl-C ends it.`)
  console.log(cluster.bootstrapServers.join(","))
  yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.catch((error) =>
    Effect.sync(() => {
      console.error(error.message)
      process.exitCode = 1
    })
  )
)

NodeRuntime.runMain(program)
