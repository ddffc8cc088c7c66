/**
 * `kafka-effect groups`: consumer groups, their members, how far they are behind, and putting them elsewhere.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Kafka from "kafka-effect/Kafka"
import type { KafkaError } from "kafka-effect/KafkaError"
import { Contradiction } from "./Contradiction.ts"
import * as Flags from "./Flags.ts"
import * as GroupOffsets from "./GroupOffsets.ts"
import * as GroupRequests from "./GroupRequests.ts"
import * as GroupReset from "./GroupReset.ts"
import * as Output from "./Output.ts"
import * as Table from "./Table.ts"

/**
 * There is no such group.
 *
 * @category errors
 * @since 0.1.0
 */
export class GroupMissing extends Data.TaggedError("GroupMissing")<{ readonly groupId: string }> {
  override get message(): string {
    return `there is no consumer group ${this.groupId}; kafka-effect groups list lists those that there are`
  }
}

const group = Argument.String("GROUP").pipe(Argument.withDescription("The group"))

const json = Flags.json("Print one line of JSON")

const client = (brokers: ReadonlyArray<string>) =>
  Kafka.layer({ bootstrapServers: brokers, clientId: "kafka-effect-cli" })

const write = (text: string) => Output.write(Buffer.from(text))

const find = (groupId: string): Effect.Effect<GroupRequests.Group, GroupMissing | KafkaError, Kafka.Kafka> =>
  Effect.flatMap(GroupRequests.describe(groupId), (found) =>
    found === undefined ? Effect.fail(new GroupMissing({ groupId })) : Effect.succeed(found)
  )

/**
 * Groups as text for people: a column only where a broker says something for it.
 *
 * @category encoding
 * @since 0.1.0
 */
export const listToText = (groups: ReadonlyArray<GroupRequests.ListedGroup>): string => {
  const columns = [
    { title: "group", of: ({ groupId }: GroupRequests.ListedGroup) => groupId },
    { title: "state", of: ({ state }: GroupRequests.ListedGroup) => state },
    { title: "type", of: ({ type }: GroupRequests.ListedGroup) => type },
    { title: "protocol type", of: ({ protocolType }: GroupRequests.ListedGroup) => protocolType }
  ].filter(({ of, title }) => title === "group" || groups.some((one) => of(one) !== ""))
  return Table.format(
    columns.map(({ title }) => title),
    groups.map((one) => columns.map(({ of }) => Table.cell(of(one))))
  )
}

const listToJson = (groups: ReadonlyArray<GroupRequests.ListedGroup>): string =>
  `${JSON.stringify(groups.map(({ groupId, ...rest }) => ({ group: groupId, ...rest })))}\n`

const list = Command.make(
  "list",
  { brokers: Flags.brokers, state: Flags.state, json },
  Effect.fnUntraced(function* ({ brokers, json, state }) {
    const all = yield* Effect.provide(GroupRequests.list, client(brokers))
    if (Option.isSome(state) && all.some((one) => one.state === "")) {
      return yield* new Contradiction({
        detail: "these brokers do not say in which state groups are (Kafka 2.6 does): leave --state out"
      })
    }
    const groups = Option.isSome(state) ? all.filter((one) => state.value.includes(one.state.toLowerCase())) : all
    yield* write(json ? listToJson(groups) : listToText(groups))
  })
).pipe(Command.withDescription("Print the groups of the cluster"))

const describe = Command.make(
  "describe",
  { group, brokers: Flags.brokers, json },
  Effect.fnUntraced(function* ({ brokers, group, json }) {
    const looking = Effect.gen(function* () {
      const found = yield* find(group)
      const rows = yield* GroupOffsets.look(group, found.members)
      return json ? GroupOffsets.groupToJson(found, rows) : GroupOffsets.groupToText(found, rows)
    })
    yield* write(yield* Effect.provide(Effect.scoped(looking), client(brokers)))
  })
).pipe(Command.withDescription("Print a group's members, and where it stands"))

const lag = Command.make(
  "lag",
  { group, brokers: Flags.brokers, json },
  Effect.fnUntraced(function* ({ brokers, group, json }) {
    const looking = Effect.gen(function* () {
      const { members } = yield* find(group)
      const rows = yield* GroupOffsets.look(group, members)
      return json ? GroupOffsets.lagToJson(group, rows) : GroupOffsets.lagToText(rows)
    })
    yield* write(yield* Effect.provide(Effect.scoped(looking), client(brokers)))
  })
).pipe(Command.withDescription("Print how far a group is behind"))

const reset = Command.make(
  "reset",
  {
    group,
    brokers: Flags.brokers,
    topics: Flags.targets,
    allTopics: Flags.allTopics,
    to: Flags.to,
    dryRun: Flags.dryRun,
    json
  },
  Effect.fnUntraced(function* ({ allTopics, brokers, dryRun, group, json, to, topics }) {
    if (allTopics === topics.length > 0) {
      const detail = allTopics
        ? "--all-topics names every topic: leave --topic out"
        : "name topics by --topic, or --all-topics"
      return yield* new Contradiction({ detail })
    }
    const resetting = Effect.gen(function* () {
      const found = yield* GroupRequests.describe(group)
      if (found !== undefined && found.members.length > 0) {
        return yield* new GroupReset.GroupInUse({ groupId: group, members: found.members })
      }
      const plan = yield* GroupReset.plan(group, allTopics ? undefined : topics, to)
      if (!dryRun)
        yield* GroupRequests.commit(
          group,
          plan.map(({ next: offset, partition, topic }) => ({ topic, partition, offset }))
        )
      return json ? GroupReset.toJson(group, dryRun, plan) : GroupReset.toText(plan)
    })
    yield* write(yield* Effect.provide(Effect.scoped(resetting), client(brokers)))
  })
).pipe(Command.withDescription("Put a group without members elsewhere"))

/**
 * The command.
 *
 * @category constructors
 * @since 0.1.0
 */
export const command = Command.make("groups").pipe(
  Command.withDescription("Look at consumer groups, and put them elsewhere"),
  Command.withSubcommands([list, describe, lag, reset])
)
