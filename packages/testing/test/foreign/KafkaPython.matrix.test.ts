/** kafka-python of three ages, unchanged against the broker inside the process. */
import { join } from "node:path"
import * as KafkaPython from "@kafka-effect/rig/KafkaPython"
import { Effect } from "effect"
import { describeForeign } from "./foreignClient.ts"

const script = join(import.meta.dirname, "kafka_python_client.py")

const command = (version: KafkaPython.Version) =>
  Effect.map(KafkaPython.python(version), (python) => [python, script] as const)

await describeForeign({
  name: "kafka-python 3.0.12",
  command: command("3.0.12"),
  codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
  isIdempotent: true,
  groupProtocols: ["classic"],
  hasTransactions: true,
  hasAdministration: true,
  hasConfigs: true
})

await describeForeign({
  name: "kafka-python 2.0.6",
  command: command("2.0.6"),
  actAs: "3.9",
  codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
  isIdempotent: false,
  groupProtocols: ["classic"],
  hasTransactions: false,
  hasAdministration: false,
  hasConfigs: false
})

await describeForeign({
  name: "kafka-python 1.3.4",
  command: command("1.3.4"),
  actAs: "3.9",
  codecs: ["none", "gzip", "lz4"],
  isIdempotent: false,
  groupProtocols: ["classic"],
  hasTransactions: false,
  hasAdministration: false,
  hasConfigs: false
})
