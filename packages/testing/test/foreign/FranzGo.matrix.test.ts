/** franz-go, unchanged against the broker inside the process. */
import { join } from "node:path"
import * as Go from "@kafka-effect/rig/Go"
import { Effect } from "effect"
import { describeForeign } from "./foreignClient.ts"

await describeForeign({
  name: "franz-go",
  command: Effect.map(Go.build(join(import.meta.dirname, "franz-go"), "franz-go-client"), (program) => [program]),
  codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
  isIdempotent: true,
  groupProtocols: ["classic"],
  hasTransactions: true,
  hasAdministration: true,
  hasConfigs: true
})
