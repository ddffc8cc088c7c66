/**
 * confluent-kafka for Python, librdkafka's client with group members: in a virtual environment of its own under `.cache`,
 * which is made by `pip` when it is asked for the first time.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Maven from "./Maven.ts"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

const directory = join(Maven.cacheDirectory, "confluent-kafka")

/**
 * The `python` program that can import `confluent_kafka`.
 *
 * Fails with a `RigError` of reason `"Missing"` that says why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const python: Effect.Effect<string, RigError> = Effect.gen(function* () {
  const inside = join(directory, "bin", "python")
  const imports = Program.runOrFail(inside, ["-c", "import confluent_kafka"])
  const install = Effect.gen(function* () {
    yield* Program.runOrFail("python3", ["-m", "venv", "--clear", directory])
    yield* Program.runOrFail(inside, ["-m", "pip", "install", "--quiet", "confluent-kafka"])
    yield* imports
  })
  yield* Effect.catch(imports, () => install)
  return inside
}).pipe(
  Effect.mapError(
    ({ message }) =>
      new RigError({
        reason: "Missing",
        message: `confluent-kafka for Python is not installed: ${message.split("\n")[0]}`
      })
  )
)
