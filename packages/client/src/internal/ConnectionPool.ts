/**
 * The connections of a cluster: one per broker and purpose, opened when asked for.
 *
 * A broker is one owner of its backoff: attempts for all purposes share it. All IP addresses of a host are tried before
 * an attempt counts as failed, and the name is resolved anew for each attempt. Who asks while a connection is being
 * opened waits for that one; who stops waiting does not stop the others.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { ApiVersions } from "../ApiVersions.ts"
import * as Connection from "../Connection.ts"
import { ConnectFailed, ConnectionLost, KafkaError } from "../KafkaError.ts"
import * as Transport from "../Transport.ts"
import * as Background from "./Background.ts"
import * as Backoff from "./Backoff.ts"
import type { Settings } from "./Settings.ts"

/** @internal */
export interface Node {
  /** Bootstrap servers, whose ids are not known, have negative ids of their own. */
  readonly nodeId: number
  readonly address: Transport.Address
}

/** @internal */
export interface ConnectionPool {
  /** The live connection to a node for a purpose; opened first if there is none. */
  readonly get: (node: Node, purpose: string) => Effect.Effect<Connection.Connection, KafkaError>
  /** Lets go of a purpose: its connections end when what they carry has. */
  readonly release: (purpose: string) => Effect.Effect<void>
  /** Lets go of a node: its connections end when what they carry has. */
  readonly remove: (nodeId: number) => Effect.Effect<void>
  /** Lets go of the nodes that are not among these or have another address now. */
  readonly retain: (nodes: ReadonlyMap<number, Transport.Address>) => Effect.Effect<void>
  /** How busy a node is, for choosing one: connected or not, requests, milliseconds until it may be tried again. */
  readonly status: (nodeId: number) => { readonly isConnected: boolean; readonly load: number; readonly wait: number }
}

/** @internal */
export type Event =
  | { readonly _tag: "Connecting"; readonly nodeId: number; readonly broker: string; readonly purpose: string }
  | { readonly _tag: "Ready"; readonly nodeId: number; readonly broker: string; readonly purpose: string }
  | {
      readonly _tag: "Failed" | "Closed"
      readonly nodeId: number
      readonly broker: string
      readonly purpose: string
      readonly error: KafkaError
    }

interface Slot {
  connection: Connection.Connection | undefined
  opening: Deferred.Deferred<Connection.Connection, KafkaError> | undefined
}

interface NodeState {
  readonly node: Node
  readonly broker: string
  readonly slots: Map<string, Slot>
  /** Rounds of attempts that have failed in a row: those that were under way together are one. */
  failures: number
  /** When the last round failed, in milliseconds of the clock. */
  failedAt: number
  /** In milliseconds of the clock: no attempt before. */
  retryAt: number
  isRemoved: boolean
}

/** The client itself ended a connection, because it was idle or no longer needed. @internal */
export const isOurs = ({ reason }: KafkaError): boolean =>
  reason._tag === "ConnectionLost" && ["idle", "replaced", "client"].includes(reason.closedBy)

const isSame = (a: Transport.Address, b: Transport.Address): boolean => a.host === b.host && a.port === b.port

const replaced = ({ broker, node: { nodeId } }: NodeState): KafkaError => {
  const detail = "the broker has another address now"
  return new KafkaError({
    reason: new ConnectionLost({ nodeId, broker, closedBy: "replaced", detail, maybeSent: false })
  })
}

/** @internal */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  onEvent: (event: Event) => void
): Effect.fn.Return<ConnectionPool, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const transport = yield* Transport.Transport
  const now = (): number => Backoff.monotonicMillis(clock)
  const states = new Map<number, NodeState>()
  // What was found out, by address, of brokers that do not know ApiVersions: finding out takes a second, or several
  // connections. Forgotten when a connection fails or is lost, since the broker may come back as another release.
  const tooOldToSay = new Map<string, ApiVersions>()
  const background = yield* Background.make

  const stateOf = (node: Node): NodeState => {
    let state = states.get(node.nodeId)
    if (state === undefined) {
      const broker = Connection.formatAddress(node.address)
      state = {
        node,
        broker,
        slots: new Map(),
        failures: 0,
        failedAt: Number.NEGATIVE_INFINITY,
        retryAt: 0,
        isRemoved: false
      }
      states.set(node.nodeId, state)
    }
    return state
  }

  const backOff = (state: NodeState, failures: number): Effect.Effect<void> =>
    Effect.map(Backoff.delay(settings.reconnectBackoff, settings.reconnectBackoffMax, failures), (delay) => {
      state.retryAt = Math.max(state.retryAt, now() + delay)
    })

  const openAddress = Effect.fnUntraced(function* (state: NodeState, ip: string) {
    const { node } = state
    const initial = settings.socketConnectionSetupTimeout
    const setupTimeout = yield* Backoff.delay(initial, settings.socketConnectionSetupTimeoutMax, state.failures + 1)
    const attempt = yield* Scope.fork(scope)
    return yield* Connection.make({
      ...node,
      ip,
      setupTimeout,
      settings,
      apiVersions: tooOldToSay.get(state.broker)
    }).pipe(
      Effect.provideService(Transport.Transport, transport),
      Scope.provide(attempt),
      Effect.onError(() => Scope.close(attempt, Exit.void)),
      Effect.tap((connection) =>
        connection.closed.pipe(Effect.andThen(Scope.close(attempt, Exit.void)), Effect.forkIn(scope))
      )
    )
  })

  const open = Effect.fnUntraced(function* (state: NodeState): Effect.fn.Return<Connection.Connection, KafkaError> {
    const { address, nodeId } = state.node
    const wait = state.retryAt - now()
    if (wait > 0) yield* Effect.sleep(wait)
    const failed = (detail: string) =>
      new KafkaError({ reason: new ConnectFailed({ nodeId, broker: state.broker, detail }) })
    const timeout = settings.socketConnectionSetupTimeout
    const ips = yield* transport.resolve(address.host).pipe(
      Effect.mapError((error) => failed(error.message)),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail(failed(`its name was not resolved within ${timeout} ms (socketConnectionSetupTimeout)`))
      })
    )
    const errors: Array<KafkaError> = []
    for (const ip of ips) {
      const opened = yield* Effect.result(openAddress(state, ip))
      if (Result.isSuccess(opened)) return opened.success
      errors.push(opened.failure)
    }
    if (errors.length === 1) return yield* errors[0]
    const details = errors.map(({ reason }) => (reason._tag === "ConnectFailed" ? reason.detail : reason.message))
    return yield* failed(details.length === 0 ? "its name has no address" : details.join(", "))
  })

  const watch = (state: NodeState, purpose: string, slot: Slot, connection: Connection.Connection) =>
    Effect.flatMap(connection.closed, (error) => {
      if (slot.connection === connection) slot.connection = undefined
      onEvent({ _tag: "Closed", nodeId: state.node.nodeId, broker: state.broker, purpose, error })
      if (isOurs(error)) return Effect.void
      tooOldToSay.delete(state.broker)
      return backOff(state, 1)
    })

  const fill = (state: NodeState, purpose: string, slot: Slot) =>
    Effect.gen(function* () {
      const at = { nodeId: state.node.nodeId, broker: state.broker, purpose }
      onEvent({ _tag: "Connecting", ...at })
      const started = Math.max(now(), state.retryAt)
      // A defect would stay in the slot for ever: metadata may name a port that there is not.
      const unforeseen = (defect: unknown) => {
        const detail = defect instanceof Error ? defect.message : String(defect)
        return Effect.fail(new KafkaError({ reason: new ConnectFailed({ ...at, detail }) }))
      }
      const opened = yield* Effect.result(Effect.catchDefect(open(state), unforeseen))
      slot.opening = undefined
      if (Result.isFailure(opened)) {
        tooOldToSay.delete(state.broker)
        if (started > state.failedAt) {
          state.failures++
          state.failedAt = Math.max(now(), started)
          yield* backOff(state, state.failures)
        }
        onEvent({ _tag: "Failed", ...at, error: opened.failure })
        return yield* opened.failure
      }
      const connection = opened.success
      state.failures = 0
      if (connection.apiVersions.source !== "negotiated") tooOldToSay.set(state.broker, connection.apiVersions)
      if (state.isRemoved || state.slots.get(purpose) !== slot) {
        yield* connection.retire
        return yield* replaced(state)
      }
      slot.connection = connection
      onEvent({ _tag: "Ready", ...at })
      yield* Effect.forkIn(watch(state, purpose, slot, connection), scope, { startImmediately: true })
      return connection
    })

  const get: ConnectionPool["get"] = (node, purpose) =>
    Effect.suspend(() => {
      const before = states.get(node.nodeId)
      if (before !== undefined && !isSame(before.node.address, node.address)) {
        return Effect.andThen(remove(node.nodeId), get(node, purpose))
      }
      const state = stateOf(node)
      let slot = state.slots.get(purpose)
      if (slot?.connection?.isAlive() === true) return Effect.succeed(slot.connection)
      if (slot === undefined) {
        slot = { connection: undefined, opening: undefined }
        state.slots.set(purpose, slot)
      }
      if (slot.opening !== undefined) return Deferred.await(slot.opening)
      const opening = Deferred.makeUnsafe<Connection.Connection, KafkaError>()
      slot.opening = opening
      return Effect.andThen(background.into(fill(state, purpose, slot), opening), Deferred.await(opening))
    })

  const release: ConnectionPool["release"] = (purpose) =>
    Effect.suspend(() => {
      const connections = [...states.values()].flatMap(({ slots }) => {
        const connection = slots.get(purpose)?.connection
        slots.delete(purpose)
        return connection ?? []
      })
      return Effect.forEach(connections, (connection) => connection.retire, { discard: true })
    })

  const remove: ConnectionPool["remove"] = (nodeId) =>
    Effect.suspend(() => {
      const state = states.get(nodeId)
      if (state === undefined) return Effect.void
      states.delete(nodeId)
      state.isRemoved = true
      const connections = [...state.slots.values()].flatMap(({ connection }) => connection ?? [])
      return Effect.forEach(connections, (connection) => connection.retire, { discard: true })
    })

  const retain: ConnectionPool["retain"] = (nodes) =>
    Effect.suspend(() => {
      const gone = [...states.values()].filter(({ node: { address, nodeId } }) => {
        const kept = nodes.get(nodeId)
        return kept === undefined || !isSame(kept, address)
      })
      return Effect.forEach(gone, ({ node }) => remove(node.nodeId), { discard: true })
    })

  const status: ConnectionPool["status"] = (nodeId) => {
    const state = states.get(nodeId)
    if (state === undefined) return { isConnected: false, load: 0, wait: 0 }
    let load = 0
    let isConnected = false
    for (const { connection } of state.slots.values()) {
      if (connection?.isAlive() !== true) continue
      isConnected = true
      load += connection.load()
    }
    return { isConnected, load, wait: Math.max(0, state.retryAt - now()) }
  }

  return { get, release, remove, retain, status }
})
