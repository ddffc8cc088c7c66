/**
 * ListTransactions: the transactional ids that this broker looks after, by state, producer, age and name (KIP-664, KIP-994).
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  ListTransactions,
  type ListTransactionsRequest,
  type ListTransactionsResponse
} from "@kafka-effect/protocol/messages/ListTransactions"
import * as Coordinators from "../Coordinators.ts"
import type { Handler } from "../Exchange.ts"
import type { State } from "../transactions/Transactions.ts"

const states: Record<State | "Dead" | "PrepareEpochFence", true> = {
  Empty: true,
  Ongoing: true,
  PrepareCommit: true,
  PrepareAbort: true,
  CompleteCommit: true,
  CompleteAbort: true,
  Dead: true,
  PrepareEpochFence: true
}

const expressionOf = (pattern: string | null): RegExp | undefined =>
  pattern === null || pattern === "" ? undefined : new RegExp(`^(?:${pattern})$`)

/** @internal */
export const handler: Handler<ListTransactionsRequest, ListTransactionsResponse> = {
  api: ListTransactions,
  refuse: (_, errorCode) => ({ errorCode, unknownStateFilters: [], transactionStates: [] }),
  handle: (cluster, { answer, message, node }) => {
    const { durationFilter, producerIdFilters, stateFilters, transactionalIdPattern } = message
    const unknownStateFilters = stateFilters.filter((name) => !Object.hasOwn(states, name))
    const failed = (errorCode: number) => ({ errorCode, unknownStateFilters, transactionStates: [] })
    // Names that nobody knows are told, and choose nothing.
    if (stateFilters.length > 0 && unknownStateFilters.length === stateFilters.length) return answer(failed(codes.NONE))
    let expression: RegExp | undefined
    try {
      expression = expressionOf(transactionalIdPattern)
    } catch {
      return answer(failed(codes.INVALID_REGULAR_EXPRESSION))
    }
    const since = cluster.loop.wallTime() - Number(durationFilter)
    const transactionStates = [...cluster.transactions.values()]
      .filter(({ transactionalId }) => Coordinators.isAt(cluster, "transaction", transactionalId, node))
      .filter(({ state }) => stateFilters.length === 0 || stateFilters.includes(state))
      .filter(({ producerId }) => producerIdFilters.length === 0 || producerIdFilters.includes(producerId))
      .filter(({ startTime }) => durationFilter < 0 || (startTime >= 0 && startTime < since))
      .filter(({ transactionalId }) => expression?.test(transactionalId) ?? true)
      .map(({ producerId, state, transactionalId }) => ({ transactionalId, producerId, transactionState: state }))
    answer({ errorCode: codes.NONE, unknownStateFilters, transactionStates })
  }
}
