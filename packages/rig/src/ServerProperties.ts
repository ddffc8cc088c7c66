/**
 * The settings files of brokers and ZooKeeper, for every version. Pure: ports and directories come from the caller.
 *
 * @since 0.1.0
 */
import type { BrokerVersion } from "./BrokerVersion.ts"

/**
 * One node's place in its cluster.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodePlace {
  /** From 1. */
  readonly id: number
  readonly port: number
  /** Where the controller of a KRaft node listens. */
  readonly controllerPort: number
  readonly dataDirectory: string
}

/**
 * What a settings file is made from.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerPropertiesOptions {
  readonly version: BrokerVersion
  /** The node that the file is for, one of `nodes`. */
  readonly node: NodePlace
  readonly nodes: ReadonlyArray<NodePlace>
  /** Where ZooKeeper listens, for versions that need it. */
  readonly zookeeperPort: number
  readonly autoCreateTopics: boolean
  /** Partitions of topics that are created without saying how many. */
  readonly partitions: number
  /** Added last, so they win over what the rig sets. */
  readonly properties: Readonly<Record<string, string>>
}

/**
 * The address that everything of the rig listens on.
 *
 * @category constants
 * @since 0.1.0
 */
export const host = "127.0.0.1"

/**
 * How long ZooKeeper remembers a broker that went away without a word, in milliseconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const zookeeperSessionTimeout = 6000

/** Enough for tests that want their keys spread, few enough to start quickly. */
const internalPartitions = "4"

const common = (options: ServerPropertiesOptions): Record<string, string> => {
  const replicas = String(Math.min(3, options.nodes.length))
  return {
    "log.dirs": options.node.dataDirectory,
    "auto.create.topics.enable": String(options.autoCreateTopics),
    "num.partitions": String(options.partitions),
    "default.replication.factor": replicas,
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": internalPartitions,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": internalPartitions,
    "group.initial.rebalance.delay.ms": "0",
    // the default takes 128 MB of the heap at start
    "log.cleaner.dedupe.buffer.size": "4194304"
  }
}

const kraft = (options: ServerPropertiesOptions): Record<string, string> => {
  const { node, nodes } = options
  const replicas = String(Math.min(3, nodes.length))
  return {
    "process.roles": "broker,controller",
    "node.id": String(node.id),
    // for clients that look for the closest replica
    "broker.rack": `rack-${node.id}`,
    "controller.quorum.voters": nodes.map(({ controllerPort, id }) => `${id}@${host}:${controllerPort}`).join(","),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    listeners: `PLAINTEXT://${host}:${node.port},CONTROLLER://${host}:${node.controllerPort}`,
    "advertised.listeners": `PLAINTEXT://${host}:${node.port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    ...common(options),
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": internalPartitions
  }
}

const zookeeper = (options: ServerPropertiesOptions): Record<string, string> => {
  const { node, version } = options
  const port = String(node.port)
  return {
    "broker.id": String(node.id),
    "zookeeper.connect": `${host}:${options.zookeeperPort}/kafka`,
    "zookeeper.session.timeout.ms": String(zookeeperSessionTimeout),
    ...(version.hasHostNameSettings
      ? { port, "host.name": host, "advertised.host.name": host, "advertised.port": port }
      : {}),
    listeners: `PLAINTEXT://${host}:${port}`,
    ...common(options)
  }
}

/**
 * The settings of one broker, as `key=value` pairs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const broker = (options: ServerPropertiesOptions): Readonly<Record<string, string>> => ({
  ...(options.version.mode === "kraft" ? kraft(options) : zookeeper(options)),
  ...options.properties
})

/**
 * The settings of the ZooKeeper beside brokers that need one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const zookeeperServer = (options: {
  readonly port: number
  readonly dataDirectory: string
}): Readonly<Record<string, string>> => ({
  dataDir: options.dataDirectory,
  clientPort: String(options.port),
  clientPortAddress: host,
  maxClientCnxns: "0",
  // sessions may then be as short as 2 seconds, where the usual 3000 allows no less than 6
  tickTime: "1000",
  "admin.enableServer": "false"
})

/**
 * Where brokers before KRaft log: warnings, and what the server itself says of its start.
 *
 * @category constants
 * @since 0.1.0
 */
export const log4j: Readonly<Record<string, string>> = {
  "log4j.rootLogger": "WARN, out",
  "log4j.logger.kafka.server": "INFO",
  "log4j.appender.out": "org.apache.log4j.ConsoleAppender",
  "log4j.appender.out.layout": "org.apache.log4j.PatternLayout",
  "log4j.appender.out.layout.ConversionPattern": "%d{HH:mm:ss.SSS} %p %c %m%n"
}

/**
 * Writes settings as the text of a Java properties file.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (properties: Readonly<Record<string, string>>): string =>
  Object.entries(properties)
    .map(([key, value]) => `${key}=${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`)
    .join("")
