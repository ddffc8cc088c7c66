/**
 * The consumer's subscriptions and assignments as bytes inside of the group protocol (JoinGroup, SyncGroup,
 * DescribeGroups).
 *
 * Each begins with a version of its own. We write the newest, as Kafka's Java client does: versions only ever append
 * fields, so older clients read what they know. A version that is newer than ours is read the same way.
 *
 * @since 0.1.0
 */
import { ByteReader } from "@kafka-effect/protocol/ByteReader"
import { ByteWriter } from "@kafka-effect/protocol/ByteWriter"
import { ConsumerProtocolAssignment } from "@kafka-effect/protocol/messages/ConsumerProtocolAssignment"
import { ConsumerProtocolSubscription } from "@kafka-effect/protocol/messages/ConsumerProtocolSubscription"
import type * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import type { Assigned, Member } from "../../Assignor.ts"
import { compareText } from "./assignors/Members.ts"
import * as PartitionLists from "./PartitionLists.ts"

/** What a member tells the leader when it joins. @internal */
export interface Subscription extends Pick<Member, "topics" | "userData" | "owned" | "generation" | "rackId"> {}

/** The newest version of both. @internal */
export const version = 3

/** Throws `WireError` for what the wire cannot carry. @internal */
export const encodeSubscription = (subscription: Subscription): Uint8Array => {
  const { generation, owned, rackId, topics, userData } = subscription
  return encode(ConsumerProtocolSubscription, {
    topics: topics.toSorted(compareText),
    userData,
    ownedPartitions: PartitionLists.byTopic(
      owned.toSorted((one, other) => compareText(one.topic, other.topic) || one.partition - other.partition)
    ),
    generationId: generation,
    rackId: rackId ?? null
  })
}

/** What an older version lacks is empty, -1 or undefined. Throws `WireError`. @internal */
export const decodeSubscription = (bytes: Uint8Array): Subscription => {
  const { generationId, ownedPartitions, rackId, topics, userData } = decode(ConsumerProtocolSubscription, bytes)
  return {
    topics,
    userData,
    owned: PartitionLists.flatten(ownedPartitions),
    generation: generationId,
    rackId: rackId === null || rackId === "" ? undefined : rackId
  }
}

/** Throws `WireError` for what the wire cannot carry. @internal */
export const encodeAssignment = ({ partitions, userData }: Assigned): Uint8Array =>
  encode(ConsumerProtocolAssignment, {
    assignedPartitions: PartitionLists.byTopic(partitions),
    userData: userData ?? null
  })

/** No bytes at all are what the coordinator gives a member that the leader left out. Throws `WireError`. @internal */
export const decodeAssignment = (bytes: Uint8Array): Assigned => {
  if (bytes.length === 0) return { partitions: [], userData: null }
  const { assignedPartitions, userData } = decode(ConsumerProtocolAssignment, bytes)
  return { partitions: PartitionLists.flatten(assignedPartitions), userData }
}

const encode = <A>(message: Wire.Message<A>, value: Wire.Input<A>): Uint8Array => {
  const writer = new ByteWriter()
  writer.writeInt16(version)
  WireCodec.of(message, version).encodeInto(writer, value)
  return writer.finish()
}

const decode = <A>(message: Wire.Message<A>, bytes: Uint8Array): A => {
  const name = message.messageName
  if (bytes.length < 2) {
    const detail = `${bytes.length} bytes are too few for the version in front`
    throw new WireError({ reason: "Truncated", name, version: -1, field: "", offset: 0, detail })
  }
  const reader = new ByteReader(bytes)
  // A negative version exists nowhere, and the codec says so.
  const codec = WireCodec.of(message, Math.min(reader.readInt16(), version))
  // Bytes may be left over: fields of newer versions.
  return codec.decodeFrom(reader)
}
