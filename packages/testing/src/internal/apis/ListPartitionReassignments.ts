/**
 * ListPartitionReassignments: none is ever under way, since each is done at once (KIP-455).
 *
 * @since 0.1.0
 */
import {
  ListPartitionReassignments,
  type ListPartitionReassignmentsRequest,
  type ListPartitionReassignmentsResponse
} from "@kafka-effect/protocol/messages/ListPartitionReassignments"
import type { Handler } from "../Exchange.ts"

/** @internal */
export const handler: Handler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse> = {
  api: ListPartitionReassignments,
  refuse: (_, errorCode) => ({ errorCode, errorMessage: null }),
  handle: (_, { answer }) => answer({ errorMessage: null })
}
