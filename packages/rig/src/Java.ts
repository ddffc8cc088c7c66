/**
 * Where Java is, and the flags that make short-lived test JVMs quick to start and small.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

/**
 * The `java` program: the one of `JAVA_HOME` when that is set, else the first on `PATH`.
 *
 * Fails with a `RigError` of reason `"Missing"` that says how to get one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const executable: Effect.Effect<string, RigError> = Effect.suspend(() => {
  const home = process.env.JAVA_HOME
  const found = home === undefined || home === "" ? Program.find("java") : Program.find("java", join(home, "bin"))
  return found === undefined
    ? Effect.fail(
        new RigError({
          reason: "Missing",
          message: "Java is not installed: get version 17 or newer, e.g. apt-get install openjdk-17-jre-headless"
        })
      )
    : Effect.succeed(found)
})

/**
 * Flags for a JVM that starts fast and stays small, with the given heap in megabytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const flags = (heapMegabytes: number): ReadonlyArray<string> => [
  `-Xmx${heapMegabytes}m`,
  "-Xshare:auto",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:-UsePerfData",
  "-Djava.awt.headless=true"
]
