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

const refused = (endpointType: number) =>
  endpointType === controllers
    ? {
        errorCode: codes.MISMATCHED_ENDPOINT_TYPE,
        errorMessage: "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
      }
    : { errorCode: codes.UNSUPPORTED_ENDPOINT_TYPE, errorMessage: `Unsupported endpoint type ${endpointType}` }

/** CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and IDEMPOTENT_WRITE: all, without ACLs. */
const allOperations = [5, 7, 8, 9, 10, 11, 12].reduce((bits, operation) => bits | (1 << operation), 0)

/** @internal */
export const handler: Handler<DescribeClusterRequest, DescribeClusterResponse> = {
  api: DescribeCluster,
  refuse: (_, errorCode) => ({ errorCode, clusterId: "", brokers: [] }),
  handle: (cluster, { answer, message, version }) => {
    const { endpointType, includeClusterAuthorizedOperations, includeFencedBrokers } = message
    if (endpointType !== brokers) return answer({ ...refused(endpointType), clusterId: "", brokers: [] })
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
