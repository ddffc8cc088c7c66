/**
 * What an error of a group's coordinator means for the member that it was told to.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import { ConsumerError, Fenced, GroupRejected, Rejected } from "../../ConsumerError.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { Options } from "./Membership.ts"

/**
 * - `rejoin`: the group rebalances
 * - `lost`: the group has moved on without the member, which is still known
 * - `unknown`: the member is not known any more
 * - `coordinator`: somebody else coordinates the group, or cannot be reached
 * - `wait`: the same request may succeed later
 * - `final`: nothing helps
 *
 * @internal
 */
export type Meaning = "rejoin" | "lost" | "unknown" | "coordinator" | "wait" | "final"

const meanings = new Map<number, Meaning>([
  [codes.REBALANCE_IN_PROGRESS, "rejoin"],
  [codes.ILLEGAL_GENERATION, "lost"],
  [codes.UNKNOWN_MEMBER_ID, "unknown"],
  [codes.NOT_COORDINATOR, "coordinator"],
  [codes.COORDINATOR_NOT_AVAILABLE, "coordinator"],
  [codes.COORDINATOR_LOAD_IN_PROGRESS, "wait"],
  [codes.FENCED_INSTANCE_ID, "final"],
  // Asked for a second time, by a broker that has forgotten the first.
  [codes.MEMBER_ID_REQUIRED, "unknown"]
])

/** @internal */
export const ofCode = (code: number): Meaning | undefined => meanings.get(code)

/** @internal */
export const ofError = ({ isRetriable, reason }: KafkaError): Meaning => {
  if (reason._tag === "BrokerError") return ofCode(reason.code) ?? (isRetriable ? "wait" : "final")
  // A broker that cannot be reached may have handed its groups to another.
  return isRetriable ? "coordinator" : "final"
}

/** What the user meets when nothing helps. @internal */
export const final = (cause: KafkaError, options: Options): ConsumerError => {
  const { groupId, groupInstanceId } = options
  if (cause.reason._tag !== "BrokerError") return new ConsumerError({ reason: new Rejected({ cause }) })
  if (cause.reason.code === codes.FENCED_INSTANCE_ID) {
    return new ConsumerError({ reason: new Fenced({ groupId, groupInstanceId: groupInstanceId ?? "", cause }) })
  }
  const detail = remedies.get(cause.reason.code)?.(options)
  return new ConsumerError({
    reason: detail === undefined ? new Rejected({ cause }) : new GroupRejected({ groupId, detail, cause })
  })
}

const remedies = new Map<number, (options: Options) => string>([
  [
    codes.INVALID_SESSION_TIMEOUT,
    ({ sessionTimeout }) =>
      `sessionTimeout is ${sessionTimeout} ms, which the brokers do not allow; give one within their group.min.session.timeout.ms and group.max.session.timeout.ms, or change these`
  ],
  [
    codes.INCONSISTENT_GROUP_PROTOCOL,
    ({ assignors }) =>
      `the other members share none of its assignors (${assignors.map(({ name }) => name).join(", ")}), or the group is not one of consumers; name an assignor in assignors that all members have`
  ],
  [
    codes.GROUP_MAX_SIZE_REACHED,
    () => "it has as many members as the brokers allow; raise their group.max.size, or start fewer"
  ],
  [codes.GROUP_AUTHORIZATION_FAILED, () => "the client may not use it; grant the permission Read on the group"],
  [codes.INVALID_GROUP_ID, () => "the brokers do not take its id; give another groupId, which is not empty"]
])
