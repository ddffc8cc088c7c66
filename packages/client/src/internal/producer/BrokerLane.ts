/**
 * The way of Produce requests to one broker: one request is prepared at a time, several are in flight, and all that are
 * in flight are on one connection, so that they are written and answered in order.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Cluster } from "../../Cluster.ts"
import type { Connection } from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"

/** One request's use of the lane. @internal */
export interface Turn {
  /** The connection has the request: the next may be prepared. */
  readonly submitted: () => void
  /** It was answered, or has failed. */
  readonly end: () => void
}

/** @internal */
export interface BrokerLane {
  readonly nodeId: number
  /** Whether a request may be begun: none is being prepared, and not too many are in flight. */
  readonly canBegin: () => boolean
  readonly begin: () => Turn
  /** The connection, once no request is left on the one before it. */
  readonly connection: Effect.Effect<Connection, KafkaError>
}

/** @internal */
export const make = (cluster: Cluster): { readonly get: (nodeId: number) => BrokerLane } => {
  const lanes = new Map<number, BrokerLane>()
  return {
    get: (nodeId) => {
      let lane = lanes.get(nodeId)
      if (lane === undefined) {
        lane = makeLane(cluster, nodeId)
        lanes.set(nodeId, lane)
      }
      return lane
    }
  }
}

const makeLane = (cluster: Cluster, nodeId: number): BrokerLane => {
  const { maxInFlight } = cluster.settings
  const isAlone = Latch.makeUnsafe(true)
  /** Requests that were begun and have not ended. */
  let begun = 0
  let preparing: Turn | undefined
  let used: Connection | undefined
  const lane: BrokerLane = {
    nodeId,
    canBegin: () => preparing === undefined && begun < maxInFlight,
    begin: () => {
      const submitted = (): void => {
        if (preparing === turn) preparing = undefined
      }
      const end = (): void => {
        submitted()
        begun--
        if (begun <= 1) isAlone.openUnsafe()
      }
      const turn: Turn = { submitted, end }
      preparing = turn
      begun++
      if (begun > 1) isAlone.closeUnsafe()
      return turn
    },
    connection: Effect.flatMap(cluster.connection(nodeId, "main"), (connection) => {
      if (connection === used || begun <= 1) {
        used = connection
        return Effect.succeed(connection)
      }
      return Effect.andThen(isAlone.await, lane.connection)
    })
  }
  return lane
}
