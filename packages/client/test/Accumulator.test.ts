import { assert, describe, it } from "@effect/vitest"
import { noHeaders } from "@kafka-effect/protocol/Record"
import { Effect, Exit, Fiber } from "effect"
import { Accumulator } from "../src/internal/producer/Accumulator.ts"
import { type Batch, unsaid } from "../src/internal/producer/Batch.ts"

const value = (size: number) => new Uint8Array(size)

/** What a record of this size takes in a batch, at most. */
const sizeOf = (size: number) => size + 36

const make = (options: { batchSize?: number; bufferMemory?: number } = {}) => {
  let wakes = 0
  const accumulator = new Accumulator({
    batchSize: options.batchSize ?? 1000,
    bufferMemory: options.bufferMemory ?? 10_000,
    now: () => 0,
    wake: () => wakes++
  })
  const append = (partition: number, size: number): Batch =>
    accumulator.append(accumulator.queues("t"), "t", partition, sizeOf(size), 0, null, value(size), noHeaders)
  const take = (partition: number): Batch => {
    const queue = accumulator.queues("t")[partition]!
    const batch = accumulator.withoutCancelled(queue)!
    queue.take(1, undefined)
    accumulator.settle(queue)
    return batch
  }
  return { accumulator, append, take, memory: accumulator.memory, wakes: () => wakes }
}

describe("Accumulator", () => {
  it("fills a partition's batch, and begins the next when a record does not fit", () => {
    const { append, wakes } = make()
    const first = append(0, 400)
    assert.strictEqual(append(0, 400), first)
    assert.notStrictEqual(append(0, 400), first)
    assert.notStrictEqual(append(1, 10), first)
    // Only what is new for the sender wakes it: three batches.
    assert.strictEqual(wakes(), 3)
  })

  it("a record larger than batchSize is a batch of its own", () => {
    const { append } = make({ batchSize: 100 })
    const large = append(0, 5000)
    assert.strictEqual(large.builder.count, 1)
    assert.notStrictEqual(append(0, 10), large)
  })

  it("a batch that was taken is added to no more", () => {
    const { append, take } = make()
    const first = append(0, 10)
    assert.strictEqual(take(0), first)
    assert.notStrictEqual(append(0, 10), first)
  })

  it("names the partitions that have something to send", () => {
    const { accumulator, append, take } = make()
    append(0, 10)
    append(1, 10)
    assert.deepStrictEqual(
      [...accumulator.pending].map(({ partition }) => partition),
      [0, 1]
    )
    take(0)
    assert.deepStrictEqual(
      [...accumulator.pending].map(({ partition }) => partition),
      [1]
    )
  })

  it("gives memory back with the outcome, and the slab to the next batch", () => {
    const { accumulator, append, memory, take } = make()
    append(0, 400)
    append(0, 400)
    assert.isAbove(memory.used, 800)
    const batch = take(0)
    accumulator.complete(batch, Exit.succeed(unsaid))
    accumulator.queues("t")[0]!.acknowledged(batch, BigInt(1))
    assert.strictEqual(memory.used, 0)
    accumulator.complete(batch, Exit.succeed(unsaid))
    assert.strictEqual(memory.used, 0)
  })

  it.effect("C54 those without room wait in turn; whoever gives up lets the next one in", () =>
    Effect.gen(function* () {
      const { memory } = make({ bufferMemory: 1000 })
      memory.used = 900
      const fork = (size: number) => Effect.forkChild(memory.room(size), { startImmediately: true })
      const large = yield* fork(500)
      const small = yield* fork(50)
      assert.isTrue(memory.isExhausted)
      // There is room for the small one, but the large one came first.
      assert.isFalse(memory.hasRoom(50))
      assert.isUndefined(small.pollUnsafe())
      yield* Fiber.interrupt(large)
      yield* Fiber.join(small)
      assert.strictEqual(memory.used, 950)
      assert.isFalse(memory.isExhausted)
    })
  )

  it.effect("C54 room that was given counts as used until it is given back", () =>
    Effect.gen(function* () {
      const { memory } = make({ bufferMemory: 1000 })
      memory.used = 900
      const waiting = yield* Effect.forkChild(memory.room(200), { startImmediately: true })
      memory.release(900)
      yield* Fiber.join(waiting)
      assert.strictEqual(memory.used, 200)
      memory.release(200)
      assert.strictEqual(memory.used, 0)
    })
  )

  it("C47 what was taken back by its callers is left out; the rest keeps its order and its callers", () => {
    const { accumulator, append, memory, take } = make()
    const batch = append(0, 10)
    append(0, 20)
    append(0, 30)
    batch.cancel(1)
    let isTold = false
    batch.listen({
      done: () => {
        isTold = true
      }
    })
    const sent = take(0)
    assert.deepStrictEqual(
      sent.records().map((record) => record.value?.length),
      [10, 30]
    )
    accumulator.complete(sent, Exit.succeed({ baseOffset: BigInt(7), appendTime: -1 }))
    assert.isTrue(isTold)
    const offsets = [0, 2].map((index) => {
      const outcome = batch.outcomeOf(index, 0)
      return Exit.isSuccess(outcome) ? outcome.value.offset : undefined
    })
    assert.deepStrictEqual(
      offsets.map((offset) => offset !== undefined && "value" in offset && offset.value),
      [BigInt(7), BigInt(8)]
    )
    assert.isTrue(Exit.hasInterrupts(batch.outcomeOf(1, 0)))
    assert.strictEqual(memory.used, 0)
  })
})
