import { assert, it } from "@effect/vitest"
import { bootstrapServers, describeBrokers } from "@kafka-effect/rig/brokers"
import { Effect } from "effect"
import { Kafka, Producer } from "kafka-effect"
import * as Pipeline from "../src/Pipeline.ts"

describeBrokers("the main job", () => {
  it.live("consumes every order that it produced, in order", () =>
    Effect.gen(function* () {
      const name = `demo-${process.pid}-${Math.round(performance.timeOrigin)}`
      const result = yield* Pipeline.run(name, 12_345, 3)
      assert.strictEqual(result.acknowledged, 12_345)
      assert.strictEqual(result.consumed, 12_345)
      assert.strictEqual(result.disordered, 0)
      assert.isTrue(result.partitions.every((count) => count > 0))
    }).pipe(Effect.provide(Producer.layer()), Effect.provide(Kafka.layer({ bootstrapServers })))
  )
})
