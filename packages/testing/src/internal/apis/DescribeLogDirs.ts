/**
 * DescribeLogDirs: how many bytes a broker's logs have (KIP-113, KIP-827). All are in one directory, which may be in memory.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  DescribeLogDirs,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse
} from "@kafka-effect/protocol/messages/DescribeLogDirs"
import type { Handler } from "../Exchange.ts"

const logDir = "/tmp/kafka-logs"

/** @internal */
export const handler: Handler<DescribeLogDirsRequest, DescribeLogDirsResponse> = {
  api: DescribeLogDirs,
  refuse: (_, errorCode) => ({ errorCode, results: [] }),
  handle: (cluster, { answer, message, node }) => {
    const asked = message.topics && new Map(message.topics.map(({ partitions, topic }) => [topic, partitions]))
    const topics = [...cluster.topics.values()].flatMap(({ name, partitions }) => {
      const here = partitions.filter(
        ({ index, replicas }) => replicas.includes(node.nodeId) && (asked?.get(name)?.includes(index) ?? asked === null)
      )
      if (here.length === 0) return []
      const told = here.map(({ index, log }) => ({
        partitionIndex: index,
        partitionSize: BigInt(log.batches.reduce((sum, { bytes }) => sum + bytes.length, 0)),
        offsetLag: BigInt(0),
        isFutureKey: false
      }))
      return [{ name, partitions: told }]
    })
    answer({ results: [{ errorCode: codes.NONE, logDir, topics }] })
  }
}
