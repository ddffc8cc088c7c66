/** librdkafka, as confluent-kafka for Python has it, unchanged against the broker inside the process. */
import { join } from "node:path"
import * as ConfluentKafka from "@kafka-effect/rig/ConfluentKafka"
import { Effect } from "effect"
import { describeForeign } from "./foreignClient.ts"

const script = join(import.meta.dirname, "confluent_kafka_client.py")

await describeForeign({
  name: "confluent-kafka for Python",
  command: Effect.map(ConfluentKafka.python, (python) => [python, script]),
  codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
  isIdempotent: true,
  groupProtocols: ["classic", "consumer"],
  hasTransactions: true,
  hasAdministration: true,
  hasConfigs: true
})
