/**
 * The error codes of Kafka 4.4: name, what happened, whether the same request may succeed when it is sent again, and
 * which knowledge of the client they prove wrong.
 *
 * Owns the facts only: who refreshes what, and when, is the client's business. A code that is not known (a newer broker)
 * is no exception but an `ErrorCode` with a made-up name, so that it can be reported.
 *
 * @since 0.1.0
 */

/**
 * Knowledge of a client that an error proves wrong.
 *
 * - `leader`: who leads and follows a partition, the metadata of its topic
 * - `topicId`: which topic an id stands for
 * - `coordinator`: which broker coordinates a group or a transactional id
 * - `controller`: which broker is the controller
 * - `member`: the member id and epoch (generation) in a group; the member has to join again
 * - `producer`: the producer id, its epoch or its sequence numbers
 * - `session`: the fetch session or share session; a new one has to be opened
 * - `cluster`: all metadata; the client has to start over from its bootstrap servers (KIP-1102)
 *
 * @category models
 * @since 0.1.0
 */
export type Invalidated =
  | "leader"
  | "topicId"
  | "coordinator"
  | "controller"
  | "member"
  | "producer"
  | "session"
  | "cluster"

/** An entry of the table: the code, what happened, and its properties. */
type Entry = readonly [code: number, text: string, ...properties: ReadonlyArray<"retriable" | Invalidated>]

const table = {
  UNKNOWN_SERVER_ERROR: [-1, "the broker failed in a way that has no error code; its log says more"],
  NONE: [0, "no error"],
  OFFSET_OUT_OF_RANGE: [1, "the partition has no such offset: it was deleted already or not written yet"],
  CORRUPT_MESSAGE: [
    2,
    "the records are damaged: wrong checksum, wrong size, or no key in a compacted topic",
    "retriable"
  ],
  UNKNOWN_TOPIC_OR_PARTITION: [3, "the broker does not have this topic or partition", "retriable", "leader"],
  INVALID_FETCH_SIZE: [4, "the size asked for in the fetch is not valid"],
  LEADER_NOT_AVAILABLE: [5, "the partition has no leader at the moment", "retriable", "leader"],
  NOT_LEADER_OR_FOLLOWER: [
    6,
    "the broker is not the leader of the partition, or not one of its replicas",
    "retriable",
    "leader"
  ],
  REQUEST_TIMED_OUT: [7, "the broker could not finish the request in the time it was given", "retriable"],
  BROKER_NOT_AVAILABLE: [8, "the broker is not available"],
  REPLICA_NOT_AVAILABLE: [9, "the broker has no replica of the partition", "retriable", "leader"],
  MESSAGE_TOO_LARGE: [10, "a record batch is larger than the topic allows (max.message.bytes)"],
  STALE_CONTROLLER_EPOCH: [11, "another broker has become the controller", "controller"],
  OFFSET_METADATA_TOO_LARGE: [12, "the text committed with an offset is too long (offset.metadata.max.bytes)"],
  NETWORK_EXCEPTION: [13, "the connection ended before the response came", "retriable", "leader"],
  COORDINATOR_LOAD_IN_PROGRESS: [14, "the coordinator is still loading its state", "retriable"],
  COORDINATOR_NOT_AVAILABLE: [15, "no coordinator is available at the moment", "retriable", "coordinator"],
  NOT_COORDINATOR: [16, "the broker is not the coordinator", "retriable", "coordinator"],
  INVALID_TOPIC_EXCEPTION: [17, "the topic's name is not valid, or the topic is internal and not to be written"],
  RECORD_LIST_TOO_LARGE: [18, "a record batch is larger than a segment of the topic (segment.bytes)"],
  NOT_ENOUGH_REPLICAS: [19, "fewer replicas are in sync than the topic demands (min.insync.replicas)", "retriable"],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: [
    20,
    "the records were written, but fewer replicas are in sync than the topic demands (min.insync.replicas)",
    "retriable"
  ],
  INVALID_REQUIRED_ACKS: [21, "acks must be 0, 1 or -1 (all)"],
  ILLEGAL_GENERATION: [22, "the group has moved on to another generation", "member"],
  INCONSISTENT_GROUP_PROTOCOL: [23, "the member has no protocol type or assignor in common with the group"],
  INVALID_GROUP_ID: [24, "the group id is not valid"],
  UNKNOWN_MEMBER_ID: [25, "the coordinator does not know this member of the group", "member"],
  INVALID_SESSION_TIMEOUT: [
    26,
    "the session timeout is outside of what the broker allows (group.min.session.timeout.ms to group.max.session.timeout.ms)"
  ],
  REBALANCE_IN_PROGRESS: [27, "the group is rebalancing: the member has to join again"],
  INVALID_COMMIT_OFFSET_SIZE: [28, "what is to be committed is too large"],
  TOPIC_AUTHORIZATION_FAILED: [29, "not allowed for this topic"],
  GROUP_AUTHORIZATION_FAILED: [30, "not allowed for this group"],
  CLUSTER_AUTHORIZATION_FAILED: [31, "not allowed for this cluster"],
  INVALID_TIMESTAMP: [32, "a timestamp is further from the broker's clock than the topic allows"],
  UNSUPPORTED_SASL_MECHANISM: [33, "the broker does not offer this SASL mechanism"],
  ILLEGAL_SASL_STATE: [34, "the request has no place at this step of the authentication"],
  UNSUPPORTED_VERSION: [35, "the broker does not support this version of the API"],
  TOPIC_ALREADY_EXISTS: [36, "a topic of this name exists already"],
  INVALID_PARTITIONS: [37, "the number of partitions is not valid"],
  INVALID_REPLICATION_FACTOR: [38, "the replication factor is below 1 or above the number of brokers"],
  INVALID_REPLICA_ASSIGNMENT: [39, "the assignment of replicas to brokers is not valid"],
  INVALID_CONFIG: [40, "a configuration entry is not valid"],
  NOT_CONTROLLER: [41, "the broker is not the controller", "retriable", "controller"],
  INVALID_REQUEST: [42, "the broker calls the request malformed or contradictory; its log says more"],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [43, "the topic's record format is too old for this request"],
  POLICY_VIOLATION: [44, "a policy of the cluster forbids what was asked for"],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [
    45,
    "a batch's sequence number does not follow the one that the broker has last",
    "producer"
  ],
  DUPLICATE_SEQUENCE_NUMBER: [46, "the broker has a batch with this sequence number already"],
  INVALID_PRODUCER_EPOCH: [47, "the producer's epoch is older than the one that the broker knows", "producer"],
  INVALID_TXN_STATE: [48, "the transaction is in a state that does not allow this"],
  INVALID_PRODUCER_ID_MAPPING: [49, "the transactional id belongs to another producer id", "producer"],
  INVALID_TRANSACTION_TIMEOUT: [
    50,
    "the transaction timeout is longer than the broker allows (transaction.max.timeout.ms)"
  ],
  CONCURRENT_TRANSACTIONS: [51, "another operation on the same transaction is still going on", "retriable"],
  TRANSACTION_COORDINATOR_FENCED: [52, "the end of a transaction was sent by a broker that coordinates it no more"],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [53, "not allowed for this transactional id"],
  SECURITY_DISABLED: [54, "the cluster has no authorizer"],
  OPERATION_NOT_ATTEMPTED: [55, "not tried, because another part of the same request failed"],
  KAFKA_STORAGE_ERROR: [56, "the broker's disk fails", "retriable", "leader"],
  LOG_DIR_NOT_FOUND: [57, "the broker has no such log directory"],
  SASL_AUTHENTICATION_FAILED: [58, "the authentication failed"],
  UNKNOWN_PRODUCER_ID: [
    59,
    "the broker has nothing left of this producer id, its last records are deleted",
    "producer"
  ],
  REASSIGNMENT_IN_PROGRESS: [60, "the partition is being reassigned already"],
  DELEGATION_TOKEN_AUTH_DISABLED: [61, "delegation tokens are not enabled on the broker"],
  DELEGATION_TOKEN_NOT_FOUND: [62, "there is no such delegation token"],
  DELEGATION_TOKEN_OWNER_MISMATCH: [63, "the principal is neither owner nor renewer of the delegation token"],
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: [
    64,
    "delegation tokens are not given out on a connection that is authenticated like this one"
  ],
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: [65, "not allowed for this delegation token"],
  DELEGATION_TOKEN_EXPIRED: [66, "the delegation token has expired"],
  INVALID_PRINCIPAL_TYPE: [67, "the broker does not support principals of this type"],
  NON_EMPTY_GROUP: [68, "the group has members"],
  GROUP_ID_NOT_FOUND: [69, "there is no such group"],
  FETCH_SESSION_ID_NOT_FOUND: [70, "the broker does not know the fetch session", "retriable", "session"],
  INVALID_FETCH_SESSION_EPOCH: [
    71,
    "the fetch session's epoch is not the one that the broker expects",
    "retriable",
    "session"
  ],
  LISTENER_NOT_FOUND: [
    72,
    "the partition's leader has no listener of the name that the request came in by",
    "retriable",
    "leader"
  ],
  TOPIC_DELETION_DISABLED: [73, "the broker does not allow topics to be deleted (delete.topic.enable)"],
  FENCED_LEADER_EPOCH: [74, "the leader epoch is older than the broker's", "retriable", "leader"],
  UNKNOWN_LEADER_EPOCH: [75, "the leader epoch is newer than the broker's", "retriable"],
  UNSUPPORTED_COMPRESSION_TYPE: [
    76,
    "the records are compressed with a codec that this version of the API cannot carry"
  ],
  STALE_BROKER_EPOCH: [77, "the broker has registered again since"],
  OFFSET_NOT_AVAILABLE: [78, "a new leader does not know its high watermark yet", "retriable"],
  MEMBER_ID_REQUIRED: [79, "the member has to join again with the member id that came with this error"],
  PREFERRED_LEADER_NOT_AVAILABLE: [80, "the preferred leader is not available", "retriable", "leader"],
  GROUP_MAX_SIZE_REACHED: [81, "the group is full (group.max.size)"],
  FENCED_INSTANCE_ID: [82, "another member has taken this group instance id", "member"],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: [
    83,
    "none of the replicas that may lead the partition is available",
    "retriable",
    "leader"
  ],
  ELECTION_NOT_NEEDED: [84, "the partition needs no election of a leader", "retriable", "leader"],
  NO_REASSIGNMENT_IN_PROGRESS: [85, "the partition is not being reassigned"],
  GROUP_SUBSCRIBED_TO_TOPIC: [86, "the group is subscribed to the topic, so its offsets cannot be deleted"],
  INVALID_RECORD: [87, "the broker's checks refuse a record"],
  UNSTABLE_OFFSET_COMMIT: [88, "a transaction that commits offsets of this group is still open", "retriable"],
  THROTTLING_QUOTA_EXCEEDED: [89, "a quota is used up", "retriable"],
  PRODUCER_FENCED: [90, "a newer producer with the same transactional id has taken over", "producer"],
  RESOURCE_NOT_FOUND: [91, "there is no such resource"],
  DUPLICATE_RESOURCE: [92, "the request names the same resource twice"],
  UNACCEPTABLE_CREDENTIAL: [93, "the credential does not meet the broker's demands"],
  INCONSISTENT_VOTER_SET: [94, "sender or receiver is not among the voters of the metadata quorum"],
  INVALID_UPDATE_VERSION: [95, "the version of the feature update is not valid"],
  FEATURE_UPDATE_FAILED: [96, "the features could not be updated because of a failure in the cluster"],
  PRINCIPAL_DESERIALIZATION_FAILURE: [97, "a forwarded request's principal cannot be read"],
  SNAPSHOT_NOT_FOUND: [98, "there is no such snapshot of the metadata log"],
  POSITION_OUT_OF_RANGE: [99, "the position lies outside of the snapshot"],
  UNKNOWN_TOPIC_ID: [100, "the broker does not have a topic with this id", "retriable", "leader", "topicId"],
  DUPLICATE_BROKER_REGISTRATION: [101, "another broker is registered with this id"],
  BROKER_ID_NOT_REGISTERED: [102, "no broker is registered with this id"],
  INCONSISTENT_TOPIC_ID: [103, "the topic's id is not the one in the broker's log", "retriable", "leader", "topicId"],
  INCONSISTENT_CLUSTER_ID: [104, "the cluster id is another one than the broker's"],
  TRANSACTIONAL_ID_NOT_FOUND: [105, "there is no such transactional id"],
  FETCH_SESSION_TOPIC_ID_ERROR: [
    106,
    "the fetch session mixes requests with and without topic ids",
    "retriable",
    "session"
  ],
  INELIGIBLE_REPLICA: [107, "a replica that may not be in sync was put among those that are"],
  NEW_LEADER_ELECTED: [108, "the partition's replicas were changed, and with them its leader"],
  OFFSET_MOVED_TO_TIERED_STORAGE: [109, "the offset lies in tiered storage, not in the broker's log"],
  FENCED_MEMBER_EPOCH: [110, "the member's epoch is fenced: it has to give up all partitions and join again", "member"],
  UNRELEASED_INSTANCE_ID: [111, "another member of the group still holds this group instance id"],
  UNSUPPORTED_ASSIGNOR: [112, "the group does not support the assignor"],
  STALE_MEMBER_EPOCH: [113, "the member's epoch is old: the next heartbeat brings the new one"],
  MISMATCHED_ENDPOINT_TYPE: [114, "the request went to a controller and is for brokers, or the reverse"],
  UNSUPPORTED_ENDPOINT_TYPE: [115, "the broker does not know this type of endpoint"],
  UNKNOWN_CONTROLLER_ID: [116, "there is no controller with this id"],
  UNKNOWN_SUBSCRIPTION_ID: [117, "the telemetry subscription is not known or outdated"],
  TELEMETRY_TOO_LARGE: [118, "the telemetry is larger than the broker accepts"],
  INVALID_REGISTRATION: [119, "the controller refuses the broker's registration"],
  TRANSACTION_ABORTABLE: [120, "the transaction failed: it has to be aborted, the transactional id stays usable"],
  INVALID_RECORD_STATE: [121, "the record cannot be acknowledged: it is not acquired by this member any more"],
  SHARE_SESSION_NOT_FOUND: [122, "the broker does not know the share session", "retriable", "session"],
  INVALID_SHARE_SESSION_EPOCH: [
    123,
    "the share session's epoch is not the one that the broker expects",
    "retriable",
    "session"
  ],
  FENCED_STATE_EPOCH: [124, "the state epoch of the share partition is not the coordinator's"],
  INVALID_VOTER_KEY: [125, "the voter's id and directory are not those of the receiver"],
  DUPLICATE_VOTER: [126, "the voter is in the set of voters already"],
  VOTER_NOT_FOUND: [127, "the voter is not in the set of voters"],
  INVALID_REGULAR_EXPRESSION: [128, "the regular expression is not valid (the broker uses RE2's syntax)"],
  REBOOTSTRAP_REQUIRED: [129, "the client's metadata is out of date: it has to bootstrap again", "cluster"],
  STREAMS_INVALID_TOPOLOGY: [130, "the topology is not valid"],
  STREAMS_INVALID_TOPOLOGY_EPOCH: [131, "the topology's epoch is not valid"],
  STREAMS_TOPOLOGY_FENCED: [132, "the topology's epoch is older than the group's"],
  SHARE_SESSION_LIMIT_REACHED: [133, "the broker has no room for another share session", "retriable"],
  GROUP_DELETION_FAILED: [134, "the group could not be deleted; the message beside the code says why"],
  STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED: [
    135,
    "the topology's description could not be updated; the message beside the code says why"
  ],
  CONTROLLER_ID_NOT_REGISTERED: [136, "no controller is registered with this id"]
} as const satisfies Record<string, Entry>

/**
 * The name of an error code, as Kafka writes it.
 *
 * @category models
 * @since 0.1.0
 */
export type Name = keyof typeof table

/**
 * An error code and what it means.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorCode {
  readonly code: number
  /** Kafka's name, for example `NOT_LEADER_OR_FOLLOWER`; `UNKNOWN_4711` for a code that is not known. */
  readonly name: Name | `UNKNOWN_${number}`
  /** What happened, in words that can follow a colon. */
  readonly text: string
  /** Whether the same request may succeed when it is sent again: what is a `RetriableException` in Java. */
  readonly isRetriable: boolean
  /** What the client has to find out anew before it goes on; mostly nothing. */
  readonly invalidates: ReadonlyArray<Invalidated>
}

// The names are the keys of the table.
const names = Object.keys(table) as ReadonlyArray<Name>

/**
 * The number of each error code, by name.
 *
 * @category constants
 * @since 0.1.0
 */
export const codes = Object.fromEntries(names.map((name) => [name, table[name][0]])) as {
  // fromEntries forgets which name has which number.
  readonly [N in Name]: (typeof table)[N][0]
}

const nothing: ReadonlyArray<never> = []

const make = (name: Name): ErrorCode => {
  const [code, text, ...properties]: Entry = table[name]
  const invalidates = properties.filter((property) => property !== "retriable")
  return {
    code,
    name,
    text,
    isRetriable: properties.includes("retriable"),
    invalidates: invalidates.length === 0 ? nothing : invalidates
  }
}

/**
 * Every error code, ascending from -1.
 *
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<ErrorCode> = names.map(make)

/**
 * The error code with this number. One that is not known is taken as final: not retriable, nothing invalidated.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (code: number): ErrorCode =>
  // The codes have no gap, so -1 is the first.
  all[code + 1] ?? {
    code,
    name: `UNKNOWN_${code}`,
    text: "this error code is newer than the client",
    isRetriable: false,
    invalidates: nothing
  }
