import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import setup from "../src/vitest.ts"

/** Runs the global setup on a machine without Java and Maven; what it provided and printed. */
const run = async (environment: Readonly<Record<string, string>>) => {
  for (const [key, value] of Object.entries({ PATH: "", JAVA_HOME: "", KAFKA_BOOTSTRAP_SERVERS: "", ...environment })) {
    vi.stubEnv(key, value)
  }
  const log = vi.spyOn(console, "log").mockImplementation(() => {})
  const provided: Record<string, unknown> = {}
  const teardown = await setup({
    provide: (key, value) => {
      provided[key] = value
    }
  })
  return { provided, printed: log.mock.calls.map(([line]) => String(line)), teardown }
}

describe("the global setup without Java", () => {
  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  it("provides no address and says in one line what is skipped and how to get it", async () => {
    const { printed, provided, teardown } = await run({ KAFKA_EFFECT_BROKERS: "" })
    assert.strictEqual(provided.bootstrapServers, "")
    assert.match(String(provided.rigMissing), /^Java is not installed/)
    assert.strictEqual(printed.length, 1)
    assert.match(printed[0]!, /^Tests against a real Kafka are skipped: .*apt-get install.*KAFKA_BOOTSTRAP_SERVERS/)
    assert.notInclude(printed[0]!, "\n")
    assert.isUndefined(teardown)
  })

  it("uses the cluster that is named, also where brokers are required", async () => {
    const { printed, provided } = await run({ KAFKA_EFFECT_BROKERS: "required", KAFKA_BOOTSTRAP_SERVERS: " a:1,b:2 " })
    assert.strictEqual(provided.bootstrapServers, "a:1,b:2")
    assert.strictEqual(printed.length, 1)
    assert.match(printed[0]!, /^Tests that start a Kafka of their own are skipped: Java is not installed/)
  })

  it("fails where brokers are required and none is named", async () => {
    const outcome = await run({ KAFKA_EFFECT_BROKERS: "required" }).catch((error: Error) => error)
    assert.instanceOf(outcome, Error)
    assert.match(String(outcome), /No real Kafka for the tests: Java is not installed/)
  })
})
