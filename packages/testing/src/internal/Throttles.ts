/**
 * Clients that are held back, as by quotas: since 2.0 they are told at once, and not read from for so long; before, they
 * are told when it is over (KIP-219).
 *
 * @since 0.1.0
 */
import type { Cluster } from "./Cluster.ts"
import type { Exchange } from "./Exchange.ts"
import { atLeast } from "./Release.ts"
import type { Outgoing } from "./ServerConnection.ts"

/** @internal */
export interface Throttle {
  /** The key of an API; undefined for all. */
  readonly key: number | undefined
  /** The id of a broker; undefined for all. */
  readonly node: number | undefined
  readonly milliseconds: number
}

const timeOf = ({ throttles }: Cluster, { api, node }: Exchange<unknown, unknown>): number =>
  Math.max(
    0,
    ...[...throttles]
      .filter((one) => (one.key ?? api.key) === api.key && (one.node ?? node.nodeId) === node.nodeId)
      .map(({ milliseconds }) => milliseconds)
  )

/** The exchange, whose answer tells of the throttle, if there is one. @internal */
export const apply = (
  cluster: Cluster,
  exchange: Exchange<unknown, unknown>,
  outgoing: Outgoing
): Exchange<unknown, unknown> => {
  const throttleTimeMs = timeOf(cluster, exchange)
  if (throttleTimeMs === 0) return exchange
  return {
    ...exchange,
    answer: (response) => {
      const frame = () => outgoing.frame({ ...(response as object), throttleTimeMs })
      if (atLeast(cluster.release, "2.0")) return void outgoing.write(frame(), throttleTimeMs)
      exchange.onGone(cluster.loop.after(throttleTimeMs, () => outgoing.write(frame())))
    }
  }
}
