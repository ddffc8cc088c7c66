/**
 * DeleteTopics, by name or by id (KIP-4, KIP-516). Who waits for records of what is deleted hears of it at once.
 *
 * @since 0.1.0
 */
import { codes } from "@kafka-effect/protocol/ErrorCode"
import {
  type DeletableTopicResult,
  DeleteTopics,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse
} from "@kafka-effect/protocol/messages/DeleteTopics"
import * as Wire from "@kafka-effect/protocol/Wire"
import * as Cluster from "../Cluster.ts"
import type { Handler } from "../Exchange.ts"

type Result = Wire.Input<DeletableTopicResult>

/** What a request calls a topic. */
interface Named {
  readonly name: string | null
  readonly topicId: string
}

const namesOf = ({ topicNames, topics }: DeleteTopicsRequest, version: number): ReadonlyArray<Named> =>
  version >= 6 ? topics : topicNames.map((name) => ({ name, topicId: Wire.zeroUuid }))

const refused = ({ name, topicId }: Named, errorCode: number, errorMessage: string | null = null): Result => ({
  name,
  topicId,
  errorCode,
  errorMessage
})

/** What is wrong with a name or id by itself; undefined for nothing. */
const problem = (cluster: Cluster.Cluster, named: Named): Result | undefined => {
  const { name, topicId } = named
  if (name !== null && topicId !== Wire.zeroUuid) {
    return refused(named, codes.INVALID_REQUEST, "You may not specify both topic name and topic id.")
  }
  if (name === null && topicId === Wire.zeroUuid) {
    return refused(named, codes.INVALID_REQUEST, "Neither topic name nor id were specified.")
  }
  if (Cluster.topicOf(cluster, { name, topicId }) !== undefined) return undefined
  return name === null
    ? refused(named, codes.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
    : refused(named, codes.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
}

const remove = (cluster: Cluster.Cluster, topic: Cluster.Topic): void => {
  cluster.topics.delete(topic.name)
  for (const partition of topic.partitions) Cluster.notify(partition)
}

/** @internal */
export const handler: Handler<DeleteTopicsRequest, DeleteTopicsResponse> = {
  api: DeleteTopics,
  refuse: (request, errorCode, version) => ({
    responses: namesOf(request, version).map((named) => refused(named, errorCode))
  }),
  handle: (cluster, { answer, message, version }) => {
    const asked = namesOf(message, version)
    if (cluster.settings.get("delete.topic.enable") === "false") {
      const code = version < 3 ? codes.INVALID_REQUEST : codes.TOPIC_DELETION_DISABLED
      return answer(handler.refuse(message, code, version))
    }
    const found = asked.map((named) => problem(cluster, named) ?? Cluster.topicOf(cluster, named)!)
    const counts = new Map<unknown, number>()
    for (const one of found) counts.set(one, (counts.get(one) ?? 0) + 1)
    const done = new Set<unknown>()
    const responses = found.flatMap((one, index) => {
      if (!("partitions" in one)) return [one]
      // Each topic is answered once.
      if (done.has(one)) return []
      done.add(one)
      if (counts.get(one) !== 1) return [refused(asked[index], codes.INVALID_REQUEST, "Duplicate topic name.")]
      remove(cluster, one)
      return [{ name: one.name, topicId: one.id, errorCode: codes.NONE, errorMessage: null }]
    })
    answer({ responses })
  }
}
