/**
 * Every message at every version: random values through our codec and through Kafka's classes, byte for byte, both ways.
 */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import { apis, data } from "../src/messages/all.ts"
import * as Wire from "../src/Wire.ts"
import * as WireCodec from "../src/WireCodec.ts"
import { WireError } from "../src/WireError.ts"
import { Random } from "../test/Random.ts"
import { Difference, dump, fieldAt, firstDifference, sameBytes, show } from "./Difference.ts"
import type { JavaOracle, Release, Reply } from "./JavaOracle.ts"
import * as Java from "./JavaOracle.ts"
import * as Json from "./Json.ts"
import * as Values from "./Values.ts"

/** The versions of each message that a release has, by the name of the definition. */
export type Ranges = ReadonlyMap<string, Wire.VersionRange>

export interface Options {
  readonly oracle: JavaOracle
  readonly ranges: { readonly [R in Release]: Ranges }
  readonly seed: number
  /** Values per message and version. */
  readonly values: number
  /** Only messages whose name contains this. */
  readonly only: string
  readonly onProgress: (counts: Counts) => void
}

export interface Counts {
  messages: number
  versions: number
  /** Values that were compared, each at one version of one message. */
  values: number
  /** Values with something that the version cannot carry, which both sides refuse, or drop where it is ignorable. */
  probes: number
  /** Messages without any value set, once per version. */
  defaults: number
}

/** All messages of the protocol. The types differ; what is done here goes for each. */
export const messages = [
  ...Object.values(apis).flatMap((api) => [api.request, api.response]),
  ...Object.values(data)
] as ReadonlyArray<unknown> as ReadonlyArray<Wire.Message<object>>

export const versionsOf = (message: Wire.Message<object>): ReadonlyArray<number> => {
  const { highest, lowest } = Wire.parseVersions(message.facts.versions)!
  return Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index)
}

/** One message at one version, and the release that judges it. */
interface Task {
  readonly message: Wire.Message<object>
  readonly version: number
  readonly release: Release
  readonly options: Options
}

const has = (range: Wire.VersionRange | undefined, version: number): boolean =>
  range !== undefined && range.lowest <= version && version <= range.highest

/** Compares all; fails with the first `Difference`. */
export const check = Effect.fnUntraced(function* (options: Options) {
  const counts: Counts = { messages: 0, versions: 0, values: 0, probes: 0, defaults: 0 }
  const tasks: Array<Task> = []
  for (const message of messages) {
    if (!message.messageName.includes(options.only)) continue
    counts.messages++
    for (const version of versionsOf(message)) {
      const name = message.messageName
      const release = Java.releases.find((one) => has(options.ranges[one].get(name), version))
      if (release === undefined) {
        return yield* new Difference({ subject: `${name} v${version}`, detail: "neither release of Kafka has it" })
      }
      tasks.push({ message, version, release, options })
    }
  }
  if (tasks.length === 0) {
    return yield* new Java.OracleError({ message: `no message has ${options.only} in its name` })
  }
  // While Java works on the values of one version, those of the next ones are made.
  yield* Effect.forEach(
    tasks,
    Effect.fnUntraced(function* (task) {
      yield* checkVersion(task, counts)
      counts.versions++
      options.onProgress(counts)
    }),
    { concurrency: 3, discard: true }
  )
  return counts
})

/** A generator of its own for each value, so that one can be made again without those before it. */
const randomFor = (seed: number, name: string, version: number, index: number): Random => {
  let hash = seed ^ 0x811c9dc5
  for (const character of `${name}.${version}.${index}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return new Random(hash)
}

/** A value, our bytes for it, or why we refuse it. */
interface Case {
  readonly subject: string
  readonly value: Values.Struct
  /** What is wrong with the value, if anything. */
  readonly probe: Values.Probe | undefined
  readonly ours: Uint8Array | WireError
}

const makeCase = ({ message, options, version }: Task, index: number): Case => {
  const name = message.messageName
  const random = randomFor(options.seed, name, version, index)
  const value = Values.make(random, message, version, Values.profileOf(index))
  const subject = `${name} v${version}, value ${index}`
  return { subject, value, probe: undefined, ours: encode(message, version, value) }
}

const makeProbes = ({ message, options, release, version }: Task): ReadonlyArray<Case> => {
  const name = message.messageName
  const range = options.ranges[release].get(name)!
  const isKnown = (text: string): boolean => {
    const versions = Wire.parseVersions(text)!
    return versions.lowest <= range.highest && range.lowest <= versions.highest
  }
  return Values.probes(randomFor(options.seed, name, version, -1), message, version, isKnown).map((probe) => ({
    subject: `${name} v${version}, ${probe.path} ${probe.kind === "null" ? "null" : "where the version lacks it"}`,
    value: probe.value,
    probe,
    ours: encode(message, version, probe.value)
  }))
}

const encode = (message: Wire.Message<object>, version: number, value: object): Uint8Array | WireError => {
  try {
    return WireCodec.encode(message, version, value)
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
}

const checkVersion = Effect.fnUntraced(function* (task: Task, counts: Counts) {
  const { message, options, release, version } = task
  const name = message.messageName
  const values = Array.from({ length: options.values }, (_, index) => makeCase(task, index))
  const cases = [...values, ...makeProbes(task)]
  const requests = cases.flatMap(({ ours, value }) => [
    Java.encode(release, name, version, Json.stringify(message, version, value)),
    ...(ours instanceof WireError ? [] : [Java.decode(release, name, version, ours)])
  ])
  const replies = yield* options.oracle.ask([Java.encodeDefault(release, name, version), ...requests])
  const byDefault = { subject: `${name} v${version} by default`, value: {}, probe: undefined }
  yield* compareBytes(task, { ...byDefault, ours: encode(message, version, {}) }, replies[0])
  counts.defaults++
  let next = 1
  for (const one of cases) {
    const written = replies[next++]
    if (one.ours instanceof WireError) {
      yield* compareRefusal(one, one.ours, written)
    } else {
      yield* compareBytes(task, one, written)
      yield* compareValues(task, one, one.ours, replies[next++])
    }
    if (one.probe === undefined) counts.values++
    else counts.probes++
  }
})

const differ = (one: Case, detail: string): Difference =>
  new Difference({ subject: one.subject, detail: `${detail}\nvalue: ${show(one.value)}` })

/** Our bytes are Java's bytes. */
const compareBytes = Effect.fnUntraced(function* ({ message, version }: Task, one: Case, reply: Reply) {
  if (one.ours instanceof WireError) return yield* differ(one, `we refuse it: ${one.ours.message}`)
  if (!reply.succeeded) return yield* differ(one, `Java refuses it: ${reply.exception}`)
  if (sameBytes(one.ours, reply.bytes)) return
  const place = firstDifference(one.ours, reply.bytes)
  const field = fieldAt(message, version, one.ours, place)
  return yield* differ(one, `the bytes differ in ${field}\n${dump(one.ours, reply.bytes)}`)
})

/** Both refuse what the version cannot carry, for that reason. */
const compareRefusal = Effect.fnUntraced(function* (one: Case, ours: WireError, reply: Reply) {
  const reason = one.probe?.kind === "null" ? "InvalidValue" : "UnsupportedVersion"
  if (one.probe === undefined || ours.reason !== reason || ours.field !== one.probe.path) {
    return yield* differ(one, `we refuse it: ${ours.message}`)
  }
  if (reply.succeeded) return yield* differ(one, `we refuse it, Java does not: ${ours.message}`)
  const [exception] = reply.exception.split("\n", 1)
  // Null is JSON of a wrong type to its converters, or a structure without its fields; its writers take it as it comes.
  const wanted =
    one.probe.kind === "null" ? /expected|unable to locate field|NullPointerException/ : /UnsupportedVersionException/
  if (wanted.test(exception)) return
  return yield* differ(one, `we refuse it, and so does Java, but for another reason: ${reply.exception}`)
})

/** Java reads in our bytes what we have written, and so do we; theirs are the same by now. */
const compareValues = Effect.fnUntraced(function* (
  { message, version }: Task,
  one: Case,
  ours: Uint8Array,
  reply: Reply
) {
  if (!reply.succeeded) return yield* differ(one, `Java cannot read our bytes: ${reply.exception}`)
  const { again, json, leftOver } = Java.readDecoded(reply.bytes)
  if (leftOver > 0) return yield* differ(one, `Java leaves ${leftOver} of our bytes unread`)
  if (!sameBytes(ours, again)) return yield* differ(one, `Java writes what it read as\n${dump(ours, again)}`)
  const decoded = WireCodec.decode(message, version, ours)
  const read = Json.read(message, json)
  if (!isDeepStrictEqual(decoded, read)) {
    return yield* differ(one, `we read ${show(decoded)}\nJava reads ${json}`)
  }
  // What an ignorable field held is gone.
  if (one.probe === undefined && !isDeepStrictEqual(decoded, one.value)) {
    return yield* differ(one, `we read another value: ${show(decoded)}`)
  }
})
