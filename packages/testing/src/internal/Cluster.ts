/**
 * The state that all brokers of a test cluster share: plain data, which only the loop's fiber changes.
 *
 * @since 0.1.0
 */
import type { FetchSessions } from "./FetchSessions.ts"
import type { GroupOffsets } from "./groups/GroupOffsets.ts"
import type { Group } from "./groups/Groups.ts"
import type { Loop } from "./Loop.ts"
import { PartitionLog } from "./PartitionLog.ts"
import type { Release } from "./Release.ts"
import type { Credentials } from "./sasl/Authentication.ts"
import type { Throttle } from "./Throttles.ts"
import type { Transaction } from "./transactions/Transactions.ts"

/** One broker. @internal */
export interface BrokerNode {
  readonly nodeId: number
  readonly rack: string | null
  /** Where clients find it. */
  host: string
  port: number
  /** Whether it listens. */
  isUp: boolean
  /** What its clients read; forgotten when it restarts. */
  sessions: FetchSessions
}

/** @internal */
export interface Partition {
  readonly topic: Topic
  readonly index: number
  /** Node ids, the preferred leader first. */
  replicas: ReadonlyArray<number>
  /** -1 while there is none. */
  leader: number
  leaderEpoch: number
  readonly log: PartitionLog
  /** Called, each once, when the log may have something new for who waits. */
  readonly waiting: Set<() => void>
  /** Writes what the log has got, where the cluster keeps it in files. */
  persist?: () => void
}

/** @internal */
export interface Topic {
  readonly name: string
  /** A UUID, as it is written. */
  readonly id: string
  readonly partitions: Array<Partition>
  /** What was set for this topic: Kafka's names and texts. */
  readonly configs: Map<string, string>
  readonly isInternal: boolean
}

/** @internal */
export interface Cluster {
  readonly clusterId: string
  /** Which Kafka it acts as. */
  readonly release: Release
  readonly loop: Loop
  /** By node id. */
  readonly nodes: Map<number, BrokerNode>
  controllerId: number
  nextProducerId: bigint
  /** By id. */
  readonly groups: Map<string, Group>
  /** What was committed by version 0, which brokers kept in ZooKeeper: by group, and apart from everything else. */
  readonly zookeeperOffsets: Map<string, GroupOffsets>
  /** By transactional id. */
  readonly transactions: Map<string, Transaction>
  /** By name. */
  readonly topics: Map<string, Topic>
  /** Coordinators that a test has chosen: node ids by kind and key. */
  readonly movedCoordinators: Map<string, number>
  /** Clients that are held back. */
  readonly throttles: Set<Throttle>
  /** How long followers take to fetch what leaders append, in milliseconds. */
  replicationDelay: number
  /** Settings of brokers: Kafka's names and texts. */
  readonly settings: Map<string, string>
  /** What was set while brokers run, besides topics: by resource type and name (`Configs.ts`). */
  readonly configs: Map<string, Map<string, string>>
  /** Who may connect; everybody may if undefined. */
  readonly credentials: Credentials | undefined
  /** A number from 0 up to, and without, 1; of a seed, if there is one. */
  readonly random: () => number
}

/** A random UUID from the cluster's own chance, as Kafka writes it: 22 characters of base64url. @internal */
export const uuid = ({ random }: Pick<Cluster, "random">): string => {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256))
  // Version 4, of the usual variant.
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  return Buffer.from(bytes).toString("base64url")
}

/** The nodes that are up, by id. @internal */
export const upNodes = ({ nodes }: Cluster): ReadonlyArray<BrokerNode> =>
  [...nodes.values()].filter(({ isUp }) => isUp).sort((a, b) => a.nodeId - b.nodeId)

/** Adds a topic, whose partitions are led by the nodes in turn. @internal */
export const addTopic = (
  cluster: Cluster,
  name: string,
  options: {
    readonly partitions: number
    readonly replicationFactor?: number
    readonly assignment?: ReadonlyArray<ReadonlyArray<number>>
    readonly configs?: ReadonlyMap<string, string>
    readonly isInternal?: boolean
  }
): Topic => {
  const topic: Topic = {
    name,
    id: uuid(cluster),
    partitions: [],
    configs: new Map(options.configs),
    isInternal: options.isInternal === true
  }
  cluster.topics.set(name, topic)
  addPartitions(cluster, topic, options.partitions, options.replicationFactor ?? 1, options.assignment)
  return topic
}

/** Adds partitions to a topic until it has so many. @internal */
export const addPartitions = (
  cluster: Cluster,
  topic: Topic,
  count: number,
  replicationFactor: number,
  assignment?: ReadonlyArray<ReadonlyArray<number>>
): void => {
  const nodes = [...cluster.nodes.keys()].sort((a, b) => a - b)
  for (let index = topic.partitions.length; index < count; index++) {
    const replicas =
      assignment?.[index] ??
      Array.from(
        { length: Math.min(replicationFactor, nodes.length) },
        (_, place) => nodes[(index + place) % nodes.length]
      )
    const partition: Partition = {
      topic,
      index,
      replicas,
      leader: replicas.find((id) => cluster.nodes.get(id)?.isUp === true) ?? -1,
      leaderEpoch: 0,
      log: new PartitionLog(),
      waiting: new Set()
    }
    topic.partitions.push(partition)
  }
}

/** The topic of a request that names it, or gives its id. @internal */
export const topicOf = (
  cluster: Cluster,
  { name, topicId }: { readonly name?: string | null; readonly topicId?: string }
): Topic | undefined => {
  if (name != null && name !== "") return cluster.topics.get(name)
  for (const topic of cluster.topics.values()) if (topic.id === topicId) return topic
  return undefined
}

/** Lets those who wait for a partition look again, once what is new is safe. @internal */
export const notify = (partition: Partition): void => {
  partition.persist?.()
  const { waiting } = partition
  const woken = [...waiting]
  waiting.clear()
  for (const wake of woken) wake()
}

/** A setting of brokers as a number. @internal */
export const numberSetting = ({ configs, settings }: Cluster, name: string, otherwise: number): number => {
  const text = configs.get("4 ")?.get(name) ?? settings.get(name)
  return text === undefined ? otherwise : Number(text)
}
