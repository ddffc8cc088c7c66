/**
 * The client's options, checked and in plain numbers: durations in milliseconds, sizes in bytes.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { InvalidOption, KafkaError } from "../KafkaError.ts"
import type { Address } from "../Transport.ts"

/** @internal */
export interface Settings {
  readonly bootstrapServers: ReadonlyArray<Address>
  /** Bootstrap with the canonical names of the servers' addresses. */
  readonly resolveCanonicalBootstrapServers: boolean
  readonly clientId: string
  readonly requestTimeout: number
  readonly maxInFlight: number
  readonly receiveMaxBytes: number
  readonly connectionsMaxIdle: number
  readonly reconnectBackoff: number
  readonly reconnectBackoffMax: number
  readonly socketConnectionSetupTimeout: number
  readonly socketConnectionSetupTimeoutMax: number
  readonly retryBackoff: number
  readonly retryBackoffMax: number
  readonly metadataMaxAge: number
}

/** Throws a `KafkaError` of reason `InvalidOption`. @internal */
export const invalid = (option: string, detail: string): never => {
  throw new KafkaError({ reason: new InvalidOption({ option, detail }) })
}

/** A duration in milliseconds: not negative, and finite unless the option says otherwise. Throws. @internal */
export const duration = (
  option: string,
  input: Duration.Input | undefined,
  byDefault: Duration.Input,
  options: { readonly infinite?: boolean } = {}
): number => {
  const parsed = Duration.fromInput(input ?? byDefault)
  // Duration takes what is not a number for zero.
  const isNumber = Option.isSome(parsed) && !Number.isNaN(input)
  const millis = isNumber ? Duration.toMillis(parsed.value) : Number.NaN
  if (Number.isNaN(millis) || millis < 0) {
    invalid(option, `is ${describe(input)}; give a duration that is not negative, for example "30 seconds"`)
  }
  if (millis === Number.POSITIVE_INFINITY && options.infinite !== true) {
    invalid(option, "is infinite; give a finite duration")
  }
  return millis
}

const describe = (input: unknown): string =>
  typeof input === "string"
    ? JSON.stringify(input)
    : Duration.isDuration(input)
      ? Duration.format(input)
      : String(input)

/** A whole number from `min` to `max`. Throws. @internal */
export const integer = (
  option: string,
  input: number | undefined,
  byDefault: number,
  { max, min }: { readonly min: number; readonly max: number }
): number => {
  const value = input ?? byDefault
  if (!Number.isInteger(value) || value < min || value > max) {
    invalid(option, `is ${value}; give a whole number from ${min} to ${max}`)
  }
  return value
}

/** One of some names. Throws. @internal */
export const oneOf = <A extends string>(option: string, names: ReadonlyArray<A>, value: A): A =>
  names.includes(value) ? value : invalid(option, `is ${JSON.stringify(value)}; give one of ${names.join(", ")}`)

const example = `for example "localhost:9092" or "[::1]:9092"`

/** `host:port`, where an IPv6 address stands in brackets. Throws. @internal */
export const address = (option: string, text: string): Address => {
  const wrong = (why: string): never =>
    invalid(option, `holds ${JSON.stringify(text)}, ${why}; give host:port, ${example}`)
  const trimmed = text.trim()
  if (trimmed === "") return wrong("which is empty")
  if (trimmed.includes("://")) return wrong("which begins with a protocol")
  if (trimmed.includes(",")) return wrong("which holds several servers, where each is an element of its own")
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d+)$/.exec(trimmed)
  if (match === null) {
    const isIpv6 = /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:/.test(trimmed)
    return wrong(isIpv6 ? "an IPv6 address without brackets" : "which lacks a port or is malformed")
  }
  const port = Number(match[3])
  if (port < 1 || port > 65535) return wrong("whose port is not from 1 to 65535")
  return { host: match[1] ?? match[2], port }
}
