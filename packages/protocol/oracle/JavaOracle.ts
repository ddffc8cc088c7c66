/**
 * Kafka's own Java classes in one JVM behind a pipe: see `java/Oracle.java` for the other end.
 */
import { spawn } from "node:child_process"
import { delimiter, join } from "node:path"
import * as Maven from "@kafka-effect/rig/Maven"
import * as Program from "@kafka-effect/rig/Program"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The first speaks for all versions that it knows, the second for those that Kafka 4.0 removed. */
export const releases = ["4.4.0", "3.9.1"] as const

export type Release = (typeof releases)[number]

const [newer, older] = releases

/** The JVM could not be asked; what it says about a request is a `Reply`. */
export class OracleError extends Data.TaggedError("OracleError")<{ readonly message: string }> {}

/** What Java made of a request: the result, or the exception with its stack. */
export type Reply =
  | { readonly succeeded: true; readonly bytes: Uint8Array }
  | { readonly succeeded: false; readonly exception: string }

export interface JavaOracle {
  /** Asks all of these and gives the replies in the same order. */
  readonly ask: (requests: ReadonlyArray<Uint8Array>) => Effect.Effect<ReadonlyArray<Reply>, OracleError>
}

/** A number in two bytes in front of text. */
const text = (value: string): ReadonlyArray<Uint8Array> => {
  const encoded = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeInt16BE(encoded.length)
  return [length, encoded]
}

const block = (value: Uint8Array): ReadonlyArray<Uint8Array> => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(value.length)
  return [length, value]
}

const int16 = (value: number): ReadonlyArray<Uint8Array> => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return [bytes]
}

const operation = (name: string, ...parts: ReadonlyArray<ReadonlyArray<Uint8Array>>): Uint8Array =>
  Buffer.concat([Buffer.from(name), ...parts.flat()])

/** JSON of a message to its bytes. */
export const encode = (release: Release, message: string, version: number, json: string): Uint8Array =>
  operation("E", text(release), text(message), int16(version), block(Buffer.from(json)))

/** A message without any value set to its bytes. */
export const encodeDefault = (release: Release, message: string, version: number): Uint8Array =>
  operation("N", text(release), text(message), int16(version))

/** Bytes to what Java reads in them: see `readDecoded`. */
export const decode = (release: Release, message: string, version: number, bytes: Uint8Array): Uint8Array =>
  operation("D", text(release), text(message), int16(version), block(bytes))

export interface Decoded {
  readonly leftOver: number
  /** The bytes that Java writes for what it has read. */
  readonly again: Uint8Array
  readonly json: string
}

export const readDecoded = (result: Uint8Array): Decoded => {
  const buffer = Buffer.from(result.buffer, result.byteOffset, result.length)
  const end = 8 + buffer.readInt32BE(4)
  return { leftOver: buffer.readInt32BE(0), again: buffer.subarray(8, end), json: buffer.toString("utf8", end) }
}

/** All messages and APIs of a release with their versions, as JSON. */
export const versions = (release: Release): Uint8Array => operation("V", text(release))

/** All error codes, as JSON. */
export const errors: Uint8Array = operation("X")

/** The description of a batch to its bytes. */
export const buildBatch = (json: string): Uint8Array => operation("R", block(Buffer.from(json)))

/** Bytes of batches to their descriptions, as JSON. */
export const parseBatches = (bytes: Uint8Array): Uint8Array => operation("P", block(bytes))

/** Compressed bytes to plain ones. */
export const decompress = (compression: string, magic: number, bytes: Uint8Array): Uint8Array =>
  operation("U", text(compression), [Uint8Array.of(magic)], block(bytes))

const classPaths = Effect.all({
  newer: Maven.classPath(
    `org.apache.kafka:kafka-clients:${newer}`,
    `org.apache.kafka:kafka-group-coordinator:${newer}`,
    `org.apache.kafka:kafka-transaction-coordinator:${newer}`
  ),
  // The converters use Jackson, which the clients' jar does not ask for.
  older: Maven.classPath(
    `org.apache.kafka:kafka-clients:${older}`,
    "com.fasterxml.jackson.core:jackson-databind:2.16.2"
  )
})

const start = (jars: { readonly newer: ReadonlyArray<string>; readonly older: ReadonlyArray<string> }) => {
  const source = join(import.meta.dirname, "java", "Oracle.java")
  const [newerPath, olderPath] = [jars.newer.join(delimiter), jars.older.join(delimiter)]
  // A file with main is compiled in memory: nothing to build, nothing to clean.
  const options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", newerPath]
  return spawn("java", [...options, source, newer, newerPath, older, olderPath], { stdio: "pipe" })
}

/** The replies that one call of `ask` waits for. */
interface Waiting {
  readonly replies: Array<Reply>
  readonly wanted: number
  readonly resume: (effect: Effect.Effect<ReadonlyArray<Reply>, OracleError>) => void
}

/** Cuts what comes into frames: a length, then as many bytes. */
const splitter = (onFrame: (frame: Uint8Array) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let offset = 0
    while (rest.length - offset >= 4) {
      const end = offset + 4 + rest.readInt32BE(offset)
      if (end > rest.length) break
      onFrame(rest.subarray(offset + 4, end))
      offset = end
    }
    rest = rest.subarray(offset)
  }
}

/** Starts the JVM; it ends with the scope. */
export const make = Effect.gen(function* () {
  const jars = yield* classPaths
  if (Program.find("java") === undefined) {
    return yield* new OracleError({
      message: "Java is not installed: get it, e.g. apt-get install default-jdk-headless"
    })
  }
  const java = yield* Effect.acquireRelease(
    Effect.sync(() => start(jars)),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const waiting: Array<Waiting> = []
  let stderr = ""
  let dead: OracleError | undefined
  const die = (why: string): void => {
    dead ??= new OracleError({ message: `${why}\n${Program.lastLines(stderr, 20)}` })
    for (const { resume } of waiting.splice(0)) resume(Effect.fail(dead))
  }
  const onFrame = (frame: Uint8Array): void => {
    // Not a Buffer: that would have a `slice` of its own, which copies nothing.
    const bytes = new Uint8Array(frame.buffer, frame.byteOffset + 1, frame.length - 1)
    const current = waiting[0]
    current.replies.push(
      frame[0] === 0
        ? { succeeded: true, bytes }
        : { succeeded: false, exception: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8") }
    )
    if (current.replies.length < current.wanted) return
    waiting.shift()
    current.resume(Effect.succeed(current.replies))
  }
  java.stdout.on("data", splitter(onFrame))
  java.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString("utf8")
  })
  java.on("error", (error) => die(`Java cannot be run: ${error.message}`))
  // An end is told by `exit`; a write that fails because of it says nothing more.
  java.stdin.on("error", () => {})
  java.on("exit", (code, signal) => die(`Java ended with ${code ?? signal}`))
  const oracle: JavaOracle = {
    ask: (requests) =>
      Effect.callback((resume) => {
        if (dead !== undefined) return resume(Effect.fail(dead))
        if (requests.length === 0) return resume(Effect.succeed([]))
        waiting.push({ replies: [], wanted: requests.length, resume })
        java.stdin.write(Buffer.concat(requests.flatMap(block)))
      })
  }
  return oracle
})
