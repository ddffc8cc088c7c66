import { assert, describe, it } from "@effect/vitest"
import { type Entry, nextCorrelationId, RequestPipeline } from "../src/internal/RequestPipeline.ts"

const entry = (deadline = 0, expectsResponse = true): Entry => ({ deadline, expectsResponse, correlationId: -1 })

describe("RequestPipeline", () => {
  it("C2: correlation ids wrap to zero, never to a negative number", () => {
    assert.strictEqual(nextCorrelationId(0x7fffffff), 0)
    const pipeline = new RequestPipeline<Entry>(10, 0x7ffffffe)
    const ids = Array.from({ length: 4 }, () => {
      pipeline.enqueue(entry())
      return pipeline.take().correlationId
    })
    assert.deepStrictEqual(ids, [0x7ffffffe, 0x7fffffff, 0, 1])
  })

  it("sends no more than maxInFlight, in order", () => {
    const pipeline = new RequestPipeline<Entry>(2)
    const entries = [entry(), entry(), entry()]
    for (const one of entries) pipeline.enqueue(one)
    assert.strictEqual(pipeline.take(), entries[0])
    assert.strictEqual(pipeline.take(), entries[1])
    assert.isFalse(pipeline.canSend)
    pipeline.shift()
    assert.isTrue(pipeline.canSend)
    assert.strictEqual(pipeline.take(), entries[2])
    assert.strictEqual(pipeline.head, entries[1])
  })

  it("C19: a request without a response is not in flight", () => {
    const pipeline = new RequestPipeline<Entry>(1)
    pipeline.enqueue(entry())
    pipeline.enqueue(entry(0, false))
    pipeline.enqueue(entry())
    pipeline.take()
    assert.isTrue(pipeline.canSend)
    const written = pipeline.take()
    assert.isFalse(pipeline.canSend)
    assert.strictEqual(pipeline.size, 3)
    assert.deepStrictEqual(pipeline.takeWritten(), [written])
    assert.strictEqual(pipeline.size, 2)
  })

  it("lets go of what waits, and keeps the place of what is in flight", () => {
    const pipeline = new RequestPipeline<Entry>(1)
    const [first, second] = [entry(), entry()]
    pipeline.enqueue(first)
    pipeline.enqueue(second)
    pipeline.take()
    assert.isFalse(pipeline.withdraw(first))
    assert.isTrue(pipeline.withdraw(second))
    assert.strictEqual(pipeline.head, first)
    assert.strictEqual(pipeline.size, 1)
  })

  it("tells the expired from the overdue", () => {
    const pipeline = new RequestPipeline<Entry>(1)
    const [sent, early, late] = [entry(30), entry(10), entry(20)]
    for (const one of [sent, early, late]) pipeline.enqueue(one)
    pipeline.take()
    assert.strictEqual(pipeline.earliestDeadline(), 10)
    assert.deepStrictEqual(pipeline.takeExpired(10), [early])
    assert.strictEqual(pipeline.overdue(29), undefined)
    assert.strictEqual(pipeline.overdue(30), sent)
    assert.strictEqual(pipeline.earliestDeadline(), 20)
  })
})
