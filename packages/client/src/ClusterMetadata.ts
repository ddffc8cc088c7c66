/**
 * What is known of a cluster: its brokers, and the topics that someone has asked for, with the leader of each
 * partition. Immutable; `Cluster` keeps the newest one.
 *
 * Answers of different brokers may be of different age. A partition's leader is replaced only by one of the same or a
 * newer leader epoch (KIP-320), unless the topic was deleted and created again, which its id shows (KIP-516).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import type { MetadataResponse, MetadataResponsePartition } from "@kafka-effect/protocol/messages/Metadata"
import { zeroUuid } from "@kafka-effect/protocol/Wire"

/**
 * A broker, and where it can be reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Broker {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/**
 * A partition as the cluster last described it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Partition {
  readonly partition: number
  /** Node id of the leader; -1 while there is none. */
  readonly leader: number
  /** -1 where the broker is too old to say. */
  readonly leaderEpoch: number
  readonly replicas: ReadonlyArray<number>
  readonly isr: ReadonlyArray<number>
  readonly offlineReplicas: ReadonlyArray<number>
  /** Kafka's error code for the partition; 0 for none. */
  readonly errorCode: number
}

/**
 * A topic as the cluster last described it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Topic {
  readonly name: string
  /** 22 characters of base64; `AAAAAAAAAAAAAAAAAAAAAA` where the broker is too old to say. */
  readonly id: string
  readonly isInternal: boolean
  /** Kafka's error code for the topic; 0 for none. */
  readonly errorCode: number
  /** How many answers in a row have said that the topic does not exist; other errors leave it as it is. */
  readonly unknownAnswers: number
  /** By number: the partition `n` is at index `n`. */
  readonly partitions: ReadonlyArray<Partition>
}

/**
 * What is known of a cluster.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterMetadata {
  readonly clusterId: string | null
  /** Node id of the controller, or of a broker that forwards to it; -1 where that is not known. */
  readonly controllerId: number
  readonly brokers: ReadonlyMap<number, Broker>
  readonly topics: ReadonlyMap<string, Topic>
  /** Names by topic id. */
  readonly topicNames: ReadonlyMap<string, string>
}

/**
 * A partition's leader, for requests that say which one they mean.
 *
 * @category models
 * @since 0.1.0
 */
export interface Leader {
  readonly nodeId: number
  readonly leaderEpoch: number
}

/**
 * Where a broker can be reached, as responses beside metadata name it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Endpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack?: string | null | undefined
}

/**
 * Nothing is known yet.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: ClusterMetadata = {
  clusterId: null,
  controllerId: -1,
  brokers: new Map(),
  topics: new Map(),
  topicNames: new Map()
}

const namesById = (topics: ReadonlyMap<string, Topic>): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  for (const { id, name } of topics.values()) if (id !== zeroUuid) names.set(id, name)
  return names
}

const isStale = (known: Partition | undefined, leaderEpoch: number): boolean =>
  known !== undefined && leaderEpoch >= 0 && known.leaderEpoch > leaderEpoch

const mergePartitions = (
  known: ReadonlyArray<Partition>,
  found: ReadonlyArray<MetadataResponsePartition>
): ReadonlyArray<Partition> => {
  const byNumber = new Map<number, MetadataResponsePartition>()
  for (const partition of found) if (partition.partitionIndex >= 0) byNumber.set(partition.partitionIndex, partition)
  return Array.from({ length: byNumber.size }, (_, number) => {
    const partition = byNumber.get(number)
    const before = known[number]
    if (partition !== undefined && !isStale(before, partition.leaderEpoch)) {
      return {
        partition: number,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicaNodes,
        isr: partition.isrNodes,
        offlineReplicas: partition.offlineReplicas,
        errorCode: partition.errorCode
      }
    }
    // Stale, or a gap in the numbers, which no broker should leave.
    const gap = {
      leader: -1,
      leaderEpoch: -1,
      replicas: [],
      isr: [],
      offlineReplicas: [],
      errorCode: codes.LEADER_NOT_AVAILABLE
    }
    return before ?? { partition: number, ...gap }
  })
}

/**
 * Takes in an answer to a Metadata request.
 *
 * @param isWanted which of its topics to keep: an old broker cannot be asked for none
 * @internal
 */
export const merge = (
  self: ClusterMetadata,
  response: MetadataResponse,
  isWanted: (topic: string) => boolean
): ClusterMetadata => {
  const topics = new Map(self.topics)
  for (const found of response.topics) {
    const { errorCode, isInternal, name } = found
    if (name === null || !isWanted(name)) continue
    const before = topics.get(name)
    const isRecreated =
      before !== undefined && found.topicId !== zeroUuid && before.id !== zeroUuid && before.id !== found.topicId
    const known = before === undefined || isRecreated ? [] : before.partitions
    // A broker that has not heard of the topic, or not yet of its leaders, does not take away what others have said.
    const keeps = errorCode === codes.UNKNOWN_TOPIC_OR_PARTITION || errorCode === codes.LEADER_NOT_AVAILABLE
    topics.set(name, {
      name,
      id: found.topicId === zeroUuid ? (before?.id ?? zeroUuid) : found.topicId,
      isInternal,
      errorCode,
      unknownAnswers: countUnknown(before?.unknownAnswers ?? 0, errorCode),
      partitions: keeps && found.partitions.length === 0 ? known : mergePartitions(known, found.partitions)
    })
  }
  return {
    clusterId: response.clusterId ?? self.clusterId,
    controllerId: response.controllerId,
    brokers: response.brokers.length === 0 ? self.brokers : brokersOf(response),
    topics,
    topicNames: namesById(topics)
  }
}

const brokersOf = ({ brokers }: MetadataResponse): ReadonlyMap<number, Broker> =>
  new Map(brokers.map(({ host, nodeId, port, rack }) => [nodeId, { nodeId, host, port, rack }]))

const countUnknown = (before: number, errorCode: number): number =>
  errorCode === codes.UNKNOWN_TOPIC_OR_PARTITION ? before + 1 : errorCode === 0 ? 0 : before

/**
 * Takes in brokers that another response has named; those that are known stay as they are.
 *
 * @internal
 */
export const withEndpoints = (self: ClusterMetadata, endpoints: ReadonlyArray<Endpoint>): ClusterMetadata => {
  const added = endpoints.filter(({ nodeId }) => nodeId >= 0 && !self.brokers.has(nodeId))
  if (added.length === 0) return self
  const brokers = new Map(self.brokers)
  for (const { host, nodeId, port, rack } of added) brokers.set(nodeId, { nodeId, host, port, rack: rack ?? null })
  return { ...self, brokers }
}

/**
 * Takes in a leader that a response has named (KIP-951), if its epoch is newer than what is known; the same object
 * otherwise.
 *
 * @internal
 */
export const withLeader = (
  self: ClusterMetadata,
  topic: string,
  partition: number,
  leader: Leader
): ClusterMetadata => {
  const known = self.topics.get(topic)
  const before = known?.partitions[partition]
  if (known === undefined || before === undefined || leader.leaderEpoch <= before.leaderEpoch) return self
  const partitions = known.partitions.slice()
  partitions[partition] = { ...before, leader: leader.nodeId, leaderEpoch: leader.leaderEpoch, errorCode: 0 }
  return { ...self, topics: new Map(self.topics).set(topic, { ...known, partitions }) }
}

const sameNumbers = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): boolean =>
  one.length === other.length && one.every((number, index) => number === other[index])

const samePartition = (one: Partition, other: Partition): boolean =>
  one === other ||
  (one.leader === other.leader &&
    one.leaderEpoch === other.leaderEpoch &&
    one.errorCode === other.errorCode &&
    sameNumbers(one.replicas, other.replicas) &&
    sameNumbers(one.isr, other.isr) &&
    sameNumbers(one.offlineReplicas, other.offlineReplicas))

const sameTopic = (one: Topic, other: Topic): boolean =>
  one === other ||
  (one.id === other.id &&
    one.isInternal === other.isInternal &&
    one.errorCode === other.errorCode &&
    one.unknownAnswers === other.unknownAnswers &&
    one.partitions.length === other.partitions.length &&
    one.partitions.every((partition, index) => samePartition(partition, other.partitions[index])))

const sameBroker = (one: Broker, other: Broker): boolean =>
  one.host === other.host && one.port === other.port && one.rack === other.rack

const sameEntries = <A>(
  one: ReadonlyMap<unknown, A>,
  other: ReadonlyMap<unknown, A>,
  same: (one: A, other: A) => boolean
): boolean => {
  if (one.size !== other.size) return false
  for (const [key, value] of one) {
    const found = other.get(key)
    if (found === undefined || !same(value, found)) return false
  }
  return true
}

/** Whether nothing has changed. Written out: comparing thousands of topics by structure would hold the event loop. @internal */
export const isSame = (one: ClusterMetadata, other: ClusterMetadata): boolean =>
  one === other ||
  (one.clusterId === other.clusterId &&
    one.controllerId === other.controllerId &&
    sameEntries(one.brokers, other.brokers, sameBroker) &&
    sameEntries(one.topics, other.topics, sameTopic))
