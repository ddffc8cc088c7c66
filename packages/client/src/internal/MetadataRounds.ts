/**
 * When metadata is asked for: one round at a time, whose answer everyone shares who wants no more than it asks for.
 *
 * Plain data and choices; `Cluster`'s refresher fiber runs the rounds. A round that is asked for because of age or of an
 * error keeps a distance from the one before; the first use of a topic does not wait.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import type { KafkaError } from "../KafkaError.ts"

/** @internal */
export interface Wanted {
  /** Topics to ask for by name. */
  readonly topics?: ReadonlyArray<string> | undefined
  /** All topics of the cluster. Defaults to false. */
  readonly all?: boolean | undefined
  /** The topics that were asked for before. Defaults to false. */
  readonly tracked?: boolean | undefined
  /** Whether the broker may create `topics`. Defaults to false. */
  readonly allowAutoTopicCreation?: boolean | undefined
  /** Does not wait for the distance between rounds. Defaults to false. */
  readonly isUrgent?: boolean | undefined
}

/** @internal */
export interface Round<A> {
  readonly topics: Set<string>
  readonly created: Set<string>
  all: boolean
  tracked: boolean
  isUrgent: boolean
  readonly done: Deferred.Deferred<A, KafkaError>
}

const covers = <A>(round: Round<A>, wanted: Wanted): boolean => {
  if (wanted.all === true && !round.all) return false
  if (wanted.tracked === true && !round.tracked) return false
  return (wanted.topics ?? []).every(
    (topic) => round.created.has(topic) || (wanted.allowAutoTopicCreation !== true && round.topics.has(topic))
  )
}

/** @internal */
export class MetadataRounds<A> {
  private running: Round<A> | undefined
  private next: Round<A> | undefined

  /** The round whose answer serves the asker: the running one, or the next, which it joins. */
  ask(wanted: Wanted): Round<A> {
    if (this.running !== undefined && covers(this.running, wanted)) return this.running
    this.next ??= {
      topics: new Set(),
      created: new Set(),
      all: false,
      tracked: false,
      isUrgent: false,
      done: Deferred.makeUnsafe()
    }
    const round = this.next
    for (const topic of wanted.topics ?? []) {
      round.topics.add(topic)
      if (wanted.allowAutoTopicCreation === true) round.created.add(topic)
    }
    round.all ||= wanted.all === true
    round.tracked ||= wanted.tracked === true
    round.isUrgent ||= wanted.isUrgent === true
    return round
  }

  /** Undefined while nobody asks. */
  get isNextUrgent(): boolean | undefined {
    return this.next?.isUrgent
  }

  /** Starts the next round; one over the tracked topics where nobody has asked. */
  start(): Round<A> {
    const round = this.next ?? this.ask({ tracked: true })
    this.running = round
    this.next = undefined
    return round
  }

  end(): void {
    this.running = undefined
  }

  /** Every round that has not ended. */
  get unfinished(): ReadonlyArray<Round<A>> {
    return [this.running, this.next].filter((round) => round !== undefined)
  }
}
