/**
 * The next step of a member from what it owns to what it should own (KIP-848): what others are to have is given up, and
 * confirmed, before anything new is taken, and only what nobody else owns any more is given.
 *
 * @since 0.1.0
 */
import * as Assignment from "./Assignment.ts"
import * as ConsumerMember from "./ConsumerMember.ts"

/** @internal */
export interface Goal {
  readonly target: Assignment.Target
  readonly targetEpoch: number
  /** Ids of the topics that the member subscribes to now. */
  readonly subscribed: ReadonlySet<string>
  readonly hasSubscriptionChanged: boolean
  /** Whether another member has a partition, or has still to give it up. */
  readonly isTaken: (topicId: string, partition: number) => boolean
  /** What the member says that it owns; null where it does not say. */
  readonly reported: ReadonlyArray<Assignment.TopicPartitions> | null
}

type Member = ConsumerMember.ConsumerMember

/** Who does not say what it owns may own all of it. */
const ownsAny = ({ reported }: Goal, partitions: Assignment.Owned): boolean =>
  reported === null ||
  reported.some(({ partitions: indexes, topicId }) =>
    indexes.some((index) => Assignment.has(partitions, topicId, index))
  )

/** Takes from a member, at once, what it does not subscribe to any more; its epoch stays. */
const withoutUnsubscribed = (member: Member, goal: Goal): Member => {
  const assigned = Assignment.filter(member.assigned, (topicId) => goal.subscribed.has(topicId))
  if (Assignment.isSame(assigned, member.assigned)) return member
  const dropped = Assignment.filter(member.assigned, (topicId) => !goal.subscribed.has(topicId))
  const revoking = Assignment.union(member.revoking, dropped)
  const changed = { ...member, previousEpoch: member.epoch, assigned }
  return ownsAny(goal, revoking) ? { ...changed, state: "UnrevokedPartitions", revoking } : changed
}

const next = (member: Member, goal: Goal): Member => {
  const { isTaken, subscribed, target, targetEpoch } = goal
  const isWanted = (topicId: string, partition: number) =>
    subscribed.has(topicId) && target.get(topicId)?.has(partition) === true
  const kept = Assignment.filter(member.assigned, isWanted)
  const revoking = Assignment.filter(member.assigned, (topicId, partition) => !isWanted(topicId, partition))
  if (ownsAny(goal, revoking) && revoking.size > 0) {
    return { ...member, state: "UnrevokedPartitions", previousEpoch: member.epoch, assigned: kept, revoking }
  }
  const assigned = new Map([...kept].map(([topicId, partitions]) => [topicId, new Map(partitions)]))
  let isWaiting = false
  for (const [topicId, partitions] of target) {
    if (!subscribed.has(topicId)) continue
    for (const partition of partitions) {
      if (Assignment.has(kept, topicId, partition)) continue
      if (isTaken(topicId, partition)) isWaiting = true
      else assigned.set(topicId, (assigned.get(topicId) ?? new Map<number, number>()).set(partition, targetEpoch))
    }
  }
  return {
    ...member,
    state: isWaiting ? "UnreleasedPartitions" : "Stable",
    previousEpoch: member.epoch,
    epoch: targetEpoch,
    assigned,
    revoking: new Map()
  }
}

/** The member after its next step, or as it is if there is none. @internal */
export const reconcile = (member: Member, goal: Goal): Member => {
  switch (member.state) {
    case "Stable":
      if (!ConsumerMember.isReconciledTo(member, goal.targetEpoch)) return next(member, goal)
      return goal.hasSubscriptionChanged ? withoutUnsubscribed(member, goal) : member
    case "UnrevokedPartitions":
      if (!ownsAny(goal, member.revoking)) return next(member, goal)
      return goal.hasSubscriptionChanged ? withoutUnsubscribed(member, goal) : member
    case "UnreleasedPartitions":
      return next(member, goal)
  }
}
