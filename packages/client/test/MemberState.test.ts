/** What others find when they are woken by a change of a member's state: all of it, and not half. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import * as Assignor from "../src/Assignor.ts"
import { MemberState } from "../src/internal/consumer/MemberState.ts"

const sessionTimeout = 1000
const partition = { topic: "orders", partition: 0 }

/** A member with a partition, whose session runs out when `expire` is called. */
const member = () => {
  let now = 0
  const state = new MemberState(
    {
      ...{
        groupId: "group",
        groupInstanceId: undefined,
        sessionTimeout,
        heartbeatInterval: 100,
        rebalanceTimeout: 1000
      },
      ...{ assignors: [Assignor.range], subscription: () => ["orders"], clientRack: undefined }
    },
    () => now
  )
  state.join()
  state.sync("member", 1)
  state.owned = [partition]
  state.accept({ partitions: [partition], userData: null })
  state.changed.closeUnsafe()
  const expire = () => {
    now = sessionTimeout
    state.expire()
  }
  const sleep = (millis: number) => {
    now += millis
  }
  return { state, expire, sleep }
}

it.effect("who waits for a change finds a loss whole", () =>
  Effect.gen(function* () {
    const { expire, state } = member()
    const found = yield* state.changed.await.pipe(
      Effect.andThen(Effect.sync(() => [state.lost, state.owned, state.identity(), state.phase])),
      Effect.forkChild({ startImmediately: true })
    )
    expire()
    assert.deepStrictEqual(yield* Fiber.join(found), [[partition], [], undefined, "outside"])
  })
)

it.effect("records are handed over again as soon as a loss was told, even by who is woken by it", () =>
  Effect.gen(function* () {
    const { expire, state } = member()
    const telling = yield* state.hasLost.await.pipe(
      Effect.andThen(
        Effect.sync(() => {
          const { lost } = state
          state.toldLost()
          state.tell()
          return lost
        })
      ),
      Effect.forkChild({ startImmediately: true })
    )
    expire()
    assert.deepStrictEqual(yield* Fiber.join(telling), [partition])
    const told = yield* Effect.forkChild(state.told.await, { startImmediately: true })
    assert.isTrue(Option.isSome(Option.fromNullishOr(told.pollUnsafe())))
  })
)

it("a process that stood still while it joined has lost what it kept; one that only waits for the answer has not", () => {
  for (const isSyncing of [false, true]) {
    const waiting = member()
    waiting.state.join()
    if (isSyncing) waiting.state.sync("member", 2)
    for (let quarter = 0; quarter < 20; quarter++) {
      waiting.sleep(sessionTimeout / 4)
      waiting.state.pulse()
    }
    assert.deepStrictEqual(waiting.state.owned, [partition])

    const asleep = member()
    asleep.state.join()
    if (isSyncing) asleep.state.sync("member", 2)
    asleep.sleep(sessionTimeout)
    assert.isUndefined(asleep.state.identity())
    assert.deepStrictEqual([asleep.state.owned, asleep.state.lost], [[], [partition]])
  }
})
