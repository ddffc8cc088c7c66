/** The broker inside the process beside real ones: the same questions, the same answers. */
import { assert, it } from "@effect/vitest"
import { describeRig } from "@kafka-effect/rig/brokers"
import * as KafkaCluster from "@kafka-effect/rig/KafkaCluster"
import { Effect, Logger } from "effect"
import * as TestBroker from "../../src/TestBroker.ts"
import { told } from "./cases.ts"
import { differences } from "./differences.ts"

const releases = [
  ["4.4.0", "4.4"],
  ["3.9.1", "3.9"],
  ["2.8.2", "2.8"]
] as const

const text = (value: unknown): string | undefined =>
  JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}` : one))

const paths = (real: unknown, ours: unknown, path: string): ReadonlyArray<string> => {
  if (typeof real !== "object" || typeof ours !== "object" || real === null || ours === null) {
    return Object.is(real, ours) ? [] : [`${path}: Kafka says ${text(real)}, this broker ${text(ours)}`]
  }
  const [theirs, own] = [new Map(Object.entries(real)), new Map(Object.entries(ours))]
  return [...new Set([...theirs.keys(), ...own.keys()])].flatMap((key) =>
    paths(theirs.get(key), own.get(key), `${path}.${key}`)
  )
}

describeRig("Behaviour", () => {
  for (const [version, actAs] of releases) {
    it.live(
      `${version} and the broker that acts as ${actAs} give the same answers`,
      () =>
        Effect.gen(function* () {
          const real = yield* KafkaCluster.start({ version })
          const broker = yield* TestBroker.make({ actAs, settings: { "group.initial.rebalance.delay.ms": "0" } })
          const kafkas = yield* told(real.bootstrapServers)
          const ours = yield* told(broker.bootstrapServers)
          const found = [...new Set([...kafkas.keys(), ...ours.keys()])].flatMap((key) =>
            paths(kafkas.get(key), ours.get(key), key)
          )
          const known = differences.filter(({ releases }) => releases.includes(actAs))
          const unknown = found.filter((one) => !known.some(({ path }) => path.test(one)))
          assert.deepStrictEqual(unknown, [])
          const gone = known.filter(({ path }) => !found.some((one) => path.test(one)))
          assert.deepStrictEqual(gone, [], "differences that are none any more")
        }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))),
      { timeout: 120_000 }
    )
  }
})
