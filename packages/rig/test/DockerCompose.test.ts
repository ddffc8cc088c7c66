import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as BrokerVersion from "../src/BrokerVersion.ts"
import * as KafkaCluster from "../src/KafkaCluster.ts"
import * as ServerProperties from "../src/ServerProperties.ts"

const text = readFileSync(join(import.meta.dirname, "..", "..", "..", "docker-compose.yml"), "utf8")

/** Values of a setting anywhere in the file, under the name that the image derives from Kafka's own. */
const values = (property: string): ReadonlyArray<string> =>
  [...text.matchAll(new RegExp(`^ +KAFKA_${property.replaceAll(".", "_").toUpperCase()}: "?(.*?)"?$`, "gm"))].map(
    (match) => match[1]!
  )

describe("docker-compose.yml", () => {
  it("starts the version that the rig starts", () => {
    assert.include(text, `image: apache/kafka:${KafkaCluster.currentVersion}\n`)
  })

  it("gives its three nodes the rig's settings, but for addresses, directories and memory", () => {
    const nodes = [1, 2, 3].map((id) => ({ id, port: 0, controllerPort: 0, dataDirectory: "" }))
    const settings = ServerProperties.broker({
      version: BrokerVersion.parse(KafkaCluster.currentVersion),
      node: nodes[0]!,
      nodes,
      zookeeperPort: 0,
      autoCreateTopics: true,
      partitions: 1,
      properties: {}
    })
    const itsOwn = /listeners$|^log\.|voters$|protocol\.map$|^node\.id$|^broker\.rack$/
    for (const [property, value] of Object.entries(settings)) {
      if (!itsOwn.test(property)) assert.deepStrictEqual(values(property), [value], property)
    }
    assert.deepStrictEqual(values("node.id"), ["1", "2", "3"])
    assert.deepStrictEqual(values("broker.rack"), ["rack-1", "rack-2", "rack-3"])
  })
})
