/**
 * Which broker to ask what any broker can answer: those that are known, the least busy first, then the bootstrap
 * servers, until one answers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { ClusterMetadata } from "../ClusterMetadata.ts"
import * as Connection from "../Connection.ts"
import { KafkaError, Unreachable } from "../KafkaError.ts"
import * as Transport from "../Transport.ts"
import { isClientClosed } from "./Background.ts"
import type { ConnectionPool, Node } from "./ConnectionPool.ts"
import type { Settings } from "./Settings.ts"

/** @internal */
export interface Contact {
  /**
   * Runs `ask` with one connection after the other, until it succeeds or `goOn` says that its failure is final. When
   * none is left, fails with the last error that a broker answered, or else with `Unreachable`, naming every server and
   * why.
   */
  readonly any: <A>(
    ask: (connection: Connection.Connection) => Effect.Effect<A, KafkaError>,
    options: {
      readonly goOn: (error: KafkaError) => boolean
      /** Asks the bootstrap servers alone. Defaults to false. */
      readonly bootstrap?: boolean | undefined
    }
  ) => Effect.Effect<A, KafkaError>
}

const noAddresses: ReadonlyArray<string> = []

/** @internal */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  pool: ConnectionPool,
  metadata: () => ClusterMetadata
): Effect.fn.Return<Contact> {
  const transport = yield* Transport.Transport

  /** Begins anywhere, so that many clients do not all meet at the first. */
  const rotated = <A>(items: ReadonlyArray<A>): Effect.Effect<ReadonlyArray<A>> =>
    Effect.map(Random.next, (random) => {
      const start = Math.floor(random * items.length)
      return [...items.slice(start), ...items.slice(0, start)]
    })

  const known = Effect.suspend(() =>
    Effect.map(rotated([...metadata().brokers.values()]), (brokers) =>
      brokers
        .map((broker): Node & ReturnType<ConnectionPool["status"]> => ({
          nodeId: broker.nodeId,
          address: { host: broker.host, port: broker.port },
          ...pool.status(broker.nodeId)
        }))
        .sort((a, b) => Number(b.isConnected) - Number(a.isConnected) || a.load - b.load || a.wait - b.wait)
    )
  )

  const canonical = Effect.fnUntraced(function* (address: Transport.Address) {
    const duration = settings.socketConnectionSetupTimeout
    const ips = yield* transport.resolve(address.host).pipe(
      Effect.catch(() => Effect.succeed(noAddresses)),
      Effect.timeoutOrElse({ duration, orElse: () => Effect.succeed(noAddresses) })
    )
    // What cannot be resolved fails later, when it is connected to, with an error that says so.
    if (ips.length === 0) return [address]
    const names = yield* Effect.forEach(ips, (ip) =>
      Effect.timeoutOrElse(transport.canonicalName(ip), { duration, orElse: () => Effect.succeed(ip) })
    )
    return names.map((host): Transport.Address => ({ host, port: address.port }))
  })

  const bootstrap = Effect.gen(function* () {
    const addresses = settings.resolveCanonicalBootstrapServers
      ? (yield* Effect.forEach(settings.bootstrapServers, canonical)).flat()
      : settings.bootstrapServers
    return yield* rotated(addresses.map((address, index): Node => ({ nodeId: -1 - index, address })))
  })

  const any: Contact["any"] = (ask, options) =>
    Effect.gen(function* () {
      let answered: KafkaError | undefined
      const attempts: Array<{ readonly broker: string; readonly detail: string }> = []
      for (const nodes of options.bootstrap === true ? [bootstrap] : [known, bootstrap]) {
        for (const node of yield* nodes) {
          const answer = yield* Effect.result(Effect.flatMap(pool.get(node, "main"), ask))
          if (Result.isSuccess(answer)) return answer.success
          const error = answer.failure
          if (!options.goOn(error) || isClientClosed(error)) return yield* error
          const detail = error.reason._tag === "ConnectFailed" ? error.reason.detail : error.message
          if (error.reason._tag === "BrokerError") answered = error
          attempts.push({ broker: Connection.formatAddress(node.address), detail })
        }
      }
      return yield* answered ?? new KafkaError({ reason: new Unreachable({ attempts }) })
    })

  return { any }
})
