/**
 * kafka-python, a client in pure Python, in versions of several ages: each in a virtual environment of its own under
 * `.cache`, which is made by `pip` when it is asked for the first time.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as PythonEnvironment from "./PythonEnvironment.ts"
import type { RigError } from "./RigError.ts"

/**
 * The versions that are there to be tried: of 2026, the last of the line that most programs use, and one of 2017.
 *
 * @category models
 * @since 0.1.0
 */
export type Version = "3.0.12" | "2.0.6" | "1.3.4"

const current = { codecs: ["python-snappy", "lz4", "zstandard"], imports: "kafka, snappy, lz4, zstandard" }

// `async`, which it has as a name, is a keyword since Python 3.7; its other codecs need compilers
const old = { codecs: ["lz4==3.1.10"], imports: "kafka, lz4", commands: ["python3.6"] }

/**
 * The `python` program that can import this version of `kafka`, and what it needs for its codecs. Version 1.3.4 runs on
 * Python 3.6, which must be there as `python3.6`.
 *
 * Fails with a `RigError` of reason `"Missing"` that says why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const python = (version: Version): Effect.Effect<string, RigError> => {
  const { codecs, ...rest } = version === "1.3.4" ? old : current
  return PythonEnvironment.python({
    name: `kafka-python-${version}`,
    packages: [`kafka-python==${version}`, ...codecs],
    ...rest
  })
}
