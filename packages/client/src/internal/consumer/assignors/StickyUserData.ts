/**
 * What the sticky assignors write into the user data of a subscription, for the wire.
 *
 * The eager one tells the last assignment and its generation, as the members own nothing when they join; version 0 lacks
 * the generation, and nothing in the bytes says which version they are. The cooperative one tells the generation alone:
 * Java's four bytes. librdkafka writes the eager form for both.
 *
 * @since 0.1.0
 */
import * as Wire from "@kafka-effect/protocol/Wire"
import * as WireCodec from "@kafka-effect/protocol/WireCodec"
import { WireError } from "@kafka-effect/protocol/WireError"
import type { TopicPartition } from "../../../Topic.ts"
import * as PartitionLists from "../PartitionLists.ts"

interface Message {
  readonly previousAssignment: ReadonlyArray<PartitionLists.OfTopic>
  readonly generation: number
}

const OfTopic: Wire.Type<PartitionLists.OfTopic> = Wire.struct("TopicAssignment", {
  topic: Wire.field(Wire.string, { versions: "0+" }),
  partitions: Wire.field(Wire.array(Wire.int32), { versions: "0+" })
})

const Message: Wire.Message<Message> = Wire.message(
  "StickyAssignorUserData",
  { kind: "data", versions: "0-1", flexible: "none" },
  {
    previousAssignment: Wire.field(Wire.array(OfTopic), { versions: "0+" }),
    generation: Wire.field(Wire.int32, { versions: "1+", default: -1, ignorable: true })
  }
)

/** What a member says that it had. @internal */
export interface Claims {
  readonly partitions: ReadonlyArray<TopicPartition>
  /** -1 where it is not said. */
  readonly generation: number
}

/** @internal */
export const nothing: Claims = { partitions: [], generation: -1 }

/** @internal */
export const encode = ({ generation, partitions }: Claims): Uint8Array =>
  WireCodec.encode(Message, 1, { previousAssignment: PartitionLists.byTopic(partitions), generation })

/** What cannot be read counts as nothing: it costs movement, no more. @internal */
export const decode = (userData: Uint8Array | null): Claims => {
  if (userData === null || userData.length === 0) return nothing
  const message = decodeVersion(userData, 1) ?? decodeVersion(userData, 0)
  if (message === undefined) return nothing
  return { partitions: PartitionLists.flatten(message.previousAssignment), generation: message.generation }
}

const decodeVersion = (userData: Uint8Array, version: number): Message | undefined => {
  try {
    return WireCodec.decode(Message, version, userData)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

/** @internal */
export const encodeGeneration = (generation: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, generation)
  return bytes
}

/** The generation in the user data of either form; -1 where there is none. @internal */
export const decodeGeneration = (userData: Uint8Array | null): number =>
  userData?.length === 4 ? new DataView(userData.buffer, userData.byteOffset).getInt32(0) : decode(userData).generation
