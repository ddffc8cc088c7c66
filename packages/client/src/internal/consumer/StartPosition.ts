/**
 * Where reading begins or goes on: what is asked for, which offsets have to be looked up for it, and what comes out.
 *
 * @since 0.1.0
 */

/**
 * An offset, with the leader epoch of the record before it where that is known (KIP-320); the first record that there
 * is; behind the last; the first at or after a time in milliseconds since 1970; a number of records before the end; the
 * first record that is no older than a duration in milliseconds (KIP-1106).
 *
 * @internal
 */
export type StartPosition =
  | bigint
  | { readonly offset: bigint; readonly leaderEpoch: number }
  | "earliest"
  | "latest"
  | { readonly timestamp: number }
  | { readonly beforeEnd: number }
  | { readonly duration: number }

/** Where to go on when a position does not exist (any more). `nearest`: at the end of the log that it has fallen off. @internal */
export type Fallback =
  | "earliest"
  | "latest"
  | "nearest"
  | { readonly duration: number }
  | { readonly timestamp: number }
  | "fail"

/** What the cluster says of a partition: as much as was asked for. @internal */
export interface Ends {
  earliest?: bigint
  latest?: bigint
  /** The first offset at or after the time asked for; -1 where there is none. */
  atTime?: bigint
}

/** What is wrong with a position that a user gave, and what to give instead; undefined for nothing. @internal */
export const problemOf = (start: StartPosition): string | undefined => {
  const isCount = (value: number | bigint): boolean => value >= 0 && value !== Number.POSITIVE_INFINITY
  if (typeof start === "string") return undefined
  if (typeof start === "bigint") return isCount(start) ? undefined : `is ${start}; give an offset from 0 on`
  if ("offset" in start) return isCount(start.offset) ? undefined : `has offset ${start.offset}; give one from 0 on`
  if ("timestamp" in start) {
    return isCount(start.timestamp) ? undefined : `has timestamp ${start.timestamp}; give milliseconds since 1970`
  }
  if ("beforeEnd" in start) {
    return isCount(start.beforeEnd) ? undefined : `has beforeEnd ${start.beforeEnd}; give a number of records from 0 on`
  }
  return undefined
}

/** The time to look for, in milliseconds since 1970; undefined where there is none. @internal */
export const timestampOf = (start: StartPosition | Fallback, now: number): bigint | undefined => {
  if (typeof start !== "object") return undefined
  if ("timestamp" in start) return BigInt(Math.trunc(start.timestamp))
  return "duration" in start ? BigInt(Math.max(0, Math.trunc(now - start.duration))) : undefined
}

/** Which ends of the log have to be looked up. @internal */
export const needs = (start: StartPosition): { readonly earliest: boolean; readonly latest: boolean } => {
  if (typeof start !== "object") return { earliest: start === "earliest", latest: start === "latest" }
  return { earliest: "beforeEnd" in start, latest: !("offset" in start) }
}

/** The offset, once what it needs is known. @internal */
export const resolve = (
  start: StartPosition,
  { atTime = missing, earliest = missing, latest = missing }: Ends
): bigint => {
  if (typeof start === "bigint") return start
  if (start === "earliest") return earliest
  if (start === "latest") return latest
  if ("offset" in start) return start.offset
  if ("beforeEnd" in start) {
    const wanted = latest - BigInt(Math.trunc(start.beforeEnd))
    return wanted < earliest ? earliest : wanted
  }
  // Nothing as new as the time: behind the last record.
  return atTime < 0 ? latest : atTime
}

const missing = BigInt(-1)

/** Where to go on from a position that does not exist. @internal */
export const fallBack = (fallback: Exclude<Fallback, "fail">, position: bigint, ends: Ends): bigint => {
  if (fallback !== "nearest") return resolve(fallback, ends)
  const { earliest = missing, latest = missing } = ends
  return position > latest ? latest : earliest
}
