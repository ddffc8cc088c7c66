/** What a group commits, as somebody sees it who only asks its coordinator, again and again. */
import { OffsetFetch } from "@kafka-effect/protocol/messages/OffsetFetch"
import { Effect, type Scope } from "effect"
import type * as Kafka from "../src/Kafka.ts"
import { machineMicros } from "./memberMain.ts"

export interface Sighting {
  /** When the answer came, in microseconds of the machine's clock. */
  readonly at: number
  readonly offset: number
}

export interface GroupObserver {
  /** By `topic:partition`: each other offset than the one before. */
  readonly sightings: ReadonlyMap<string, ReadonlyArray<Sighting>>
  /** The offsets of now; empty when nobody answers. */
  readonly committed: Effect.Effect<ReadonlyMap<string, number>>
  readonly answers: () => number
}

const version = 8

/** All offsets of the group, as its coordinator says now; -1 is nothing. */
const ask = (kafka: Kafka.Kafka["Service"], groupId: string) =>
  Effect.gen(function* () {
    const nodeId = yield* kafka.cluster.coordinator("group", groupId)
    const response = yield* kafka.request(nodeId, OffsetFetch, { groups: [{ groupId, topics: null }] }, version)
    const [group] = response.groups
    if (group.errorCode !== 0) yield* kafka.cluster.invalidateCoordinator("group", groupId)
    const places = group.topics.flatMap(({ name, partitions }) =>
      partitions
        .filter(({ errorCode }) => errorCode === 0)
        .map((one) => [`${name}:${one.partitionIndex}`, one] as const)
    )
    return new Map(places.map(([key, { committedOffset }]) => [key, Number(committedOffset)]))
  }).pipe(
    Effect.timeout("3 seconds"),
    Effect.catch(() =>
      Effect.as(Effect.ignore(kafka.cluster.invalidateCoordinator("group", groupId)), new Map<string, number>())
    )
  )

/** Watches for as long as the scope. */
export const watch = (
  kafka: Kafka.Kafka["Service"],
  groupId: string
): Effect.Effect<GroupObserver, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sightings = new Map<string, Array<Sighting>>()
    let answers = 0
    const look = Effect.map(ask(kafka, groupId), (offsets) => {
      const at = machineMicros()
      if (offsets.size > 0) answers++
      for (const [key, offset] of offsets) {
        const list = sightings.get(key) ?? []
        sightings.set(key, list)
        if (list.at(-1)?.offset !== offset) list.push({ at, offset })
      }
      return offsets
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep("100 millis"))))
    return { sightings, committed: look, answers: () => answers }
  })
