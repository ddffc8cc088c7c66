/**
 * The global setup of the vitest project `brokers`: gives its tests a real Kafka, or says why there is none.
 *
 * `KAFKA_BOOTSTRAP_SERVERS` (a comma-separated list) names a cluster to use; else one node of the current version is
 * started here; where Java, Maven or Maven Central are missing, one line says so and the tests are skipped, unless
 * `KAFKA_EFFECT_BROKERS=required`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as KafkaCluster from "./KafkaCluster.ts"
import * as Kcat from "./Kcat.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Comma-separated addresses of a running Kafka, "" when there is none. */
    readonly bootstrapServers: string
    /** Why the rig cannot start brokers here, "" when it can. */
    readonly rigMissing: string
  }
}

type Project = Pick<TestProject, "provide">

const skip = (project: Project, named: string, missing: string): void => {
  const skipped = named === "" ? "Tests against a real Kafka" : "Tests that start a Kafka of their own"
  const otherwise = named === "" ? " (or set KAFKA_BOOTSTRAP_SERVERS to the address of a running Kafka)" : ""
  console.log(`${skipped} are skipped: ${missing}${otherwise}`)
  project.provide("rigMissing", missing)
  project.provide("bootstrapServers", named)
}

/**
 * Called by vitest before the first test file of the project; the function that it gives back is called at the end.
 *
 * @category constructors
 * @since 0.1.0
 */
export default async function setup(project: Project): Promise<(() => Promise<void>) | undefined> {
  const named = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "").trim()
  const areRequired = process.env.KAFKA_EFFECT_BROKERS === "required"
  const scope = Scope.makeUnsafe()
  const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  // a named cluster spares the start of one here, not the tests that start brokers of their own
  const addresses =
    named === ""
      ? Effect.map(Scope.provide(KafkaCluster.start(), scope), (cluster) => cluster.bootstrapServers.join(","))
      : Effect.as(KafkaCluster.download(), named)
  const outcome = await Effect.runPromise(Effect.result(addresses))
  if (Result.isFailure(outcome)) {
    await close()
    const { message, reason } = outcome.failure
    if ((areRequired && named === "") || reason === "Broker") throw new Error(`No real Kafka for the tests: ${message}`)
    skip(project, named, message.split("\n")[0]!)
    return undefined
  }
  if (Kcat.find() === undefined) console.log("Tests with kcat are skipped: packages/rig/bin/install-kcat.sh gets it")
  project.provide("rigMissing", "")
  project.provide("bootstrapServers", outcome.success)
  return close
}
