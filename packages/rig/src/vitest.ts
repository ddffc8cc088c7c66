/**
 * The global setup of the vitest project `brokers`: gives its tests a real Kafka, or says why there is none.
 *
 * `KAFKA_BOOTSTRAP_SERVERS` (a comma-separated list) names a cluster to use; else one node of the current version is
 * started here; where Java or Maven are missing the tests are skipped, unless `KAFKA_EFFECT_BROKERS=required`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as Java from "./Java.ts"
import * as KafkaCluster from "./KafkaCluster.ts"
import * as Maven from "./Maven.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Comma-separated addresses of a running Kafka, "" when there is none. */
    readonly bootstrapServers: string
    /** Why the rig cannot start brokers here, "" when it can. */
    readonly rigMissing: string
  }
}

const named = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "").trim()
const areRequired = process.env.KAFKA_EFFECT_BROKERS === "required"

/**
 * Called by vitest before the first test file of the project; the function that it gives back is called at the end.
 *
 * @category constructors
 * @since 0.1.0
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const missing = await Effect.runPromise(
    Effect.match(Effect.andThen(Java.executable, Maven.executable), {
      onFailure: (error) => error.message,
      onSuccess: () => ""
    })
  )
  if (missing !== "" && areRequired) throw new Error(`Real brokers are required here, but ${missing}`)
  project.provide("rigMissing", missing)
  if (named !== "" || missing !== "") {
    if (missing !== "") {
      const skipped = named === "" ? "Tests against a real Kafka are" : "Tests that start brokers of their own are"
      const also = named === "" ? ", or set KAFKA_BOOTSTRAP_SERVERS to a running Kafka" : ""
      console.log(`${skipped} skipped: ${missing}${also}`)
    }
    project.provide("bootstrapServers", named)
    return undefined
  }
  const scope = Scope.makeUnsafe()
  const cluster = await Effect.runPromise(
    Scope.provide(KafkaCluster.start(), scope).pipe(
      // without this, a broker that did not become ready would outlive the failed setup
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  )
  project.provide("bootstrapServers", cluster.bootstrapServers.join(","))
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
