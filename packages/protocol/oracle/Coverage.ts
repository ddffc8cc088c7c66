/**
 * What our tables say against what Kafka's classes say: which messages there are at which versions, which header belongs
 * in front of each, and every error code.
 */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import * as Api from "../src/Api.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import { apis } from "../src/messages/all.ts"
import * as Wire from "../src/Wire.ts"
import { Difference, show } from "./Difference.ts"
import type { JavaOracle, Reply } from "./JavaOracle.ts"
import * as Java from "./JavaOracle.ts"
import { messages, type Ranges } from "./Messages.ts"

/** What the Java side tells of one API. */
interface JavaApi {
  readonly name: string
  readonly lowest: number
  readonly highest: number
  readonly stable: number
  /** From the lowest version to the highest. */
  readonly requestHeaders: ReadonlyArray<number>
  readonly responseHeaders: ReadonlyArray<number>
}

interface JavaVersions {
  readonly messages: { readonly [name: string]: readonly [lowest: number, highest: number] }
  readonly apis: { readonly [key: string]: JavaApi }
}

/** The JSON of a reply, whose shape `Oracle.java` decides. */
const json = <A>(subject: string, reply: Reply): Effect.Effect<A, Difference> =>
  reply.succeeded
    ? Effect.sync(() => JSON.parse(Buffer.from(reply.bytes).toString("utf8")) as A)
    : Effect.fail(new Difference({ subject, detail: reply.exception }))

/** The versions of all messages in both releases; fails where ours are not just theirs. */
export const check = Effect.fnUntraced(function* (oracle: JavaOracle) {
  const replies = yield* oracle.ask([...Java.releases.map(Java.versions), Java.errors])
  const newer = yield* json<JavaVersions>("versions of 4.4.0", replies[0])
  const older = yield* json<JavaVersions>("versions of 3.9.1", replies[1])
  yield* checkMessages(newer, older)
  const headers = (yield* checkApis(newer)) + (yield* checkApis(older))
  const errors = yield* checkErrors(yield* json<ReadonlyArray<JavaError>>("error codes", replies[2]))
  const ranges = (versions: JavaVersions): Ranges =>
    new Map(Object.entries(versions.messages).map(([name, [lowest, highest]]) => [name, { lowest, highest }]))
  return { ranges: { "4.4.0": ranges(newer), "3.9.1": ranges(older) }, headers, errors }
})

/**
 * What brokers write for themselves alone, among the classes of the coordinators: consumer offsets' and transactions' logs
 * are what others read.
 */
const isForBrokersAlone = (name: string): boolean =>
  /^(ConsumerGroup|ShareGroup|StreamsGroup|Group(?!Metadata)|CoordinatorRecordType|LegacyOffset)/.test(name) &&
  !/(Request|Response)$/.test(name)

const checkMessages = Effect.fnUntraced(function* (newer: JavaVersions, older: JavaVersions) {
  const ours = new Map(messages.map((message) => [message.messageName, Wire.parseVersions(message.facts.versions)!]))
  for (const name of new Set([...Object.keys(newer.messages), ...Object.keys(older.messages)])) {
    const is = newer.messages[name]
    const was = older.messages[name]
    const lowest = Math.min(is?.[0] ?? Number.POSITIVE_INFINITY, was?.[0] ?? Number.POSITIVE_INFINITY)
    const highest = Math.max(is?.[1] ?? -1, was?.[1] ?? -1)
    // Its key is there in both, its versions in neither.
    if (highest < lowest) continue
    const range = ours.get(name)
    if (range === undefined && isForBrokersAlone(name)) continue
    if (!isDeepStrictEqual(range, { lowest, highest })) {
      return yield* new Difference({ subject: name, detail: `Java has ${lowest}-${highest}, we have ${show(range)}` })
    }
  }
})

/** How many headers were compared: one of the request and one of the response for each version. */
const checkApis = Effect.fnUntraced(function* (versions: JavaVersions) {
  let headers = 0
  const ours = Object.values(apis)
  for (const [key, java] of Object.entries(versions.apis)) {
    // An API may be renamed and keep its key.
    const api = ours.find((one) => one.key === Number(key) && one.name === java.name)
    if (api === undefined) return yield* new Difference({ subject: java.name, detail: `we have no API of key ${key}` })
    const isNewest = java.highest === api.highestVersion && versions.apis["4"] === undefined
    if (isNewest && java.stable !== api.highestStableVersion) {
      const detail = `Java calls ${java.stable} the newest stable version, we ${api.highestStableVersion}`
      return yield* new Difference({ subject: java.name, detail })
    }
    for (let version = java.lowest; version <= java.highest; version++) {
      const index = version - java.lowest
      const theirs = [java.requestHeaders[index], java.responseHeaders[index]]
      const found = [Api.requestHeaderVersion(api, version), Api.responseHeaderVersion(api, version)]
      if (!isDeepStrictEqual(found, theirs)) {
        const detail = `headers of request and response are ${found} for us and ${theirs} for Java`
        return yield* new Difference({ subject: `${java.name} v${version}`, detail })
      }
      headers += 2
    }
  }
  return headers
})

interface JavaError {
  readonly code: number
  readonly name: string
  readonly isRetriable: boolean
  readonly invalidatesMetadata: boolean
}

/** How many error codes were compared. */
const checkErrors = Effect.fnUntraced(function* (java: ReadonlyArray<JavaError>) {
  const ours = ErrorCode.all.map(({ code, invalidates, isRetriable, name }) => ({
    code,
    name,
    isRetriable,
    invalidatesMetadata: invalidates.includes("leader")
  }))
  for (let index = 0; index < Math.max(ours.length, java.length); index++) {
    if (!isDeepStrictEqual(ours[index], java[index])) {
      const detail = `we say ${show(ours[index])}\nJava says ${show(java[index])}`
      return yield* new Difference({ subject: `error code ${java[index]?.code ?? ours[index].code}`, detail })
    }
  }
  return java.length
})
