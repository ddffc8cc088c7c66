import { assert, it } from "@effect/vitest"
import * as TestBroker from "@kafka-effect/testing/TestBroker"
import { Effect, Layer } from "effect"
import { Producer } from "kafka-effect"
import * as Pipeline from "../src/Pipeline.ts"

it.live("the main job needs no Kafka: a broker inside the process will do", () =>
  Effect.gen(function* () {
    const result = yield* Pipeline.run("orders", 12_345, 3)
    assert.strictEqual(result.acknowledged, 12_345)
    assert.strictEqual(result.consumed, 12_345)
    assert.strictEqual(result.disordered, 0)
    assert.isTrue(result.partitions.every((count) => count > 0))
  }).pipe(Effect.provide(Layer.provideMerge(Producer.layer(), TestBroker.layerKafka())))
)
