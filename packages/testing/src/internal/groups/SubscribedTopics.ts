/**
 * What the regular expressions of a group's members stand for (KIP-848): they are looked up beside the requests, and again
 * when there are new topics, but not all the time.
 *
 * @since 0.1.0
 */
import { type Cluster, numberSetting } from "../Cluster.ts"
import type { ConsumerMember } from "./ConsumerMember.ts"
import * as TopicPattern from "./TopicPattern.ts"

/** How long what was found stays at least, and at most (`group.consumer.regex.refresh.interval.ms`), in milliseconds. */
const minInterval = 10_000
const maxInterval = 600_000

/** The regular expression of a member that has one. @internal */
export const patternOf = ({ subscribedTopicRegex }: ConsumerMember): string | undefined =>
  subscribedTopicRegex || undefined

const isSame = (one: ReadonlySet<string> | undefined, other: ReadonlySet<string>): boolean =>
  one === undefined ? other.size === 0 : one.size === other.size && [...one].every((name) => other.has(name))

/** @internal */
export class SubscribedTopics {
  private readonly cluster: Cluster
  /** Names of topics by expression. */
  private found = new Map<string, ReadonlySet<string>>()
  private foundAt: number | undefined
  /** Ids of the topics that there were. */
  private seen: ReadonlySet<string> = new Set()
  private isLooking = false

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  isFound(pattern: string): boolean {
    return this.found.has(pattern)
  }

  /** Names of the topics that a member subscribes to. */
  namesOf(member: ConsumerMember): ReadonlySet<string> {
    const pattern = patternOf(member)
    const matching = pattern === undefined ? undefined : this.found.get(pattern)
    if (matching === undefined) return member.subscribedTopicNames
    return new Set([...member.subscribedTopicNames, ...matching])
  }

  /** Forgets expressions that nobody has any more. */
  keep(patterns: ReadonlySet<string>): void {
    for (const pattern of this.found.keys()) if (!patterns.has(pattern)) this.found.delete(pattern)
  }

  /** Looks up what has to be looked up, a little later, and says whether anything has changed. */
  refresh(patterns: ReadonlySet<string>, done: (hasChanged: boolean) => void): void {
    const { loop, topics } = this.cluster
    if (this.isLooking || patterns.size === 0) return
    const longest = numberSetting(this.cluster, "group.consumer.regex.refresh.interval.ms", maxInterval)
    const age = this.foundAt === undefined ? Number.POSITIVE_INFINITY : loop.now() - this.foundAt
    if (this.found.size > 0 && age <= Math.min(minInterval, longest)) return
    const isNew = [...topics.values()].some(({ id }) => !this.seen.has(id))
    if (!isNew && age <= longest && [...patterns].every((pattern) => this.found.has(pattern))) return
    this.isLooking = true
    loop.post(() => {
      this.isLooking = false
      done(this.lookUp(patterns))
    })
  }

  private lookUp(patterns: ReadonlySet<string>): boolean {
    const { loop, topics } = this.cluster
    const before = this.found
    this.foundAt = loop.now()
    this.seen = new Set([...topics.values()].map(({ id }) => id))
    this.found = new Map(
      [...patterns].map((pattern) => {
        const matches = TopicPattern.compile(pattern)
        return [pattern, new Set(typeof matches === "function" ? [...topics.keys()].filter(matches) : [])]
      })
    )
    return [...this.found].some(([pattern, names]) => !isSame(before.get(pattern), names))
  }
}
