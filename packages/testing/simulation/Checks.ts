/** What has to hold when a run is over: each check reads what was seen, and says what does not hold. */
import type { Event, Handed } from "./History.ts"
import type { Plan, ProducerPlan } from "./Plan.ts"

/** A record in the log. */
export interface Logged {
  readonly offset: number
  readonly key: string
  readonly value: string
}

/** What a run has left. */
export interface Outcome {
  readonly plan: Plan
  readonly events: ReadonlyArray<Event>
  /** When faults were over, in milliseconds. */
  readonly healedAt: number
  /** By partition, in the order of offsets. */
  readonly logs: ReadonlyArray<ReadonlyArray<Logged>>
}

type Check = (outcome: Outcome) => ReadonlyArray<string>

type Of<Kind extends Event["kind"]> = Extract<Event, { readonly kind: Kind }>

const of = <Kind extends Event["kind"]>(events: ReadonlyArray<Event>, kind: Kind): ReadonlyArray<Of<Kind>> =>
  events.filter((event): event is Of<Kind> => event.kind === kind)

/** Longer than its delivery timeout, and the wait for metadata before, no record is without an outcome. */
const outcomeWithin = ({ deliveryTimeout }: ProducerPlan): number => deliveryTimeout + 65_000

/** And not longer than this once nothing is wrong: milliseconds. */
const outcomeWithinWhole = 20_000

/** Why a record may fail when nothing is wrong with it: its time was over. */
const overTime: ReadonlySet<string> = new Set(["DeliveryTimeout", "TopicUnavailable"])

/** Where each value is in the logs. */
const placesOf = ({
  logs
}: Outcome): ReadonlyMap<string, ReadonlyArray<readonly [partition: number, offset: number]>> => {
  const places = new Map<string, Array<readonly [number, number]>>()
  for (const [partition, log] of logs.entries()) {
    for (const { offset, value } of log) {
      const known = places.get(value)
      if (known === undefined) places.set(value, [[partition, offset]])
      else known.push([partition, offset])
    }
  }
  return places
}

/** What was acknowledged is in the log, where it was said to be: once, or at least once. What has certainly failed is not. */
export const acknowledgements: Check = (outcome) => {
  const places = placesOf(outcome)
  const producers = new Map(outcome.plan.producers.map((producer) => [producer.name, producer]))
  const problems: Array<string> = []
  const sent = new Map<string, number>()
  for (const { at, value } of of(outcome.events, "sent")) sent.set(value, at)
  const started = new Set(sent.keys())
  // Who does not wait for the replicas may lose what they do not have.
  const mayLose = outcome.plan.faults.some(({ kind }) => kind === "crash broker")
  const ended = (producer: string, value: string, at: number): ProducerPlan => {
    const plan = producers.get(producer)!
    const sentAt = sent.get(value)!
    const latest = Math.min(sentAt + outcomeWithin(plan), Math.max(sentAt, outcome.healedAt) + outcomeWithinWhole)
    if (at > latest) problems.push(`${value} had no outcome for ${at - sentAt} ms`)
    sent.delete(value)
    const found = places.get(value)?.length ?? 0
    if (plan.isIdempotent && found > 1) problems.push(`${value} of an idempotent producer is in the log ${found} times`)
    return plan
  }
  for (const { at, offset, partition, producer, value } of of(outcome.events, "acknowledged")) {
    const { acks } = ended(producer, value, at)
    const found = places.get(value) ?? []
    if (mayLose && acks === 1) continue
    if (found.length === 0) problems.push(`${value} was acknowledged, and is not in the log`)
    else if (offset !== undefined && !found.some((place) => place[0] === partition && place[1] === offset)) {
      problems.push(`${value} was acknowledged at ${partition}/${offset}, and is at ${found.map((at) => at.join("/"))}`)
    }
  }
  for (const { at, maybeWritten, message, producer, reason, value } of of(outcome.events, "failed")) {
    ended(producer, value, at)
    if (!overTime.has(reason)) problems.push(`${value} has failed for no good reason: ${message}`)
    if (!maybeWritten && places.has(value)) problems.push(`${value} was said not to be written, and is in the log`)
  }
  for (const value of sent.keys()) problems.push(`${value} has no outcome`)
  for (const value of places.keys())
    if (!started.has(value)) problems.push(`${value} is in the log, and nobody sent it`)
  return problems
}

/** Within a partition, what a producer sent is in the log in the order in which it was sent. */
export const producerOrder: Check = ({ logs, plan }) => {
  const problems: Array<string> = []
  for (const { name } of plan.producers) {
    for (const [partition, log] of logs.entries()) {
      const seen = new Set<string>()
      let last = -1
      for (const { value } of log) {
        if (!value.startsWith(`${name}-`) || seen.has(value)) continue
        seen.add(value)
        const index = Number(value.slice(name.length + 1))
        if (index < last) problems.push(`in partition ${partition}, ${value} comes behind ${name}-${last}`)
        last = index
      }
    }
  }
  return problems
}

/** Each group has finished each record; what members were handed is what is in the log. */
export const processing: Check = ({ events, logs, plan }) => {
  const problems: Array<string> = []
  const finished = new Map(plan.groups.map(({ name }) => [name, logs.map(() => new Set<number>())]))
  for (const { group, records } of of(events, "finished")) {
    for (const { offset, partition } of records) finished.get(group)![partition].add(offset)
  }
  for (const [group, partitions] of finished) {
    for (const [partition, offsets] of partitions.entries()) {
      for (const { offset, value } of logs[partition]) {
        if (!offsets.has(offset)) problems.push(`${group} has never finished ${value} at ${partition}/${offset}`)
      }
    }
  }
  const values = logs.map((log) => new Map(log.map(({ offset, value }) => [offset, value])))
  for (const { member, records } of of(events, "handed")) {
    for (const { offset, partition, value } of records) {
      if (values[partition].get(offset) !== value) {
        problems.push(`${member} was handed ${value} at ${partition}/${offset}, where the log has another`)
      }
    }
  }
  return problems
}

/**
 * No record is handed over before those in front of it have been finished: all of its partition, or, where keys are worked
 * on side by side, those of its key.
 */
export const processingOrder: Check = ({ events, logs, plan }) => {
  const problems: Array<string> = []
  // Offsets of the record before, in the partition and of the key.
  const before = logs.map((log) => {
    const ofKey = new Map<string, number>()
    return new Map(
      log.map(({ key, offset }, index) => {
        const entry = [offset, { inPartition: log[index - 1]?.offset, ofKey: ofKey.get(key) }] as const
        ofKey.set(key, offset)
        return entry
      })
    )
  })
  const finished = new Map(plan.groups.map(({ name }) => [name, logs.map(() => new Set<number>())]))
  for (const event of events) {
    if (event.kind === "finished") {
      for (const { offset, partition } of event.records) finished.get(event.group)![partition].add(offset)
    }
    if (event.kind !== "handed") continue
    const together = new Set<number>()
    for (const { offset, partition, value } of event.records) {
      const former = before[partition].get(offset)
      const needed = event.isPerKey ? former?.ofKey : former?.inPartition
      const done = finished.get(event.group)![partition]
      if (needed !== undefined && !done.has(needed) && !together.has(needed)) {
        problems.push(`${event.member} was handed ${value} at ${partition}/${offset} while ${needed} was not finished`)
      }
      together.add(offset)
    }
  }
  return problems
}

/** Nothing is committed that was not finished. */
export const commits: Check = ({ events, logs, plan }) => {
  const problems: Array<string> = []
  const finished = new Map(plan.groups.map(({ name }) => [name, logs.map(() => new Set<number>())]))
  /** Up to where all has been found finished, as a place in the log. */
  const reached = new Map(plan.groups.map(({ name }) => [name, logs.map(() => 0)]))
  for (const event of events) {
    if (event.kind === "finished") {
      for (const { offset, partition } of event.records) finished.get(event.group)![partition].add(offset)
    }
    if (event.kind !== "commit") continue
    const { group, member, offset, partition } = event
    const places = reached.get(group)!
    const log = logs[partition]
    while (places[partition] < log.length && log[places[partition]].offset < offset) {
      const place = log[places[partition]]
      if (!finished.get(group)![partition].has(place.offset)) {
        problems.push(`${member} commits ${partition}/${offset}, and ${place.value} at ${place.offset} is not finished`)
        break
      }
      places[partition]++
    }
    const end = log.length === 0 ? 0 : log[log.length - 1].offset + 1
    if (offset > end) problems.push(`${member} commits ${partition}/${offset}, behind the end of the log at ${end}`)
  }
  return problems
}

/** What a group has committed never moves back. */
export const committedOnwards: Check = ({ events }) => {
  const problems: Array<string> = []
  const last = new Map<string, number>()
  for (const { group, offset, partition } of of(events, "committed")) {
    const place = `${group} ${partition}`
    const before = last.get(place) ?? 0
    if (offset < before) problems.push(`${group} had committed ${partition}/${before}, and then ${offset}`)
    last.set(place, offset)
  }
  return problems
}

/** Whoever keeps a partition goes forward in it: what he has finished he is not handed again. */
export const onwards: Check = ({ events }) => {
  const problems: Array<string> = []
  /** What members were handed of the partitions that they have now, and whether they have finished it. */
  const known = new Map<string, Map<number, "open" | "done">>()
  const keyOf = (member: string, partition: number): string => `${member} ${partition}`
  for (const event of events) {
    switch (event.kind) {
      case "assigned":
        for (const partition of event.partitions) known.set(keyOf(event.member, partition), new Map())
        break
      case "finished":
        for (const { offset, partition } of event.records) {
          // What was begun when the partition was theirs before does not count.
          const own = known.get(keyOf(event.member, partition))
          if (own?.has(offset) === true) own.set(offset, "done")
        }
        break
      case "handed":
        for (const { offset, partition, value } of event.records) {
          const own = known.get(keyOf(event.member, partition))
          if (own?.get(offset) !== "done") own?.set(offset, "open")
          else problems.push(`${event.member} was handed ${value} at ${partition}/${offset}, which it had finished`)
        }
        break
    }
  }
  return problems
}

/** A partition is given back when the work of `run` on it has ended. */
export const revocation: Check = ({ events }) => {
  const problems: Array<string> = []
  /** Arrays that are worked on, by member. */
  const open = new Map<string, Set<string>>()
  const keyOf = ({ offset, partition }: Handed): string => `${partition}/${offset}`
  for (const event of events) {
    switch (event.kind) {
      case "handed": {
        if (!event.isRun) break
        const own = open.get(event.member) ?? new Set()
        open.set(event.member, own)
        for (const record of event.records) own.add(keyOf(record))
        break
      }
      case "finished":
      case "dropped":
        for (const record of event.records) open.get(event.member)?.delete(keyOf(record))
        break
      case "revoked":
        for (const place of open.get(event.member) ?? []) {
          if (!event.partitions.some((partition) => place.startsWith(`${partition}/`))) continue
          problems.push(`${event.member} gave a partition back while it worked on ${place}`)
        }
        break
    }
  }
  return problems
}

/** At the end each partition has one owner in each group: partitions without one, or with several. */
export const unowned = ({ events, plan }: Pick<Outcome, "events" | "plan">): ReadonlyArray<string> => {
  const problems: Array<string> = []
  for (const group of plan.groups) {
    const owned = new Map<string, Set<number>>()
    for (const event of events) {
      if (!("group" in event) || event.group !== group.name) continue
      if (event.kind === "assigned") {
        const own = owned.get(event.member) ?? new Set()
        owned.set(event.member, own)
        for (const partition of event.partitions) own.add(partition)
      } else if (event.kind === "revoked" || event.kind === "lost") {
        for (const partition of event.partitions) owned.get(event.member)?.delete(partition)
      } else if (event.kind === "gone") owned.delete(event.member)
    }
    for (let partition = 0; partition < plan.partitions; partition++) {
      const owners = [...owned].filter(([, own]) => own.has(partition)).map(([member]) => member)
      if (owners.length !== 1) problems.push(`partition ${partition} has the owners [${owners}] in ${group.name}`)
    }
  }
  return problems
}

/** Nobody is handed records of partitions that he does not own, and no two own one in the same generation. */
export const owners: Check = ({ events, plan }) => {
  const problems: Array<string> = []
  const owned = new Map<string, Set<number>>()
  const generations = new Map<string, number>()
  const groups = new Map<string, string>()
  const areStatic = new Set(plan.groups.filter(({ isStatic }) => isStatic).map(({ name }) => name))
  const instanceOf = (member: string): string => member.slice(0, member.indexOf("."))
  for (const event of events) {
    switch (event.kind) {
      case "joined":
        generations.set(event.member, event.generation)
        break
      case "assigned": {
        const own = owned.get(event.member) ?? new Set()
        owned.set(event.member, own)
        groups.set(event.member, event.group)
        for (const partition of event.partitions) {
          own.add(partition)
          for (const [other, theirs] of owned) {
            if (other === event.member || groups.get(other) !== event.group || !theirs.has(partition)) continue
            if (generations.get(other) !== generations.get(event.member)) continue
            // A static member that comes back fences the one before, who hears of it later.
            if (areStatic.has(event.group) && instanceOf(other) === instanceOf(event.member)) continue
            problems.push(
              `${event.member} and ${other} both own partition ${partition} in generation ${generations.get(other)}`
            )
          }
        }
        break
      }
      case "revoked":
      case "lost":
        for (const partition of event.partitions) owned.get(event.member)?.delete(partition)
        break
      case "gone":
        owned.delete(event.member)
        break
      case "handed":
        for (const { offset, partition } of event.records) {
          if (owned.get(event.member)?.has(partition) !== true) {
            problems.push(`${event.member} was handed ${partition}/${offset}, and does not own the partition`)
          }
        }
        break
    }
  }
  return problems
}

export const all: ReadonlyArray<Check> = [
  acknowledgements,
  producerOrder,
  processing,
  processingOrder,
  commits,
  committedOnwards,
  onwards,
  revocation,
  owners
]
