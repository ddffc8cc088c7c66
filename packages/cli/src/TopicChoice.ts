/**
 * Which topics to read: names, and patterns of names between slashes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Consumer from "kafka-effect/Consumer"
import * as Kafka from "kafka-effect/Kafka"
import * as Serde from "kafka-effect/Serde"
import * as Topic from "kafka-effect/Topic"
import * as Topics from "./Topics.ts"

/**
 * Names of topics, and patterns of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicChoice {
  readonly names: ReadonlyArray<string>
  readonly patterns: ReadonlyArray<RegExp>
}

/**
 * The forms that `parse` takes, for help and for error messages.
 *
 * @category constants
 * @since 0.1.0
 */
export const forms = "the name of a topic, or a pattern of names between slashes such as '/^orders-/'"

const compile = (source: string): RegExp | undefined => {
  try {
    return new RegExp(source)
  } catch {
    return undefined
  }
}

/**
 * Reads names and `/patterns/`: no name has a slash. Fails with the first word that is neither.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (words: ReadonlyArray<string>): Result.Result<TopicChoice, string> => {
  const names: Array<string> = []
  const patterns: Array<RegExp> = []
  for (const word of new Set(words)) {
    if (!word.startsWith("/")) {
      names.push(word)
      continue
    }
    const pattern = word.length > 2 && word.endsWith("/") ? compile(word.slice(1, -1)) : undefined
    if (pattern === undefined) return Result.fail(word)
    patterns.push(pattern)
  }
  return Result.succeed({ names, patterns })
}

const bytes = { key: Serde.bytes, value: Serde.bytes }

/**
 * A topic whose keys and values are bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type BytesTopic = ReturnType<typeof bytesTopic>

const bytesTopic = (name: string) => Topic.topic(name, bytes)

/** The cluster's topics that match now, without Kafka's own. */
const matching = Effect.fnUntraced(function* (patterns: ReadonlyArray<RegExp>) {
  if (patterns.length === 0) return []
  const { cluster } = yield* Kafka.Kafka
  const { topics } = yield* cluster.refresh("all")
  const found = [...topics.values()].filter(
    ({ errorCode, isInternal, name }) => errorCode === 0 && !isInternal && patterns.some((each) => each.test(name))
  )
  return found.length > 0 ? found : yield* new Topics.NoTopicMatches({ patterns })
})

const find = (names: ReadonlyArray<string>) => Effect.forEach(names, (name) => Topics.find(name, { isCreated: false }))

/**
 * Every partition of the topics that there are now, or the one that is asked for. Fails where a name does not exist, or no
 * topic matches.
 *
 * @category combinators
 * @since 0.1.0
 */
export const partitions = Effect.fnUntraced(function* (self: TopicChoice, only: number | undefined) {
  const topics = [...(yield* find(self.names)), ...(yield* matching(self.patterns))]
  return [...new Map(topics.map((topic) => [topic.name, topic])).values()].flatMap(({ name, partitions }) => {
    const topic = bytesTopic(name)
    return only === undefined
      ? partitions.map(({ partition }) => [topic, partition] as const)
      : [[topic, only] as const]
  })
})

const oneOf = ({ names, patterns }: TopicChoice): RegExp =>
  new RegExp(
    [...names.map((name) => `^${name.replaceAll(".", "\\.")}$`), ...patterns.map(({ source }) => `(?:${source})`)].join(
      "|"
    )
  )

/**
 * What a member of a group subscribes to: patterns take topics in that are created later. Fails where a name does not
 * exist; where `mustMatch`, also where no topic matches a pattern.
 *
 * @category combinators
 * @since 0.1.0
 */
export const subscription = Effect.fnUntraced(function* (self: TopicChoice, options: { readonly mustMatch: boolean }) {
  const found = yield* find(self.names)
  if (self.patterns.length === 0) return self.names.map(bytesTopic)
  if (options.mustMatch && self.names.length === 0) yield* matching(self.patterns)
  return { ...Consumer.pattern(oneOf(self), bytes), includeInternal: found.some(({ isInternal }) => isInternal) }
})
