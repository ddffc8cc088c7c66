/**
 * The four requests of the classic group protocol, at every version, to whoever coordinates the group now. What is
 * answered with an error code is a failure that names it.
 *
 * @since 0.1.0
 */
import type { Api } from "@kafka-effect/protocol/Api"
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { Heartbeat } from "@kafka-effect/protocol/messages/Heartbeat"
import { JoinGroup, type JoinGroupResponse } from "@kafka-effect/protocol/messages/JoinGroup"
import { LeaveGroup } from "@kafka-effect/protocol/messages/LeaveGroup"
import { SyncGroup } from "@kafka-effect/protocol/messages/SyncGroup"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as Effect from "effect/Effect"
import type { Cluster } from "../../Cluster.ts"
import type { Connection } from "../../Connection.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { brokerError } from "../BrokerErrors.ts"
import type { MemberIdentity, Options } from "./Membership.ts"

/** @internal */
export interface Joining {
  /** Empty for one that is new. */
  readonly memberId: string
  /** By assignor, in order of preference. */
  readonly protocols: ReadonlyArray<{ readonly name: string; readonly metadata: Uint8Array }>
  readonly reason: string
  /** Told the id that a new member is to come back with (KIP-394). */
  readonly named: (memberId: string) => void
}

/** @internal */
export interface ClassicRequests {
  readonly join: (joining: Joining) => Effect.Effect<JoinGroupResponse, KafkaError>
  /** The bytes of this member's assignment; a leader brings those of all members. */
  readonly sync: (
    identity: MemberIdentity,
    protocolName: string,
    assignments: ReadonlyArray<{ readonly memberId: string; readonly assignment: Uint8Array }>
  ) => Effect.Effect<Uint8Array, KafkaError>
  readonly heartbeat: (identity: MemberIdentity) => Effect.Effect<void, KafkaError>
  readonly leave: (memberId: string, reason: string) => Effect.Effect<void, KafkaError>
  /** Lets go of the connection of Join and Sync, until the next. */
  readonly joined: Effect.Effect<void>
}

const protocolType = "consumer"

// Joining's version that tells new members their id, and Leave's that takes several members.
const namesFirst = 4
const leavesByList = 3

/** How much later than the rebalance a Join may be answered, in milliseconds. */
const joinGrace = 5000

/** The broker takes no longer ones (KIP-800). */
const maxReasonLength = 255

/** How many memberships there have been. */
let serial = 0

/** @internal */
export const make = (cluster: Cluster, options: Options): ClassicRequests => {
  const { groupId, rebalanceTimeout, sessionTimeout } = options
  const groupInstanceId = options.groupInstanceId ?? null
  // Heartbeats and commits of all memberships share a connection per coordinator: they are answered at once. Join and
  // Sync wait at the broker for other members, and would hold up whatever came behind them: they have one of their own.
  const shared = "group"
  const own = `join-${++serial}`

  const connect = (purpose: string): Effect.Effect<Connection, KafkaError> =>
    Effect.flatMap(cluster.coordinator("group", groupId), (nodeId) => cluster.connection(nodeId, purpose))

  const exchange = Effect.fnUntraced(function* <Request, Response extends { readonly errorCode: number }>(
    connection: Connection,
    api: Api<Request, Response>,
    message: Wire.Input<Request>,
    timeout = cluster.settings.requestTimeout
  ): Effect.fn.Return<Response, KafkaError> {
    const response = yield* connection.request(api, message, { timeout })
    return yield* succeeded(connection, api.name, response)
  })

  const join = Effect.fnUntraced(function* (joining: Joining): Effect.fn.Return<JoinGroupResponse, KafkaError> {
    const connection = yield* connect(own)
    const version = yield* connection.version(JoinGroup)
    const message = {
      groupId,
      sessionTimeoutMs: sessionTimeout,
      rebalanceTimeoutMs: rebalanceTimeout,
      groupInstanceId,
      protocolType,
      protocols: joining.protocols,
      reason: joining.reason.slice(0, maxReasonLength)
    }
    // Version 0 knows no rebalance timeout: the session's serves for both.
    const wait = (version === 0 ? sessionTimeout : rebalanceTimeout) + joinGrace
    const timeout = Math.max(cluster.settings.requestTimeout, wait)
    const ask = (memberId: string) => connection.request(JoinGroup, { ...message, memberId }, { version, timeout })
    let response = yield* ask(joining.memberId)
    if (response.errorCode === codes.MEMBER_ID_REQUIRED && version >= namesFirst && joining.memberId === "") {
      joining.named(response.memberId)
      response = yield* ask(response.memberId)
    }
    return yield* succeeded(connection, JoinGroup.name, response)
  })

  return {
    join,
    sync: (identity, protocolName, assignments) =>
      Effect.gen(function* () {
        const { generation: generationId, memberId } = identity
        const message = { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName, assignments }
        const connection = yield* connect(own)
        return (yield* exchange(connection, SyncGroup, message)).assignment
      }),
    heartbeat: ({ generation: generationId, memberId }) =>
      Effect.flatMap(connect(shared), (connection) => {
        // One that is not answered is sent again while there is a session.
        const timeout = Math.min(cluster.settings.requestTimeout, Math.ceil(sessionTimeout / 3))
        return exchange(connection, Heartbeat, { groupId, generationId, memberId, groupInstanceId }, timeout)
      }),
    leave: (memberId, reason) =>
      Effect.gen(function* () {
        const connection = yield* connect(shared)
        const version = yield* connection.version(LeaveGroup)
        const message =
          version < leavesByList ? { groupId, memberId } : { groupId, members: [{ memberId, groupInstanceId, reason }] }
        const response = yield* connection.request(LeaveGroup, message, { version })
        yield* succeeded(connection, LeaveGroup.name, response)
        for (const member of response.members) yield* succeeded(connection, LeaveGroup.name, member)
      }),
    joined: cluster.release(own)
  }
}

const succeeded = <Response extends { readonly errorCode: number }>(
  { broker, nodeId }: Connection,
  api: string,
  response: Response
): Effect.Effect<Response, KafkaError> =>
  response.errorCode === codes.NONE
    ? Effect.succeed(response)
    : Effect.fail(brokerError({ nodeId, broker, api, code: response.errorCode }))
