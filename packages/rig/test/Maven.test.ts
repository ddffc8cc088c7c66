import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as Java from "../src/Java.ts"
import * as Maven from "../src/Maven.ts"

describe("Maven", () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  it("writes a pom of the coordinates, in their order", () => {
    const text = Maven.pom(["a.b:c:1.0", "d:e_2.13:2"], { transitive: true })
    const found = [...text.matchAll(/<dependency><groupId>(.*?)<.*?<artifactId>(.*?)<.*?<version>(.*?)</g)]
    assert.deepStrictEqual(
      found.map((match) => match.slice(1)),
      [
        ["a.b", "c", "1.0"],
        ["d", "e_2.13", "2"]
      ]
    )
    assert.notInclude(text, "exclusion")
  })

  it("excludes what a single jar depends on", () => {
    assert.include(Maven.pom(["a:b:1"], { transitive: false }), "<exclusion><groupId>*</groupId>")
  })

  it("refuses what is no coordinate before it reaches a pom", () => {
    for (const coordinate of ["a:b", "a:b:1:2", "a:b:<x>", ""]) {
      assert.throws(() => Maven.pom([coordinate], { transitive: true }), /group:artifact:version/)
    }
  })

  it.effect("says how to get what is not installed", () => {
    for (const name of ["PATH", "JAVA_HOME"]) vi.stubEnv(name, "")
    return Effect.gen(function* () {
      const java = yield* Effect.flip(Java.executable)
      assert.strictEqual(java.reason, "Missing")
      assert.match(java.message, /^Java is not installed: .*apt-get install/)
      const maven = yield* Effect.flip(Maven.classPath("no.such:artifact:1"))
      assert.strictEqual(maven.reason, "Missing")
      assert.match(maven.message, /^Maven is not installed: .*apt-get install/)
      assert.isFalse(yield* Maven.isAvailable)
    })
  })
})
