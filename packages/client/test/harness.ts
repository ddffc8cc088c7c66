/** What the tests of connections share: settings with short times, and a connection to a scripted broker. */
import { Effect, type Scope } from "effect"
import * as Connection from "../src/Connection.ts"
import type { Settings } from "../src/internal/Settings.ts"
import type { KafkaError, Reason } from "../src/KafkaError.ts"
import type { ScriptedBroker } from "./ScriptedBroker.ts"

export const settings: Settings = {
  bootstrapServers: [],
  resolveCanonicalBootstrapServers: false,
  clientId: "test",
  requestTimeout: 5000,
  maxInFlight: 5,
  receiveMaxBytes: 1_000_000,
  connectionsMaxIdle: 60_000,
  reconnectBackoff: 50,
  reconnectBackoffMax: 1000,
  socketConnectionSetupTimeout: 10_000,
  socketConnectionSetupTimeoutMax: 30_000,
  retryBackoff: 100,
  retryBackoffMax: 1000,
  metadataMaxAge: 300_000
}

export const connect = (
  broker: ScriptedBroker,
  options: Partial<Settings> & { readonly setupTimeout?: number } = {}
): Effect.Effect<Connection.Connection, KafkaError, Scope.Scope> =>
  Connection.make({
    nodeId: 1,
    address: { host: broker.host, port: broker.port },
    ip: broker.host,
    setupTimeout: options.setupTimeout ?? 5000,
    settings: { ...settings, ...options }
  })

/** The reason of a failure, which must have this tag. */
export const failure = <A, R, Tag extends Reason["_tag"]>(
  effect: Effect.Effect<A, KafkaError, R>,
  tag: Tag
): Effect.Effect<Extract<Reason, { readonly _tag: Tag }>, never, R> =>
  Effect.flip(effect).pipe(
    Effect.orDie,
    Effect.map(({ reason }) => {
      if (reason._tag !== tag) throw new Error(`expected ${tag}, got ${reason._tag}: ${reason.message}`)
      return reason as Extract<Reason, { readonly _tag: Tag }>
    })
  )

/** Waits until a condition holds; for what happens on the far side of a socket. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(2), until(holds)))).pipe(
    Effect.timeoutOrElse({ duration: 15_000, orElse: () => Effect.die(new Error("waited 15 s in vain")) })
  )
