/**
 * From a request to its answer: what a test wants of it first, then the API's own handler.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ApiVersions } from "@kafka-effect/protocol/messages/ApiVersions"
import { FindCoordinator } from "@kafka-effect/protocol/messages/FindCoordinator"
import * as Duration from "effect/Duration"
import type { Reply } from "../Control.ts"
import { offered } from "./apis/ApiVersions.ts"
import type { Cluster } from "./Cluster.ts"
import type { Controls } from "./Controls.ts"
import type { Exchange } from "./Exchange.ts"
import { handlers } from "./Handlers.ts"
import * as Release from "./Release.ts"
import type { Misunderstood, Outgoing } from "./ServerConnection.ts"
import * as Throttles from "./Throttles.ts"

const concat = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(pieces))

/** Does what is asked. */
const handle = (cluster: Cluster, exchange: Exchange<unknown, unknown>): void => {
  const handler = handlers.get(exchange.api.key)
  if (handler === undefined) return void exchange.close()
  handler.handle(cluster, exchange)
}

/** Does what is asked; but a broker of 0.8.2 without topics knows no coordinators, and forgets who asked. */
const pass = (cluster: Cluster, exchange: Exchange<unknown, unknown>, outgoing: Outgoing): void => {
  const isTooEarly = cluster.release.startsWithTopics && cluster.topics.size === 0
  if (!isTooEarly || exchange.api.key !== FindCoordinator.key) return void handle(cluster, exchange)
  const nobody = { errorCode: codes.COORDINATOR_NOT_AVAILABLE, nodeId: -1, host: "", port: -1 }
  outgoing.write(outgoing.frame(nobody, exchange.version, 0))
}

/** Does what is asked, and lets something else than its answer leave. */
const instead = (
  cluster: Cluster,
  exchange: Exchange<unknown, unknown>,
  outgoing: Outgoing,
  leave: (frame: Uint8Array) => void
): void =>
  handle(cluster, {
    ...exchange,
    answer: (response) => {
      if (!exchange.isGone()) leave(concat(outgoing.frame(response)))
    }
  })

const act = (cluster: Cluster, exchange: Exchange<unknown, unknown>, outgoing: Outgoing, reply: Reply): void => {
  switch (reply._tag) {
    case "Pass":
      return void pass(cluster, exchange, outgoing)
    case "Respond":
      return void exchange.answer(reply.response)
    case "Fail": {
      const handler = handlers.get(exchange.api.key)
      if (handler === undefined) return void exchange.close()
      return void exchange.answer(handler.refuse(exchange.message, reply.code, exchange.version))
    }
    case "Silence":
      return
    case "Close":
      return void exchange.close()
    case "Delay": {
      const cancel = cluster.loop.after(Duration.toMillis(Duration.fromInputUnsafe(reply.duration)), () =>
        act(cluster, exchange, outgoing, reply.then)
      )
      return void exchange.onGone(cancel)
    }
    case "Corrupt":
      return void instead(cluster, exchange, outgoing, (frame) => outgoing.write([reply.change(frame)]))
    case "Partial":
      return void instead(cluster, exchange, outgoing, (frame) => {
        outgoing.write([frame.subarray(0, reply.bytes)])
        outgoing.end()
      })
    case "LoseAnswer":
      return void instead(cluster, exchange, outgoing, () => exchange.close())
  }
}

/** @internal */
export const request = (
  cluster: Cluster,
  controls: Controls,
  exchange: Exchange<unknown, unknown>,
  outgoing: Outgoing
): void => {
  const { authentication, node } = exchange
  if (!node.isUp || authentication?.admits(exchange.api.key) === false) return void exchange.close()
  if (!Release.knows(cluster.release, exchange.api, exchange.version)) {
    const { api, correlationId, version } = exchange
    return void misunderstood(cluster, { key: api.key, version, correlationId, cause: undefined }, outgoing)
  }
  act(cluster, Throttles.apply(cluster, exchange, outgoing), outgoing, controls.decide(exchange))
}

/** A request in no API and version that there is. @internal */
export const misunderstood = (cluster: Cluster, { cause, key }: Misunderstood, outgoing: Outgoing): void => {
  const { release } = cluster
  // The one API whose unknown versions are answered, in version 0, and with those that there are since Kafka 2.4 (KIP-511).
  if (key === ApiVersions.key && release.versions.has(key) && cause === undefined) {
    const apiKeys = Release.atLeast(release, "2.4") ? offered(cluster).filter(({ apiKey }) => apiKey === key) : []
    return void outgoing.write(outgoing.frame({ errorCode: codes.UNSUPPORTED_VERSION, apiKeys }, 0))
  }
  // What follows on the connection is answered all the same: 0.9 only forgets this one.
  if (release.unknown === "silence") outgoing.write([])
  else outgoing.end()
}
