/**
 * Where reading begins: what `--from` takes.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { FetchOptions, Position } from "kafka-effect/Consumer"

/**
 * Where to begin: a position, or so many milliseconds before now.
 *
 * @category models
 * @since 0.1.0
 */
export type From = Position | { readonly duration: number }

/**
 * The forms that `parse` takes, for help and for error messages.
 *
 * @category constants
 * @since 0.1.0
 */
export const forms =
  "earliest, latest, an offset, -N for the last N records, @TIME such as @2026-01-31T12:00:00Z, or -1h for an hour ago (s, m, h, d)"

const maxInt64 = 2n ** 63n - 1n

const number = /^(-?)([0-9]{1,19})$/
const duration = /^-([0-9]{1,9})([smhd])$/
const units = new Map([
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000]
])
const isoTime =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$/i

/** Time without a zone is local, also for a day alone, which `Date.parse` would take for UTC. */
const parseTime = (text: string): number => {
  if (!isoTime.test(text)) return Number.NaN
  return Date.parse(text.includes("T") || text.includes("t") ? text : `${text}T00:00`)
}

/**
 * Reads `earliest`, `latest`, an offset, `-N` (each partition's last N records), `@` and a time of ISO 8601, or a time ago
 * (`-90s`, `-30m`, `-1h`, `-7d`); fails with what it expected.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<From, string> => {
  if (text === "earliest" || text === "latest") return Result.succeed(text)
  const ago = duration.exec(text)
  if (ago !== null) return Result.succeed({ duration: Number(ago[1]) * units.get(ago[2])! })
  const matched = number.exec(text)
  if (matched !== null && BigInt(matched[2]) <= maxInt64) {
    return Result.succeed(matched[1] === "-" ? { beforeEnd: Number(matched[2]) } : BigInt(matched[2]))
  }
  const timestamp = text.startsWith("@") ? parseTime(text.slice(1)) : Number.NaN
  return Number.isNaN(timestamp) ? Result.fail(forms) : Result.succeed({ timestamp })
}

/**
 * The position in each partition, for a beginning at this time (milliseconds since 1970).
 *
 * @category combinators
 * @since 0.1.0
 */
export const toPosition = (self: From, now: number): Position =>
  typeof self === "object" && "duration" in self ? { timestamp: Math.max(0, now - self.duration) } : self

/**
 * The beginning as the one of a group that has committed nothing; undefined for those that a group cannot take, since they
 * are of one partition, or of one moment.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toFallback = (self: From): Exclude<FetchOptions["fallback"], undefined> | undefined => {
  if (typeof self === "bigint") return undefined
  return typeof self === "object" && "beforeEnd" in self ? undefined : self
}
