/**
 * `node packages/client/test/assignors/regenerate.ts`: writes what Kafka's own assignors make of the scenarios.
 *
 * A line per scenario: range, round robin, sticky, cooperative sticky; in each tenth also the bytes of the first member:
 * subscription (its rack is its static name), assignment of what it owns, user data of the sticky assignor.
 */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import * as Maven from "@kafka-effect/rig/Maven"
import * as Effect from "effect/Effect"
import * as scenarios from "./scenarios.ts"

const jars = await Effect.runPromise(Maven.classPath("org.apache.kafka:kafka-clients:4.4.0"))

const input = scenarios.make().flatMap(({ counts, members }) => [
  ...Array.from(counts, ([topic, count]) => `topic ${topic} ${count}`),
  ...members.map(({ generation, groupInstanceId, memberId, owned, topics }) => {
    const partitions = owned.map(({ partition, topic }) => `${topic}:${partition}`)
    return `member ${memberId} ${groupInstanceId ?? ""} ${generation} ${topics} ${partitions}`
  }),
  "end"
])

const source = join(import.meta.dirname, "Assign.java")
const { error, status, stderr, stdout } = spawnSync("java", ["-cp", jars.join(delimiter), source], {
  input: `${input.join("\n")}\n`,
  encoding: "utf8",
  maxBuffer: 1 << 28
})
if (error !== undefined || status !== 0) throw new Error(stderr, { cause: error })
const lines = stdout
  .trimEnd()
  .split("\n")
  .map((line, index) => (index % 10 === 1 ? line.trimEnd() : line.split(" ").slice(0, 4).join(" ")))
writeFileSync(join(import.meta.dirname, "golden.txt"), `${lines.join("\n")}\n`)
