/**
 * `kafka-effect metadata`: brokers, topics and partitions of a cluster.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as ClusterMetadata from "kafka-effect/ClusterMetadata"
import * as Kafka from "kafka-effect/Kafka"
import * as Flags from "./Flags.ts"
import * as Output from "./Output.ts"
import * as Topics from "./Topics.ts"

/**
 * What is printed of a cluster.
 *
 * @category models
 * @since 0.1.0
 */
export interface Overview extends Pick<ClusterMetadata.ClusterMetadata, "clusterId" | "controllerId"> {
  readonly brokers: ReadonlyArray<ClusterMetadata.Broker>
  readonly topics: ReadonlyArray<ClusterMetadata.Topic>
}

const address = ({ host, port }: ClusterMetadata.Broker): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const describePartition = (partition: ClusterMetadata.Partition): string => {
  const { isr, leader, offlineReplicas, replicas } = partition
  const offline = offlineReplicas.length === 0 ? "" : `, offline: ${offlineReplicas.join(",")}`
  const led = leader < 0 ? "no leader" : `leader ${leader}`
  return `partition ${partition.partition}: ${led}, replicas: ${replicas.join(",")}, in sync: ${isr.length === 0 ? "none" : isr.join(",")}${offline}`
}

/**
 * The overview as text for people.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toText = ({ brokers, clusterId, controllerId, topics }: Overview): string => {
  const lines = [
    `cluster ${clusterId ?? "without an id"}, ${plural(brokers.length, "broker")}, ${plural(topics.length, "topic")}`
  ]
  for (const broker of brokers) {
    const rack = broker.rack === null ? "" : `, rack ${broker.rack}`
    const controller = broker.nodeId === controllerId ? " (controller)" : ""
    lines.push(`  broker ${broker.nodeId} at ${address(broker)}${rack}${controller}`)
  }
  for (const { isInternal, name, partitions } of topics) {
    lines.push(`  topic ${name}, ${plural(partitions.length, "partition")}${isInternal ? " (internal)" : ""}`)
    for (const partition of partitions) lines.push(`    ${describePartition(partition)}`)
  }
  return `${lines.join("\n")}\n`
}

/**
 * The overview as one line of JSON.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toJson = ({ brokers, clusterId, controllerId, topics }: Overview): string => {
  const overview = {
    cluster: clusterId,
    controller: controllerId,
    brokers: brokers.map(({ host, nodeId, port, rack }) => ({ id: nodeId, host, port, rack })),
    topics: topics.map(({ isInternal, name, partitions }) => ({
      topic: name,
      internal: isInternal,
      partitions: partitions.map(({ isr, leader, offlineReplicas, partition, replicas }) => ({
        partition,
        leader,
        replicas,
        isrs: isr,
        offline: offlineReplicas
      }))
    }))
  }
  return `${JSON.stringify(overview)}\n`
}

const byName = (one: ClusterMetadata.Topic, other: ClusterMetadata.Topic): number =>
  one.name < other.name ? -1 : Number(one.name > other.name)

/** Asks for the topics by name, so that one that does not exist is an error; for all topics where none is named. */
const look = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const { cluster } = yield* Kafka.Kafka
  const found =
    names.length === 0
      ? undefined
      : yield* Effect.forEach(new Set(names), (name) => Topics.find(name, { isCreated: false }))
  const metadata = found === undefined ? yield* cluster.refresh("all") : cluster.metadata()
  const overview: Overview = {
    clusterId: metadata.clusterId,
    controllerId: metadata.controllerId,
    brokers: [...metadata.brokers.values()].sort((one, other) => one.nodeId - other.nodeId),
    topics: [...(found ?? metadata.topics.values())].sort(byName)
  }
  return overview
})

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make(
  "metadata",
  {
    topics: Argument.String("TOPIC").pipe(
      Argument.withDescription("Topics to describe; defaults to all"),
      Argument.variadic()
    ),
    brokers: Flags.brokers,
    json: Flags.json("Print one line of JSON")
  },
  Effect.fnUntraced(function* ({ brokers, json, topics }) {
    const client = Kafka.layer({ bootstrapServers: brokers, clientId: "kafka-effect-cli" })
    const overview = yield* Effect.provide(look(topics), client)
    yield* Output.write(Buffer.from(json ? toJson(overview) : toText(overview)))
  })
).pipe(Command.withDescription("Print brokers, topics and partitions of the cluster"))
