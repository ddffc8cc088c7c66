/**
 * Who coordinates a group or a transactional id: asked once, kept until someone finds that it is no longer so.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { FindCoordinator, type FindCoordinatorResponse } from "@kafka-effect/protocol/messages/FindCoordinator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Endpoint } from "../ClusterMetadata.ts"
import type { Connection } from "../Connection.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as Background from "./Background.ts"
import * as Backoff from "./Backoff.ts"
import { brokerError } from "./BrokerErrors.ts"
import type { Contact } from "./Contact.ts"
import type { Settings } from "./Settings.ts"

/** @internal */
export type CoordinatorType = "group" | "transaction" | "share"

/** @internal */
export interface Coordinators {
  readonly find: (type: CoordinatorType, key: string) => Effect.Effect<number, KafkaError>
  readonly invalidate: (type: CoordinatorType, key: string) => Effect.Effect<void>
}

const keyTypes = { group: 0, transaction: 1, share: 2 }
// The first versions that know the type, and that take several keys.
const minVersions = { group: 0, transaction: 1, share: 6 }
const batched = 4

const coordinatorOf = (response: FindCoordinatorResponse, version: number, key: string) =>
  version < batched ? response : response.coordinators.find((coordinator) => coordinator.key === key)

/** @internal */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  contact: Contact,
  onEndpoint: (endpoint: Endpoint) => void
): Effect.fn.Return<Coordinators, never, Scope.Scope> {
  const background = yield* Background.make
  const lookups = new Map<string, Deferred.Deferred<number, KafkaError>>()

  const ask = (type: CoordinatorType, key: string) =>
    Effect.fnUntraced(function* (connection: Connection): Effect.fn.Return<number, KafkaError> {
      const version = yield* connection.version(FindCoordinator, { minVersion: minVersions[type] })
      const keys = version < batched ? { key } : { coordinatorKeys: [key] }
      const keyType = version > 0 ? { keyType: keyTypes[type] } : {}
      const response = yield* connection.request(FindCoordinator, { ...keys, ...keyType }, { version })
      const found = coordinatorOf(response, version, key)
      const { broker, nodeId } = connection
      // An answer without the key is none: as good as "not available".
      const code = found?.errorCode ?? codes.COORDINATOR_NOT_AVAILABLE
      if (found === undefined || code !== 0) {
        return yield* brokerError({ nodeId, broker, api: "FindCoordinator", code, detail: found?.errorMessage })
      }
      onEndpoint(found)
      return found.nodeId
    })

  const look = (type: CoordinatorType, key: string): Effect.Effect<number, KafkaError> =>
    Backoff.retryUntil(
      contact.any(ask(type, key), { goOn: (error) => error.isRetriable && error.reason._tag !== "BrokerError" }),
      { ...settings, timeout: settings.requestTimeout }
    )

  const find: Coordinators["find"] = (type, key) =>
    Effect.suspend(() => {
      const id = `${type}:${key}`
      const known = lookups.get(id)
      if (known !== undefined) return Deferred.await(known)
      const lookup = Deferred.makeUnsafe<number, KafkaError>()
      lookups.set(id, lookup)
      const work = Effect.onError(look(type, key), () => Effect.sync(() => lookups.delete(id)))
      return Effect.andThen(background.into(work, lookup), Deferred.await(lookup))
    })

  return {
    find,
    invalidate: (type, key) =>
      Effect.sync(() => {
        const id = `${type}:${key}`
        const lookup = lookups.get(id)
        // One that is under way will give the newest answer there is.
        if (lookup !== undefined && Deferred.isDoneUnsafe(lookup)) lookups.delete(id)
      })
  }
})
