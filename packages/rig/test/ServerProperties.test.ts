import { assert, describe, it } from "@effect/vitest"
import * as BrokerVersion from "../src/BrokerVersion.ts"
import * as ServerProperties from "../src/ServerProperties.ts"

const place = (id: number): ServerProperties.NodePlace => ({
  id,
  port: 9000 + id,
  controllerPort: 9100 + id,
  dataDirectory: `/data/${id}`
})

const settings = (
  version: string,
  options: { readonly nodes?: number; readonly properties?: Record<string, string> } = {}
): Readonly<Record<string, string>> => {
  const nodes = Array.from({ length: options.nodes ?? 1 }, (_, index) => place(index + 1))
  return ServerProperties.broker({
    version: BrokerVersion.parse(version),
    node: nodes.at(-1)!,
    nodes,
    zookeeperPort: 2181,
    autoCreateTopics: false,
    partitions: 7,
    properties: options.properties ?? {}
  })
}

describe("ServerProperties", () => {
  it("makes a single KRaft node that is broker and controller", () => {
    const actual = settings("4.4.0")
    assert.strictEqual(actual["process.roles"], "broker,controller")
    assert.strictEqual(actual["node.id"], "1")
    assert.strictEqual(actual["controller.quorum.voters"], "1@127.0.0.1:9101")
    assert.strictEqual(actual.listeners, "PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9101")
    assert.strictEqual(actual["advertised.listeners"], "PLAINTEXT://127.0.0.1:9001")
    assert.strictEqual(actual["log.dirs"], "/data/1")
    assert.strictEqual(actual["num.partitions"], "7")
    assert.strictEqual(actual["auto.create.topics.enable"], "false")
    assert.notProperty(actual, "zookeeper.connect")
  })

  it("names every node as a voter, and replicates the internal topics to as many nodes as there are", () => {
    const replicationFactors = (properties: Readonly<Record<string, string>>) =>
      Object.entries(properties)
        .filter(([key]) => key.endsWith("replication.factor"))
        .map(([, value]) => value)
    const three = settings("4.4.0", { nodes: 3 })
    assert.strictEqual(three["controller.quorum.voters"], "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103")
    assert.strictEqual(three["node.id"], "3")
    assert.deepStrictEqual(replicationFactors(three), ["3", "3", "3", "3"])
    assert.deepStrictEqual(replicationFactors(settings("4.4.0")), ["1", "1", "1", "1"])
    assert.deepStrictEqual(replicationFactors(settings("4.4.0", { nodes: 5 })), ["3", "3", "3", "3"])
  })

  it("gives versions before 3.0 the old address settings, and none after", () => {
    for (const version of ["2.8.2", "1.1.1", "0.11.0.3", "0.10.0.1", "0.9.0.1", "0.8.2.2"]) {
      const actual = settings(version, { nodes: 2 })
      assert.strictEqual(actual["broker.id"], "2", version)
      assert.strictEqual(actual["zookeeper.connect"], "127.0.0.1:2181/kafka", version)
      assert.strictEqual(actual.port, "9002", version)
      assert.strictEqual(actual["advertised.host.name"], "127.0.0.1", version)
      assert.strictEqual(actual.listeners, "PLAINTEXT://127.0.0.1:9002", version)
      assert.notProperty(actual, "process.roles")
    }
    assert.notProperty(settings("3.2.3"), "advertised.host.name")
    assert.property(settings("3.2.3"), "zookeeper.connect")
  })

  it("lets the caller's settings win", () => {
    const actual = settings("4.4.0", { properties: { "num.partitions": "2", "min.insync.replicas": "2" } })
    assert.strictEqual(actual["num.partitions"], "2")
    assert.strictEqual(actual["min.insync.replicas"], "2")
  })

  it("writes a Java properties file", () => {
    assert.strictEqual(ServerProperties.format({ a: "1", "b.c": "x=y\\z" }), "a=1\nb.c=x=y\\\\z\n")
  })
})
