import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { Accumulator } from "../src/internal/producer/Accumulator.ts"
import type { Batch } from "../src/internal/producer/Batch.ts"

const make = (options: { readonly batchSize?: number; readonly bufferMemory?: number } = {}) => {
  let wakes = 0
  const accumulator = new Accumulator({
    batchSize: options.batchSize ?? 1000,
    bufferMemory: options.bufferMemory ?? 10_000,
    now: () => 0,
    wake: () => wakes++
  })
  return { accumulator, wakes: () => wakes }
}

const value = new Uint8Array(100)
const append = (accumulator: Accumulator, partition = 0): Batch =>
  accumulator.append("t", partition, 0, null, value, [])
const written = Exit.succeed({ baseOffset: 0n, appendTime: -1 })

describe("Accumulator", () => {
  it("fills one batch per partition, and opens another when it is full", () => {
    const { accumulator, wakes } = make()
    const batches = Array.from({ length: 20 }, () => append(accumulator))
    assert.isAbove(new Set(batches).size, 1)
    for (const batch of batches) assert.isAtMost(batch.builder.sizeInBytes, 1000)
    assert.notInclude(batches, append(accumulator, 1))
    // per batch, not per record
    assert.strictEqual(wakes(), new Set(batches).size + 1)
  })

  it("takes a record larger than a batch as a batch of its own", () => {
    const { accumulator } = make({ batchSize: 50 })
    assert.notStrictEqual(append(accumulator), append(accumulator))
  })

  it("has one batch of a partition in flight, and a batch to be tried again comes first", () => {
    const { accumulator } = make()
    for (let index = 0; index < 20; index++) append(accumulator)
    const [queue] = [...accumulator.pending()]
    const first = accumulator.take(queue)
    assert.deepStrictEqual([...accumulator.pending()], [])
    first.attempts = 1
    accumulator.release(first, true)
    assert.strictEqual([...accumulator.pending()][0].batches[0], first)
  })

  it("never writes into a batch that was sent once", () => {
    const { accumulator } = make()
    const first = append(accumulator)
    const [queue] = [...accumulator.pending()]
    accumulator.take(queue)
    first.attempts = 1
    accumulator.release(first, true)
    assert.notStrictEqual(append(accumulator), first)
    assert.strictEqual(first.builder.count, 1)
  })

  it.effect("holds senders back while there is no room, in turn", () =>
    Effect.gen(function* () {
      const { accumulator } = make({ bufferMemory: 300 })
      const first = append(accumulator)
      append(accumulator, 1)
      assert.isFalse(accumulator.hasRoom(150))
      const order: Array<string> = []
      const enter = (name: string, size: number) =>
        accumulator.room(size).pipe(Effect.andThen(Effect.sync(() => order.push(name))))
      const a = yield* Effect.forkChild(enter("a", 150), { startImmediately: true })
      const b = yield* Effect.forkChild(enter("b", 50), { startImmediately: true })
      assert.isTrue(accumulator.isExhausted)
      // smaller ones do not overtake
      assert.isFalse(accumulator.hasRoom(10))
      accumulator.take([...accumulator.pending()][0])
      accumulator.release(first, false)
      accumulator.complete(first, written)
      yield* Fiber.join(a)
      yield* Effect.yieldNow
      assert.deepStrictEqual(order, ["a"])
      accumulator.giveBack(150)
      yield* Fiber.join(b)
      assert.deepStrictEqual(order, ["a", "b"])
      accumulator.giveBack(50)
      assert.isBelow(accumulator.usedBytes, 150)
    })
  )

  it.effect("who gives up waiting takes no room, and lets the next one in", () =>
    Effect.gen(function* () {
      const { accumulator } = make({ bufferMemory: 300 })
      append(accumulator)
      const a = yield* Effect.forkChild(accumulator.room(290), { startImmediately: true })
      const b = yield* Effect.forkChild(accumulator.room(50), { startImmediately: true })
      const used = accumulator.usedBytes
      yield* Fiber.interrupt(a)
      yield* Fiber.join(b)
      assert.strictEqual(accumulator.usedBytes, used + 50)
      assert.isFalse(accumulator.isExhausted)
    })
  )

  it("gives memory back once, however often a batch is completed", () => {
    const { accumulator } = make()
    const batch = append(accumulator)
    accumulator.take([...accumulator.pending()][0])
    accumulator.release(batch, false)
    accumulator.complete(batch, written)
    accumulator.complete(batch, written)
    assert.strictEqual(accumulator.usedBytes, 0)
    assert.strictEqual(accumulator.incomplete.size, 0)
  })
})
