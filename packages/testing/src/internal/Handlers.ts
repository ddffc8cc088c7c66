/**
 * All APIs that the broker answers, by key.
 *
 * @since 0.1.0
 */
import { handler as addOffsetsToTxn } from "./apis/AddOffsetsToTxn.ts"
import { handler as addPartitionsToTxn } from "./apis/AddPartitionsToTxn.ts"
import { handler as alterConfigs } from "./apis/AlterConfigs.ts"
import { handler as alterPartitionReassignments } from "./apis/AlterPartitionReassignments.ts"
import { handler as apiVersions } from "./apis/ApiVersions.ts"
import { handler as consumerGroupDescribe } from "./apis/ConsumerGroupDescribe.ts"
import { handler as consumerGroupHeartbeat } from "./apis/ConsumerGroupHeartbeat.ts"
import { handler as createPartitions } from "./apis/CreatePartitions.ts"
import { handler as createTopics } from "./apis/CreateTopics.ts"
import { handler as deleteGroups } from "./apis/DeleteGroups.ts"
import { handler as deleteRecords } from "./apis/DeleteRecords.ts"
import { handler as deleteTopics } from "./apis/DeleteTopics.ts"
import { handler as describeCluster } from "./apis/DescribeCluster.ts"
import { handler as describeConfigs } from "./apis/DescribeConfigs.ts"
import { handler as describeGroups } from "./apis/DescribeGroups.ts"
import { handler as describeLogDirs } from "./apis/DescribeLogDirs.ts"
import { handler as describeProducers } from "./apis/DescribeProducers.ts"
import { handler as describeTopicPartitions } from "./apis/DescribeTopicPartitions.ts"
import { handler as describeTransactions } from "./apis/DescribeTransactions.ts"
import { handler as electLeaders } from "./apis/ElectLeaders.ts"
import { handler as endTxn } from "./apis/EndTxn.ts"
import { handler as fetch } from "./apis/Fetch.ts"
import { handler as findCoordinator } from "./apis/FindCoordinator.ts"
import { handler as heartbeat } from "./apis/Heartbeat.ts"
import { handler as incrementalAlterConfigs } from "./apis/IncrementalAlterConfigs.ts"
import { handler as initProducerId } from "./apis/InitProducerId.ts"
import { handler as joinGroup } from "./apis/JoinGroup.ts"
import { handler as leaveGroup } from "./apis/LeaveGroup.ts"
import { handler as listConfigResources } from "./apis/ListConfigResources.ts"
import { handler as listGroups } from "./apis/ListGroups.ts"
import { handler as listOffsets } from "./apis/ListOffsets.ts"
import { handler as listPartitionReassignments } from "./apis/ListPartitionReassignments.ts"
import { handler as listTransactions } from "./apis/ListTransactions.ts"
import { handler as metadata } from "./apis/Metadata.ts"
import { handler as offsetCommit } from "./apis/OffsetCommit.ts"
import { handler as offsetDelete } from "./apis/OffsetDelete.ts"
import { handler as offsetFetch } from "./apis/OffsetFetch.ts"
import { handler as offsetForLeaderEpoch } from "./apis/OffsetForLeaderEpoch.ts"
import { handler as produce } from "./apis/Produce.ts"
import { handler as saslAuthenticate } from "./apis/SaslAuthenticate.ts"
import { handler as saslHandshake } from "./apis/SaslHandshake.ts"
import { handler as syncGroup } from "./apis/SyncGroup.ts"
import { handler as txnOffsetCommit } from "./apis/TxnOffsetCommit.ts"
import { handler as writeTxnMarkers } from "./apis/WriteTxnMarkers.ts"
import type { AnyHandler } from "./Exchange.ts"

const all: ReadonlyArray<AnyHandler> = [
  addOffsetsToTxn,
  addPartitionsToTxn,
  alterConfigs,
  alterPartitionReassignments,
  apiVersions,
  consumerGroupDescribe,
  consumerGroupHeartbeat,
  createPartitions,
  createTopics,
  deleteGroups,
  deleteRecords,
  deleteTopics,
  describeCluster,
  describeConfigs,
  describeGroups,
  describeLogDirs,
  describeProducers,
  describeTopicPartitions,
  describeTransactions,
  electLeaders,
  endTxn,
  fetch,
  findCoordinator,
  heartbeat,
  incrementalAlterConfigs,
  initProducerId,
  joinGroup,
  leaveGroup,
  listConfigResources,
  listGroups,
  listOffsets,
  listPartitionReassignments,
  listTransactions,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
  produce,
  saslAuthenticate,
  saslHandshake,
  syncGroup,
  txnOffsetCommit,
  writeTxnMarkers
]

/** @internal */
export const handlers: ReadonlyMap<number, AnyHandler> = new Map(all.map((handler) => [handler.api.key, handler]))
