/**
 * The brokers of a cluster, as servers: each listens on a port of its own, on whatever network there is.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ListenError } from "../ListenError.ts"
import type { BrokerNode, Cluster } from "./Cluster.ts"
import type { Controls } from "./Controls.ts"
import * as Dispatch from "./Dispatch.ts"
import * as FetchSessions from "./FetchSessions.ts"
import * as ServerConnection from "./ServerConnection.ts"
import type { ServerNetwork } from "./ServerNetwork.ts"
import { Authentication } from "./sasl/Authentication.ts"

/** @internal */
export interface BrokerNodes {
  /** Adds a broker and starts it; on a free port where none is named. */
  readonly add: (
    nodeId: number,
    options: { readonly port?: number; readonly rack?: string | null }
  ) => Effect.Effect<BrokerNode, ListenError>
  /** Starts a broker that was stopped, on the port that it had. */
  readonly start: (node: BrokerNode) => Effect.Effect<void, ListenError>
  /** Cuts its connections and listens no more. */
  readonly stop: (node: BrokerNode) => Effect.Effect<void>
}

/** `max.incremental.fetch.session.cache.slots`. */
const sessionSlots = 1000

/** @internal */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster,
  controls: Controls,
  network: ServerNetwork
): Effect.fn.Return<BrokerNodes, never, Scope.Scope> {
  const outer = yield* Effect.scope
  const scopes = new Map<BrokerNode, Scope.Closeable>()
  let connections = 0

  const listen = Effect.fnUntraced(function* (node: BrokerNode) {
    const scope = yield* Scope.fork(outer)
    const listening = network.listen(node.port, (socket) =>
      ServerConnection.make(socket, {
        node,
        id: connections++,
        loop: cluster.loop,
        authentication:
          cluster.credentials === undefined ? undefined : new Authentication(cluster.credentials, cluster.random),
        onRequest: (exchange, outgoing) => Dispatch.request(cluster, controls, exchange, outgoing),
        onMisunderstood: (request, outgoing) => Dispatch.misunderstood(cluster, request, outgoing),
        onClose: () => {}
      })
    )
    const { host, port } = yield* Effect.onError(Scope.provide(listening, scope), () => Scope.close(scope, Exit.void))
    node.host = host
    node.port = port
    node.isUp = true
    node.sessions = FetchSessions.make(sessionSlots, cluster.random)
    scopes.set(node, scope)
  })

  return {
    add: (nodeId, { port = 0, rack = null }) =>
      Effect.gen(function* () {
        const sessions = FetchSessions.make(sessionSlots, cluster.random)
        const node: BrokerNode = { nodeId, rack, host: "", port, isUp: false, sessions }
        yield* listen(node)
        cluster.nodes.set(nodeId, node)
        return node
      }),
    start: (node) => (node.isUp ? Effect.void : listen(node)),
    stop: (node) =>
      Effect.suspend(() => {
        const scope = scopes.get(node)
        node.isUp = false
        scopes.delete(node)
        return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
      })
  }
})
