/**
 * A request that is being answered.
 *
 * @since 0.1.0
 */
import type { AnyApi, Api } from "@kafka-effect/protocol/Api"
import type * as Wire from "@kafka-effect/protocol/Wire"
import type { BrokerNode, Cluster } from "./Cluster.ts"
import type { Authentication } from "./sasl/Authentication.ts"

/** @internal */
export interface Exchange<Request, Response> {
  readonly api: AnyApi
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly message: Request
  /** The broker that was asked. */
  readonly node: BrokerNode
  /** Counts the connections of the cluster. */
  readonly connection: number
  /** The address of who asks. */
  readonly remote: string
  /** Who asks has been proved to be this; `ANONYMOUS` without authentication. */
  readonly principal: string
  /** Undefined where nobody is asked who he is. */
  readonly authentication: Authentication | undefined
  /** Answers, now or later, once: what comes after the first is dropped. */
  readonly answer: (response: Wire.Input<Response>) => void
  /** Says that there is no answer (acks 0): the connection goes on to its next request. */
  readonly answerNothing: () => void
  /** Ends the connection instead. */
  readonly close: () => void
  /** Whether who asked has gone. */
  readonly isGone: () => boolean
  /** Is called when who asked goes before he was answered. */
  readonly onGone: (task: () => void) => void
}

/** How a broker answers one API. @internal */
export interface Handler<Request, Response> {
  readonly api: Api<Request, Response>
  /** Answers by `exchange.answer`, at once or later. */
  readonly handle: (cluster: Cluster, exchange: Exchange<Request, Response>) => void
  /** The answer that says nothing but this error code, at every place where the API has one. */
  readonly refuse: (request: Request, code: number, version: number) => Wire.Input<Response>
}

/** Any handler, where its types do not matter. @internal */
// biome-ignore lint/suspicious/noExplicitAny: handlers of many types lie in one table, and each gets its own API's messages
export type AnyHandler = Handler<any, any>
