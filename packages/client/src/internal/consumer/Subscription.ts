/**
 * What a consumer subscribes to: topics by name, or all topics whose names match a pattern, the new ones too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Cluster } from "../../Cluster.ts"
import type { Topics } from "../../Consumer.ts"
import type { KafkaError } from "../../KafkaError.ts"
import type { AnyTopic } from "../../Topic.ts"
import * as Topic from "../../Topic.ts"

/** @internal */
export interface Subscription<T extends AnyTopic> {
  /** Names of now, in alphabetical order. */
  readonly names: () => ReadonlyArray<string>
  readonly topicOf: (name: string) => T | undefined
  /** Subscribes to other topics from now on. */
  readonly set: (topics: Topics<T>) => Effect.Effect<void, KafkaError>
}

/**
 * Follows the cluster's topics for as long as the scope; `onChange` is run when a pattern matches others than before.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function* <T extends AnyTopic>(
  cluster: Cluster,
  first: Topics<T>,
  onChange: (reason: string) => Effect.Effect<void>
): Effect.fn.Return<Subscription<T>, KafkaError, Scope.Scope> {
  let topics = first
  let byName = new Map<string, T>()
  /** Of before: what was read of them is handed over until their partitions are given back. */
  const former = new Map<string, T>()

  const isPattern = (wanted: Topics<T>): wanted is Exclude<Topics<T>, ReadonlyArray<T>> => "matches" in wanted

  /** Looks which topics match now; says whether they are others than before. */
  const look = Effect.gen(function* () {
    const wanted = topics
    const found = new Map<string, T>()
    if (isPattern(wanted)) {
      const { topics: all } = yield* cluster.refresh("all")
      for (const { errorCode, isInternal, name } of all.values()) {
        // A global expression would go on where the last match ended.
        wanted.matches.lastIndex = 0
        if (errorCode !== 0 || (isInternal && wanted.includeInternal !== true) || !wanted.matches.test(name)) continue
        // The pattern's serdes make topics of its type.
        found.set(name, (byName.get(name) ?? Topic.topic(name, wanted)) as T)
      }
    } else for (const topic of wanted) found.set(topic.name, topic)
    // Another subscription has come meanwhile: it is not undone.
    if (topics !== wanted) return false
    const isOther = found.size !== byName.size || [...found.keys()].some((name) => !byName.has(name))
    for (const [name, topic] of byName) former.set(name, topic)
    byName = found
    return isOther
  })

  /** Asks for topics by name, so that they are known, and followed, from now on. */
  const track = Effect.suspend(() =>
    isPattern(topics) ? Effect.void : Effect.asVoid(cluster.refresh([...byName.keys()]))
  )

  yield* look
  yield* track
  const follow = Effect.sleep(cluster.settings.metadataMaxAge).pipe(
    Effect.andThen(Effect.suspend(() => (isPattern(topics) ? look : Effect.succeed(false)))),
    Effect.flatMap((isOther) => (isOther ? onChange("the topics that match the pattern have changed") : Effect.void)),
    Effect.catch((error) => Effect.logDebug(`the topics of the cluster could not be asked for: ${error.message}`))
  )
  yield* Effect.forkScoped(Effect.forever(follow))

  return {
    names: () => [...byName.keys()].sort(),
    topicOf: (name) => byName.get(name) ?? former.get(name),
    set: (wanted) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const before = topics
          topics = wanted
          const undo = Effect.sync(() => {
            if (topics === wanted) topics = before
          })
          // The group hears of it, whatever becomes of asking for the topics.
          const applied = Effect.ensuring(restore(track), onChange("the subscription has changed"))
          return Effect.andThen(
            Effect.onError(restore(look), () => undo),
            applied
          )
        })
      )
  }
})
