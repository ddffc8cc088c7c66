/**
 * DescribeCluster: the brokers and the controller (KIP-700, KIP-919, KIP-1073).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeCluster,
  type DescribeClusterRequest,
  type DescribeClusterResponse
} from "@kafka-effect/protocol/messages/DescribeCluster"
import type { Handler } from "../Exchange.ts"

const brokers = 1
const controllers = 2

/** CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and IDEMPOTENT_WRITE: all, without ACLs. */
const allOperations = [5, 7, 8, 9, 10, 11, 12].reduce((bits, operation) => bits | (1 << operation), 0)

/** @internal */
export const handler: Handler<DescribeClusterRequest, DescribeClusterResponse> = {
  api: DescribeCluster,
  refuse: (_, errorCode) => ({ errorCode, clusterId: "", brokers: [] }),
  handle: (cluster, { answer, message, version }) => {
    const { endpointType, includeClusterAuthorizedOperations, includeFencedBrokers } = message
    if (endpointType === controllers) return answer(handler.refuse(message, codes.MISMATCHED_ENDPOINT_TYPE, version))
    if (endpointType !== brokers) return answer(handler.refuse(message, codes.UNSUPPORTED_ENDPOINT_TYPE, version))
    const told = [...cluster.nodes.values()].filter(({ isUp }) => isUp || includeFencedBrokers)
    answer({
      clusterId: cluster.clusterId,
      controllerId: cluster.controllerId,
      brokers: told.map(({ host, isUp, nodeId, port, rack }) => ({
        brokerId: nodeId,
        host,
        port,
        rack,
        isFenced: version >= 2 && !isUp
      })),
      ...(includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: allOperations } : {})
    })
  }
}
