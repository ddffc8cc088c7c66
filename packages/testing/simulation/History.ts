/** What a run has seen: as lines for people, and as events for the checks. */
import type { TopicPartition } from "kafka-effect/Topic"

/** A record as a member was handed it. */
export interface Handed {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
}

/** The work of a member on records. */
interface Work {
  readonly group: string
  readonly member: string
  readonly records: ReadonlyArray<Handed>
}

export type Event =
  | { readonly kind: "sent"; readonly producer: string; readonly value: string; readonly at: number }
  | {
      readonly kind: "acknowledged"
      readonly producer: string
      readonly value: string
      readonly at: number
      readonly partition: number
      /** Undefined where the broker did not know it any more. */
      readonly offset: number | undefined
    }
  | {
      readonly kind: "failed"
      readonly producer: string
      readonly value: string
      readonly at: number
      readonly maybeWritten: boolean
      /** The tag of the error's reason. */
      readonly reason: string
      readonly message: string
    }
  /** An array of records goes to the application: one partition's, one after the other, or by key. */
  | {
      readonly kind: "handed"
      readonly group: string
      readonly member: string
      readonly records: ReadonlyArray<Handed>
      readonly isPerKey: boolean
      /** Whether it is the work of `run`, which is waited for, or ended, when partitions are given back. */
      readonly isRun: boolean
    }
  /** The work on them is done. */
  | ({ readonly kind: "finished" } & Work)
  /** The work on them has failed, or was interrupted. */
  | ({ readonly kind: "dropped" } & Work)
  /** A commit on its way into the broker. */
  | {
      readonly kind: "commit"
      readonly group: string
      readonly member: string
      readonly partition: number
      readonly offset: number
    }
  /** What the group has committed. */
  | {
      readonly kind: "committed"
      readonly group: string
      readonly partition: number
      readonly offset: number
    }
  /** Partitions come to a member, or leave it. */
  | {
      readonly kind: "assigned" | "revoked" | "lost"
      readonly group: string
      readonly member: string
      readonly partitions: ReadonlyArray<number>
    }
  /** A member takes its share in a generation. */
  | { readonly kind: "joined"; readonly group: string; readonly member: string; readonly generation: number }
  /** A member is no more. */
  | { readonly kind: "gone"; readonly group: string; readonly member: string }

export interface History {
  readonly events: ReadonlyArray<Event>
  readonly lines: ReadonlyArray<string>
  readonly add: (event: Event) => void
  /** A line for people only: made when it is wanted. */
  readonly note: (line: () => string) => void
}

const offsetsOf = (records: ReadonlyArray<Handed>): string =>
  records.map(({ offset, partition, value }) => `${partition}/${offset} ${value}`).join(", ")

/** An event as a line. */
const lineOf = (event: Event): string => {
  switch (event.kind) {
    case "sent":
      return `${event.producer} sends ${event.value}`
    case "acknowledged":
      return `${event.producer} has ${event.value} acknowledged at ${event.partition}/${event.offset ?? "?"}`
    case "failed":
      return `${event.producer} fails to send ${event.value}: ${event.message}`
    case "handed":
      return `${event.member} is handed ${offsetsOf(event.records)}`
    case "finished":
      return `${event.member} has finished ${offsetsOf(event.records)}`
    case "dropped":
      return `${event.member} has dropped ${offsetsOf(event.records)}`
    case "commit":
      return `${event.member} commits ${event.partition}/${event.offset}`
    case "committed":
      return `${event.group} has committed ${event.partition}/${event.offset}`
    case "joined":
      return `${event.member} is in generation ${event.generation}`
    case "gone":
      return `${event.member} is gone`
    default:
      return `${event.member}: ${event.kind} ${event.partitions.join(", ")}`
  }
}

/** Lines are only kept where somebody will read them. */
export const make = (now: () => number, isRead: boolean): History => {
  const events: Array<Event> = []
  const lines: Array<string> = []
  const note = (line: () => string): void => {
    if (isRead) lines.push(`${now().toFixed(1).padStart(10)} ${line()}`)
  }
  return {
    events,
    lines,
    note,
    add: (event) => {
      events.push(event)
      note(() => lineOf(event))
    }
  }
}

export const partitionsOf = (places: ReadonlyArray<TopicPartition>): ReadonlyArray<number> =>
  places.map(({ partition }) => partition)
