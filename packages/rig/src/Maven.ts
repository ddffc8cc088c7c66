/**
 * Jars from Maven Central by way of the `mvn` command: whole class paths and single jars.
 *
 * What was resolved is remembered in `.cache/maven` under the repository's root, so that Maven runs once per set of
 * coordinates; the memory counts only while every jar that it names still exists.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Program from "./Program.ts"
import { RigError } from "./RigError.ts"

/** The repository's `.cache` directory, which git ignores. */
export const cacheDirectory = join(import.meta.dirname, "..", "..", "..", ".cache")

/**
 * The `mvn` program, the first on `PATH`.
 *
 * Fails with a `RigError` of reason `"Missing"` that says how to get one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const executable: Effect.Effect<string, RigError> = Effect.suspend(() => {
  const found = Program.find("mvn")
  return found === undefined
    ? Effect.fail(
        new RigError({ reason: "Missing", message: "Maven is not installed: get it, e.g. apt-get install maven" })
      )
    : Effect.succeed(found)
})

/**
 * Whether the `mvn` command is there.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAvailable: Effect.Effect<boolean> = Effect.isSuccess(executable)

const coordinatePattern = /^([\w.-]+):([\w.-]+):([\w.-]+)$/

/**
 * The pom whose dependencies are these coordinates (`group:artifact:version`), with or without what they need in turn.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pom = (coordinates: ReadonlyArray<string>, options: { readonly transitive: boolean }): string => {
  const exclusions = options.transitive
    ? ""
    : "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
  const dependencies = coordinates.map((coordinate) => {
    const parts = coordinatePattern.exec(coordinate)
    if (parts === null) throw new Error(`Not of the form group:artifact:version: ${coordinate}`)
    const [, group, artifact, version] = parts
    return (
      `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
      `<version>${version}</version>${exclusions}</dependency>\n`
    )
  })
  return (
    '<project xmlns="http://maven.apache.org/POM/4.0.0">\n' +
    "  <modelVersion>4.0.0</modelVersion>\n" +
    "  <groupId>rig</groupId><artifactId>rig</artifactId><version>1</version><packaging>pom</packaging>\n" +
    `  <dependencies>\n${dependencies.join("")}  </dependencies>\n` +
    "</project>\n"
  )
}

const remembered = async (file: string): Promise<ReadonlyArray<string> | undefined> => {
  const text = await readFile(file, "utf8").catch(() => undefined)
  const jars = text?.trim().split(delimiter)
  return jars?.every((jar) => existsSync(jar)) ? jars : undefined
}

const resolve = Effect.fnUntraced(function* (
  coordinates: ReadonlyArray<string>,
  options: { readonly transitive: boolean }
) {
  const text = pom(coordinates, options)
  const directory = join(cacheDirectory, "maven")
  const file = join(directory, `${createHash("sha256").update(text).digest("hex").slice(0, 32)}.classpath`)
  const known = yield* Effect.promise(() => remembered(file))
  if (known !== undefined) return known
  const mvn = yield* executable
  return yield* Effect.acquireUseRelease(
    Effect.promise(async () => {
      await mkdir(directory, { recursive: true })
      return mkdtemp(join(directory, "resolving-"))
    }),
    Effect.fnUntraced(function* (workplace) {
      yield* Effect.promise(() => writeFile(join(workplace, "pom.xml"), text))
      const output = join(workplace, "classpath")
      yield* Effect.mapError(
        Program.runOrFail(mvn, ["-q", "-B", "dependency:build-classpath", `-Dmdep.outputFile=${output}`], {
          cwd: workplace
        }),
        (error) =>
          new RigError({
            reason: "Maven",
            message: `Maven could not resolve ${coordinates.join(" ")} (is Maven Central reachable?): ${error.message}`
          })
      )
      // renamed into place, so that another run never sees half a file
      yield* Effect.promise(() => rename(output, file))
      const jars = yield* Effect.promise(() => remembered(file))
      return jars === undefined
        ? yield* new RigError({ reason: "Maven", message: `Maven named jars that do not exist, see ${file}` })
        : jars
    }),
    (workplace) => Effect.promise(() => rm(workplace, { recursive: true, force: true }))
  )
})

/**
 * The jars of these coordinates (`group:artifact:version`) and of all that they depend on, in class path order.
 *
 * Fails with a `RigError` of reason `"Missing"` without Maven, `"Maven"` when it cannot resolve them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const classPath = (...coordinates: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, RigError> =>
  resolve(coordinates, { transitive: true })

/**
 * The one jar of this coordinate (`group:artifact:version`), without what it depends on.
 *
 * Fails with a `RigError` of reason `"Missing"` without Maven, `"Maven"` when it cannot resolve it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const jar = (coordinate: string): Effect.Effect<string, RigError> =>
  Effect.map(resolve([coordinate], { transitive: false }), (jars) => jars[0]!)
