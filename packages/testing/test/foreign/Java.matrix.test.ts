/** Kafka's own client for Java, unchanged against the broker inside the process. */
import { delimiter, join } from "node:path"
import * as Java from "@kafka-effect/rig/Java"
import * as Maven from "@kafka-effect/rig/Maven"
import { Effect } from "effect"
import { describeForeign } from "./foreignClient.ts"

const libraries = ["org.apache.kafka:kafka-clients:4.3.0", "org.slf4j:slf4j-simple:1.7.36"]

await describeForeign({
  name: "Kafka's client for Java",
  command: Effect.gen(function* () {
    const java = yield* Java.executable
    const jars = yield* Maven.classPath(...libraries)
    const quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    const source = join(import.meta.dirname, "ForeignClient.java")
    return [java, ...Java.flags(128), quiet, "-cp", jars.join(delimiter), source] as const
  }),
  codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
  isIdempotent: true,
  groupProtocols: ["classic", "consumer"],
  hasTransactions: true,
  hasAdministration: true,
  hasConfigs: true
})
