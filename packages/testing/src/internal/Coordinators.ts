/**
 * Which broker looks after which group and transactional id: by the hash of the key, as Kafka does it with the partitions
 * of its internal topics, unless a test has moved it.
 *
 * @since 0.1.0
 */
import type { BrokerNode, Cluster } from "./Cluster.ts"
import { upNodes } from "./Cluster.ts"

/** @internal */
export type Kind = "group" | "transaction"

/** Java's `String.hashCode`, without its sign. */
const hash = (text: string): number => {
  let result = 0
  for (let index = 0; index < text.length; index++) result = (Math.imul(result, 31) + text.charCodeAt(index)) | 0
  return result & 0x7fffffff
}

/** Undefined while no broker is up. @internal */
export const of = (cluster: Cluster, kind: Kind, key: string): BrokerNode | undefined => {
  const moved = cluster.movedCoordinators.get(`${kind} ${key}`)
  const chosen = moved === undefined ? undefined : cluster.nodes.get(moved)
  if (chosen?.isUp === true) return chosen
  const nodes = upNodes(cluster)
  return nodes[hash(key) % Math.max(1, nodes.length)]
}

/** @internal */
export const isAt = (cluster: Cluster, kind: Kind, key: string, node: BrokerNode): boolean =>
  of(cluster, kind, key) === node
