/** All members of all groups: who is there, who comes, and who goes, in order or by dying. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Members from "./Members.ts"
import type { GroupPlan, MemberPlan } from "./Plan.ts"

export interface Troupe {
  /** Those who live, by name. */
  readonly living: ReadonlyMap<string, Members.Member>
  readonly start: (group: GroupPlan, member: MemberPlan) => Effect.Effect<void>
  /** A member that has gone comes again, as another process. */
  readonly restart: (name: string) => Effect.Effect<void>
  /** Another member, which was not there yet. */
  readonly join: (group: string) => Effect.Effect<void>
  /** It leaves its group. */
  readonly leave: (name: string, by: "stop" | "scope") => Effect.Effect<void>
  /** It dies, and leaves nothing in order. */
  readonly kill: (name: string) => Effect.Effect<void>
  /** Of each group somebody is there. */
  readonly atLeastOne: Effect.Effect<void>
  /** All leave; waits until nothing of anybody is left. */
  readonly end: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (
  options: Pick<Members.Options, "surroundings" | "transport" | "tally" | "isWhole" | "onProblem">
): Effect.fn.Return<Troupe, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const { groups } = options.surroundings.plan
  const living = new Map<string, Members.Member>()
  const processes = new Map<string, number>()
  const plans = new Map<string, readonly [GroupPlan, MemberPlan]>()
  const ending: Array<Fiber.Fiber<void>> = []

  const start: Troupe["start"] = (group, member) =>
    Effect.suspend(() => {
      const process = processes.get(member.name) ?? 0
      processes.set(member.name, process + 1)
      plans.set(member.name, [group, member])
      return Members.start({ ...options, group, member, process })
    }).pipe(
      Scope.provide(scope),
      Effect.tap((started) => Effect.sync(() => living.set(member.name, started))),
      Effect.asVoid
    )

  /** Ends a member in the background: that may take time. */
  const end = (name: string, how: (member: Members.Member) => Effect.Effect<void>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const member = living.get(name)
      if (member === undefined) return Effect.void
      living.delete(name)
      return Effect.map(
        Effect.forkIn(Effect.andThen(how(member), Fiber.interrupt(member.fiber)), scope),
        (fiber) => void ending.push(fiber)
      )
    })

  const restart: Troupe["restart"] = (name) =>
    Effect.suspend(() => {
      const plan = plans.get(name)
      return plan === undefined || living.has(name) ? Effect.void : start(...plan)
    })

  const join: Troupe["join"] = (name) =>
    Effect.suspend(() => {
      const group = groups.find((one) => one.name === name)!
      const others = [...plans.values()].filter(([of]) => of === group).length
      return start(group, { name: `${name}-m${others}`, mode: group.members[0].mode })
    })

  return {
    living,
    start,
    restart,
    join,
    leave: (name, by) => end(name, ({ stop }) => (by === "stop" ? stop : Effect.void)),
    kill: (name) =>
      end(name, ({ cable, die }) =>
        Effect.suspend(() => {
          die()
          return cable.cut
        })
      ),
    atLeastOne: Effect.suspend(() =>
      Effect.forEach(
        groups,
        ({ members, name }) =>
          [...living.keys()].some((one) => one.startsWith(`${name}-`)) ? Effect.void : restart(members[0].name),
        { discard: true }
      )
    ),
    end: Effect.suspend(() =>
      Effect.andThen(
        Effect.forEach([...living.keys()], (name) => end(name, () => Effect.void), { discard: true }),
        Effect.suspend(() => Fiber.awaitAll(ending))
      )
    )
  }
})
