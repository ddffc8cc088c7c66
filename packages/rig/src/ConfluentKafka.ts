/**
 * confluent-kafka for Python, librdkafka's client with group members: in a virtual environment of its own under `.cache`,
 * which is made by `pip` when it is asked for the first time.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as PythonEnvironment from "./PythonEnvironment.ts"
import type { RigError } from "./RigError.ts"

/**
 * The `python` program that can import `confluent_kafka`.
 *
 * Fails with a `RigError` of reason `"Missing"` that says why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const python: Effect.Effect<string, RigError> = PythonEnvironment.python({
  name: "confluent-kafka",
  packages: ["confluent-kafka"],
  imports: "confluent_kafka"
})
