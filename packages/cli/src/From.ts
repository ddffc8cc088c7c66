/**
 * Where reading begins: what `--from` takes.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { Position } from "kafka-effect/Consumer"

/**
 * The forms that `parse` takes, for help and for error messages.
 *
 * @category constants
 * @since 0.1.0
 */
export const forms = "earliest, latest, an offset, -N for the last N records, or @TIME such as @2026-01-31T12:00:00Z"

const maxInt64 = 2n ** 63n - 1n

const number = /^(-?)([0-9]{1,19})$/
const isoTime =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$/i

/** Time without a zone is local, also for a day alone, which `Date.parse` would take for UTC. */
const parseTime = (text: string): number => {
  if (!isoTime.test(text)) return Number.NaN
  return Date.parse(text.includes("T") || text.includes("t") ? text : `${text}T00:00`)
}

/**
 * Reads `earliest`, `latest`, an offset, `-N` (each partition's last N records), or `@` and a time of ISO 8601; fails with
 * what it expected.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Position, string> => {
  if (text === "earliest" || text === "latest") return Result.succeed(text)
  const matched = number.exec(text)
  if (matched !== null && BigInt(matched[2]) <= maxInt64) {
    return Result.succeed(matched[1] === "-" ? { beforeEnd: Number(matched[2]) } : BigInt(matched[2]))
  }
  const timestamp = text.startsWith("@") ? parseTime(text.slice(1)) : Number.NaN
  return Number.isNaN(timestamp) ? Result.fail(forms) : Result.succeed({ timestamp })
}
