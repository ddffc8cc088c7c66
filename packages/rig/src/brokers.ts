/**
 * What tests in `*.brokers.test.ts` files start from: the Kafka that the global setup found or started, and describes
 * that are skipped where there is none.
 *
 * @since 0.1.0
 */
import { describe } from "@effect/vitest"
import { inject } from "vitest"
import type {} from "./vitest.ts"

/**
 * The `host:port` addresses of the Kafka that all broker tests share; empty when there is none. Topics of a test need
 * names of their own.
 *
 * @category constants
 * @since 0.1.0
 */
export const bootstrapServers: ReadonlyArray<string> = inject("bootstrapServers")
  .split(",")
  .map((address) => address.trim())
  .filter((address) => address !== "")

const rigMissing = inject("rigMissing")

/**
 * A `describe` for tests against `bootstrapServers`, skipped where there is no Kafka.
 *
 * @category constructors
 * @since 0.1.0
 */
export const describeBrokers = (name: string, fn: () => void): void => {
  if (bootstrapServers.length > 0) describe(name, fn)
  else describe.skip(`${name} (no Kafka here: ${rigMissing})`, fn)
}

/**
 * A `describe` for tests that start brokers of their own, skipped where the rig cannot.
 *
 * @category constructors
 * @since 0.1.0
 */
export const describeRig = (name: string, fn: () => void): void => {
  if (rigMissing === "") describe(name, fn)
  else describe.skip(`${name} (${rigMissing})`, fn)
}
