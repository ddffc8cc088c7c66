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
      const fork = (size: number) =>
        Effect.forkChild(memory.room(size, { isAdmitted: false }), { startImmediately: true })
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
      const waiting = yield* Effect.forkChild(memory.room(200, { isAdmitted: false }), { startImmediately: true })
      memory.release(900)
      yield* Fiber.join(waiting)
      assert.strictEqual(memory.used, 200)
      memory.release(200)
      assert.strictEqual(memory.used, 0)
    })
  )

  it.live("C54 ten thousand who wait for the same room get it one after the other", () =>
    Effect.gen(function* () {
      const { memory } = make({ bufferMemory: 1000 })
      memory.used = 1000
      let admitted = 0
      const waiting = Effect.forEach(
        Array.from({ length: 10_000 }),
        () =>
          Effect.andThen(
            memory.room(1000, { isAdmitted: false }),
            Effect.sync(() => {
              admitted++
              memory.release(1000)
            })
          ),
        { concurrency: "unbounded", discard: true }
      )
      const all = yield* Effect.forkChild(waiting, { startImmediately: true })
      memory.release(1000)
      yield* Fiber.join(all)
      assert.strictEqual(admitted, 10_000)
      assert.strictEqual(memory.used, 0)
    })
  )

  it("a part of a batch takes no new records: others may have come in between", () => {
    const { accumulator, append, take } = make()
    append(0, 10)
    append(0, 20)
    const batch = take(0)
    const later = append(0, 30)
    assert.strictEqual(take(0), later)
    accumulator.rebuild(
      batch,
      2,
      (index) => index,
      (queue, others) => queue.abandon(batch, others)
    )
    const newest = append(0, 40)
    const parts = [take(0), take(0)]
    assert.notInclude(parts, newest)
    // What was in flight comes back before what is new.
    const queue = accumulator.queues("t")[0]!
    queue.retry(later)
    assert.deepStrictEqual(queue.waiting, [later, newest])
  })

  it("who hears of a rebuilt batch and sends more is not given the old one", () => {
    const { accumulator, append } = make()
    const batch = append(0, 10)
    let next: Batch | undefined
    batch.listen({
      done: () => {
        next = append(0, 20)
      }
    })
    batch.cancel(0)
    assert.notStrictEqual(next, undefined)
    assert.notStrictEqual(next, batch)
    assert.deepStrictEqual(accumulator.queues("t")[0]!.waiting, [next])
    assert.deepStrictEqual([...accumulator.incomplete], [next])
  })

  it("C47 a batch that all callers have left gives its memory back at once", () => {
    const { accumulator, append, memory, wakes } = make()
    const batch = append(0, 10)
    append(0, 20)
    batch.cancel(0)
    assert.isAbove(memory.used, 0)
    const before = wakes()
    batch.cancel(1)
    assert.strictEqual(memory.used, 0)
    assert.strictEqual(accumulator.pending.size, 0)
    assert.strictEqual(accumulator.incomplete.size, 0)
    assert.isAbove(wakes(), before)
  })

  it.effect("C47 one who waits for room gets that of records whose callers have left", () =>
    Effect.gen(function* () {
      const { append, memory } = make({ bufferMemory: 1000 })
      const batch = append(0, 400)
      append(0, 400)
      append(0, 50)
      const waiting = yield* Effect.forkChild(memory.room(500, { isAdmitted: false }), { startImmediately: true })
      batch.cancel(0)
      assert.isUndefined(waiting.pollUnsafe())
      batch.cancel(1)
      yield* Fiber.join(waiting)
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
