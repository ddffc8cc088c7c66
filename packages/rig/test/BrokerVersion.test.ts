import { assert, describe, it } from "@effect/vitest"
import * as BrokerVersion from "../src/BrokerVersion.ts"
import { RigError } from "../src/RigError.ts"

const artifacts: ReadonlyArray<readonly [version: string, artifact: string, mode: string]> = [
  ["4.4.0", "kafka_2.13", "kraft"],
  ["4.0.0", "kafka_2.13", "kraft"],
  ["3.9.1", "kafka_2.13", "kraft"],
  ["3.3.2", "kafka_2.13", "kraft"],
  ["3.2.3", "kafka_2.13", "zookeeper"],
  ["2.8.2", "kafka_2.13", "zookeeper"],
  ["2.4.1", "kafka_2.13", "zookeeper"],
  ["2.3.1", "kafka_2.12", "zookeeper"],
  ["1.1.1", "kafka_2.12", "zookeeper"],
  ["0.11.0.3", "kafka_2.11", "zookeeper"],
  ["0.10.2.1", "kafka_2.11", "zookeeper"],
  ["0.9.0.1", "kafka_2.11", "zookeeper"],
  ["0.8.2.2", "kafka_2.10", "zookeeper"]
]

describe("BrokerVersion", () => {
  for (const [text, artifact, mode] of artifacts) {
    it(`takes ${text} for ${artifact} with ${mode}`, () => {
      const version = BrokerVersion.parse(text)
      assert.strictEqual(version.coordinates[0], `org.apache.kafka:${artifact}:${text}`)
      assert.strictEqual(version.mode, mode)
    })
  }

  it("adds a ZooKeeper that runs on Java 17 to the versions whose own does not", () => {
    const replaced = ["2.0.1", "2.3.1", "2.4.1", "1.1.1", "2.5.1", "4.4.0"].filter((text) =>
      BrokerVersion.parse(text).coordinates.some((coordinate) => coordinate.includes("zookeeper"))
    )
    assert.deepStrictEqual(replaced, ["2.0.1", "2.3.1", "2.4.1"])
  })

  it("knows every version of its own list", () => {
    for (const text of BrokerVersion.tried) assert.strictEqual(BrokerVersion.parse(text).text, text)
  })

  it("names the versions to choose from for a text that is none of them", () => {
    for (const text of ["", "latest", "4", "4.4", "4.4.0-rc1", "4.4.0.0", "0.8.1.1", "0.10.2", "../4.4.0"]) {
      assert.throws(() => BrokerVersion.parse(text), RigError, /try one of 4\.4\.0, /)
    }
  })
})
