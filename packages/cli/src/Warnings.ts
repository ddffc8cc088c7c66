/**
 * What the client logs, as far as a person at a terminal has to know it: warnings and errors, a line each, on standard
 * error. The rest stays unsaid: standard output is for records.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"

const logger = Logger.make<unknown, void>(({ message }) => {
  const parts = Array.isArray(message) ? message : [message]
  process.stderr.write(`${parts.join(" ")}\n`)
})

/**
 * Says warnings and errors on standard error.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.merge(
  Logger.layer([logger]),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)
